"""The paper's Table 1: super-resolvers compared on test sets, as JSON, CSV, Markdown and a picture.

    python launch.py --config=configs/table1.py --workdir=W --config.data.dir=Set5,Set14 \
        --config.models=checkpoints/generator_all.ckpt,runs/mine

Bicubic enlargement is always a row. A model is a weights file, a training workdir or a released
checkpoint. Takes minutes, mostly to time the slowest network.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """All fields of Table 1."""
    config = ml_collections.ConfigDict()
    config.task = "table1"
    config.models = ""  # models, separated by commas
    config.kernel = "pillow"  # bicubic filter and protocol: pillow (the authors') or matlab
    config.runtime = (
        "auto"  # jax, openvino, or auto: OpenVINO if installed and JAX has no accelerator
    )
    config.timing = ml_collections.ConfigDict()
    config.timing.runs = 10  # timed images of 1280x720 per network, after two to warm up
    config.data = ml_collections.ConfigDict()
    config.data.dir = ""  # folders of high-resolution photos, separated by commas
    return config
