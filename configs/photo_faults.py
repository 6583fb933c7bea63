"""Judge enhancers on a folder of good photos, without reference pictures.

    python launch.py --config=configs/photo_faults.py --workdir=W --config.photos=PHOTOS \
        --config.models=student,runs/mine

Writes a table (faults.md), all numbers (faults.json) and the worst places of each kind
(faults.png). What is measured: `ppcn_jax/evaluation/faults.py`. A photo of 480x320 takes 0.1 s.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
    """All fields of the measurement."""
    config = ml_collections.ConfigDict()
    config.task = "photo_faults"
    config.models = "student"  # names, weights files, workdirs or checkpoints, separated by commas
    config.photos = ""  # folder of photos, with subfolders
    config.targets = ""  # the camera's pictures under the same names, as another row; "": none
    config.every = 1  # use every Nth photo only, in the order of their names
    config.runtime = (
        "auto"  # jax, openvino, or auto: OpenVINO if installed and JAX has no accelerator
    )
    return config
