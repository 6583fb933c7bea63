"""OpenVINO gives what JAX gives, for complete images and in bands."""

import dataclasses
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import ppcn_jax
from ppcn_jax import command
from ppcn_jax.export.images import as_input, synthetic_photo
from ppcn_jax.export.onnx import open_session, to_onnx
from ppcn_jax.graphs import networks
from ppcn_jax.graphs.openvino import Compiled
from ppcn_jax.inference import enhance, openvino_programs
from ppcn_jax.inference.kept import kept_channels
from ppcn_jax.inference.openvino_programs import OpenvinoPrograms
from ppcn_jax.inference.streaming import stream
from ppcn_jax.runtime import runtime_option
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network

NETWORKS = [
    ("student", {}),
    ("student", {"padding": "reflect"}),
    ("teacher", {}),
    ("teacher", {"padding": "reflect"}),
    ("dped_resnet", {"blocks": 2, "features": 8}),
    ("srcnn", {}),
    ("vdsr", {}),
    ("super_resolver", {"scale": 2}),
    ("super_resolver", {"scale": 3}),
    ("super_resolver", {"scale": 4}),
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda case: "-".join(map(str, case)))
def model(request, random_params):
    name, settings = request.param
    module = make_network(name, settings)
    return Model(
        name, "paper", settings, random_params(module, jnp.zeros((1, 16, 16, 3))), "random"
    )


@pytest.fixture
def student():
    return load_model("student")


def test_statistics_of_photos_are_as_exact_as_those_of_thumbnails(student):
    # OpenVINO makes one sum of two if it can, whose rounding errors grow with the photo.
    photo = as_input(student, synthetic_photo(540, 960))
    (expected,) = open_session(to_onnx(student), threads=2).run(None, {"images": photo})
    result = OpenvinoPrograms(student).whole(photo[0])
    np.testing.assert_allclose(np.clip(result, 0, 1), expected[0], atol=1e-5)


def picture(height, width):
    # Brighter below and on the right: statistics of a part are far from those of the whole.
    image = np.random.default_rng(0).random((height, width, 3), np.float32)
    image *= np.linspace(0.2, 1, height, dtype=np.float32)[:, None, None]
    return image * np.linspace(0.5, 1, width, dtype=np.float32)[:, None]


@pytest.fixture(scope="module")
def image(model):
    return picture(132 if "scale" in model.settings else 133, 36)


@pytest.fixture(scope="module")
def expected(model, image):
    """The result of the exported file, which tests/export compares with JAX."""
    (result,) = open_session(to_onnx(model), threads=1).run(None, {"images": image[None]})
    # Otherwise results could agree because all of them are clipped.
    assert np.mean((result > 0) & (result < 1)) > 0.2
    return result[0]


def assert_close(output, expected):
    assert output.dtype == np.float32
    np.testing.assert_allclose(output.clip(0, 1), expected, rtol=0, atol=1e-5)


def test_complete_images(model, image, expected):
    assert_close(OpenvinoPrograms(model).whole(image), expected)


@pytest.mark.parametrize("keep", [False, True])
def test_bands(model, image, expected, keep):
    programs = OpenvinoPrograms(model)
    if keep and not kept_channels(programs.structure):
        pytest.skip("nothing to keep")
    output = np.full_like(image, np.nan)
    for first, rows in stream(programs, image, band=48, keep=keep):
        assert len(rows) and np.isnan(output[first : first + len(rows)]).all()
        output[first : first + len(rows)] = rows
    assert_close(output, expected)


@pytest.mark.parametrize("size", [(100, 600), (105, 600), (100, 605), (100, 60)])
@pytest.mark.parametrize("name", ["student", "teacher"])
def test_photos_of_one_color(name, size):
    # Beyond the border of such a photo, values are far from its statistics: these must not be rounded
    # off by sums that include the border.
    image = np.full((*size, 3), 0.5, np.float32)
    model = load_model(name)
    (expected,) = open_session(to_onnx(model), threads=1).run(None, {"images": image[None]})
    programs = OpenvinoPrograms(model)
    bands = np.concatenate([rows for _, rows in stream(programs, image, band=48)])
    for result in (programs.whole(image), bands):
        np.testing.assert_allclose(result, expected[0], atol=1e-4)


def test_every_network_is_tested():
    assert networks.NETWORKS.keys() == {name for name, _ in NETWORKS}


def test_the_same_photo_gives_the_same_bits(student):
    first, other = picture(70, 81), picture(90, 50)
    results = [ppcn_jax.enhance(first, student, runtime="openvino")]
    ppcn_jax.enhance(other, student, runtime="openvino")
    openvino_programs._programs.clear()
    results.append(ppcn_jax.enhance(first, student, runtime="openvino"))
    np.testing.assert_array_equal(*results)


