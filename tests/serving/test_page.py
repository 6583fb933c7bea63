"""What happens to a photo on the page, without a browser."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.serving import page
from ppcn_jax.serving.page import label_choices, show
from ppcn_jax.weights.model import Model, make_network

PIXELS = np.random.default_rng(3).integers(0, 256, (20, 28, 3), np.uint8)


@pytest.fixture(scope="module")
def make_model(random_params):
    def make(name, source="a.safetensors"):
        module = make_network(name)
        return Model(
            name, "paper", module, random_params(module, jnp.zeros((1, 16, 16, 3))), source
        )

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


def test_models_that_cannot_be_told_apart(make_model):
    twice = [("", make_model("student", f"{folder}/w.safetensors")) for folder in "ab"]
    with pytest.raises(InputError, match=r"called student \(w.safetensors\): use --model NAME="):
        label_choices(twice)


@pytest.mark.parametrize(
    ("network", "label", "size"),
    [("student", "student", (28, 20)), ("super_resolver", "super resolver 4x", (112, 80))],
)
def test_show(make_model, upload, tmp_path, network, label, size):
    treatment = label_choices([("", make_model(network))])[label]
    shown = show(upload, label, treatment, tmp_path)
    width, height = size
    assert shown.line.startswith(f"{width} x {height} px in ")
    assert shown.line.endswith(f" s with {label}")
    assert shown.result.name == f"a photo-{label.replace(' ', '-')}.png"
    for path in (shown.before, shown.after, shown.result):
        assert path.parent.parent == tmp_path
        with Image.open(path) as image:
            assert image.size == size
    with Image.open(shown.result) as image:
        np.testing.assert_array_equal(image, treatment.apply([PIXELS])[0])


def test_the_name_says_the_network_and_not_its_file(make_model, upload, tmp_path):
    models = [("", make_model("student", source)) for source in ("a.x", "b.x")]
    label, treatment = next(iter(label_choices(models).items()))
    assert show(upload, label, treatment, tmp_path).result.name == "a photo-student.png"


def refusal(upload, make_model, folder):
    before = sorted(folder.rglob("*"))
    treatment = label_choices([("", make_model("student"))])["student"]
    with pytest.raises(InputError) as caught:
        show(upload, "student", treatment, folder)
    assert sorted(folder.rglob("*")) == before
    return str(caught.value)


def test_refusals_name_the_file_without_its_folder(make_model, upload, tmp_path, monkeypatch):
    text = upload.with_name("text.png")
    text.write_text("no picture")
    assert refusal(text, make_model, tmp_path) == (
        "text.png is not a readable JPEG, PNG, WebP, TIFF or HEIC file"
    )
    small = upload.with_name("small.png")
    Image.fromarray(PIXELS[:4, :4]).save(small)
    assert refusal(small, make_model, tmp_path) == (
        "small.png has 4 x 4 px; the networks need at least 16 px a side"
    )
    missing = upload.with_name("gone.png")
    assert refusal(missing, make_model, tmp_path).startswith("gone.png cannot be read: No such")
    monkeypatch.setattr(page, "MOST_PIXELS", PIXELS[..., 0].size - 1)
    assert refusal(upload, make_model, tmp_path).startswith(
        "a photo.png would become 28 x 20 px; this page makes at most 0 megapixels"
    )


@pytest.mark.parametrize("place", ["treat", "make_previews"])
def test_too_little_memory_is_a_message(make_model, upload, tmp_path, monkeypatch, place):
    def exhaust(*_):
        raise MemoryError

    monkeypatch.setattr(page, place, exhaust)
    message = "a photo.png cannot be processed: not enough memory"
    assert refusal(upload, make_model, tmp_path) == message


def test_a_full_disk_is_a_message(make_model, upload, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", refuse)
    treatment = label_choices([("", make_model("student"))])["student"]
    with pytest.raises(InputError, match="a photo.png cannot be processed: .*No space left"):
        show(upload, "student", treatment, tmp_path)
