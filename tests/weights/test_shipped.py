"""The networks that come with the package: their metadata, their scores, and the wheel."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import safetensors
from PIL import Image

import data
import ppcn_jax
from configs import teacher
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance
from ppcn_jax.evaluation.faults import FAULTS, faults
from ppcn_jax.evaluation.held_out_photos import HeldOutPhotos
from ppcn_jax.evaluation.super_resolution import Degraded, scorer
from ppcn_jax.evaluation.table1 import accept_gray
from ppcn_jax.inference.damage import find_damage
from ppcn_jax.inference.enhance import enhance_levels
from ppcn_jax.photos.levels import to_float, to_uint8
from ppcn_jax.weights.load import SHIPPED, load_model
from ppcn_jax.weights.model import check_params
from tests.inference.test_colored_grays import place

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CARDS = REPOSITORY / "docs" / "models.md"
METADATA = {"commit", "data", "license", "recipe", "scores", "seed", "steps"}
ENHANCERS = ("student", "teacher")
# What the faults in whole photos must stay below, and in all 200 of them.
LARGEST = {"hue": 7.5, "hue_over_20": 0.03, "lost": 0.02, "added": 0.001, "grain": 1.12}
LARGEST_IN_ALL = {**LARGEST, "dimmed": 0.06, "border": 0.3}


@pytest.mark.parametrize("name", SHIPPED)
def test_metadata(name):
    model = load_model(name)
    assert (model.name, model.preset) == (name, "paper")
    assert model.source == f"{name} (shipped)"
    assert model.about.keys() == METADATA | ({"faults"} if name in ENHANCERS else set())
    assert model.about["recipe"] in CARDS.read_text(encoding="utf-8")
    for scores in json.loads(model.about["scores"]).values():
        assert {"psnr"} < scores.keys()
    path = REPOSITORY / "ppcn_jax" / "weights" / "shipped" / f"{name}.safetensors"
    with safetensors.safe_open(path, framework="numpy") as file:
        assert not pathlib.PurePath(file.metadata()["source"]).is_absolute()


@pytest.mark.parametrize("name", SHIPPED)
def test_parameters(name):
    # `load_model` trusts these files; see there.
    model = load_model(name)
    check_params(model.module, model.params, name)


def documented_scores(name, test_set):
    """PSNR and similarity in the file's metadata; the model card must have the same digits."""
    scores = json.loads(load_model(name).about["scores"])[test_set]
    similarity = scores.get("ms_ssim", scores.get("ssim"))
    assert f"{scores['psnr']:.2f} dB / {similarity:.4f}" in CARDS.read_text(encoding="utf-8")
    return scores["psnr"], similarity


@pytest.mark.parametrize("name", ENHANCERS)
def test_scores_of_the_enhancers(name, shared):
    fields = {**teacher.get_config().data, "dir": shared / "data" / "dped"}
    pairs = data.make_source(**fields, split="test")
    model = load_model(name)
    found = evaluate(make_enhance(model.module, model.params), pairs)
    psnr, ms_ssim = documented_scores(name, "DPED")
    assert (found["psnr"], found["ms_ssim"]) == pytest.approx((psnr, ms_ssim), abs=1e-4)


def faults_in_photos(name, shared, every):
    photos = HeldOutPhotos(str(shared / "data" / "bsds500" / "test"), field="photos")
    model = load_model(name)
    values = [
        faults(to_float(photos[i][0]), ppcn_jax.enhance(to_float(photos[i][0]), model))
        for i in range(0, len(photos), every)
    ]
    return {
        fault: np.mean([each[fault] for each in values if each[fault] is not None])
        for fault in FAULTS
    }


@pytest.mark.parametrize("name", ENHANCERS)
def test_whole_photos_keep_their_colors(name, shared):
    found = faults_in_photos(name, shared, every=10)
    assert {fault: found[fault] for fault, most in LARGEST.items() if found[fault] > most} == {}


@pytest.mark.long
@pytest.mark.parametrize("name", ENHANCERS)
def test_faults_of_the_enhancers(name, shared):
    documented = json.loads(load_model(name).about["faults"])
    assert faults_in_photos(name, shared, every=1) == pytest.approx(documented, abs=1e-3)
    assert f"{documented['hue']:.1f}°" in CARDS.read_text(encoding="utf-8")
    assert all(documented[fault] <= most for fault, most in LARGEST_IN_ALL.items())


def test_the_teacher_is_better_than_the_student():
    for better, worse in zip(
        documented_scores("teacher", "DPED"), documented_scores("student", "DPED"), strict=True
    ):
        assert better > worse


