"""How the page processes a photo, without a browser."""

import pathlib
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ppcn_jax.inference.damage import Damage
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.serving import upload as uploads
from ppcn_jax.serving.comparison import comparison
from ppcn_jax.serving.page import describe, label_choices
from ppcn_jax.serving.upload import pack, preview_upload, process_upload
from ppcn_jax.weights.model import Model, make_network

PIXELS = np.random.default_rng(3).integers(0, 256, (20, 28, 3), np.uint8)


@pytest.fixture(scope="module")
def make_model(random_params):
    def make(name, source="a.safetensors"):
        module = make_network(name)
        return Model(name, "paper", {}, random_params(module, jnp.zeros((1, 16, 16, 3))), source)

    return make


@pytest.fixture
def upload(tmp_path):
    path = tmp_path / "uploads" / "a photo.png"
    path.parent.mkdir()
    Image.fromarray(PIXELS).save(path)
    return path


def test_labels(make_model):
    student, other = make_model("student"), make_model("student", "runs/b.safetensors")
    resolver, srcnn = make_model("super_resolver"), make_model("srcnn")
    assert list(label_choices([("", student), ("", resolver)])) == ["student", "super resolver 4x"]
    assert list(label_choices([("mine", student), ("", other)])) == ["mine", "student"]
    assert list(label_choices([("", srcnn)])) == ["srcnn", "srcnn 4x"]
    assert list(label_choices([("", student), ("", other)])) == [
        "student (a.safetensors)",
        "student (b.safetensors)",
    ]
    scales = [choice.scale for choice in label_choices([("", srcnn)]).values()]
    assert scales == [1, 4]


def test_models_with_equal_labels_are_an_error(make_model):
    twice = [("", make_model("student", f"{folder}/w.safetensors")) for folder in "ab"]
    with pytest.raises(InputError, match=r"label student \(w.safetensors\); use --model NAME="):
        label_choices(twice)


@pytest.mark.parametrize(
    ("network", "label", "size"),
    [("student", "student", (28, 20)), ("super_resolver", "super resolver 4x", (112, 80))],
)
def test_process_upload(make_model, upload, tmp_path, network, label, size):
    operation = label_choices([("", make_model(network))])[label]
    outcome = process_upload(upload, label, operation, tmp_path)
    width, height = size
    assert outcome.summary.startswith(f"a photo.png: {width} x {height} px in ")
    assert outcome.summary.endswith(f" s with {label}")
    assert outcome.result.name == "a photo.png"
    for path in (outcome.before, outcome.after, outcome.result):
        assert path.parent.parent.parent == tmp_path or path.parent.parent == tmp_path
        with Image.open(path) as image:
            assert image.size == size
    with Image.open(outcome.result) as image:
        np.testing.assert_array_equal(image, operation.apply([PIXELS])[0])


def test_the_strength_is_part_of_the_summary(make_model, upload, tmp_path):
    operation = label_choices([("", make_model("student"))])["student"]._replace(strength=0)
    outcome = process_upload(upload, "student", operation, tmp_path)
    assert outcome.summary.endswith(" s with student, strength 0")
    with Image.open(outcome.result) as image:
        np.testing.assert_array_equal(image, PIXELS)


def test_spoiled_colors_are_a_warning(make_model, upload, tmp_path, monkeypatch):
    for network, label in (("student", "student"), ("super_resolver", "super resolver 4x")):
        operation = label_choices([("", make_model(network))])[label]
        for damage in (None, Damage("turns hues", 0.5)):
            monkeypatch.setattr(
                "ppcn_jax.inference.photo.find_damage", lambda *photos, found=damage, **_: found
            )
            expected = "The network turns hues; strength 0.5 keeps more of the photo."
            warning = process_upload(upload, label, operation, tmp_path).warning
            assert warning == (expected if damage and network == "student" else "")


def test_the_choices_say_what_they_are_for(make_model):
    choices = label_choices([("", make_model("student")), ("mine", make_model("super_resolver"))])
    lines = [describe(label, operation) for label, operation in choices.items()]
    assert lines == [
        "student: better light, color and contrast; fast",
        "mine 4x: 4 times as wide and high",
    ]


def test_a_preview_shows_the_photo_before_it_is_enhanced(upload, tmp_path):
    with Image.open(preview_upload(upload, tmp_path)) as image:
        assert (image.format, image.size) == ("JPEG", (28, 20))
        error = np.abs(np.asarray(image, int) - PIXELS).mean()
    assert error < 40  # noise, compressed


def test_several_results_are_packed_under_their_names(tmp_path):
    results = []
    for folder, name in (("a", "x.png"), ("b", "X.png"), ("c", "y.jpg")):
        path = tmp_path / folder / name
        path.parent.mkdir()
        path.write_bytes(folder.encode())
        results.append(path)
    with zipfile.ZipFile(pack(results, tmp_path)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {"x.png": b"a", "X (2).png": b"b", "y.jpg": b"c"}


def test_names_are_escaped_in_the_comparison(tmp_path):
    text = comparison('"><script>', tmp_path / "a&b.jpg", tmp_path / "c.jpg", ("before", "after"))
    assert "<script" not in text and "a%26b.jpg" in text
    assert 'type="range"' in text and text.count("<img ") == 2


def error_of(upload, make_model, folder):
    """Process a photo that fails; return the message and check that no files are left."""
    before = sorted(folder.rglob("*"))
    operation = label_choices([("", make_model("student"))])["student"]
    with pytest.raises(InputError) as caught:
        process_upload(upload, "student", operation, folder)
    assert sorted(folder.rglob("*")) == before
    return str(caught.value)


def test_errors_name_the_file_without_its_folder(make_model, upload, tmp_path, monkeypatch):
    text = upload.with_name("text.png")
    text.write_text("no picture", encoding="utf-8")
    assert error_of(text, make_model, tmp_path) == (
        "text.png is not a readable JPEG, PNG, WebP, TIFF, HEIC, AVIF, JPEG XL or BMP file"
    )
    small = upload.with_name("small.png")
    Image.fromarray(PIXELS[:4, :4]).save(small)
    assert error_of(small, make_model, tmp_path) == (
        "small.png has 4 x 4 px; the networks need at least 16 px per side"
    )
    missing = upload.with_name("gone.png")
    assert error_of(missing, make_model, tmp_path).startswith("gone.png cannot be read: No such")
    monkeypatch.setattr(uploads, "MOST_PIXELS", PIXELS[..., 0].size - 1)
    assert error_of(upload, make_model, tmp_path).startswith(
        "a photo.png would become 28 x 20 px; the limit of this page is 0 megapixels"
    )


@pytest.mark.parametrize("place", ["process_photos", "make_previews"])
def test_running_out_of_memory_is_reported(make_model, upload, tmp_path, monkeypatch, place):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(uploads, place, fail)
    message = "a photo.png cannot be processed: not enough memory"
    assert error_of(upload, make_model, tmp_path) == message


def test_a_full_disk_is_reported(make_model, upload, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", fail)
    operation = label_choices([("", make_model("student"))])["student"]
    with pytest.raises(InputError, match="a photo.png cannot be processed: .*No space left"):
        process_upload(upload, "student", operation, tmp_path)
