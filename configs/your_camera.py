"""Give the student the look of your own camera, by pairs of photos from `ppcn-jax pair`.

    python launch.py --config=configs/your_camera.py --workdir=W --config.data.dir=PAIRS

Starts from the shipped student; a minute or two on two CPU cores. Variant: `:from_scratch` starts
from random parameters and takes longer. docs/your_camera.md explains how to photograph, and what
to expect of how many scenes.
"""

import ml_collections

from configs import student


def get_config(variant: str = "fine_tune") -> ml_collections.ConfigDict:
    """The fields of configs/student.py:quick_no_distillation."""
    if variant not in ("fine_tune", "from_scratch"):
        raise ValueError(
            f"configs/your_camera.py has the variants fine_tune and from_scratch, not {variant!r}"
        )
    config = student.get_config("quick_no_distillation")
    config.data.source = "pairs"
    config.data.holdout = 5  # the last five scenes are for testing
    config.objective.total_variation.weight = 0.0  # the camera's own pictures are smooth enough
    if variant == "fine_tune":
        config.start_from = "student"
        config.train.steps = 1000
        config.train.boundaries = (500, 700, 850, 950)
    else:
        config.train.steps = 8000
        config.train.boundaries = (4000, 5600, 6800, 7600)
    return config
