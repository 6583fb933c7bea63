"""Colors that PNG's chunks and HEIC's code numbers describe: by precedence, used and kept."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from ppcn_jax.photos.color_codes import profile_of_nclx
from ppcn_jax.photos.color_space import color_space
from ppcn_jax.photos.icc import read_matrix_profile
from ppcn_jax.photos.png_chunks import insert_chunks, read_all
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.write import encode_photo
from ppcn_jax.runtime.errors import InputError
from tests.photos.profiles import P3, SPACES

GRADIENT = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
CICP_P3, CICP_SRGB, CICP_LINEAR_2020 = (
    (b"cICP", bytes([primaries, transfer, 0, 1]))
    for primaries, transfer in ((12, 13), (1, 13), (9, 8))
)
SRGB, LINEAR = (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))
GAMMA_22 = (b"gAMA", struct.pack(">I", 45_455))
SRGB_XY = (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
ADOBE_XY = (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))


def read_png(tmp_path, chunks, **options):
    buffer = io.BytesIO()
    GRADIENT.save(buffer, "png", **options)
    (tmp_path / "x.png").write_bytes(insert_chunks(buffer.getvalue(), chunks))
    return read_photo(tmp_path / "x.png")


def same_space(icc, other, tolerance=1e-4):
    ours, theirs = map(read_matrix_profile, (icc, other))
    ramp = np.linspace(0, 1, 50)
    light = [profile.curves[1].decode(ramp) for profile in (ours, theirs)]
    np.testing.assert_allclose(*light, atol=tolerance)
    np.testing.assert_allclose(ours.matrix, theirs.matrix, atol=tolerance)


@pytest.mark.parametrize(
    ("chunks", "options", "expected"),
    [
        ([CICP_P3], {}, P3),
        ([CICP_P3, SRGB], {"icc_profile": SPACES["linear"]}, P3),
        ([CICP_SRGB, LINEAR], {"icc_profile": P3}, b""),
        ([CICP_LINEAR_2020], {}, SPACES["rec2020"]),
        ([LINEAR, ADOBE_XY], {"icc_profile": P3}, P3),
        ([SRGB, LINEAR, ADOBE_XY], {}, b""),
        ([SRGB, GAMMA_22, SRGB_XY], {}, b""),
        ([GAMMA_22, SRGB_XY], {}, b""),
        ([GAMMA_22], {}, b""),
        ([LINEAR], {}, SPACES["linear"]),
        ([GAMMA_22, ADOBE_XY], {}, SPACES["adobe"]),
        ([(b"cICP", bytes([2, 2, 0, 1])), LINEAR], {}, SPACES["linear"]),
        ([(b"cICP", b"short")], {}, b""),
    ],
)
def test_precedence(tmp_path, chunks, options, expected):
    photo = read_png(tmp_path, chunks, **options)
    if expected:
        same_space(photo.icc, expected, tolerance=5e-4)
    else:
        assert color_space(photo.icc) is None
    # PNG keeps its chunks, in 16 bits too; other formats get the profile.
    wide = photo.pixels.astype(np.uint16) * 257
    for result in (
        photo,
        photo.__class__(wide, None, False, "png", icc=photo.icc, extras=photo.extras),
    ):
        written = read_all(io.BytesIO(encode_photo(result, "png")))
        assert set(chunks) <= set(written)
        assert (b"iCCP" in dict(written)) == bool(options)
    with Image.open(io.BytesIO(encode_photo(photo, "jpeg"))) as image:
        assert image.info.get("icc_profile", b"") == photo.icc


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes([9, 16, 0, 1]), r"has high dynamic range \(PQ\)"),
        (bytes([9, 18, 0, 1]), r"has high dynamic range \(HLG\)"),
        (bytes([9, 13, 0, 0]), "narrow range"),
        (bytes([3, 13, 0, 1]), "primaries 3 and transfer 13"),
    ],
)
def test_unsupported_codes(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_png(tmp_path, [(b"cICP", content)])


def test_impossible_primaries(tmp_path):
    with pytest.raises(InputError, match=r"x\.png describes impossible colors"):
        read_png(tmp_path, [(b"cHRM", struct.pack(">8I", *[30000] * 8))])


def test_code_numbers_of_video_are_srgb():
    assert profile_of_nclx(1, 13) == profile_of_nclx(1, 1) == profile_of_nclx(6, 6) == b""
    same_space(profile_of_nclx(12, 13), P3)


def test_heic_with_code_numbers(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    pillow_heif.register_heif_opener()
    codes = {"color_primaries": 12, "transfer_characteristics": 13, "matrix_coefficients": 6}
    GRADIENT.save(tmp_path / "x.heic", save_nclx_profile=True, full_range_flag=1, **codes)
    photo = read_photo(tmp_path / "x.heic")
    same_space(photo.icc, P3)
    (tmp_path / "y.heic").write_bytes(encode_photo(photo, "heic"))
    assert read_photo(tmp_path / "y.heic").icc == photo.icc
    codes["transfer_characteristics"] = 16
    GRADIENT.save(tmp_path / "x.heic", save_nclx_profile=True, full_range_flag=1, **codes)
    with pytest.raises(InputError, match=r"x\.heic has high dynamic range \(PQ\)"):
        read_photo(tmp_path / "x.heic")
