"""The networks that come with the package: what they say of themselves, and whether it is true."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

import data
import ppcn_jax
from configs import teacher
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance
from ppcn_jax.evaluation.super_resolution import Degraded, scorer
from ppcn_jax.evaluation.table1 import accept_gray
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.weights.load import SHIPPED, load_model

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CARDS = REPOSITORY / "docs" / "models.md"
TOLD = {"commit", "data", "license", "recipe", "scores", "seed", "steps"}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_file_says(name):
    model = load_model(name)
    assert (model.name, model.preset) == (name, "paper")
    assert model.source == f"{name} (shipped)"
    assert model.about.keys() == TOLD
    assert model.about["recipe"] in CARDS.read_text()
    for scores in json.loads(model.about["scores"]).values():
        assert {"psnr"} < scores.keys()


def scores_told(name, test_set):
    """Of the file; the card has the same digits."""
    scores = json.loads(load_model(name).about["scores"])[test_set]
    similarity = scores.get("ms_ssim", scores.get("ssim"))
    assert f"{scores['psnr']:.2f} dB / {similarity:.4f}" in CARDS.read_text()
    return scores["psnr"], similarity


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_scores_of_the_enhancers(name, shared):
    fields = {**teacher.get_config().data, "dir": shared / "data" / "dped"}
    pairs = data.make_source(**fields, split="test")
    model = load_model(name)
    found = evaluate(make_enhance(model.module, model.params), pairs)
    psnr, ms_ssim = scores_told(name, "DPED")
    assert (found["psnr"], found["ms_ssim"]) == pytest.approx((psnr, ms_ssim), abs=1e-4)


def test_the_teacher_is_better_than_the_student():
    for better, worse in zip(
        scores_told("teacher", "DPED"), scores_told("student", "DPED"), strict=True
    ):
        assert better > worse


@pytest.mark.parametrize("folder", ["set5", "set14"])
def test_scores_of_the_super_resolver(folder, shared):
    model = load_model("super_resolver")
    (photos,) = data.open_test_sets(str(shared / "data" / folder)).values()
    enlarge = accept_gray(make_enhance(model.module, model.params))
    found = evaluate(enlarge, Degraded(photos, scale=4, kernel="pillow"), score=scorer(4, "pillow"))
    psnr, ssim = scores_told("super_resolver", folder.capitalize())
    assert (found["psnr_y"], found["ssim_y"]) == pytest.approx((psnr, ssim), abs=1e-4)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as it is installed elsewhere: the unpacked wheel."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "ppcn_jax", source / "ppcn_jax", ignore=ignored)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "--wheel-dir", built, source], check=True, capture_output=True, timeout=300
    )
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(built / "installed")
    return built / "installed"


PROGRAM = """
import sys
from ppcn_jax import command
command.main([*sys.argv[1:], "photo.png", "--output", sys.argv[1]])
"""


def test_an_installed_wheel_needs_nothing_else(wheel, tmp_path):
    here = REPOSITORY / "ppcn_jax" / "weights"
    packed = {
        path.name: path.read_bytes() for path in (wheel / "ppcn_jax/weights/shipped").iterdir()
    }
    assert packed == {f"{n}.safetensors": (here / f"{n}.safetensors").read_bytes() for n in SHIPPED}
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    environment = {**os.environ, "PYTHONPATH": os.fspath(wheel), "JAX_PLATFORMS": "cpu"}
    for use, side in (("enhance", 1), ("upscale", 4)):
        command = [sys.executable, "-c", PROGRAM, use]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=300)
        made = np.asarray(Image.open(tmp_path / use / "photo.png"))
        assert made.shape == (20 * side, 30 * side, 3)
    enhanced = ppcn_jax.enhance(photo / np.float32(255))
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "enhance" / "photo.png")), to_uint8(enhanced)
    )
