"""Score trained enhancers on a test split: results.json, a table and a strip of pictures.

    python launch.py --config=configs/evaluate.py --workdir=W --config.weights=RUN \
        --config.data.source=dped --config.data.dir=DPED

About 20 images of 100x100 a second on one CPU core.
"""

import ml_collections

from configs import teacher


def get_config() -> ml_collections.ConfigDict:
    """All fields of an evaluation."""
    config = ml_collections.ConfigDict()
    config.task = "evaluate"
    config.weights = ""  # weights file, training workdir or released checkpoint; several by commas
    config.runtime = (
        "auto"  # jax, openvino, or auto: OpenVINO if installed and JAX has no accelerator
    )
    config.evaluate = ml_collections.ConfigDict()
    config.evaluate.largest = 0  # side of the square in the center that is scored, px; 0: all
    config.data = teacher.get_config().data
    return config
