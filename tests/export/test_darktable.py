"""Packages for darktable: its loader's rules, its tiles, and the statistics of chosen photos.

The rules are those of darktable-org/darktable (src/common/ai_models.c, src/ai/backend_common.c,
src/common/ai/restore.c and restore_rgb.c) and darktable-org/darktable-ai.
"""

import hashlib
import json
import pathlib
import re
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from ppcn_jax import command
from ppcn_jax.export import dtmodel
from ppcn_jax.export.darktable import on_tiles, task_of
from ppcn_jax.export.dtmodel import write_package
from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.inference.enhance import upscale_levels
from ppcn_jax.inference.statistics import statistics_of
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network

OVERLAPS = {"denoise": 64, "upscale": 16}
TILES = {"denoise": (256, 384), "upscale": (192, 256)}
FILES = {("denoise", 1): "model.onnx", ("upscale", 4): "model_x4.onnx"}
OTHER = {"version": "1.1", "sha256": "sha256:" + 64 * "0"}


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "street.png"
    Image.fromarray(synthetic_photo(150, 201)).save(path)
    return path


@pytest.fixture(scope="module", params=["student", "super_resolver"])
def package(request, photo, tmp_path_factory):
    """An included network, its package, and the comparison of its writer."""
    model = load_model(request.param)
    path = tmp_path_factory.mktemp("packages") / f"ppcn-{model.name}.dtmodel"
    (path.parent / "versions.json").write_text(
        json.dumps({"schema": 1, "models": {"other": OTHER}}),
        encoding="utf-8",
    )
    files = [photo] if model.name == "student" else []
    write_package(model, path, "1.0", files)
    return model, path


def session_of(path, file, side):
    """Load a graph as darktable does: with the side of its tiles in place of names."""
    options = onnxruntime.SessionOptions()
    for name in ("batch_size", "batch"):
        options.add_free_dimension_override_by_name(name, 1)
    for name in ("height", "width"):
        options.add_free_dimension_override_by_name(name, side)
    with zipfile.ZipFile(path) as archive:
        content = archive.read(f"{path.stem}/{file}")
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def mirrored(index, length):
    """Periodic reflection that repeats no edge."""
    period = 2 * (length - 1)
    index = np.abs(index) % period
    return np.where(index >= length, period - index, index)


def around(photo, top, left, side):
    rows = mirrored(np.arange(top, top + side), photo.shape[0])
    columns = mirrored(np.arange(left, left + side), photo.shape[1])
    return photo[rows][:, columns].transpose(2, 0, 1)[None]


def on_darktables_tiles(path, file, photo, side, overlap, scale):
    """The result of darktable's loop over tiles, `[scale H, scale W, 3]`."""
    session = session_of(path, file, side)
    height, width, _ = photo.shape
    step = side - 2 * overlap
    result = np.full((scale * height, scale * width, 3), np.nan, np.float32)
    for top in range(0, height, step):
        for left in range(0, width, step):
            tile = around(photo, top - overlap, left - overlap, side)
            (output,) = session.run(None, {session.get_inputs()[0].name: tile})
            assert output.shape == (1, 3, scale * side, scale * side)
            rows, columns = min(step, height - top), min(step, width - left)
            for row in range(scale * rows):
                inner = output[0, :, scale * overlap + row, scale * overlap :]
                target = result[scale * top + row, scale * left : scale * (left + columns)]
                target[...] = inner[:, : scale * columns].T
    return result


def test_the_package_follows_the_rules_of_the_loader(package):
    model, path = package
    task = task_of(model)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        config = json.loads(archive.read(f"{path.stem}/config.json"))
        license = archive.read(f"{path.stem}/LICENSE.txt").decode()
    # The folder of the first entry becomes the identifier; ".." and other folders are refused.
    assert names[0].split("/")[0] == path.stem == config["id"]
    assert all(re.fullmatch(rf"{path.stem}/[A-Za-z0-9_.]+", name) for name in names)
    assert not any(".." in name for name in names)
    expected = FILES[config["task"], task.scale]
    assert f"{path.stem}/{expected}" in names and len(names) == 3
    assert config["backend"] == "onnx" and config["tiling"] is True and config["num_inputs"] == 1
    assert re.fullmatch(r"\d+\.\d+", config["version"])
    assert {"name", "description", "arch"} <= config.keys()
    assert all(value and isinstance(value, str) for value in config["model_card"].values())
    assert model.about["license"] in license and "Apache-2.0" in license
    assert config["model_card"]["license"] == model.about["license"]
    for side in TILES[config["task"]]:
        session = session_of(path, expected, side)
        (first,), (last,) = session.get_inputs(), session.get_outputs()
        assert (first.type, last.type) == ("tensor(float)", "tensor(float)")
        assert first.shape == [1, 3, side, side] and len(last.shape) == 4


