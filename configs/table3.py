"""The paper's Table 3: enhancers compared in quality and speed, as JSON, CSV and Markdown.

    python launch.py --config=configs/table3.py --workdir=W --config.data.dir=DPED \
        --config.models=student.safetensors,runs/mine,checkpoints/teacher.ckpt

A model is a weights file, a training workdir or a released checkpoint. Takes minutes, mostly to
time the slowest network.
"""

import ml_collections

from configs import teacher


def get_config() -> ml_collections.ConfigDict:
    """All fields of Table 3."""
    config = ml_collections.ConfigDict()
    config.task = "table3"
    config.models = ""  # models, separated by commas
    config.runtime = (
        "auto"  # jax, openvino, or auto: OpenVINO if installed and JAX has no accelerator
    )
    config.timing = ml_collections.ConfigDict()
    config.timing.runs = 10  # timed images of 1280x720 per network, after two to warm up
    config.data = teacher.get_config().data
    return config
