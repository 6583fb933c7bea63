"""Read a photo file: its pixels and whatever else is carried over to the result.

Formats: JPEG, PNG, WebP, TIFF and, with the extra `heic`, HEIC. Pixels are returned upright as RGB
of 8 or 16 bits, with alpha as a separate array. CMYK is converted to sRGB by its color profile,
which is then dropped; palettes are converted to RGB. Thumbnails, gain maps and all but the first
image of a multi-picture JPEG or HEIC are dropped as well. Pixel types that could not be read
without a silent loss raise an error.
"""

import contextlib
import dataclasses
import importlib.util
import io
import pathlib
import stat
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin

from ppcn_jax.photos import exif, sixteen_bits, tiff
from ppcn_jax.runtime.errors import InputError, install_hint

# File suffixes of each format; the first one is used for new names.
SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe"),
    "png": (".png",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "heic": (".heic", ".heif", ".hif"),
}
ALL_SUFFIXES = tuple(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
# Phones take photos of up to 200 megapixels; a header that declares more than this is rejected.
MOST_PIXELS = 400_000_000
_MOST_BYTES = 8 * MOST_PIXELS  # four samples of 16 bits, uncompressed
_FORMATS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tiff",
    "HEIF": "heic",
}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_CMYK = "CMYK"
# Pillow's size limit is a global variable of the process.
_LIMIT_LOCK = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Photo:
    """Pixels and metadata of a photo.

    Attributes:
        pixels: uint8 or uint16 `[H, W, 3]`, RGB, upright.
        alpha: `[H, W]` of the same type; None if the file has none.
        gray: the file has a single color channel.
        format: a key of `SUFFIXES`.
        block: EXIF, with upright orientation.
        icc: the color profile.
        xmp: the XMP packet.
        options: encoder options that reproduce the file's quality in the same format.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    gray: bool
    format: str
    block: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Header:
    """What a photo file says before its pixels are decoded.

    Attributes:
        pixels: their number.
        block: EXIF, with the orientation of the file.
    """

    pixels: int
    block: bytes


def read_photo(path: pathlib.Path) -> Photo:
    """Read a photo; raises InputError, which names the file, if it does not decode completely."""
    with _opened(path) as (file, formats):
        return _read(file, formats)


def read_header(path: pathlib.Path) -> Header:
    """Read what precedes the pixels; raises InputError, which names the file, if it is damaged."""
    with _opened(path) as (file, formats), Image.open(file, formats=formats) as image:
        return Header(image.width * image.height, _exif_block(image))


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[BinaryIO, list[str]]]:
    """Open a photo file and name the Pillow plugins to try; errors name the file."""
    try:
        # Check before opening: opening a pipe blocks, and a device never ends.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("cannot be read: it is not a regular file")
        if status.st_size > _MOST_BYTES:
            raise InputError(f"is too large for a photo: {status.st_size / 1e9:.0f} GB")
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            formats = _formats(start)
            with _decoding():
                yield file, formats
    except InputError as error:
        raise InputError(f"{path} {error}") from error.__cause__
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _formats(start: bytes) -> list[str]:
    """Names of the Pillow plugins to try, from the first bytes of a file."""
    if not start:
        raise InputError("is empty")
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        if not importlib.util.find_spec("pillow_heif"):
            raise InputError(f"is HEIC, which needs pillow-heif: {install_hint('heic')}")
        import pillow_heif

        pillow_heif.register_heif_opener()
        return ["HEIF"]
    return ["JPEG", "PNG", "WEBP", "TIFF"]  # the JPEG plugin also opens MPO


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Set Pillow's size limit and convert its errors to InputError."""
    with _LIMIT_LOCK, warnings.catch_warnings():
        # Pillow warns above its limit and raises above twice the limit.
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS // 2
        warnings.simplefilter("ignore")  # that one, and those about metadata
        try:
            yield
        except (InputError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            megapixels = MOST_PIXELS // 1_000_000
            raise InputError(f"is too large: more than {megapixels} megapixels") from error
        except Image.UnidentifiedImageError as error:
            raise InputError("is not a readable JPEG, PNG, WebP, TIFF or HEIC file") from error
        except Exception as error:  # Pillow's plugins raise many different types
            raise InputError(f"cannot be decoded: {error}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _read(file: BinaryIO, formats: list[str]) -> Photo:
    with Image.open(file, formats=formats) as image:
        form = _FORMATS[str(image.format)]
        count = getattr(image, "n_frames", 1)
        if form in ("png", "webp", "tiff") and count > 1:
            raise InputError(
                f"contains {count} images (an animation or several pages); one is expected"
            )
        if form == "heic" and image.info.get("bit_depth", 8) > 8:
            raise InputError(
                "has more than 8 bits per channel, which is supported for PNG and TIFF only"
            )
        if form == "tiff":
            _check_strips(image)
        options = _options(image, form, file)
        samples, gray = _read_samples(image, file)
        block = _exif_block(image)
        samples = exif.apply_orientation(samples, exif.orientation(block))
        height, width = samples.shape[:2]
        xmp = image.info.get("xmp", b"")
        return Photo(
            pixels=np.ascontiguousarray(samples[..., :3]),
            alpha=np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None,
            gray=gray,
            format=form,
            block=exif.mark_upright(block, height, width),
            icc=b"" if image.mode == _CMYK else image.info.get("icc_profile") or b"",
            xmp=exif.mark_xmp_upright(xmp.encode() if isinstance(xmp, str) else xmp or b""),
            options=options,
        )


def _check_strips(image: Any) -> None:
    """Reject a TIFF whose strips do not cover the image: Pillow would leave the rest black."""
    sides = image.tag_v2.get(256), image.tag_v2.get(257)  # as stored; image.size may be rotated
    ends = map(max, zip(*(tile[1][2:] for tile in image.tile), strict=True))
    if any(end < side for end, side in zip(ends, sides, strict=False)):
        raise InputError("cannot be decoded: parts of the image are missing")


def _options(image: Any, form: str, file: BinaryIO) -> dict[str, Any]:
    """Encoder options that reproduce the quality of the file."""
    if form == "jpeg":
        subsampling = JpegImagePlugin.get_sampling(image)
        return {
            "qtables": [table for _, table in sorted(image.quantization.items())],
            # Pillow cannot write rarer kinds; 0, no subsampling, loses nothing.
            "subsampling": subsampling if subsampling in (0, 1, 2) else 0,
            "progressive": bool(image.info.get("progressive")),
        }
    if form == "webp":
        position = file.tell()
        file.seek(0)
        lossless = b"VP8L" in _riff_chunks(file.read())
        file.seek(position)
        return {"lossless": True, "exact": True} if lossless else {}
    if form == "tiff":
        return {"packed": image.info.get("compression") != "raw"}
    return {}


def _riff_chunks(content: bytes) -> set[bytes]:
    names, position = set(), 12
    while position + 8 <= len(content):
        names.add(content[position : position + 4])
        size = int.from_bytes(content[position + 4 : position + 8], "little")
        position += 8 + size + size % 2
    return names


def _read_samples(image: Image.Image, file: BinaryIO) -> tuple[np.ndarray, bool]:
    """Samples `[H, W, 3 or 4]` in the stored orientation, and whether the file is grayscale."""
    if sixteen_bits.is_wide(image):
        samples = sixteen_bits.read_wide(image, file)
        return _with_transparency(samples, image.info.get("transparency"))
    image.load()
    alpha = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa")
    gray = image.mode in ("1", "L", "LA")
    if image.mode == _CMYK:
        image = _cmyk_to_srgb(image)
    elif image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise InputError(
            f"has pixels of mode {image.mode}, which is not supported; save it as RGB or grayscale"
        )
    if image.mode != ("RGBA" if alpha else "RGB"):
        image = image.convert("RGBA" if alpha else "RGB")
    return np.asarray(image), gray


def _with_transparency(samples: np.ndarray, key: Any) -> tuple[np.ndarray, bool]:
    gray = samples.shape[2] < 3
    color, alpha = (samples[..., :1], samples[..., 1:]) if gray else np.split(samples, [3], 2)
    if key is not None:  # a PNG's single transparent color
        alpha = np.where((color == key).all(-1, keepdims=True), 0, 65535).astype(np.uint16)
    color = np.broadcast_to(color, (*color.shape[:2], 3))
    return (np.concatenate([color, alpha], -1) if alpha.shape[2] else color), gray


def _cmyk_to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    with contextlib.suppress(ImageCms.PyCMSError, OSError):
        if profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, srgb, outputMode="RGB") or image
    return image.convert("RGB")


def _exif_block(image: Image.Image) -> bytes:
    block = image.info.get("exif") or b""
    if not block and (fields := image.getexif()):
        # A TIFF file is its own block: drop the tags that describe how its pixels are stored.
        for tag in tiff.STRUCTURE & fields.keys():
            del fields[tag]
        block = fields.tobytes()
    block = block.removeprefix(exif.HEADER)
    return block if exif.entries(block) else b""
