"""Decoding to upright 8-bit RGB, by Pillow and by TensorFlow."""

import io

import numpy as np
import pytest
from PIL import Image

from data import DataError
from data.pictures import images
from tests.data.sample_pictures import draw, encode, sideways

RGB = draw(0, 33, 47)


def transparent_palette() -> bytes:
    picture = Image.fromarray(RGB).quantize(16)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=bytes(range(0, 256, 16)))
    return buffer.getvalue()


STORED = {
    "jpeg": encode(RGB),
    "best jpeg": encode(RGB, quality=100, subsampling=0),
    "progressive": encode(RGB, progressive=True),
    "gray": encode(RGB, mode="L"),
    "cmyk": encode(RGB, mode="CMYK"),
    "png": encode(RGB, "PNG"),
    "rgba": encode(RGB, "PNG", mode="RGBA"),
    "palette": transparent_palette(),
    "sideways": sideways(RGB),
}


def test_png_is_exact():
    np.testing.assert_array_equal(images.decode(STORED["png"], "a"), RGB, strict=True)


def test_alpha_is_dropped():
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 7, np.uint8)])
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    np.testing.assert_array_equal(images.decode(buffer.getvalue(), "a"), RGB)


def test_gray_is_repeated():
    gray = images.decode(encode(RGB, "PNG", mode="L"), "a")
    expected = np.asarray(Image.fromarray(RGB).convert("L"))
    np.testing.assert_array_equal(gray, np.dstack([expected] * 3))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_gray_is_scaled(format):
    deep = np.array([[0, 128, 129, 257], [32767, 32896, 65406, 65535]], np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(deep).save(buffer, format)
    expected = [[0, 0, 1, 1], [127, 128, 254, 255]]  # value / 257, rounded
    np.testing.assert_array_equal(images.decode(buffer.getvalue(), "a")[..., 0], expected)


def test_cmyk_becomes_rgb():
    difference = images.decode(STORED["cmyk"], "a").astype(int) - RGB
    assert abs(difference).mean() < 6


def test_exif_orientation_is_applied():
    upright = images.decode(STORED["sideways"], "a")
    assert upright.shape == (47, 33, 3)
    np.testing.assert_array_equal(upright, np.rot90(images.decode(STORED["jpeg"], "a"), -1))


@pytest.mark.parametrize("kind", STORED)
def test_checked_shape_equals_the_decoded_shape(kind):
    assert images.checked_shape(STORED[kind], "a") == images.decode(STORED[kind], "a").shape


def test_checking_a_tiny_jpeg():
    assert images.checked_shape(encode(draw(0, 3, 5)), "a") == (3, 5, 3)


@pytest.mark.parametrize("kind", STORED)
def test_stored_bytes_decode_identically_in_tensorflow(kind):
    tf = pytest.importorskip("tensorflow")
    encoded, rgb = images.tf_decodable(STORED[kind], "a")
    np.testing.assert_array_equal(rgb, images.decode(STORED[kind], "a"))
    decoded = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(decoded.numpy(), rgb, strict=True)


@pytest.mark.parametrize("kind", ["jpeg", "best jpeg", "progressive", "gray"])
def test_plain_jpegs_are_stored_unchanged(kind):
    assert images.tf_decodable(STORED[kind], "a")[0] is STORED[kind]


BROKEN = {
    "truncated": STORED["best jpeg"][:-20],
    "half": STORED["jpeg"][: len(STORED["jpeg"]) // 2],
    "truncated png": STORED["png"][:-200],
    "empty": b"",
    "text": b"this is not a picture\n" * 50,
}


@pytest.mark.parametrize("read", [images.decode, images.checked_shape, images.tf_decodable])
@pytest.mark.parametrize("kind", BROKEN)
def test_error_names_the_broken_file(kind, read):
    with pytest.raises(DataError, match="holiday.jpg does not decode .* restore it or remove"):
        read(BROKEN[kind], "holiday.jpg")


@pytest.mark.parametrize("read", [images.decode, images.checked_shape])
def test_decompression_bomb(read, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="bomb.png is too large"):
        read(STORED["png"], "bomb.png")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read"):
        images.read(tmp_path / "gone.jpg")