def test_the_list_has_version_and_digest_of_every_package(package):
    model, path = package
    listed = json.loads((path.parent / "versions.json").read_text(encoding="utf-8"))
    assert listed["schema"] == 1 and listed["models"].keys() == {path.stem, "other"}
    assert listed["models"]["other"] == OTHER
    entry = listed["models"][path.stem]
    assert entry["sha256"] == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry["size"] == path.stat().st_size and entry["version"] == "1.0"
    assert entry["task"] == task_of(model).name and entry["license"] and entry["name"]


def test_the_same_content_gives_the_same_bytes(photo, tmp_path, monkeypatch):
    monkeypatch.setattr(dtmodel, "_CHECKED_SIZE", (64, 80))
    paths = [tmp_path / folder / "look.dtmodel" for folder in ("a", "b")]
    for path in paths:
        write_package(load_model("student"), path, "1.2", [photo])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    listed = json.loads(paths[0].with_name("versions.json").read_text(encoding="utf-8"))
    assert listed["models"]["look"]["version"] == "1.2"


def test_the_package_says_whose_statistics_it_uses(package):
    model, path = package
    source = ["street.png"] if model.name == "student" else ["a medium gray"]
    session = session_of(path, task_of(model).file, 256)
    assert json.loads(session.get_modelmeta().custom_metadata_map["statistics"]) == source
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read(f"{path.stem}/config.json"))
    assert config["model_card"]["notes"] == f"Statistics of: {source[0]}"


def test_tiles_show_no_seams(package):
    model, path = package
    task = task_of(model)
    overlap, scale = OVERLAPS[task.name], task.scale
    # More than one tile in each direction, and a last one that hardly contains anything.
    photo = synthetic_photo(131, 262) if scale == 1 else synthetic_photo(163, 100)
    photo = photo.astype(np.float32) / 255
    side = max(photo.shape) + 2 * overlap
    whole = session_of(path, task.file, side)
    (output,) = whole.run(None, {"input": around(photo, -overlap, -overlap, side)})
    edge = scale * overlap
    whole = output[0].transpose(1, 2, 0)[edge:, edge:]
    whole = whole[: scale * photo.shape[0], : scale * photo.shape[1]]
    assert whole.std() > 0.05
    smallest = TILES[task.name][0]
    result = on_darktables_tiles(path, task.file, photo, smallest, overlap, scale)
    np.testing.assert_allclose(result, whole, rtol=0, atol=1e-5)
    # The same tiles with too little around them do show seams.
    short = 4
    side = smallest - 2 * (overlap - short)
    seams = on_darktables_tiles(path, task.file, photo, side, short, scale)
    assert np.abs(seams - whole).max() > 1e-3


