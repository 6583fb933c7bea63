"""Images of before and after for a browser."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.serving import preview
from ppcn_jax.serving.preview import make_previews

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photo(pixels, alpha=None, **metadata):
    return Photo(pixels, alpha, False, "png", **metadata)


def smooth(height, width, dtype=np.uint8):
    """Make ramps, which JPEG changes by a few steps of 255 at most."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    ramps = np.stack([rows, columns, 1 - rows], -1)
    return np.rint(ramps * np.iinfo(dtype).max).astype(dtype)


def decoded(content):
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
        return np.asarray(image).astype(int)


def assert_close(content, pixels):
    found = decoded(content)
    assert found.shape == pixels.shape
    assert np.abs(found - pixels).max() <= 8


def test_a_small_photo_keeps_its_size():
    pixels = smooth(60, 80)
    before, after = make_previews(photo(pixels), photo(255 - pixels))
    assert_close(before, pixels)
    assert_close(after, 255 - pixels)


@pytest.mark.parametrize("shape", [(90, 160), (160, 90)])
def test_a_large_photo_is_reduced_completely(monkeypatch, shape):
    monkeypatch.setattr(preview, "LONGEST_SIDE", 80)
    pixels = smooth(*shape)
    before, after = make_previews(photo(pixels), photo(255 - pixels))
    smaller = smooth(shape[0] // 2, shape[1] // 2)
    assert_close(before, smaller)
    assert_close(after, 255 - smaller)


def test_an_extreme_aspect_ratio_keeps_one_row():
    before, _ = make_previews(*2 * [photo(np.zeros((16, 50_000, 3), np.uint8))])
    assert decoded(before).shape == (1, preview.LONGEST_SIDE, 3)


def test_the_center_of_an_enlargement_is_shown_pixel_by_pixel(monkeypatch):
    monkeypatch.setattr(preview, "LONGEST_SIDE", 64)
    pixels = smooth(40, 12)
    enlarged = enlarge(pixels, 4)
    before, after = make_previews(photo(pixels), photo(enlarged))
    assert_close(before, enlarge(pixels[12:28], 4))
    assert_close(after, enlarged[48:112])


def test_16_bits_color_profile_and_transparency():
    pixels = smooth(32, 48, np.uint16)
    alpha = np.full((32, 48), 65535, np.uint16)
    alpha[:, :16] = 0
    before, after = make_previews(*2 * [photo(pixels, alpha, icc=SRGB, block=b"EXIF")])
    assert before == after
    with Image.open(io.BytesIO(before)) as image:
        assert image.info["icc_profile"] == SRGB and not image.getexif()
    assert decoded(before)[:, :8].min() >= 250
    assert np.abs(decoded(before)[:, 24:] - smooth(32, 48)[:, 24:]).max() <= 8
