"""Read a photo file: its pixels and whatever else is carried over to the result.

Formats: JPEG, PNG, WebP, TIFF, AVIF, BMP and, with the extras `heic` and `jxl`, HEIC and JPEG XL.
Pixels are returned upright as RGB of 8 or 16 bits, with alpha as a separate array. CMYK is converted to sRGB by its color profile,
which is then dropped; palettes are converted to RGB. Thumbnails, gain maps and all but the first
image of a multi-picture JPEG or HEIC are dropped as well. Pixel types that could not be read
without a silent loss raise an error.
"""

import contextlib
import dataclasses
import pathlib
import stat
import threading
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin

from ppcn_jax.photos import exif, tiff_pages
from ppcn_jax.photos.camera_raw import develop
from ppcn_jax.photos.color_profiles import profile_name
from ppcn_jax.photos.color_space import can_return, color_space, convert_to_srgb
from ppcn_jax.photos.formats import PLUGINS, starts_like_raw
from ppcn_jax.photos.metadata import read_block, read_metadata
from ppcn_jax.photos.photo import MOST_PIXELS, Photo
from ppcn_jax.photos.recognize import NAMES, check_jpeg, plugin_for
from ppcn_jax.photos.samples import read_samples
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.memory import check_available
from ppcn_jax.runtime.storage import is_remote, local_copy

_MOST_BYTES = 8 * MOST_PIXELS  # four samples of 16 bits, uncompressed
# Their errors do not say which format they speak of.
_OTHER_LIBRARIES = ("HEIC", "AVIF", "JPEG XL")
# Bytes for each pixel while a photo is read, at least: those of Pillow's image and of ours.
_PIXEL_BYTES = 6
_JPEG_HEADERS = 2**20  # bytes before the picture that are searched
# Pillow's size limit is a global variable of the process.
_LIMIT_LOCK = threading.Lock()


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
    with _opened(path) as (file, plugin):
        return _read(file, plugin) if plugin else develop(file)


def read_srgb(path: pathlib.Path) -> np.ndarray:
    """Read the pixels of a photo, converted to sRGB; raises InputError as `read_photo`."""
    photo = read_photo(path)
    return convert_to_srgb(color_space(photo.icc), photo.pixels)


def read_header(path: pathlib.Path) -> Header:
    """Read what precedes the pixels; raises InputError, which names the file, if it is damaged."""
    with _opened(path) as (file, plugin):
        if not plugin:
            photo = develop(file)
            return Header(photo.pixels[..., 0].size, photo.block)
        with _open_image(file, plugin) as image:
            return Header(image.width * image.height, read_block(image))


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[tuple[BinaryIO, str]]:
    """Open a photo file and name the Pillow plugin to use, "" for camera raw.

    Errors name the file.
    """
    if is_remote(path):
        try:
            with local_copy(path) as copy, _opened(copy) as opened:
                yield opened
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        return
    try:
        # Check before opening: opening a pipe blocks, and a device never ends.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("cannot be read: it is not a regular file")
        if status.st_size > _MOST_BYTES:
            raise InputError(f"is too large for a photo: {status.st_size / 1e9:.0f} GB")
        with path.open("rb") as file, _decoding() as recognized:
            plugin = "" if _is_raw(file) else plugin_for(_start(file))
            recognized.append(NAMES.get(plugin, "camera raw"))
            yield file, plugin
    except InputError as error:
        raise InputError(f"{path} {error}") from error.__cause__
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _start(file: BinaryIO) -> bytes:
    file.seek(0)
    start = file.read(32)
    file.seek(0)
    return start


def _is_raw(file: BinaryIO) -> bool:
    start = _start(file)
    if starts_like_raw(start):
        return True
    raw = tiff_pages.is_tiff(start) and tiff_pages.is_camera_raw(
        file, tiff_pages.read_directories(file)
    )
    file.seek(0)
    return raw


