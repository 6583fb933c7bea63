"""Decode picture files to uint8 RGB.

In all functions, `encoded` is the content of a picture file and `name` is what errors call it. A
picture that does not decode completely raises `DataError`.
"""

import contextlib
import io
import pathlib
import stat
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image, ImageOps

from data import storage
from data.errors import DataError
from data.storage import is_remote

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_SIDEWAYS = (5, 6, 7, 8)  # the EXIF orientations that exchange width and height


def read_bytes(path: pathlib.Path) -> bytes:
    """The content of a file; raises `DataError` if it cannot be read.

    If a bucket cannot be accessed, it raises `ConnectionError`.
    """
    try:
        if not is_remote(path) and not stat.S_ISREG(
            path.stat().st_mode
        ):  # reading a pipe would block forever
            raise DataError(f"{path} is not a regular file; remove it")
        return storage.read_bytes(path)
    except ConnectionError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); restore or remove it") from error


def read(path: pathlib.Path) -> np.ndarray:
    """Decode a file; see `decode`."""
    return decode(read_bytes(path), str(path))


def decode(encoded: bytes, name: str) -> np.ndarray:
    """Decode a picture to upright RGB: uint8 [H, W, 3], read-only.

    Gray is repeated over the channels (16-bit gray is scaled to 8 bits), CMYK and palettes are
    converted, alpha is dropped, and the EXIF orientation is applied.
    """
    with _opened(encoded, name) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return np.asarray(_to_rgb(image))


def checked_shape(encoded: bytes, name: str) -> tuple[int, int, int]:
    """The shape that `decode` would return, found by reading the full stream cheaply."""
    with _opened(encoded, name) as image:
        width, height = image.size
        image.draft(None, (1, 1))  # a JPEG is still read to its end, but decoded at low resolution
        image.load()
        if image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
            width, height = height, width
        return height, width, 3


def tf_decodable(encoded: bytes, name: str) -> tuple[bytes, np.ndarray]:
    """An encoding that TensorFlow decodes to exactly the pixels of `decode`, and these pixels.

    The encoding is `encoded` itself for an upright 8-bit RGB or gray JPEG, otherwise a PNG.
    """
    rgb = decode(encoded, name)
    with _opened(encoded, name) as image:
        upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        if image.format == "JPEG" and image.mode in ("RGB", "L") and upright:
            return encoded, rgb
    png = io.BytesIO()
    Image.fromarray(rgb).save(png, "PNG")
    return png.getvalue(), rgb


@contextlib.contextmanager
def _opened(encoded: bytes, name: str) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise DataError(f"{name} is too large to be a photo ({error}); remove it") from error
    except Exception as error:  # each of Pillow's plugins raises its own exceptions
        raise DataError(
            f"{name} does not decode as a picture ({error}); restore it or remove it"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow would clip 16 bits at 255
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    elif image.mode == "P":
        # Converted directly to RGB, a palette with transparency makes Pillow warn.
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")
