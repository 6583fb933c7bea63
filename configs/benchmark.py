"""How fast everything is on this processor, beside OpenVINO, PyTorch and others: docs/speed.md.

    pip install '.[bench,data]'
    python launch.py --config=configs/benchmark.py --workdir=W

needs no files: networks without a weights file have random parameters. Half an hour on two CPU
cores.
"""

import ml_collections

from configs import student, super_resolution, teacher


def get_config() -> ml_collections.ConfigDict:
    """All fields of the benchmark."""
    config = ml_collections.ConfigDict()
    config.task = "benchmark"
    config.parts = "inference,large_photos,training,compilation,loading,losses,contextual,host"
    config.competitors = (
        "ONNX Runtime,OpenVINO,OpenVINO file,LiteRT,ncnn,"
        "PyTorch,PyTorch channels-last,PyTorch compiled"
    )
    config.models = ""  # weights files of student, teacher, super-resolver, separated by commas
    config.rounds = 10  # measurements of each competitor, in turns, after two to warm up

    config.peaks = ml_collections.ConfigDict()
    config.peaks.side = 3072  # of the matrices for the peak in FLOP/s
    config.peaks.size = 2**29  # bytes of the array for the peak bandwidth

    config.inference = ml_collections.ConfigDict()
    config.inference.height = 720  # px
    config.inference.width = 1280

    config.large_photos = ml_collections.ConfigDict()
    config.large_photos.sizes = ((720, 1280), (1500, 2000), (3000, 4000))  # height, width
    config.large_photos.models = "student"  # those of student and teacher to measure
    config.large_photos.rounds = 3

    config.training = student.get_config()  # vgg.weights and teacher may stay empty
    config.training.train.batch_size = 8

    config.compilation = ml_collections.ConfigDict()
    config.compilation.rounds = 3  # starts without a cache, each followed by one with it

    config.loading = ml_collections.ConfigDict()  # a loader without a data.dir is skipped
    config.loading.pairs = ml_collections.ConfigDict()
    config.loading.pairs.data = teacher.get_config().data
    config.loading.pairs.batch_size = 50
    config.loading.crops = ml_collections.ConfigDict()
    config.loading.crops.data = super_resolution.get_config().data
    config.loading.crops.batch_size = 16

    config.losses = ml_collections.ConfigDict()
    config.losses.sizes = ((8, 100, 100), (64, 100, 100), (1, 720, 1280))  # images, height, width
    config.losses.rounds = 3  # measurements of each, in turns

    config.contextual = ml_collections.ConfigDict()
    config.contextual.side = 65  # of the features: VGG's conv4_2 for 520 px
    config.contextual.channels = 512

    config.host = ml_collections.ConfigDict()
    config.host.processes = 2  # with one device each
    config.host.calls = 200  # calls in a measurement
    return config
