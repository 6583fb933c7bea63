"""Every configuration loads, is valid, names only losses that exist, and imports no JAX."""

import subprocess
import sys

import pytest

from configs import demo, evaluate, student, super_resolution, teacher, your_camera
from ppcn_jax.configuration.check import check
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.objective import make_objective

TRAINING = {
    "teacher": lambda: teacher.get_config(),
    "teacher:released": lambda: teacher.get_config("released"),
    "student": lambda: student.get_config(),
    "student:released": lambda: student.get_config("released"),
    "student:no_distillation": lambda: student.get_config("no_distillation"),
    "student:l1_vgg": lambda: student.get_config("l1_vgg"),
    "teacher:quick": lambda: teacher.get_config("quick"),
    "student:quick": lambda: student.get_config("quick"),
    "student:quick_no_distillation": lambda: student.get_config("quick_no_distillation"),
    "demo:teacher": lambda: demo.get_config("teacher"),
    "demo:student": lambda: demo.get_config("student"),
    "your_camera": lambda: your_camera.get_config(),
    "your_camera:from_scratch": lambda: your_camera.get_config("from_scratch"),
    "super_resolution": lambda: super_resolution.get_config(),
    "super_resolution:released": lambda: super_resolution.get_config("released"),
    "super_resolution:quick": lambda: super_resolution.get_config("quick"),
    "super_resolution:long": lambda: super_resolution.get_config("long"),
    "super_resolution:fine_tune": lambda: super_resolution.get_config("fine_tune"),
}


def complete(config):
    """Fill in the fields that every user must set."""
    if config.model == "super_resolver":
        return config
    config.vgg.weights = config.vgg.weights or "vgg.npz"
    config.teacher = "workdir" if config.objective.attention.weight or config.imitation else ""
    return config


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_configuration_is_valid(name):
    config = complete(TRAINING[name]())
    check(config, devices=1)
    assert config.task == "train"


def test_the_defaults_are_the_papers():
    config = student.get_config()
    weights = {name: term.weight for name, term in config.objective.items() if term.weight}
    # Eq. 13 with Eq. 7 multiplied out; Eq. 8's sum over 50 images is the weight of texture.
    assert weights == {
        "contextual": 40,
        "ssim": 250,
        "texture": 50,
        "color": 1,
        "total_variation": 2000,
        "attention": 75,
    }
    assert (config.train.steps, config.train.batch_size) == (20_000, 50)
    assert (config.train.learning_rate, config.train.boundaries) == (5e-4, (10_000,))
    assert (config.train.decay, config.data.crop) == (0.1, 100)


def test_the_released_preset_differs_where_the_released_code_does():
    config = student.get_config("released")
    assert config.objective.texture.form == "saturating"
    assert (config.objective.color.weight, config.objective.color.kernel) == (0.5, "released")
    assert config.objective.attention.form == "squared"
    assert (config.discriminator.outputs, config.discriminator.first_norm) == (2, False)


def test_no_distillation_differs_from_the_student_by_one_weight():
    with_teacher = student.get_config()
    without = student.get_config("no_distillation")
    assert without.objective.attention.weight == 0
    without.objective.attention.weight = with_teacher.objective.attention.weight
    assert without == with_teacher


def test_the_objective_needs_only_terms_with_weight():
    objective = make_objective(teacher.get_config().objective.to_dict())
    assert not objective.needs("taps")
    assert objective.needs("features") and objective.needs("logits")


@pytest.mark.parametrize("module", [teacher, student, demo, super_resolution])
def test_an_unknown_variant_names_the_known_ones(module):
    with pytest.raises(ValueError, match=r"variants .*student|variants paper"):
        module.get_config("nonsense")


def test_evaluation_reads_the_data_as_training_does():
    assert evaluate.get_config().data == teacher.get_config().data
    assert evaluate.get_config().data.keys() == super_resolution.get_config().data.keys()


def test_super_resolution_follows_the_paper_or_its_code():
    paper, released = (super_resolution.get_config(name) for name in ("paper", "released"))
    for config in (paper, released):
        weights = {name: term.weight for name, term in config.objective.items() if term.weight}
        assert weights == {"mae": 255, "ssim": 25}  # Eq. 6 of images in [0, 1]
        assert (config.train.batch_size, config.data.crop, config.data.scale) == (16, 384, 4)
        assert config.train.boundaries[0] == 50_000
    assert (paper.train.learning_rate, paper.train.decay, paper.train.clip) == (5e-4, 0.2, False)
    assert (released.train.learning_rate, released.train.decay) == (2e-4, 0.5)
    assert released.train.clip and not released.train.epsilon_corrected


def test_the_scale_of_data_and_network_is_one_number():
    for field in ("data.scale", "model_settings.scale"):
        config = super_resolution.get_config()
        change(config, field, 2)
        assert config.data.scale == config.model_settings.scale == 2
        check(config, devices=1)


