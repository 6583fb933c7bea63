"""One photo file read: its pixels, and what else of it goes into the file written from it.

JPEG, PNG, WebP, TIFF and, with the extra `heic`, HEIC. Pixels come upright, as RGB of 8 or 16
bits; alpha stands beside them. CMYK becomes sRGB by its profile, which is then dropped; palettes
become RGB. What is dropped too: thumbnails, gain maps and the further pictures of a multi-picture
JPEG or HEIC. Kinds of pixels that would lose something silently are errors.
"""

import contextlib
import dataclasses
import importlib.util
import io
import os
import pathlib
import stat
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin

from ppcn_jax.photos import exif, sixteen_bits, tiff
from ppcn_jax.runtime.errors import InputError

# The suffixes of each format, the one that new names get first.
SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe"),
    "png": (".png",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "heic": (".heic", ".heif", ".hif"),
}
# A phone's largest photos have 200 megapixels; beyond this a header is refused unread.
MOST_PIXELS = 400_000_000
_MOST_BYTES = 8 * MOST_PIXELS  # four samples of 16 bits, not compressed
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
# Pillow's limit is one variable of the process.
_LIMIT = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo and what else its file held.

    Attributes:
        levels: uint8 or uint16 `[H, W, 3]`, RGB, upright.
        alpha: the same type, `[H, W]`; None if the file has none.
        gray: the file holds one channel of color.
        format: a key of `SUFFIXES`.
        block: EXIF, with upright orientation.
        icc: the color profile.
        xmp: the XMP packet.
        options: of the encoder, to write the same format as it was.
    """

    levels: np.ndarray
    alpha: np.ndarray | None
    gray: bool
    format: str
    block: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def read_photo(path: pathlib.Path) -> Photo:
    """Read a photo.

    Args:
        path: the file.

    Returns:
        The photo.

    Raises:
        InputError: it cannot be read, or does not decode completely; the message names it.
    """
    try:
        # Asked before it is opened: a pipe would be waited for, a device never ends.
        _check_file(path.stat())
        with path.open("rb") as file:
            start = file.read(16)
            file.seek(0)
            formats = _formats(start)
            with _decoding():
                return _read(file, formats)
    except InputError as error:
        raise InputError(f"{path} {error}") from error.__cause__
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_file(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError("cannot be read: it is no file")
    if status.st_size > _MOST_BYTES:
        raise InputError(f"has {status.st_size / 1e9:.0f} GB; no photo has")


def _formats(start: bytes) -> list[str]:
    if not start:
        raise InputError("is empty")
    if start[4:8] == b"ftyp" and start[8:12] in _HEIC_BRANDS:
        if not importlib.util.find_spec("pillow_heif"):
            raise InputError("is HEIC, which needs an extra: pip install 'ppcn-jax[heic]'")
        import pillow_heif

        pillow_heif.register_heif_opener()
        return ["HEIF"]
    return ["JPEG", "PNG", "WEBP", "TIFF"]  # Pillow finds MPO, of several pictures, among JPEG


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    with _LIMIT, warnings.catch_warnings():
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS // 2
        # Pillow warns from there on and refuses the double; other warnings are of metadata.
        warnings.simplefilter("ignore")
        try:
            yield
        except (InputError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise InputError(
                f"has more than {MOST_PIXELS // 1_000_000} megapixels; no photo has"
            ) from error
        except Image.UnidentifiedImageError as error:
            raise InputError("is not a readable JPEG, PNG, WebP, TIFF or HEIC file") from error
        except Exception as error:  # each of Pillow's plugins raises kinds of its own
            raise InputError(f"does not decode as a picture: {error}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _read(file: BinaryIO, formats: list[str]) -> Photo:
    with Image.open(file, formats=formats) as image:
        form = _FORMATS[str(image.format)]
        pictures = getattr(image, "n_frames", 1)
        if form in ("png", "webp", "tiff") and pictures > 1:
            raise InputError(f"holds {pictures} pictures (an animation or pages), not one")
        if form == "heic" and image.info.get("bit_depth", 8) > 8:
            raise InputError("has more than 8 bits a channel, which are read of PNG and TIFF only")
        if form == "tiff":
            _check_strips(image)
        options = _options(image, form, file)
        samples, gray = _pixels(image, file)
        block = _exif_block(image, form)
        samples = exif.turn(samples, exif.orientation(block))
        height, width = samples.shape[:2]
        xmp = image.info.get("xmp", b"")
        return Photo(
            levels=np.ascontiguousarray(samples[..., :3]),
            alpha=np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None,
            gray=gray,
            format=form,
            block=exif.upright(block, height, width),
            icc=b"" if image.mode == _CMYK else image.info.get("icc_profile") or b"",
            xmp=exif.upright_xmp(xmp.encode() if isinstance(xmp, str) else xmp or b""),
            options=options,
        )


def _check_strips(image: Any) -> None:
    # Pillow leaves black what no strip of a TIFF covers.
    sides = image.tag_v2.get(256), image.tag_v2.get(257)  # as stored; image.size may be turned
    ends = map(max, zip(*(tile[1][2:] for tile in image.tile), strict=True))
    if any(end < side for end, side in zip(ends, sides, strict=False)):
        raise InputError("does not decode as a picture: parts of it are missing")


def _options(image: Any, form: str, file: BinaryIO) -> dict[str, Any]:
    if form == "jpeg":
        subsampling = JpegImagePlugin.get_sampling(image)
        return {
            "qtables": [table for _, table in sorted(image.quantization.items())],
            # Rarer ones are unknown to Pillow; none loses nothing.
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


def _pixels(image: Image.Image, file: BinaryIO) -> tuple[np.ndarray, bool]:
    """Samples `[H, W, 3 or 4]` as stored, and whether they are gray."""
    if sixteen_bits.is_wide(image):
        samples = sixteen_bits.read_wide(image, file)
        return _with_transparency(samples, image.info.get("transparency"))
    image.load()
    alpha = "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "RGBa")
    gray = image.mode in ("1", "L", "LA")
    if image.mode == _CMYK:
        image = _cmyk_to_srgb(image)
    elif image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise InputError(f"has pixels of the kind {image.mode}; save it as RGB or gray")
    if image.mode != ("RGBA" if alpha else "RGB"):
        image = image.convert("RGBA" if alpha else "RGB")
    return np.asarray(image), gray


def _with_transparency(samples: np.ndarray, key: Any) -> tuple[np.ndarray, bool]:
    gray = samples.shape[2] < 3
    color, alpha = (samples[..., :1], samples[..., 1:]) if gray else np.split(samples, [3], 2)
    if key is not None:  # PNG: the one color that is transparent
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


def _exif_block(image: Image.Image, form: str) -> bytes:
    block = image.info.get("exif") or b""
    if not block and (fields := image.getexif()):
        # Of TIFF the file itself is the block, with tags of its own; Pillow has turned it.
        for tag in tiff.STRUCTURE & fields.keys():
            del fields[tag]
        block = fields.tobytes()
    block = block.removeprefix(exif.HEADER)
    return block if exif.entries(block) else b""
