"""Predict weak scaling from the messages of the student's compiled step: docs/pods.md.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 JAX_PLATFORMS=cpu \
        python launch.py --config=configs/scaling.py --workdir=W

needs no files and no accelerator: steps are compiled, not run. Minutes on two CPU cores.
"""

import ml_collections

from configs import student


def get_config() -> ml_collections.ConfigDict:
    """All fields of the prediction."""
    config = ml_collections.ConfigDict()
    config.task = "scaling"
    config.devices = (1, 2, 4, 8)  # numbers of virtual devices to compile the step for
    config.training = student.get_config()  # batch size per device; no VGG or teacher needed
    config.utilization = 0.5  # assumed share of a chip's peak that the step reaches
    config.latency = 5e-6  # s, assumed latency of each message between chips
    return config
