"""Color spaces: to sRGB for a network, and its change back, compared with LittleCMS."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from ppcn_jax.inference.photo import judge, make_operation, process_photos
from ppcn_jax.photos.color_space import carry_change, color_space, convert_to_srgb
from ppcn_jax.photos.icc import (
    D65,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    color_model,
    in_color,
    matrix_of,
    read_matrix_profile,
)
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.resize import enlarge
from ppcn_jax.photos.write import encode_photo
from ppcn_jax.weights.load import load_model
from tests.photos.profiles import SPACES, SRGB, convert, gray_profile, table_profile

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 50, 3), np.uint8)
WIDE = RNG.integers(0, 65536, (40, 50, 3)).astype(np.uint16)
TO_XYZ = matrix_of(SRGB_PRIMARIES, D65)


@pytest.fixture(scope="module")
def student():
    return make_operation("enhance", load_model("student"))


@pytest.fixture(scope="module")
def picture():
    """A colorful photo of 160 x 120 px, with dark and bright parts and a little grain."""
    y, x = np.mgrid[0:120, 0:160] / np.array([120, 160]).reshape(2, 1, 1)
    colors = [0.5 + 0.4 * np.sin(7 * x + 2 * k) * np.cos(5 * y - k) for k in range(3)]
    light = np.stack(colors, -1) * (0.3 + 0.7 * x)[..., None]
    return np.rint(255 * np.clip(light + RNG.normal(0, 0.02, light.shape), 0.02, 1)).astype(
        np.uint8
    )


def psnr(a, b, most=255):
    return 10 * np.log10(most**2 / np.mean((a.astype(float) - b.astype(float)) ** 2))


def process(pixels, operation, **fields):
    (result,) = process_photos([Photo(pixels, None, False, "png", **fields)], operation)
    return result.pixels


@pytest.mark.parametrize("name", SPACES)
def test_conversions_agree_with_littlecms(name):
    space = color_space(SPACES[name])
    ours = convert_to_srgb(space, NOISE).astype(int)
    assert np.abs(ours - convert(NOISE, SPACES[name], SRGB)).max() <= 1
    back = np.rint(255 * space.from_srgb(NOISE))
    assert np.abs(back - convert(NOISE, SRGB, SPACES[name])).max() <= 1


@pytest.mark.parametrize("name", SPACES)
def test_16_bits_are_exact(name):
    profile = read_matrix_profile(SPACES[name])
    light = profile.curves[0].decode(WIDE / 65535) @ profile.matrix.T @ np.linalg.inv(TO_XYZ).T
    light = np.clip(light, 0, 1)
    encoded = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    space = color_space(SPACES[name])
    # To a level, and where one of the channels is near black to the rounding of the profile.
    error = np.abs(convert_to_srgb(space, WIDE) - 65535 * encoded)
    assert error[light > 0.01].max() < 2 and error.max() < 30


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("pixels", [NOISE, WIDE], ids=["8 bits", "16 bits"])
def test_a_network_without_a_change_leaves_every_color(name, pixels):
    space = color_space(SPACES[name])
    given = convert_to_srgb(space, pixels)
    np.testing.assert_array_equal(carry_change(space, pixels, given, given.copy()), pixels)


def test_colors_outside_of_srgb_stay_outside_when_enlarged():
    space = color_space(SPACES["prophoto"])
    photo = np.tile(np.array([20, 230, 20], np.uint8), (24, 24, 1))
    photo[:, 12:] = [230, 20, 20]
    given = convert_to_srgb(space, photo)
    result = carry_change(space, photo, given, enlarge(given, 4))
    assert result.shape == (96, 96, 3)
    for column in (16, 80):
        assert np.abs(result[48, column].astype(int) - photo[12, column // 4]).max() <= 1


@pytest.mark.parametrize("name", SPACES)
def test_a_result_is_that_of_the_srgb_copy(student, picture, name):
    expected = process(picture, student)
    icc = SPACES[name]
    result = process(convert(picture, SRGB, icc), student, icc=icc)
    assert psnr(convert(result, icc, SRGB), expected) >= 38
    # In 16 bits, the photo is made by the inverse of the formula that is tested above.
    space = color_space(icc)
    wide = picture.astype(np.uint16) * 257
    own = np.rint(65535 * space.from_srgb(wide)).astype(np.uint16)
    result = process(own, student, icc=icc)
    assert psnr(convert_to_srgb(space, result), process(wide, student), 65535) >= 45


@pytest.mark.parametrize("icc", [b"", SRGB, b"damaged"])
def test_srgb_is_not_converted(student, picture, icc):
    assert color_space(icc) is None
    np.testing.assert_array_equal(process(picture, student, icc=icc), student.apply([picture])[0])


def test_colors_are_judged_in_srgb(student, monkeypatch):
    seen = {}
    monkeypatch.setattr(
        "ppcn_jax.inference.photo.find_damage",
        lambda before, after, *, to_srgb, **options: seen.update(before=to_srgb(before)),
    )
    photo = Photo(NOISE, None, False, "png", icc=SPACES["linear"])
    judge(photo, photo, student)
    expected = convert_to_srgb(color_space(photo.icc), NOISE) / 255
    np.testing.assert_allclose(seen["before"], expected, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_gray_profiles(student, picture, bits):
    icc = gray_profile(1.0)
    gray = np.repeat(picture[..., :1], 3, axis=2).astype(np.uint16) * 257
    light = SRGB_CURVE.decode(gray / 65535)
    own = np.rint(65535 * light).astype(np.uint16)
    if bits == 8:
        own, gray = (own // 257).astype(np.uint8), (gray // 257).astype(np.uint8)
    expected = process(gray, student)
    photo = Photo(own, None, True, "png", icc=icc)
    (result,) = process_photos([photo], student)
    assert (np.ptp(result.pixels, axis=-1) == 0).all()
    restored = convert_to_srgb(color_space(icc), result.pixels)
    assert psnr(restored, expected, np.iinfo(own.dtype).max) >= (36 if bits == 8 else 45)
    # WebP has no gray, so the profile becomes one for RGB with the same curve.
    written = Image.open(io.BytesIO(encode_photo(result, "webp", 100)))
    assert color_model(written.info["icc_profile"]) == "RGB"
    assert np.ptp(convert_to_srgb(color_space(in_color(icc)), own), axis=-1).max() == 0


def swapped_to_xyz(rgb):
    """A space with the channels of sRGB in another order."""
    return SRGB_CURVE.decode(rgb[:, [1, 2, 0]]) @ TO_XYZ.T


def xyz_to_swapped(xyz):
    light = np.clip(xyz @ np.linalg.inv(TO_XYZ).T, 0, 1)
    encoded = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return encoded[:, [2, 0, 1]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_profiles_with_tables(student, picture, dtype):
    icc = table_profile(swapped_to_xyz, from_xyz=xyz_to_swapped)
    factor = np.iinfo(dtype).max // 255
    pixels = picture.astype(dtype) * factor
    expected = process(pixels, student)
    result = process(np.ascontiguousarray(pixels[..., [2, 0, 1]]), student, icc=icc)
    assert psnr(result[..., [1, 2, 0]], expected, np.iinfo(dtype).max) >= 38
    # Not in steps of 8 bits.
    assert dtype == np.uint8 or len(np.unique(result % 257)) > 200


XYB_MATRIX = np.array([[0.3, 0.622, 0.078], [0.23, 0.692, 0.078], [0.2434, 0.2048, 0.5518]])
XYB_BIAS = 0.0037930732552754493
XYB_OFFSET = np.array([0.0154, 0.0, 0.2777])
XYB_SCALE = np.array([22.996, 1.1831, 1.502])


def srgb_to_xyb(rgb):
    """JPEG XL's scaled XYB of sRGB, as in JPEGs of this kind."""
    mixed = np.cbrt(SRGB_CURVE.decode(rgb) @ XYB_MATRIX.T + XYB_BIAS) - np.cbrt(XYB_BIAS)
    x, y = (mixed[..., 0] - mixed[..., 1]) / 2, (mixed[..., 0] + mixed[..., 1]) / 2
    return (np.stack([x, y, mixed[..., 2] - y], -1) + XYB_OFFSET) * XYB_SCALE


