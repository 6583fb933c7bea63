"""Compile the training steps for TPUs without having one, and show what they need: docs/pods.md.

    pip install '.[tpu-compile]'
    JAX_PLATFORMS=cpu python launch.py --config=configs/compile_for.py --workdir=W

needs no files: all networks have random parameters, and nothing is run. Minutes for each program.
"""

import ml_collections

from configs import student, super_resolution, teacher


def get_config() -> ml_collections.ConfigDict:
    """All fields of the compilation."""
    config = ml_collections.ConfigDict()
    config.task = "compile_for"
    # Names of libtpu, such as v5e:2x2, v5e:16x16, v5p:8x8x16; cpu: this machine.
    config.topologies = "v5e:4x4"
    config.models = "student"  # of student, teacher and super_resolver
    # float32: of all trained networks and VGG; bfloat16: of VGG and discriminator, and the generator
    # has its own.
    config.formats = "bfloat16"
    config.batch_sizes = (64,)  # images on each chip
    config.operations = 20  # operations to list for each program, those that move most first
    config.latency = 5e-6  # s, assumed latency of each message between chips

    config.student = student.get_config()  # vgg.weights and teacher may stay empty
    config.teacher = teacher.get_config()
    config.super_resolver = super_resolution.get_config()
    for enhancer in (config.student, config.teacher):
        enhancer.precision.generator = "bfloat16"  # three times as fast to compile as float32
    return config
