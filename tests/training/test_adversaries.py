"""The discriminator of an enhancer's run: its network and its loss, from the configuration."""

import functools

import jax
import numpy as np
import pytest

from configs import teacher
from ppcn_jax import losses
from ppcn_jax.training.enhancer import make_experiment


@pytest.mark.parametrize(
    ("loss", "form", "network", "expected"),
    [
        ("texture", "saturating", "paper", "cross_entropy"),
        ("texture", "hinge", "patch", "hinge"),
        ("texture", "least_squares", "patch", "least_squares"),
        ("relativistic", "non_saturating", "patch", None),
    ],
)
def test_the_discriminator_learns_by_the_form_of_the_texture_loss(
    monkeypatch, loss, form, network, expected
):
    seen = []

    def record(*arguments, **options):
        seen.append(options["form"])
        return discrimination(*arguments, **options)

    discrimination = losses.discrimination
    monkeypatch.setattr(losses, "discrimination", record)
    config = teacher.get_config("quick")
    config.data.crop = 32
    for name in config.objective:
        config.objective[name].weight = float(name == loss)
    config.objective.texture.form = form
    config.discriminator.network = network
    experiment = make_experiment(config)
    names = experiment.state.players["discriminator"].params.keys()
    assert ("dense" in names) == (network == "paper")
    images = np.zeros((2, 32, 32, 3), np.uint8)
    step = functools.partial(experiment.step, frozen=experiment.frozen)
    _, metrics = jax.eval_shape(step, experiment.state, {"input": images, "target": images})
    assert metrics["discriminator_loss"].shape == ()
    assert set(seen) == ({expected} if expected else set())
