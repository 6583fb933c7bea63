"""Take photos from their color space to sRGB for a network, and the network's change back.

Networks learned sRGB. A space given by a matrix and curves is computed here in float32, which is
exact to a level of 16 bits (`tests/photos/test_color_space.py`). Other profiles go through
LittleCMS, which Pillow offers for 8 bits only: photos of 16 bits take their colors from a grid of
its results, interpolated linearly, so that nothing is quantized in steps.

Colors outside of sRGB are clipped for the network only. Its change, the difference between what it
returns and what it was given, is converted and added to the photo.
"""

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from PIL import Image, ImageCms

from ppcn_jax.photos.icc import (
    D65,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    Curve,
    MatrixProfile,
    color_model,
    matrix_of,
    read_matrix_profile,
)
from ppcn_jax.photos.levels import from_float
from ppcn_jax.photos.resize import enlarge_band

_BAND_PIXELS = 2**18  # converted at a time, to save memory
# Entries of the tables that encode light, by its square root: fine where curves are steep.
_ENTRIES = 2**18
# Points per axis of the grid for photos of 16 bits.
# All of them are values of 8 bits: 0, 5, 10, ... 255.
_GRID = 52
# Profiles that differ from sRGB by no more than this, in values of [0, 1], are taken for it.
_SAME = 2 / 255
# Mean error of a conversion to sRGB and back by a profile that is made for both directions.
_MOST_LOSS = 3 / 255


class ColorSpace(Protocol):
    """A color space that a profile describes; values are in [0, 1] or unsigned integers."""

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Float32 sRGB `[..., 3]` in [0, 1] of uint8 or uint16 pixels; other colors are clipped."""

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Float32 values in this space, `[..., 3]` in [0, 1], of uint8 or uint16 sRGB."""


@functools.lru_cache(maxsize=8)
def color_space(icc: bytes) -> ColorSpace | None:
    """The color space of a profile; None for sRGB, and for profiles that cannot be used."""
    if color_model(icc) not in ("RGB", "GRAY"):
        return None
    try:
        profile = read_matrix_profile(icc)
        space: ColorSpace = _MatrixSpace(profile) if profile else _TableSpace(icc)
        return None if _is_srgb(space, color_model(icc) == "GRAY") else space
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def can_return(space: ColorSpace) -> bool:
    """Check that a profile leads from sRGB into its space: some lead only out of it."""
    colors = _cube(9)
    try:
        inside = from_float(space.from_srgb(colors), np.uint8)
        loss = np.abs(space.to_srgb(inside) - colors / np.float32(255)).mean()
    except (ImageCms.PyCMSError, OSError):
        return False
    return bool(loss <= _MOST_LOSS)


def convert_to_srgb(space: ColorSpace | None, pixels: np.ndarray) -> np.ndarray:
    """Pixels `[..., 3]` in sRGB, of the same type; the pixels themselves without a space."""
    if space is None:
        return pixels
    converted = np.empty_like(pixels)
    for rows in _bands(pixels):
        converted[rows] = from_float(space.to_srgb(pixels[rows]), pixels.dtype)
    return converted


def carry_change(
    space: ColorSpace, photo: np.ndarray, given: np.ndarray, returned: np.ndarray
) -> np.ndarray:
    """Apply what a network did to the sRGB copy of a photo to the photo itself.

    Args:
        space: of the photo.
        photo: uint8 or uint16 `[H, W, 3]`.
        given: its sRGB copy, by `convert_to_srgb`.
        returned: the network's result for that, `[s H, s W, 3]` of the same type; overwritten.

    Returns:
        The result in the photo's space, in place of `returned`. What sRGB could not hold of the
        photo is added to it; a network that changes nothing leaves the photo as it is.
    """
    scale = len(returned) // len(photo)
    if not returned.flags.writeable:
        returned = returned.copy()
    lost = np.empty(photo.shape, np.float32)
    for rows in _bands(photo):
        own = photo[rows].astype(np.float32) / np.float32(np.iinfo(photo.dtype).max)
        lost[rows] = own - space.from_srgb(given[rows])
    for rows in _bands(returned):
        missing = lost[rows] if scale == 1 else enlarge_band(lost, scale, rows)
        returned[rows] = from_float(space.from_srgb(returned[rows]) + missing, returned.dtype)
    return returned


