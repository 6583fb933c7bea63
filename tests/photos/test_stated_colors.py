"""Colors that EXIF states, and code that reads photos as sRGB whatever their space."""

import numpy as np
import pytest
from PIL import Image

from ppcn_jax.evaluation.held_out_photos import HeldOutPhotos
from ppcn_jax.export.images import read_photos
from ppcn_jax.photos import exif, tiff
from ppcn_jax.photos.color_space import color_space
from ppcn_jax.photos.levels import from_float
from ppcn_jax.photos.read import read_photo, read_srgb
from tests.photos.profiles import SPACES

Y, X = np.mgrid[:32, :48]
SMOOTH = np.dstack([60 + 3 * X, 70 + 4 * Y, 80 + X + Y]).astype(np.uint8)


def block(color_space=0xFFFF, index="R03"):
    """EXIF with a color space and the index of its interoperability."""
    fields = Image.Exif()
    camera = fields.get_ifd(0x8769)
    camera[0xA001] = color_space
    if index:
        camera[0xA005] = {1: index}
    return fields.tobytes()


def save(path, form, pixels, content, icc=b""):
    if form == "tiff":  # Pillow's writer loses the interoperability
        block = content.removeprefix(exif.HEADER)
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
        path.write_bytes(tiff.encode(pixels, block=block, icc=icc))
        return
    options = {"jpeg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}[form]
    options |= {"icc_profile": icc} if icc else {}
    Image.fromarray(pixels).save(path, form, exif=content, **options)


def in_space(name):
    return from_float(color_space(SPACES[name]).from_srgb(SMOOTH), np.uint8)


@pytest.mark.parametrize("form", ["jpeg", "webp", "tiff"])
def test_adobe_rgb_that_only_exif_states(tmp_path, form):
    path = tmp_path / "photo"
    save(path, form, in_space("adobe"), block())
    photo = read_photo(path)
    assert color_space(photo.icc) is not None
    limit = 8 if form == "jpeg" else 2
    assert np.abs(read_srgb(path).astype(int) - SMOOTH).max() <= limit
    for color, index in ((1, "R03"), (0xFFFF, "R98"), (0xFFFF, "")):
        save(path, form, SMOOTH, block(color, index))
        assert read_photo(path).icc == b"", (color, index)
    icc = SPACES["p3"]
    save(path, form, SMOOTH, block(), icc)
    assert read_photo(path).icc == icc
    save(path, form, SMOOTH[..., 0], block())
    assert read_photo(path).icc == b"" or form == "webp"  # which has colors alone


def test_photos_that_become_srgb_say_so(tmp_path):
    content = block().removeprefix(exif.HEADER)
    assert exif.is_adobe_rgb(content)
    assert not exif.is_uncalibrated(exif.mark_srgb(content))
    assert len(exif.mark_srgb(content)) == len(content)
    for length in range(0, len(content), 3):  # truncated
        exif.is_adobe_rgb(content[:length])
        exif.mark_srgb(content[:length])
    Image.fromarray(SMOOTH).convert("CMYK").save(tmp_path / "x.jpg", exif=block())
    photo = read_photo(tmp_path / "x.jpg")
    assert photo.icc == b"" and not exif.is_uncalibrated(photo.block)


@pytest.mark.parametrize("name", ["p3", "prophoto", "rec2020"])
def test_measures_and_calibration_see_srgb(tmp_path, name):
    Image.fromarray(in_space(name)).save(tmp_path / "a.png", icc_profile=SPACES[name])
    held_out, _ = HeldOutPhotos(str(tmp_path), field="photos")[0]
    (calibration,) = read_photos([tmp_path], 32, 48)
    for pixels in (held_out, calibration):
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - SMOOTH).max() <= 3
    assert np.abs(in_space(name).astype(int) - SMOOTH).max() > 10