@pytest.mark.parametrize("folder", ["set5", "set14"])
def test_scores_of_the_super_resolver(folder, shared):
    model = load_model("super_resolver")
    (photos,) = data.open_test_sets(str(shared / "data" / folder)).values()
    enlarge = accept_gray(make_enhance(model.module, model.params))
    found = evaluate(enlarge, Degraded(photos, scale=4, kernel="pillow"), score=scorer(4, "pillow"))
    psnr, ssim = documented_scores("super_resolver", folder.capitalize())
    assert (found["psnr_y"], found["ssim_y"]) == pytest.approx((psnr, ssim), abs=1e-4)


def test_enlarged_photos_keep_hues_and_borders_better_than_bicubic_ones(shared):
    folder = shared / "data" / "photos_cc0"
    rows = {"super_resolver": [], "bicubic": []}
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))[:4]:
        with Image.open(path) as image:
            whole = image.convert("RGB").resize((480, 320), Image.Resampling.LANCZOS)
        small = whole.resize((120, 80), Image.Resampling.BICUBIC)
        target = to_float(np.asarray(whole))
        enlarged = ppcn_jax.upscale(to_float(np.asarray(small)))
        bicubic = to_float(np.asarray(small.resize(whole.size, Image.Resampling.BICUBIC)))
        rows["super_resolver"].append(faults(target, enlarged))
        rows["bicubic"].append(faults(target, bicubic))
    for fault in ("hue", "border"):
        ours, theirs = (
            np.mean([abs(row[fault]) for row in rows[name] if row[fault] is not None])
            for name in ("super_resolver", "bicubic")
        )
        assert ours < theirs, fault


@pytest.mark.parametrize(
    ("path", "fault"),  # in columns and rows, left, top, right, bottom
    [
        ("photos_cc0/jake-hills-36605.jpg", (360, 560, 480, 720)),  # a green rim at the moon
        ("bsds500/train/80099.jpg", (150, 100, 250, 150)),  # a blue shadow of a buffalo
    ],
)
def test_colors_beside_black_are_named_and_are_the_students_only(path, fault, shared):
    with Image.open(shared / "data" / path) as image:
        photo = np.asarray(image.convert("RGB"))
    results = {
        name: enhance_levels([photo], load_model(name))[0] for name in ("student", "teacher")
    }
    damage = find_damage(photo, results["student"])
    column, row = place(damage)
    assert fault[0] <= column <= fault[2] and fault[1] <= row <= fault[3]
    assert find_damage(photo, results["teacher"]) is None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The unpacked wheel, as it is installed elsewhere."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "ppcn_jax", source / "ppcn_jax", ignore=ignored)
    build = [sys.executable, "-m", "pip", "wheel", "--verbose", "--no-deps"]
    done = subprocess.run(
        [*build, "--no-build-isolation", "--wheel-dir", built, source],
        check=True,
        capture_output=True,
        timeout=300,
        encoding="utf-8",
    )
    assert "would be ignored" not in done.stdout + done.stderr
    (file,) = built.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(built / "installed")
    return built / "installed"


PROGRAM = """
import sys
from ppcn_jax import command
command.main([*sys.argv[1:], "photo.png", "--output", sys.argv[1]])
"""


def test_the_wheel_has_every_module(wheel):
    def modules(folder):
        return {path.relative_to(folder) for path in (folder / "ppcn_jax").rglob("*.py")}

    assert modules(wheel) == modules(REPOSITORY)


def test_an_installed_wheel_needs_nothing_else(wheel, tmp_path):
    here = REPOSITORY / "ppcn_jax" / "weights" / "shipped"
    shipped = wheel / "ppcn_jax" / "weights" / "shipped"
    packed = {path.name: path.read_bytes() for path in shipped.iterdir()}
    assert packed == {f"{n}.safetensors": (here / f"{n}.safetensors").read_bytes() for n in SHIPPED}
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    environment = {**os.environ, "PYTHONPATH": os.fspath(wheel), "JAX_PLATFORMS": "cpu"}
    for use, side in (("enhance", 1), ("upscale", 4)):
        command = [sys.executable, "-c", PROGRAM, use]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=300)
        result = np.asarray(Image.open(tmp_path / use / "photo.png"))
        assert result.shape == (20 * side, 30 * side, 3)
    enhanced = ppcn_jax.enhance(photo / np.float32(255))
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "enhance" / "photo.png")), to_uint8(enhanced)
    )
