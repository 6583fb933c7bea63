"""Reading and writing photo files without processing: what must survive, and errors."""

import dataclasses
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from ppcn_jax.photos import tiff
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.write import check_output, encode_photo
from ppcn_jax.runtime.errors import InputError

H, W = 20, 31
RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (H, W, 4), np.uint8)
WIDE = RNG.integers(0, 65536, (H, W, 4)).astype(np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>stars</x:xmpmeta>"


@pytest.fixture
def read(tmp_path):
    """Write content to a file and read it as a photo."""

    def read_content(content, name="photo"):
        (tmp_path / name).write_bytes(content)
        return read_photo(tmp_path / name)

    return read_content


def saved(image, form, **options):
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def opened(content):
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def make_exif(orientation=1):
    fields = Image.Exif()
    fields[0x010F], fields[0x0112] = "Camera", orientation
    fields[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x927C: b"note", 0xA002: W, 0xA003: H}
    fields[0x8825] = {1: "N", 2: (1.0, 2.0, 3.5)}
    return fields.tobytes()


def picture(mode):
    channels = {"L": 0, "LA": slice(2), "RGB": slice(3), "RGBA": slice(4)}[mode]
    return Image.fromarray(np.ascontiguousarray(NOISE[..., channels]))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("form", ["png", "tiff", "webp"])
def test_lossless_formats_keep_every_pixel(read, form, mode):
    options = {"lossless": True, "exact": True} if form == "webp" else {}
    content = saved(picture(mode), form, **options)
    photo = read(content)
    reread = opened(encode_photo(photo, form))
    expected = opened(content)
    assert (reread.format, reread.mode) == (expected.format, expected.mode)
    np.testing.assert_array_equal(reread, expected)
    assert photo.gray == (mode in ("L", "LA") and form != "webp")


@pytest.mark.parametrize("form", ["jpeg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_metadata_survive_and_the_photo_is_upright(read, form, orientation):
    smooth = Image.linear_gradient("L").resize((W, H)).convert("RGB")
    options = {"exif": make_exif(orientation), "icc_profile": SRGB}
    if form == "png":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP.decode())
    elif form != "tiff":
        options["xmp"] = XMP
    photo = read(saved(smooth, form, **options))
    assert photo.pixels.shape == ((H, W, 3) if orientation == 1 else (W, H, 3))
    reread = opened(encode_photo(photo, form))
    assert reread.size == ((W, H) if orientation == 1 else (H, W))
    fields = reread.getexif()
    assert (fields[0x010F], fields.get(0x0112, 1)) == ("Camera", 1)
    camera = fields.get_ifd(0x8769)
    assert (camera[0x9003], camera[0x927C]) == ("2020:01:02 03:04:05", b"note")
    assert (camera[0xA002], camera[0xA003]) == reread.size
    assert fields.get_ifd(0x8825)[1] == "N"
    assert reread.info["icc_profile"] == SRGB
    if form != "tiff":
        assert reread.info["xmp"] == XMP


@pytest.mark.parametrize("source", ["jpeg", "tiff"])
@pytest.mark.parametrize("form", ["jpeg", "png", "tiff", "webp"])
def test_metadata_survive_a_change_of_format(read, source, form):
    image = picture("RGB")
    photo = read(saved(image, source, exif=make_exif(3), icc_profile=SRGB))
    fields = opened(encode_photo(photo, form)).getexif()
    assert fields[0x010F] == "Camera"
    assert fields.get_ifd(0x8769)[0x927C] == b"note"
    assert fields.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("packed", [True, False])
def test_tiff_metadata_are_rewritten_with_compression(read, packed):
    photo = Photo(WIDE[..., :3], WIDE[..., 3], False, "png", make_exif()[6:], SRGB, XMP)
    content = tiff.encode(WIDE, block=photo.block, icc=SRGB, xmp=XMP, packed=packed)
    reread = read(content)
    np.testing.assert_array_equal(reread.pixels, photo.pixels)
    np.testing.assert_array_equal(reread.alpha, photo.alpha)
    assert (reread.icc, reread.xmp, reread.options) == (SRGB, XMP, {"packed": packed})
    assert opened(content).getexif().get_ifd(0x8769)[0x927C] == b"note"
    # Also through `encode_photo`.
    assert encode_photo(reread, "tiff")[:2] == content[:2]


def test_jpeg_keeps_its_quality_and_type(read):
    smooth = Image.radial_gradient("L").resize((160, 120)).convert("RGB")
    for quality, subsampling, progressive in ((37, 2, True), (92, 0, False), (80, 1, False)):
        content = saved(
            smooth, "jpeg", quality=quality, subsampling=subsampling, progressive=progressive
        )
        photo = read(content)
        reread = opened(encode_photo(photo, "jpeg"))
        first = opened(content)
        assert reread.quantization == first.quantization
        assert reread.layer == first.layer  # subsampling of each channel
        assert reread.info.get("progressive") == first.info.get("progressive")
        best = encode_photo(photo, "jpeg", 100)
        assert max(opened(best).quantization[0]) == 1


def test_the_first_image_of_a_multi_picture_jpeg_is_read(read):
    other = Image.new("RGB", (40, 30))
    photo = read(saved(picture("RGB"), "MPO", save_all=True, append_images=[other]))
    assert photo.format == "jpeg" and photo.pixels.shape == (H, W, 3)


def test_lossy_webp_stays_lossy(read):
    photo = read(saved(picture("RGB"), "webp", quality=60))
    assert photo.options == {}
    assert b"VP8L" not in encode_photo(photo, "webp")


def test_palette_becomes_rgb_and_keeps_its_transparency(read):
    image = picture("RGB").quantize(16)
    assert not read(saved(image, "png")).gray
    photo = read(saved(image, "png", transparency=3))
    np.testing.assert_array_equal(photo.pixels, image.convert("RGB"))
    np.testing.assert_array_equal(photo.alpha == 0, np.asarray(image) == 3)


def test_a_transparent_color_becomes_alpha(read):
    image = Image.new("RGB", (W, H), (1, 2, 3))
    image.putpixel((4, 5), (9, 9, 9))
    photo = read(saved(image, "png", transparency=(9, 9, 9)))
    assert photo.alpha.sum() == 255 * (H * W - 1) and photo.alpha[5, 4] == 0


def test_cmyk_becomes_rgb_without_its_profile(read):
    cmyk = Image.new("CMYK", (W, H), (0, 200, 200, 10))
    photo = read(saved(cmyk, "jpeg", icc_profile=b"not a profile"))
    assert photo.icc == b"" and not photo.gray
    expected = np.asarray(cmyk.convert("RGB")).astype(int)
    assert np.abs(photo.pixels - expected).max() < 4
    assert opened(encode_photo(photo, "jpeg")).mode == "RGB"


def png_16(samples, filters=(0, 1, 2, 3, 4), transparent=b""):
    """Encode a 16-bit PNG by the specification, with every filter."""
    height, width, channels = samples.shape
    step = 2 * channels
    rows = [[0] * (step * width)] + [list(row.astype(">u2").tobytes()) for row in samples]
    lines = bytearray()
    for y in range(height):
        up, row, kind = rows[y], rows[y + 1], filters[y % len(filters)]
        lines.append(kind)
        for x, value in enumerate(row):
            a, c = (row[x - step], up[x - step]) if x >= step else (0, 0)
            b = up[x]
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            lines.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 16, (0, 4, 2, 6)[channels - 1], 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(bytes(lines)))
        + chunk(b"IEND", b"")
    )