@contextlib.contextmanager
def _decoding() -> Iterator[list[str]]:
    """Set Pillow's size limit and convert its errors to InputError.

    Yields a list for the name of the format, for messages.
    """
    names: list[str] = []
    with _LIMIT_LOCK, warnings.catch_warnings():
        # Pillow warns above its limit and raises above twice the limit.
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MOST_PIXELS // 2
        warnings.simplefilter("ignore")  # that one, and those about metadata
        try:
            yield names
        except (InputError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            megapixels = MOST_PIXELS // 1_000_000
            raise InputError(f"is too large: more than {megapixels} megapixels") from error
        except Image.UnidentifiedImageError as error:
            raise InputError(f"is a damaged {names[0]} file, or of a rare kind") from error
        except Exception as error:  # Pillow's plugins raise many different types
            if names and names[0] in _OTHER_LIBRARIES:
                raise InputError(f"is a damaged {names[0]} file: {error}") from error
            raise InputError(f"cannot be decoded: {error}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _open_image(file: BinaryIO, plugin: str) -> Image.Image:
    """Open an image with the page that is the photo; raises InputError if there are several."""
    page = 0
    if plugin == "JPEG":
        check_jpeg(file.read(_JPEG_HEADERS))
    if plugin == "TIFF":
        page = tiff_pages.choose_page(tiff_pages.read_directories(file))
    file.seek(0)
    image = Image.open(file, formats=[plugin])
    if page:
        image.seek(page)
    check_available(_PIXEL_BYTES * image.width * image.height)
    return image


def _read(file: BinaryIO, plugin: str) -> Photo:
    with _open_image(file, plugin) as image:
        form = PLUGINS[str(image.format)]
        notes: list[str] = []
        count = getattr(image, "n_frames", 1)
        if form in ("png", "webp", "avif") and count > 1:
            raise InputError(
                f"contains {count} images (an animation or several pages); one is expected"
            )
        if form == "tiff":
            _check_strips(image)
            _check_channels(image)
        options = _options(image, form, file)
        samples, gray = read_samples(image, file, form, notes)
        block, icc, xmp, extras, more = read_metadata(image, file, form, gray)
        samples = exif.apply_orientation(samples, exif.orientation(block))
        height, width = samples.shape[:2]
        photo = Photo(
            pixels=np.ascontiguousarray(samples[..., :3]),
            alpha=np.ascontiguousarray(samples[..., 3]) if samples.shape[2] == 4 else None,
            gray=gray,
            format=form,
            block=exif.mark_upright(block, height, width),
            icc=icc,
            xmp=xmp,
            options=options,
            extras=extras,
            notes=(*notes, *more),
        )
        return _with_usable_profile(photo)


def _with_usable_profile(photo: Photo) -> Photo:
    """Convert a photo to sRGB if no way leads back into its color space."""
    space = color_space(photo.icc)
    if space is None or can_return(space):
        return photo
    name = profile_name(photo.icc)
    return dataclasses.replace(
        photo,
        pixels=convert_to_srgb(space, photo.pixels),
        block=exif.mark_srgb(photo.block),
        icc=b"",
        options={},  # the quality of other color channels
        extras=dataclasses.replace(photo.extras, color_chunks=()),
        notes=(*photo.notes, f"its color profile {name}, which does not lead back: it is sRGB now"),
    )


def _check_strips(image: Any) -> None:
    """Reject a TIFF whose strips do not cover the image: Pillow would leave the rest black."""
    sides = image.tag_v2.get(256), image.tag_v2.get(257)  # as stored; image.size may be rotated
    ends = map(max, zip(*(tile[1][2:] for tile in image.tile), strict=True))
    if any(end < side for end, side in zip(ends, sides, strict=False)):
        raise InputError("cannot be decoded: parts of the image are missing")


def _check_channels(image: Any) -> None:
    """Reject a TIFF with more channels than Pillow returns."""
    count, most = image.tag_v2.get(277, 1), len(image.getbands())
    if isinstance(count, int) and count > most:
        raise InputError(
            f"has {count} channels; {most} (color and alpha) are supported: save it without the others"
        )


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
    if form == "heic":
        known = {"bits": image.info.get("bit_depth"), "chroma": image.info.get("chroma")}
        return {name: value for name, value in known.items() if value}
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