def test_the_graph_computes_the_network_with_these_statistics(package, photo):
    model, path = package
    pixels = np.asarray(Image.open(photo))
    task = task_of(model)
    images = pixels[None, :96, :128].astype(np.float32) / 255
    gray = np.full((16, 16, 3), 0.5, np.float32)
    of = pixels if task.scale == 1 else gray
    statistics = statistics_of(model.module, model.params, lambda: [of])
    expected = np.asarray(jax.jit(on_tiles(model, statistics))(images))
    with zipfile.ZipFile(path) as archive:
        session = onnxruntime.InferenceSession(archive.read(f"{path.stem}/{task.file}"))
    (result,) = session.run(None, {"input": images.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(result.transpose(0, 2, 3, 1), expected, rtol=0, atol=1e-5)
    if task.scale > 1:  # against the command, whose enlargement is rounded to 8 bits
        (levels,) = upscale_levels([pixels[:96, :128]], model)
        inner = slice(80, -80)
        difference = 255 * expected[0, inner, inner] - levels[inner, inner].astype(np.float32)
        assert np.sqrt(np.mean(difference**2)) < 1


def test_the_statistics_of_one_photo_give_the_photos_own_result():
    model = load_model("student")
    photo = synthetic_photo(40, 300)
    statistics = statistics_of(model.module, model.params, lambda: [photo])
    continued = np.pad(photo, [(10, 10), (10, 10), (0, 0)], mode="reflect")
    images = continued[None].astype(np.float32) / 255
    result = np.asarray(jax.jit(on_tiles(model, statistics))(images))[0, 10:-10, 10:-10]
    own = model.module.apply({"params": model.params}, photo[None].astype(np.float32) / 255)
    np.testing.assert_allclose(result, np.clip(own[0], 0, 1), rtol=0, atol=1e-5)


def test_several_photos_count_the_same():
    model = load_model("student")
    dark, bright = (np.full((h, 20, 3), v, np.uint8) for h, v in ((20, 51), (60, 153)))
    statistics = statistics_of(model.module, model.params, lambda: [dark, bright])
    np.testing.assert_allclose(np.ravel(statistics["contrast"].mean), 0.4, rtol=1e-5)


def random_model(random_params, name, settings):
    module = make_network(name, settings)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model(name, "paper", settings, params, "mine.safetensors")


def test_networks_that_cannot_be_packaged(random_params, tmp_path, photo, monkeypatch):
    destination = tmp_path / "a.dtmodel"
    three = random_model(random_params, "super_resolver", {"scale": 3})
    with pytest.raises(InputError, match="mine.safetensors enlarges 3 times; darktable loads"):
        write_package(three, destination, "1.0", [])
    student = load_model("student")
    with pytest.raises(InputError, match="name some with --photos"):
        write_package(student, destination, "1.0", [])
    narrow = task_of(student)._replace(overlap=2, smallest_tile=132)
    monkeypatch.setattr(dtmodel, "task_of", lambda model: narrow)
    with pytest.raises(InputError, match="tiles overlap, 2 px: seams of up to"):
        write_package(student, destination, "1.0", [photo])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["student", "My Look.dtmodel"], "identifier in darktable"),
        (["student", "a.dtmodel"], "name some with --photos"),
        (["student", "a.dtmodel", "--photos", "empty"], "empty has no photos"),
        (["student", "a.dtmodel", "--photos", "tiny.png"], "tiny.png has 8 x 8 px"),
        (["student", "a.dtmodel", "--photos", "none.png"], "none.png cannot be read"),
        (["student", "a.dtmodel", "--size", "64x64"], "are for TFLite"),
        (["student", "a.onnx", "--package-version", "1.0"], "for packages for darktable"),
        (["student", "a.dtmodel", "--package-version", "one"], "is not a version"),
        (["student", "listed/a.dtmodel"], "is not a list of darktable's packages"),
    ],
)
def test_refused_by_the_command(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "versions.json").write_text("[]", encoding="utf-8")
    Image.fromarray(synthetic_photo(16, 16)[:8, :8]).save("tiny.png")
    with pytest.raises(SystemExit) as end:
        command.main(["export", *arguments])
    assert message in f"{end.value.code} {capsys.readouterr().err}"
    assert not list(pathlib.Path().rglob("*.dtmodel"))


def test_the_command(tmp_path, monkeypatch, capsys, photo):
    monkeypatch.setattr(dtmodel, "_CHECKED_SIZE", (64, 80))
    path = tmp_path / "denoise-ppcn.dtmodel"
    command.main(["export", "student", str(path), "--photos", str(photo.parent)])
    lines = capsys.readouterr().out.splitlines()
    own = re.fullmatch(r".*street.png: (.*) dB from the result with its own statistics", lines[1])
    assert own and float(own[1]) > 50  # they are those of this photo
    assert lines[2] == f"listed in {tmp_path / 'versions.json'}"
    assert lines[3].startswith("80x64 against JAX: largest difference ")
    assert lines[4] == f"wrote {path}: {path.stat().st_size:,} bytes"