def check_wide(photo, samples):
    channels = samples.shape[2]
    color = samples[..., :1] if channels < 3 else samples[..., :3]
    assert photo.pixels.dtype == np.uint16
    np.testing.assert_array_equal(photo.pixels, np.broadcast_to(color, photo.pixels.shape))
    if channels in (2, 4):
        np.testing.assert_array_equal(photo.alpha, samples[..., -1])
    else:
        assert photo.alpha is None
    assert photo.gray == (channels < 3)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("form", ["png", "tiff"])
def test_16_bits_survive(read, channels, form):
    samples = WIDE[..., :channels]
    photo = dataclasses.replace(read(png_16(samples)), icc=SRGB, block=make_exif()[6:], xmp=XMP)
    check_wide(photo, samples)
    content = encode_photo(photo, form)
    if (form, channels) == ("tiff", 2):  # Pillow cannot read gray with alpha
        samples = samples[..., [0, 0, 0, 1]]
    reread = read(content)
    check_wide(reread, samples)
    assert (reread.icc, reread.xmp) == (SRGB, XMP)
    assert opened(content).getexif()[0x010F] == "Camera"
    # Compare with another decoder: Pillow reads the high bytes of colors.
    if channels > 2:
        np.testing.assert_array_equal(opened(content), samples >> 8)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("packed", [True, False])
