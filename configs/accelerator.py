"""How fast a training step and photos are on a GPU or TPU, beside PyTorch: docs/speed.md.

    pip install '.[bench]' 'jax[cuda13]'
    XLA_PYTHON_CLIENT_PREALLOCATE=false python launch.py --config=configs/accelerator.py --workdir=W

needs no files: networks that are not named have random parameters. PyTorch must be a build for the
GPU, and for the same version of CUDA. The variable has JAX leave it memory.
"""

import ml_collections

from configs import student


def get_config() -> ml_collections.ConfigDict:
    """What to measure."""
    config = ml_collections.ConfigDict()
    config.task = "accelerator"
    config.formats = "float32,tensorfloat32,bfloat16"  # of products
    config.competitors = "PyTorch,PyTorch compiled"
    config.batch_sizes = (50, 256, 1024)  # of all devices together
    config.sizes = ((720, 1280), (3000, 4000))  # of photos, height and width
    config.rounds = 5  # of what takes turns
    config.steps = 10  # in a round, without waiting for one another

    config.peaks = ml_collections.ConfigDict()
    config.peaks.side = 8192  # of the matrices that are multiplied
    config.peaks.size = 2**29  # of the array that is copied, bytes

    config.training = student.get_config()  # vgg.weights and teacher may stay empty
    return config
