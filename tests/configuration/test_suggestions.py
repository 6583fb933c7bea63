"""Names of fields that users get wrong, and what is suggested."""

import pytest

from configs import teacher
from ppcn_jax.configuration.suggestions import dotted_names, suggestion

KNOWN = list(dotted_names(teacher.get_config().to_dict()))


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ("train.lr", "train.learning_rate"),  # initials
        ("train.wd", "train.weight_decay"),
        ("train.batch", "train.batch_size"),  # words
        ("train.rate", "train.learning_rate"),
        ("train.optim", "train.optimizer"),
        ("train.lrate", "train.learning_rate"),
        ("train.learn_rate", "train.learning_rate"),
        ("train.guard.limit", "train.guard.total_limit"),
        ("batch_size", "train.batch_size"),  # without the group, or with another one
        ("steps", "profile.steps or train.steps"),
        ("data.batch_size", "train.batch_size"),
        ("learning_rate", "discriminator.learning_rate or train.learning_rate"),
        ("lr", "discriminator.learning_rate or train.learning_rate"),
        ("every", "audit.every or checkpoint.every or evaluate.every or log.every"),
        ("train.stepz", "train.steps"),  # misspelt
        ("evaluate.evry", "evaluate.every"),
        ("teacherz", "teacher"),
        ("train.weightdecay", "train.weight_decay"),
        ("trian.lr", "train.learning_rate"),  # in a misspelt group
        ("disciminator.lr", "discriminator.learning_rate"),
        ("objective.ssm.weight", "objective.ssim.weight"),
        ("objektive.ssm.weight", "objective.ssim.weight"),
        ("objektive.x", "objective"),
    ],
)
def test_suggestion_has_the_full_name(wrong, fields):
    assert suggestion(wrong, KNOWN) == f"; did you mean {fields}?"


@pytest.mark.parametrize("wrong", ["q", "xyz", "train.x", "weight", "objective.vgg.weight", "a.b"])
def test_nothing_is_suggested_if_nothing_is_similar_or_too_much(wrong):
    assert suggestion(wrong, KNOWN) == ""