def test_programs_are_shared_by_equal_parameters_and_dropped(student, monkeypatch):
    image = picture(40, 50)
    openvino_programs._programs.clear()
    for _ in range(2):
        OpenvinoPrograms(load_model("student")).whole(image)
    assert len(openvino_programs._programs) == 1
    negative = dataclasses.replace(student, params=jax.tree.map(np.negative, student.params))
    different = OpenvinoPrograms(negative).whole(image)
    assert np.abs(different - OpenvinoPrograms(student).whole(image)).max() > 0.1
    assert len(openvino_programs._programs) == 2
    monkeypatch.setattr(openvino_programs, "_MOST_PROGRAMS", 2)
    OpenvinoPrograms(student).whole(picture(40, 49))
    assert [program.width for program in openvino_programs._programs] == [50, 49]


def test_programs_that_are_not_in_use_give_back_memory(student, monkeypatch):
    openvino_programs._programs.clear()
    released = []
    release = Compiled.release
    monkeypatch.setattr(Compiled, "release", lambda self: (released.append(self), release(self)))
    programs, image, other = OpenvinoPrograms(student), picture(40, 50), picture(50, 40)
    before = programs.whole(image)
    programs.whole(image)
    assert not released
    programs.whole(other)
    assert released == [next(iter(openvino_programs._programs.values()))]
    np.testing.assert_array_equal(programs.whole(image), before)


def test_memory_in_use_is_not_given_back(student):
    openvino_programs._programs.clear()
    OpenvinoPrograms(student).whole(picture(40, 50))
    (compiled,) = openvino_programs._programs.values()
    with compiled._lock:  # as while it runs in another thread
        compiled.release()
    assert not compiled._lock.locked()
    compiled.release()


def test_photos_of_levels(student, monkeypatch):
    photo = (picture(200, 40) * 65535).astype(np.uint16)
    expected = 65535 * OpenvinoPrograms(student).whole(photo / np.float32(65535))
    monkeypatch.setattr(enhance, "WHOLE_PIXELS", 0)
    monkeypatch.setattr(openvino_programs, "_BAND_BYTES", 2**20)
    for result in enhance.enhance_levels([photo, photo], student, "openvino"):
        assert result.dtype == np.uint16
        assert np.abs(result - expected.clip(0, 65535)).max() <= 1.2


def test_the_smallest_image(student):
    image = picture(16, 16)
    (expected,) = open_session(to_onnx(student), threads=1).run(None, {"images": image[None]})
    image.flags.writeable = False
    assert_close(OpenvinoPrograms(student).whole(image), expected[0])


def test_bands_follow_the_free_memory(student, monkeypatch):
    programs = OpenvinoPrograms(student)
    plenty = programs.default_band(4000)
    assert plenty > 20
    # The teacher has maps of 32 channels, the student of 16; both see 10 rows on each side.
    teacher = OpenvinoPrograms(load_model("teacher"))
    assert abs((plenty + 20) / 2 - (teacher.default_band(4000) + 20)) <= 1
    monkeypatch.setattr(openvino_programs, "available_bytes", lambda: 0)
    assert programs.default_band(4000) == 20


def test_what_cannot_be_chosen(student, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="runtime must be one of auto, jax, openvino, not 'torch'"):
        ppcn_jax.enhance(picture(20, 20), student, runtime="torch")
    monkeypatch.setattr(runtime_option.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as end:
        command.main(["enhance", "no.png", "--output", str(tmp_path), "--runtime", "openvino"])
    assert "openvino needs its package: run pip install '.[openvino]'" in end.value.code
    assert "\n" not in end.value.code


def test_the_commands(tmp_path, capsys):
    pixels = (255 * picture(40, 50)).astype(np.uint8)
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels).save(photo)
    results = []
    for runtime in ("jax", "openvino"):
        options = "--runtime", runtime, "--output", str(tmp_path / runtime)
        command.main(["enhance", str(photo), *options])
        (line,) = capsys.readouterr().out.splitlines()
        assert ("by OpenVINO 20" in line) == (runtime == "openvino")
        command.main(["enhance", str(photo), *options, "--json"])
        assert json.loads(capsys.readouterr().out)["runtime"] == runtime
        results.append(np.asarray(Image.open(tmp_path / runtime / "photo.png")).astype(int))
    assert np.abs(np.subtract(*results)).max() <= 1
    options = "--runtime", "openvino", "--output", str(tmp_path / "large")
    command.main(["upscale", str(photo), *options])
    assert capsys.readouterr().out.startswith("enlarged 1 photo in ")
    assert np.asarray(Image.open(tmp_path / "large" / "photo.png")).shape == (160, 200, 3)


def test_nothing_is_reported_to_its_makers():
    program = (
        "import os, threading; os.fork = None\n"
        "from ppcn_jax.graphs.openvino import _core; _core()\n"
        "import sys; from openvino.tools.ovc import telemetry_utils\n"
        "print(telemetry_utils.tm.__name__, 'openvino_telemetry' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env=os.environ,
    )
    assert run.stdout == "openvino.tools.ovc.telemetry_stub False\n"
