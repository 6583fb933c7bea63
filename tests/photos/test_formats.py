"""Formats beyond JPEG, PNG, WebP and regular TIFF, and how refused ones are named."""

import io

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # registers itself
import pytest
import tifffile
from PIL import Image

from ppcn_jax.photos import boxes, jpeg_xl
from ppcn_jax.photos.color_space import color_space
from ppcn_jax.photos.deep_heic import encode_deep
from ppcn_jax.photos.paths import plan_jobs
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.write import check_output, encode_photo
from ppcn_jax.runtime.errors import InputError
from tests.photos.profiles import SPACES

H, W = 32, 48
Y, X = np.mgrid[:H, :W]
SMOOTH = np.dstack([5 * X, 7 * Y, 3 * (X + Y)]).astype(np.uint8)
WIDE = np.dstack([1300 * X, 2000 * Y, 800 * (X + Y)]).astype(np.uint16)
EXIF = Image.Exif()
EXIF[0x010F] = "Camera"
pillow_heif.register_heif_opener()


@pytest.fixture
def read(tmp_path):
    """Write a file and read it as a photo."""

    def read_content(content):
        (tmp_path / "photo").write_bytes(content)
        return read_photo(tmp_path / "photo")

    return read_content


def saved(pixels, form, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def error(photo, pixels):
    return np.abs(photo.pixels.astype(int) - pixels).mean()


@pytest.mark.parametrize("form", ["avif", "jxl"])
def test_avif_and_jpeg_xl(read, form):
    alpha = np.where(X > 20, 255, 40).astype(np.uint8)
    exif, xmp = EXIF.tobytes(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    content = saved(np.dstack([SMOOTH, alpha]), form.upper(), quality=95, exif=exif, xmp=xmp)
    photo = read(content)
    assert (photo.format, photo.notes, color_space(photo.icc)) == (form, (), None)
    assert error(photo, SMOOTH) < 3 and photo.alpha.shape == (H, W)
    again = read(encode_photo(photo, form))
    assert error(again, photo.pixels) < 3 and np.array_equal(again.alpha, photo.alpha)
    assert b"Camera" in again.block and again.xmp == photo.xmp == xmp
    gray = read(encode_photo(Photo(SMOOTH[..., :1].repeat(3, 2), None, True, "png"), form))
    assert gray.gray and error(gray, SMOOTH[..., :1]) < 3


def test_avif_describes_its_colors(read):
    content = saved(SMOOTH, "AVIF", quality=95)
    start = content.index(b"colrnclx\0\1")
    p3 = bytearray(content)
    p3[start + 9] = 12
    assert color_space(read(bytes(p3)).icc) is not None
    p3[start + 11] = 16
    with pytest.raises(InputError, match="photo has high dynamic range \\(PQ\\)"):
        read(bytes(p3))
    deep = bytearray(content)
    deep[content.index(b"av1C") + 6] |= 0x40
    assert boxes.read_properties(content) == (8, (1, 13))
    assert boxes.read_properties(bytes(deep)).bits == 10
    assert boxes.read_properties(content[: start + 6]) == (8, None)


def test_jpeg_xl_is_written_as_srgb(read):
    photo = Photo(SMOOTH, None, False, "png", icc=SPACES["p3"])
    expected = color_space(SPACES["p3"]).to_srgb(SMOOTH) * 255
    again = read(encode_photo(photo, "jxl"))
    assert color_space(again.icc) is None and error(again, expected) < 2
    assert np.abs(SMOOTH - expected).mean() > 4


def jxl_header(*fields):
    """A header of (value, number of bits), the lowest bits first."""
    value = position = 0
    for number, bits in fields:
        value |= number << position
        position += bits
    return b"\xff\x0a" + value.to_bytes(position // 8 + 1, "little")


def test_the_header_of_jpeg_xl():
    small = [(1, 1), (3, 5), (1, 3)]
    large = [(0, 1), (1, 2), (500, 13), (0, 3), (0, 2), (300, 9)]
    usual, unusual, nothing = [(1, 1)], [(0, 1)], [(0, 1)]
    for size in (small, large):
        assert jpeg_xl.read_jxl_header(jxl_header(*size, *usual)) == (8, False, b"")
        twelve = jxl_header(*size, *unusual, *nothing, (0, 1), (2, 2))
        assert jpeg_xl.read_jxl_header(twelve).bits == 12
        sixteen = jxl_header(*size, *unusual, *nothing, (0, 1), (3, 2), (15, 6))
        assert jpeg_xl.read_jxl_header(sixteen).bits == 16
        half = jxl_header(*size, *unusual, *nothing, (1, 1), (1, 2))
        assert jpeg_xl.read_jxl_header(half).bits == 16
        moving = jxl_header(*size, *unusual, (1, 1), (0, 3), (0, 1), (0, 1), (1, 1))
        assert jpeg_xl.read_jxl_header(moving).animated


def test_a_reduced_jpeg_xl_is_named(read, monkeypatch):
    content = saved(WIDE[..., 0], "JXL", lossless=True)
    assert jpeg_xl.read_jxl_header(content).bits == 16
    photo = read(content)
    assert photo.gray
    np.testing.assert_array_equal(photo.pixels[..., 1], WIDE[..., 0])
    header = jpeg_xl.JxlHeader(16, False, b"")
    monkeypatch.setattr("ppcn_jax.photos.samples.read_jxl_header", lambda _: header)
    photo = read(saved(SMOOTH, "JXL", lossless=True))
    assert photo.notes == ("16 bits per channel, which are reduced to 8 in reading",)
    monkeypatch.setattr(
        "ppcn_jax.photos.samples.read_jxl_header", lambda _: header._replace(animated=True)
    )
    with pytest.raises(InputError, match="an animation"):
        read(content)


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_heic_of_10_and_12_bits(read, bits, channels):
    samples = np.dstack([WIDE, 65535 - WIDE[..., :1]])[..., :channels]
    photo = read(encode_deep(samples, bits, quality=95, chroma=444, exif=EXIF.tobytes()))
    assert (photo.pixels.dtype, photo.gray) == (np.uint16, channels == 1)
    assert error(photo, samples[..., :3]) < 65535 / 255  # more exact than 8 bits
    assert photo.alpha is None if channels < 4 else photo.alpha.dtype == np.uint16
    again = encode_photo(photo, "heic")
    assert Image.open(io.BytesIO(again)).info["bit_depth"] == bits
    assert error(read(again), photo.pixels) < 65535 / 255
    assert b"Camera" in read(again).block
    white = read(encode_deep(np.full((H, W, channels), 65535, np.uint16), bits, quality=95))
    assert white.pixels.max() == 65535


def test_bmp(read):
    photo = read(saved(SMOOTH, "BMP", dpi=(300, 300)))
    assert (photo.format, photo.extras.resolution[:2]) == ("bmp", pytest.approx((300, 300), 1e-3))
    np.testing.assert_array_equal(photo.pixels, SMOOTH)
    again = read(encode_photo(photo, "bmp"))
    np.testing.assert_array_equal(again.pixels, SMOOTH)
    assert again.extras.resolution == photo.extras.resolution
    gray = read(saved(SMOOTH[..., 0], "BMP"))
    assert gray.gray and read(encode_photo(gray, "bmp")).gray
    clear = Photo(SMOOTH, SMOOTH[..., 0], False, "bmp")
    with pytest.raises(InputError, match="transparency, which BMP does not support"):
        check_output(clear, "bmp", 1)


def test_jfif_keeps_its_name_and_a_multi_picture_becomes_a_jpeg(tmp_path, read):
    for name in ("a.jfif", "b.MPO", "c.avif"):
        (tmp_path / name).touch()
    jobs, _ = plan_jobs([str(tmp_path)], tmp_path.with_name("out"))
    assert [(job.destination.name, job.format) for job in jobs] == [
        ("a.jfif", None),
        ("b.jpg", "jpeg"),
        ("c.avif", None),
    ]
    frames = [Image.fromarray(SMOOTH), Image.fromarray(255 - SMOOTH)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "MPO", save_all=True, append_images=frames[1:])
    photo = read(buffer.getvalue())
    assert photo.format == "jpeg" and error(photo, SMOOTH) < 5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("first", [True, False])
def test_the_full_size_page_of_a_tiff(read, dtype, first):
    pixels = WIDE.astype(dtype)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        if first:
            file.write(pixels, photometric="rgb")
        for step in (2, 4):
            file.write(pixels[::step, ::step], photometric="rgb", subfiletype=1)
        if not first:
            file.write(pixels, photometric="rgb")
    np.testing.assert_array_equal(read(buffer.getvalue()).pixels, pixels)


@pytest.mark.parametrize(
    ("dtype", "what"),
    [
        (np.float32, "32-bit floating-point"),
        (np.float16, "16-bit floating-point"),
        (np.float64, "64-bit floating-point"),
        (np.uint32, "32-bit integer"),
        (np.int16, "16-bit signed integer"),
    ],
)
def test_other_samples_of_tiff(read, dtype, what):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, SMOOTH.astype(dtype), photometric="rgb")
    with pytest.raises(InputError, match=f"photo has {what} samples; save it with 8 or 16 bits"):
        read(buffer.getvalue())


def twelve_bit_jpeg():
    content = bytearray(saved(SMOOTH, "JPEG"))
    content[content.index(b"\xff\xc0") + 4] = 12
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (twelve_bit_jpeg(), "is a 12-bit JPEG, which is not supported; save it as JPEG, PNG"),
        (b"\xff\xd8\xff\xf7" + bytes(60), "is JPEG-LS"),
        (b"GIF89a" + bytes(60), "is GIF, which is not supported"),
        (b"8BPS\0\1" + bytes(60), "is a Photoshop file"),
        (b"\0\0\0\x18ftypmp42" + bytes(60), "is a video or another file of the MP4 family"),
        (saved(SMOOTH, "AVIF")[:300], "is a damaged AVIF file"),
        (saved(SMOOTH, "HEIF")[:300], "is a damaged HEIC file"),
        (saved(SMOOTH, "JXL")[:60], "is a damaged JPEG XL file"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "is a damaged JPEG file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "is a damaged PNG file"),
        (b"RIFF\1\0\0\0WEBP" + bytes(60), "is a damaged WebP file"),
        (b"BM" + bytes(60), "cannot be decoded: Unsupported BMP header"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif" + bytes(60), "is a damaged AVIF file"),
    ],
)
def test_messages_name_the_true_format(read, content, message):
    with pytest.raises(InputError, match=f"photo {message}"):
        read(content)


@pytest.mark.parametrize("format", ["heic", "jxl"])
def test_a_missing_package_is_named(read, monkeypatch, format):
    plugin = {"heic": "HEIF", "jxl": "JXL"}[format]
    content = saved(SMOOTH, plugin)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=rf"photo is .*, which needs .*'\.\[{format}\]'"):
        read(content)


def test_encoders_have_limits():
    def photo(height, width):
        return Photo(np.broadcast_to(np.uint8(0), (height, width, 3)), None, False, "png")

    for size, format, problem in (
        ((64, 40_000), "avif", "AVIF is limited to 32,768 px per side; choose --format png"),
        ((64, 40_000), "heic", "HEIC is limited to 32,768 px per side"),
        ((16, 5_000), "heic", "HEIC is limited to sides in a ratio of 1 to 256"),
        ((20_000, 20_000), "avif", "AVIF is limited to 268 megapixels"),
    ):
        with pytest.raises(InputError, match=f"would become .*, but {problem}"):
            check_output(photo(*size), format, 1)
    check_output(photo(64, 16_384), "heic", 1)
    for format, size in (("heic", (64, 16_384)), ("avif", (16, 32_768))):
        content = encode_photo(photo(*size), format)
        assert Image.open(io.BytesIO(content)).size == size[::-1]


CASES = {
    "photo.avif": "avif",
    "photo.bmp": "bmp",
    "photo.jfif": "jpeg",
    "heic_nclx_p3.heic": "heic",
    "tiff_thumb.tif": "tiff",
    "big_xmp.tif": "tiff",
    "gray_trns.png": "png",
    "motion.jpg": "jpeg",
}
REFUSED = {
    "float32.tif": "has 32-bit floating-point samples",
    "lab.tif": "has pixels of mode LAB",
    "rgb_5ch.tif": "has 5 channels",
}


def test_odd_files(shared):
    folder = shared / "cases" / "photos"
    if not folder.is_dir():
        pytest.skip("the folder cases/photos is missing")
    for name, format in CASES.items():
        photo = read_photo(folder / name)
        assert (photo.format, photo.pixels.shape) == (format, (128, 128, 3)), name
        again = encode_photo(photo, format)
        with Image.open(io.BytesIO(again)) as image:
            assert image.size == (128, 128), name
    for name, message in REFUSED.items():
        with pytest.raises(InputError, match=message):
            read_photo(folder / name)