def test_16_bit_tiff_in_both_byte_orders(read, order, packed):
    block = {"<": b"II*\0\x08\0\0\0", ">": b"MM\0*\0\0\0\x08"}[order]
    # A block needs one field to be valid.
    block += struct.pack(f"{order}HHHII", 1, 0x0112, 3, 1, 0)[:10] + bytes(8)
    check_wide(read(tiff.encode(WIDE, block=block, packed=packed)), WIDE)
    assert tiff.encode(WIDE, block=block)[:2] == block[:2]


def test_16_bits_with_a_transparent_color(read):
    samples = WIDE[..., :3]
    photo = read(png_16(samples, transparent=samples[3, 4].astype(">u2").tobytes()))
    assert photo.alpha[3, 4] == 0 and (photo.alpha == 0).sum() == 1


def test_inverted_gray_tiff(read):
    content = bytearray(tiff.encode(WIDE[..., :1], packed=False))
    entry = struct.pack("<HHII", 262, 3, 1, 1)
    content[content.index(entry) + 8] = 0
    np.testing.assert_array_equal(read(content).pixels[..., 0], 65535 - WIDE[..., 0])


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_16_bits_are_rounded_for_8_bit_formats(read, form):
    flat = np.full((H, W, 3), 1000, np.uint16)
    photo = Photo(flat, None, False, "png")
    np.testing.assert_allclose(np.asarray(opened(encode_photo(photo, form))), 4, atol=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((284, 1, 2), "16-bit TIFF pixels stored as .* in planes"),
        ((262, 2, 5), "16-bit TIFF pixels stored as CMYK"),
        ((338, 2, 1), "16-bit TIFF pixels stored as RGBa"),
    ],
    ids=["planes", "cmyk", "premultiplied"],
)
def test_16_bits_are_never_truncated_silently(read, change, message):
    tag, before, after = change
    content = bytearray(tiff.encode(WIDE, packed=False))
    content[content.index(struct.pack("<HHII", tag, 3, 1, before)) + 8] = after
    if tag == 262:  # four inks and no alpha
        extra = content.index(struct.pack("<HHII", 338, 3, 1, 2))
        content[extra : extra + 2] = struct.pack("<H", 339)  # sample format 2...
        content[extra + 8] = 1  # ...1: unsigned
    with pytest.raises(InputError, match=message):
        read(content)


@pytest.mark.parametrize(
    ("mode", "what"),
    [
        ("I", "32-bit signed integer samples; save it with 8 or 16 bits"),
        ("F", "32-bit floating-point samples; save it with 8 or 16 bits"),
        ("LAB", "pixels of mode LAB"),
    ],
)
def test_other_pixel_types_are_errors(read, mode, what):
    with pytest.raises(InputError, match=f"photo has {what}"):
        read(saved(Image.new(mode, (W, H)), "tiff"))


