"""Pictures of before and after for a browser."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from ppcn_jax.photos.read import Photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.serving import preview
from ppcn_jax.serving.preview import make_previews

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photo(levels, alpha=None, **kept):
    return Photo(levels, alpha, False, "png", **kept)


def smooth(height, width, dtype=np.uint8):
    """Ramps, which survive JPEG within a few levels."""
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    ramps = np.stack([rows, columns, 1 - rows], -1)
    return np.rint(ramps * np.iinfo(dtype).max).astype(dtype)


def decoded(content):
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
        return np.asarray(image).astype(int)


def assert_close(content, levels):
    found = decoded(content)
    assert found.shape == levels.shape
    assert np.abs(found - levels).max() <= 8


def test_a_photo_that_fits_is_shown_as_it_is():
    levels = smooth(60, 80)
    before, after = make_previews(photo(levels), photo(255 - levels))
    assert_close(before, levels)
    assert_close(after, 255 - levels)


@pytest.mark.parametrize("shape", [(90, 160), (160, 90)])
def test_a_large_photo_is_made_smaller_as_a_whole(monkeypatch, shape):
    monkeypatch.setattr(preview, "LONGEST_SIDE", 80)
    levels = smooth(*shape)
    before, after = make_previews(photo(levels), photo(255 - levels))
    smaller = smooth(shape[0] // 2, shape[1] // 2)
    assert_close(before, smaller)
    assert_close(after, 255 - smaller)


def test_an_extreme_shape_keeps_a_row():
    before, _ = make_previews(*2 * [photo(np.zeros((16, 50_000, 3), np.uint8))])
    assert decoded(before).shape == (1, preview.LONGEST_SIDE, 3)


def test_the_middle_of_an_enlargement_is_shown_pixel_by_pixel(monkeypatch):
    monkeypatch.setattr(preview, "LONGEST_SIDE", 64)
    levels = smooth(40, 12)
    enlarged = enlarge(levels, 4)
    before, after = make_previews(photo(levels), photo(enlarged))
    assert_close(before, enlarge(levels[12:28], 4))
    assert_close(after, enlarged[48:112])


def test_sixteen_bits_profile_and_transparency():
    levels = smooth(32, 48, np.uint16)
    alpha = np.full((32, 48), 65535, np.uint16)
    alpha[:, :16] = 0
    before, after = make_previews(*2 * [photo(levels, alpha, icc=SRGB, block=b"EXIF")])
    assert before == after
    with Image.open(io.BytesIO(before)) as image:
        assert image.info["icc_profile"] == SRGB and not image.getexif()
    assert decoded(before)[:, :8].min() >= 250
    assert np.abs(decoded(before)[:, 24:] - smooth(32, 48)[:, 24:]).max() <= 8
