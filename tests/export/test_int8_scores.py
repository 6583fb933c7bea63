"""What the included networks lose in int8, by the scores of docs/export.md."""

import numpy as np
import pytest
from PIL import Image

import data
from configs import teacher
from ppcn_jax.evaluation.evaluate import evaluate, score_image
from ppcn_jax.evaluation.super_resolution import Degraded, scorer
from ppcn_jax.export.contract import clipped
from ppcn_jax.export.images import as_input, cut
from ppcn_jax.export.tflite import run_tflite, to_tflite
from ppcn_jax.photos.levels import to_float
from ppcn_jax.weights.load import load_model

pytestmark = pytest.mark.long


def read(folder, step):
    files = sorted(folder.glob("*.jpg"), key=lambda path: (len(path.name), path.name))
    return [np.asarray(Image.open(path).convert("RGB")) for path in files[::step]]


def int8_and_float(model, photos, folder):
    """Runs of a network, of uint8 photos as in evaluations; `photos` calibrate."""
    files = {}

    def run(photo):
        height, width = photo.shape[:2]
        if photo.shape not in files:
            inputs = [as_input(model, cut(image, height, width)) for image in photos]
            path = folder / f"{width}x{height}.tflite"
            path.write_bytes(
                to_tflite(model, height=height, width=width, precision="int8", calibration=inputs)
            )
            files[photo.shape] = run_tflite(path, threads=2)
        return files[photo.shape](to_float(photo[None]))[0].copy()

    network = clipped(model)
    return run, lambda photo: np.asarray(network(to_float(photo[None]))[0])


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_enhancers_on_test_patches(name, shared, tmp_path):
    dped = shared / "data" / "dped"
    pairs = data.make_source(**{**teacher.get_config().data, "dir": dped}, split="test")
    photos = read(dped / "iphone" / "training_data" / "iphone", 5)
    runs = int8_and_float(load_model(name), photos, tmp_path)
    small, full = (evaluate(run, pairs, score=score_image)["psnr"] for run in runs)
    print(f"{name}: {full:.2f} dB, int8 {small:.2f} dB")
    assert full - small < 0.3


def test_the_super_resolver_on_set5(shared, tmp_path):
    photos = read(shared / "data" / "bsds500" / "train", 13)
    (test,) = data.open_test_sets(str(shared / "data" / "set5")).values()
    pairs = Degraded(test, scale=4, kernel="pillow")
    runs = int8_and_float(load_model("super_resolver"), photos, tmp_path)
    score = scorer(4, "pillow")
    small, full = (evaluate(run, pairs, score=score)["psnr_y"] for run in runs)
    print(f"super_resolver: {full:.2f} dB, int8 {small:.2f} dB")
    # 0.08 to 0.13 dB, depending on the photos.
    assert full - small < 0.15