def test_configurations_import_no_jax():
    code = (
        "import sys; "
        "from configs import benchmark, demo, evaluate, student, super_resolution, teacher; "
        "student.get_config(); super_resolution.get_config(); benchmark.get_config(); "
        "print([name for name in ('jax', 'tensorflow', 'ppcn_jax', 'data') if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    assert printed.strip() == "[]"


def change(config, field, value):
    config.update_from_flattened_dict({field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train.batch_size", 6, r"train.batch_size is 6, which 4 devices .*use 8 or 4"),
        ("train.batch_size", 2, r"train.batch_size is 2, which 4 devices .*use 4$"),
        ("train.steps", 0, r"train.steps is 0; it must be positive"),
        ("train.steps_per_call", 0, r"train.steps_per_call is 0; it must be positive"),
        ("train.boundaries", (10, 5), r"train.boundaries is \(10, 5\).*increase"),
        ("checkpoint.keep", 0, r"checkpoint.keep is 0"),
        ("data.crop", 8, r"data.crop is 8; it must be at least 16"),
        ("vgg.weights", "", r"vgg.weights is empty"),
        ("teacher", "", r"teacher is empty: .*no_distillation"),
        ("objective.attention.weight", 0.0, r"teacher is set, but objective.attention"),
        ("imitation", 1.5, r"imitation is 1.5; it must be"),
        ("model", "pupil", r"model is 'pupil'; it must be one of 'student', 'teacher'"),
        ("preset", "papers", r"preset is 'papers'"),
    ],
)
def test_invalid_fields_are_named(field, value, message):
    config = complete(student.get_config())
    config.train.batch_size = 48
    change(config, field, value)
    with pytest.raises(InputError, match=f"(?m){message}"):
        check(config, devices=4)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("train.batch_size", 6, r"train.batch_size is 6, which 4 devices"),
        ("train.learning_rate", 0.0, r"train.learning_rate is 0.0; it must be positive"),
        ("data.scale", 5, r"model_settings.scale is 5; it must be one of 2, 3, 4"),
        ("data.crop", 98, r"data.crop is 98, not a multiple of the scale 4: use 100"),
        ("data.crop", 12, r"data.crop is 12; it must be at least 16"),
        ("model", "student", r"model is 'student'; it must be 'super_resolver'"),
        ("preset", "papers", r"preset is 'papers'"),
    ],
)
def test_invalid_fields_of_super_resolution_are_named(field, value, message):
    config = super_resolution.get_config()
    change(config, field, value)
    with pytest.raises(InputError, match=f"(?m){message}"):
        check(config, devices=4)


def test_super_resolution_refuses_losses_of_features():
    config = super_resolution.get_config()
    config.objective.perceptual = {"weight": 1.0}
    with pytest.raises(
        InputError, match=r"objective has a weight for perceptual; .* compare images"
    ):
        check(config, devices=1)
    config.objective.perceptual = {"weight": 0.0}
    check(config, devices=1)


def test_two_scales_are_refused():
    config = super_resolution.get_config()
    config.model_settings = {"scale": 2}
    with pytest.raises(InputError, match=r"data.scale is 4, but model_settings.scale is 2"):
        check(config, devices=1)


def test_all_problems_are_listed_at_once():
    config = teacher.get_config()
    config.train.steps = -1
    with pytest.raises(InputError) as error:
        check(config, devices=7)
    assert all(field in str(error.value) for field in ("steps", "batch_size", "vgg.weights"))


def test_a_misspelt_option_of_a_loss_is_named():
    config = complete(teacher.get_config())
    config.objective.ssim = {"weight": 1.0, "sigmma": 2.0}
    with pytest.raises(InputError, match=r"objective\.ssim has no option \['sigmma'\]"):
        check(config, devices=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objective.texture.form": "hinge", "discriminator.real_label": 0.9},
            "discriminator.real_label is 0.9, but the hinge loss has no labels: set it to 1.0",
        ),
        (
            {"objective.texture.form": "least_squares", "discriminator.clip": True},
            "discriminator.clip is True, but the least_squares loss has no probabilities",
        ),
        (
            {"objective.texture.weight": 0.0, "objective.relativistic.weight": 1.0}
            | {"discriminator.clip": True, "discriminator.real_label": 0.9},
            "discriminator.real_label is 0.9, but the relativistic loss has no labels",
        ),
        (
            {"objective.relativistic.weight": 1.0},
            "a weight for texture and relativistic, but the discriminator can learn by one of them",
        ),
        (
            {"discriminator.network": "patch", "discriminator.outputs": 2},
            "discriminator.outputs is 2, but discriminator.network=patch has one logit",
        ),
    ],
)
def test_adversarial_settings_that_do_not_fit_are_refused(changes, message):
    config = teacher.get_config()
    config.vgg.weights = "vgg.npz"
    config.update_from_flattened_dict(changes)
    with pytest.raises(InputError, match=message):
        check(config, devices=1)


def test_adversarial_settings_of_a_term_without_weight_are_not_checked():
    config = teacher.get_config("quick")
    config.discriminator.real_label = 0.9
    config.objective.texture.form = "hinge"
    check(config, devices=1)
