"""How fast a training step and photos are on a GPU or TPU, beside PyTorch: docs/speed.md.

    pip install '.[bench]' 'jax[cuda13]'
    XLA_PYTHON_CLIENT_PREALLOCATE=false python launch.py --config=configs/accelerator.py --workdir=W

needs no files: all networks have random parameters. PyTorch must be a build for the GPU and for the
same version of CUDA. The variable makes JAX leave memory to PyTorch.
"""

import ml_collections

from configs import student


def get_config() -> ml_collections.ConfigDict:
    """All fields of the benchmark."""
    config = ml_collections.ConfigDict()
    config.task = "accelerator"
    config.formats = "float32,tensorfloat32,bfloat16"  # of matrix products
    config.competitors = "PyTorch,PyTorch compiled"
    config.batch_sizes = (50, 256, 1024)  # over all devices
    config.sizes = ((720, 1280), (3000, 4000))  # height and width of photos
    config.rounds = 5  # measurements of each competitor, in turns
    config.steps = 10  # training steps in a round, without waiting in between

    config.peaks = ml_collections.ConfigDict()
    config.peaks.side = 8192  # of the matrices for the peak in FLOP/s
    config.peaks.size = 2**29  # bytes of the array for the peak bandwidth

    config.training = student.get_config()  # vgg.weights and teacher may stay empty
    return config