def xyb_to_xyz(xyb):
    x, y, b = np.moveaxis(xyb / XYB_SCALE - XYB_OFFSET, -1, 0)
    mixed = (np.stack([y + x, y - x, b + y], -1) + np.cbrt(XYB_BIAS)) ** 3 - XYB_BIAS
    return np.clip(mixed @ np.linalg.inv(XYB_MATRIX).T, 0, 1) @ TO_XYZ.T


def test_xyb_jpegs_become_srgb(student, picture, tmp_path):
    xyb = np.rint(255 * np.clip(srgb_to_xyb(picture / 255), 0, 1)).astype(np.uint8)
    path = tmp_path / "xyb.jpg"
    icc = table_profile(xyb_to_xyz, points=41)
    Image.fromarray(xyb).save(path, quality=98, subsampling=0, keep_rgb=True, icc_profile=icc)
    photo = read_photo(path)
    assert (photo.icc, photo.options) == (b"", {})
    assert photo.notes == ("its color profile T, which does not lead back: it is sRGB now",)
    assert psnr(process(photo.pixels, student), process(picture, student)) >= 34


@pytest.mark.parametrize("model", [b"GRAY", b"CMYK"])
def test_a_profile_for_other_channels_is_dropped(tmp_path, model):
    icc = SRGB[:16] + model + SRGB[20:]
    Image.fromarray(NOISE).save(tmp_path / "x.png", icc_profile=icc)
    photo = read_photo(tmp_path / "x.png")
    assert photo.icc == b"" and len(photo.notes) == 1
    assert photo.notes[0].startswith("its color profile sRGB")
    assert "which is for" in photo.notes[0]
    np.testing.assert_array_equal(photo.pixels, NOISE)


def test_bands_do_not_show(monkeypatch):
    space = color_space(SPACES["p3"])
    returned = RNG.integers(0, 256, NOISE.shape, np.uint8)
    given = convert_to_srgb(space, NOISE)
    expected = carry_change(space, NOISE, given, returned.copy())
    monkeypatch.setattr("ppcn_jax.photos.color_space._BAND_PIXELS", 170)
    np.testing.assert_array_equal(convert_to_srgb(space, NOISE), given)
    np.testing.assert_array_equal(carry_change(space, NOISE, given, returned.copy()), expected)


def test_all_but_the_pixels_is_carried_over(student, picture):
    photo = Photo(picture, picture[..., 0], False, "png", icc=SPACES["p3"])
    (result,) = process_photos([photo], student)
    assert dataclasses.replace(result, pixels=photo.pixels) == photo