def jpeg():
    return saved(picture("RGB"), "jpeg", quality=95)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "photo is empty"),
        (
            b"hello" * 100,
            "photo is not a readable JPEG, PNG, WebP, TIFF, HEIC, AVIF, JPEG XL or BMP file",
        ),
        (jpeg()[:600], "(?i)cannot be decoded.*truncated"),
        (jpeg()[:-200], "cannot be decoded.*truncated"),
        (saved(picture("RGB"), "png")[:-300], "cannot be decoded.*truncated"),
        (saved(picture("RGB"), "webp")[:-300], "photo "),
        (png_16(WIDE[..., :3])[:-300], "cannot be decoded.*truncated"),
        (tiff.encode(WIDE)[:-60], "photo "),
        (saved(picture("RGB"), "gif"), "photo is GIF, which is not supported; save it as JPEG"),
    ],
    ids=["empty", "text", "header", "jpeg", "png", "webp", "png16", "tiff", "gif"],
)
def test_damaged_files(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


@pytest.mark.parametrize("form", ["webp", "tiff", "png"])
def test_several_images_are_an_error(read, form):
    others = [Image.new("RGB", (W, H), color) for color in ("red", "blue")]
    content = saved(picture("RGB"), form, save_all=True, append_images=others)
    with pytest.raises(InputError, match="contains 3 images"):
        read(content)


def test_a_decompression_bomb_is_rejected_by_its_header(read):
    content = bytearray(png_16(WIDE[..., :3]))
    content[16:24] = struct.pack(">II", 20_001, 20_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    with pytest.raises(InputError, match="more than 400 megapixels"):
        read(content)
    # 108 megapixels, which cameras have, are accepted: this file fails only as it is truncated.
    content[16:24] = struct.pack(">II", 12_000, 9_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(InputError, match="truncated|cannot be decoded"):
        read(content)
    assert Image.MAX_IMAGE_PIXELS == before


def test_folders_and_missing_files_are_errors(tmp_path):
    for path in (tmp_path, tmp_path / "absent.jpg"):
        with pytest.raises(InputError, match=f"{path.name} cannot be read"):
            read_photo(path)


def test_missing_permission_is_reported(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x.jpg").touch()
    monkeypatch.setattr("pathlib.Path.open", fail)
    with pytest.raises(InputError, match=r"x\.jpg cannot be read: Permission denied"):
        read_photo(tmp_path / "x.jpg")


def test_heic(read):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    pillow_heif.register_heif_opener()
    smooth = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
    options = {"exif": make_exif(6), "icc_profile": SRGB, "xmp": XMP}
    photo = read(saved(smooth, "HEIF", **options))
    assert (photo.format, photo.pixels.shape) == ("heic", (64, 48, 3))
    reread = opened(encode_photo(photo, "heic"))
    assert reread.size == (48, 64)
    assert np.abs(np.asarray(reread).astype(int) - photo.pixels).mean() < 3
    assert reread.getexif()[0x010F] == "Camera"
    assert (reread.info["icc_profile"], reread.info["xmp"]) == (SRGB, XMP)


def test_heic_without_pillow_heif_names_the_extra(read, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"photo is HEIC.*pip install '\.\[heic\]' in a clone"):
        read(b"\0\0\0\x18ftypheic" + bytes(100))


def test_formats_have_limits():
    large = Photo(np.zeros((16, 20_000, 3), np.uint8), None, False, "png")
    check_output(large, "png", 4)
    check_output(large, "jpeg", 1)
    with pytest.raises(InputError, match="80,000 x 64 px, but JPEG is limited to 65,500"):
        check_output(large, "jpeg", 4)
    with pytest.raises(InputError, match="WEBP is limited to 16,383"):
        check_output(large, "webp", 1)
    huge = dataclasses.replace(large, pixels=np.broadcast_to(large.pixels[:1], (9000, 20_000, 3)))
    with pytest.raises(InputError, match="too large for TIFF"):
        check_output(huge, "tiff", 4)


def test_jpeg_accepts_alpha_only_if_it_is_opaque():
    alpha = np.full((H, W), 255, np.uint8)
    photo = Photo(NOISE[..., :3], alpha, False, "png")
    check_output(photo, "jpeg", 1)
    assert opened(encode_photo(photo, "jpeg")).mode == "RGB"
    alpha[0, 0] = 254
    with pytest.raises(InputError, match="has transparency, which JPEG does not support"):
        check_output(photo, "jpeg", 1)


def test_a_gray_profile_is_not_written_with_colors():
    profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    photo = Photo(np.full((H, W, 3), 7, np.uint8), None, True, "jpeg", icc=profile)
    assert "icc_profile" not in opened(encode_photo(photo, "webp")).info
    assert opened(encode_photo(photo, "jpeg")).info["icc_profile"] == profile


def test_encoder_errors_are_reported():
    photo = Photo(NOISE[..., :3], None, False, "jpeg", options={"qtables": [[1]]})
    with pytest.raises(InputError, match="cannot be written as JPEG: Invalid quantization table"):
        encode_photo(photo, "jpeg")
