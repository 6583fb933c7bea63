"""A prediction of weak scaling, from what the student's compiled step exchanges: docs/pods.md.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 JAX_PLATFORMS=cpu \
        python launch.py --config=configs/scaling.py --workdir=W

needs no files and no accelerator: nothing is run, only compiled. Minutes on two CPU cores.
"""

import ml_collections

from configs import student


def get_config() -> ml_collections.ConfigDict:
    """What to compile, and what to assume."""
    config = ml_collections.ConfigDict()
    config.task = "scaling"
    config.devices = (1, 2, 4, 8)  # numbers of virtual devices that the step is compiled for
    config.training = student.get_config()  # its batch is that of each device; files may be absent
    config.utilization = 0.5  # share of a chip's peak that the step reaches; an assumption
    config.latency = 5e-6  # s, of each message between chips; an assumption
    return config
