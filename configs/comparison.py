"""Compare recipes, each by runs of several seeds: comparison.json, .csv, .md and curves.svg.

    python launch.py --config=configs/comparison.py --workdir=W --config.data.dir=DPED \
        --config.recipes="distilled = runs/a0, runs/a1, runs/a2; alone = runs/b0, runs/b1"

Every run's network is scored on the test split; the curves come from the runs' logs.
"""

import ml_collections

from configs import teacher


def get_config() -> ml_collections.ConfigDict:
    """All fields of a comparison."""
    config = ml_collections.ConfigDict()
    config.task = "comparison"
    config.recipes = ""  # "NAME = WORKDIR, WORKDIR; NAME = ..."
    config.runtime = (
        "auto"  # jax, openvino, or auto: OpenVINO if installed and JAX has no accelerator
    )
    config.data = teacher.get_config().data
    return config
