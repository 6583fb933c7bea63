"""Randomly damaged files give a result or an `InputError`, and nothing else."""

import io
import logging
import random

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ppcn_jax.models.vgg import kernel_shapes
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.write import encode_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.state import Player, TrainState
from ppcn_jax.weights import vgg as vgg_weights
from ppcn_jax.weights.checkpoints import Checkpoints
from ppcn_jax.weights.load import load_model
from tests import weight_files
from tests.states import save

logging.getLogger("PIL").setLevel(logging.CRITICAL)
EXTREMES = (bytes(4), b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\1\0\0")


def damaged(draw, content):
    """Truncate a file or change a few bytes, most often among the first."""
    if draw.random() < 0.25:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        reach = min(len(changed), 400) if draw.random() < 0.6 else len(changed)
        place = draw.randrange(reach)
        match draw.randrange(4):
            case 0:
                changed[place] = draw.randrange(256)
            case 1:
                changed[place] ^= 1 << draw.randrange(8)
            case 2:
                changed[place : place + 4] = draw.choice(EXTREMES)
            case 3:
                changed[place : place + draw.randrange(8)] = draw.randbytes(draw.randrange(1, 8))
    return bytes(changed)


def attack(path, use, *, times):
    """Use a file in many damaged versions, which are the same in every run."""
    content, draw = path.read_bytes(), random.Random(path.name)
    use(path)
    refused = 0
    for _ in range(times):
        path.write_bytes(damaged(draw, content))
        try:
            use(path)
        except InputError:
            refused += 1
    path.write_bytes(content)
    assert refused > times / 10


def read_and_write(path):
    photo = read_photo(path)
    assert photo.pixels.ndim == 3
    if photo.pixels.size < 10**6:  # what is declared may take seconds to write
        encode_photo(photo, photo.format)
        encode_photo(photo, "tiff")


def saved(form, **options):
    def write(path):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8))
        fields = Image.Exif()
        fields[0x0112] = 6
        buffer = io.BytesIO()
        image.save(buffer, form, exif=fields, **options)
        path.write_bytes(buffer.getvalue())

    return write


def wide(form):
    def write(path):
        pixels = np.random.default_rng(0).integers(0, 65536, (24, 40, 3), np.uint16)
        path.write_bytes(encode_photo(Photo(pixels, None, False, form), form))

    return write


PHOTOS = {
    "a.jpg": saved("JPEG"),
    "progressive.jpg": saved("JPEG", progressive=True),
    "a.png": saved("PNG"),
    "wide.png": wide("png"),
    "a.webp": saved("WEBP"),
    "lossless.webp": saved("WEBP", lossless=True),
    "a.tif": saved("TIFF"),
    "packed.tif": saved("TIFF", compression="tiff_deflate"),
    "wide.tif": wide("tiff"),
}


@pytest.mark.parametrize("name", PHOTOS)
def test_photos(tmp_path, name):
    PHOTOS[name](tmp_path / name)
    attack(tmp_path / name, read_and_write, times=60)


@pytest.mark.long
@pytest.mark.parametrize("name", PHOTOS)
def test_photos_at_length(tmp_path, name):
    PHOTOS[name](tmp_path / name)
    attack(tmp_path / name, read_and_write, times=2000)


@pytest.fixture
def small_vgg(monkeypatch):
    """Weights of a VGG-16 with four channels, and readers that expect it."""
    rng = np.random.default_rng(0)
    shapes = {name: (3, 3, 3 if name == "conv1_1" else 4, 4) for name in kernel_shapes(16)}
    monkeypatch.setattr(
        vgg_weights, "kernel_shapes", lambda depth: shapes if depth == 16 else kernel_shapes(19)
    )
    return {
        name: (rng.standard_normal(shape, np.float32), rng.standard_normal(4, np.float32))
        for name, shape in shapes.items()
    }


# Files of MATLAB and Keras are slow to attack: each read starts a process.
WEIGHTS = {
    "w.npz": (weight_files.write_npz, 60),
    "w.safetensors": (weight_files.write_safetensors, 60),
    "zip.pth": (weight_files.write_torch_zip, 60),
    "stream.pth": (weight_files.write_torch_stream, 60),
    "old.pth": (weight_files.write_torch_2017, 60),
    "w.mat": (weight_files.write_mat, 4),
    "w.h5": (weight_files.write_h5, 4),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_vgg_weights(tmp_path, small_vgg, name):
    write, times = WEIGHTS[name]
    write(tmp_path / name, small_vgg)
    attack(tmp_path / name, vgg_weights.load_vgg, times=times)


@pytest.mark.long
@pytest.mark.parametrize("name", WEIGHTS)
def test_vgg_weights_at_length(tmp_path, small_vgg, name):
    write, times = WEIGHTS[name]
    write(tmp_path / name, small_vgg)
    attack(tmp_path / name, vgg_weights.load_vgg, times=25 * times)


def test_native_weights(tmp_path, write_model):
    attack(write_model(tmp_path / "w.safetensors", "student"), load_model, times=12)


@pytest.mark.long
def test_native_weights_at_length(tmp_path, write_model):
    attack(write_model(tmp_path / "w.safetensors", "student"), load_model, times=500)


@pytest.fixture
def workdir(tmp_path, write_model):
    """A workdir with one checkpoint."""
    params = load_model(write_model(tmp_path / "w.safetensors", "student")).params
    player = Player(params, {"count": np.zeros((), np.int32)})
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        state = TrainState(step=jnp.asarray(5, jnp.int32), players={"generator": player})
        save(checkpoints, state)
    (tmp_path / "config.json").write_text(
        '{"model": "student", "preset": "paper"}', encoding="utf-8"
    )
    return tmp_path


def attack_checkpoint(workdir, times):
    files = [path for path in (workdir / "checkpoints").rglob("*") if path.is_file()]
    draw, refused = random.Random(0), 0
    load_model(workdir)
    for _ in range(times):
        path = draw.choice(sorted(files))
        content = path.read_bytes()
        path.write_bytes(damaged(draw, content or b"empty"))
        try:
            load_model(workdir)
        except InputError:
            refused += 1
        path.write_bytes(content)
    assert 0 < refused <= times
    load_model(workdir)


def test_checkpoints(workdir):
    attack_checkpoint(workdir, times=12)


@pytest.mark.long
def test_checkpoints_at_length(workdir):
    attack_checkpoint(workdir, times=200)