class _MatrixSpace:
    """Curves and a matrix."""

    def __init__(self, profile: MatrixProfile):
        to_srgb = np.eye(3)
        if profile.matrix is not None:
            to_srgb = np.linalg.solve(matrix_of(SRGB_PRIMARIES, D65), profile.matrix)
            white = to_srgb.sum(axis=1, keepdims=True)
            if np.allclose(white, 1, atol=0.01):  # gray stays gray in spite of rounded numbers
                to_srgb /= white
        self._curves = [_Tables(curve) for curve in profile.curves]
        self._to_srgb = to_srgb.T.astype(np.float32)
        self._from_srgb = np.linalg.inv(to_srgb).T.astype(np.float32)

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels, see `ColorSpace`."""
        light = _per_channel(_Tables.light, self._curves, pixels)
        return _per_channel(_Tables.encoded, [_srgb_tables()] * 3, light @ self._to_srgb)

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels, see `ColorSpace`."""
        light = _per_channel(_Tables.light, [_srgb_tables()] * 3, pixels)
        return _per_channel(_Tables.encoded, self._curves, light @ self._from_srgb)


class _Tables:
    """A curve and its inverse."""

    def __init__(self, curve: Curve):
        values = np.linspace(0, 1, 2**16)
        light = curve.decode(values)
        self._light = light.astype(np.float32)
        roots = np.linspace(0, 1, _ENTRIES)
        self._encoded = np.interp(roots**2, light, values).astype(np.float32)

    def light(self, pixels: np.ndarray) -> np.ndarray:
        """Light of uint8 or uint16 values."""
        table = self._light if pixels.dtype == np.uint16 else self._light[::257]
        return table[pixels]

    def encoded(self, light: np.ndarray) -> np.ndarray:
        """Values of float light, which is clipped."""
        roots = np.sqrt(np.clip(light, 0, 1))
        return self._encoded[(roots * np.float32(_ENTRIES - 1) + np.float32(0.5)).astype(np.int32)]


@functools.cache
def _srgb_tables() -> _Tables:
    return _Tables(SRGB_CURVE)


def _per_channel(
    apply: Callable[[_Tables, np.ndarray], np.ndarray],
    curves: Sequence[_Tables],
    channels: np.ndarray,
) -> np.ndarray:
    values = np.empty(channels.shape, np.float32)
    for channel, curve in enumerate(curves):
        values[..., channel] = apply(curve, channels[..., channel])
    return values


class _TableSpace:
    """LittleCMS for profiles of other kinds."""

    def __init__(self, icc: bytes):
        mode = "L" if color_model(icc) == "GRAY" else "RGB"
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        self._to_srgb = _Transform(profile, mode, srgb, "RGB")
        self._make_from_srgb = functools.partial(_Transform, srgb, "RGB", profile, mode)

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels, see `ColorSpace`."""
        return self._to_srgb.convert(pixels)

    def from_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels, see `ColorSpace`; PyCMSError if the profile does not lead back."""
        return self._from_srgb.convert(pixels)

    @functools.cached_property
    def _from_srgb(self) -> "_Transform":
        return self._make_from_srgb()


class _Transform:
    """LittleCMS from one profile to another, with the modes of Pillow's images."""

    def __init__(
        self,
        source: ImageCms.ImageCmsProfile,
        source_mode: str,
        target: ImageCms.ImageCmsProfile,
        target_mode: str,
    ):
        self._gray = source_mode == "L"
        intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        self._transform = ImageCms.buildTransform(
            source, target, source_mode, target_mode, intent, flags
        )

    def convert(self, pixels: np.ndarray) -> np.ndarray:
        """Float32 `[H, W, 3]` in [0, 1] of uint8 or uint16 `[H, W, 3]`."""
        if not pixels.size:
            return pixels.astype(np.float32)
        if pixels.dtype == np.uint8:
            return self._levels(pixels).astype(np.float32) / np.float32(255)
        from scipy import ndimage  # only for these photos: it takes long to import

        places = np.moveaxis(pixels, -1, 0) * np.float32((_GRID - 1) / 65535)
        channels = [ndimage.map_coordinates(channel, places, order=1) for channel in self._grid]
        return np.stack(channels, axis=-1)

    def _levels(self, pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if self._gray else pixels))
        levels = np.asarray(ImageCms.applyTransform(image, self._transform))
        return levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)

    @functools.cached_property
    def _grid(self) -> np.ndarray:
        levels = self._levels(_cube(_GRID)).reshape(_GRID, _GRID, _GRID, 3)
        return np.moveaxis(levels, -1, 0).astype(np.float32) / np.float32(255)


def _cube(points: int) -> np.ndarray:
    """All colors on a grid with this many points per axis, uint8 `[points^2, points, 3]`."""
    axis = np.rint(np.linspace(0, 255, points)).astype(np.uint8)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return cube.reshape(points * points, points, 3)


def _is_srgb(space: ColorSpace, gray: bool) -> bool:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    return all(
        np.abs(space.to_srgb(colors) - colors / np.float32(255)).max() <= _SAME
        for colors in ([ramp] if gray else [ramp, _cube(9)])
    )


def _bands(pixels: np.ndarray) -> Iterator[slice]:
    rows = max(1, _BAND_PIXELS // pixels.shape[1])
    return (slice(top, min(top + rows, len(pixels))) for top in range(0, len(pixels), rows))
