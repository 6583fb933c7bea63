"""The look of a phone, learned backwards: what turns a camera's pictures into those of the phone."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageFilter

# Pairs are compared after averaging blocks of this side, px, so that small shifts do not matter.
_BLOCK = 5
_LARGEST = 128  # px; frames are reduced further until their sides are no longer than this
_RIDGE = 3e-3  # pulls the color map toward a plain gain where the pairs lack colors
# Logarithm of the largest gain. A phone's picture that is too bright has lost its highlights, and a
# network that learns to bring them back dims those of good photos.
_MOST_GAIN = 0.0
_DARKEST = 0.02  # mean of a channel; gains of darker pairs are unknown

# What every photo is degraded by besides; drawn uniformly.
_STRENGTH = 0.25, 1.0  # of the color change: photos that need little of it exist too
_BLUR = 0.3, 0.9  # px, standard deviation
_NOISE = 0.003, 0.02  # standard deviation, for values in [0, 1]
_QUALITY = 80, 96  # of JPEG


class Look:
    """How a phone shows what a camera shows: a color map, and how much it varies between photos.

    The color map is one quadratic polynomial of red, green and blue, fitted to all pairs. What it
    leaves over is described by a gain for each channel and pair, and the gains of the pairs are the
    distribution from which those of photos are drawn. Blur, noise and JPEG are added.
    """

    def __init__(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]):
        """Fit the look to pairs (phone, camera), uint8 [H, W, 3]."""
        reduced = [tuple(map(_reduce, pair)) for pair in pairs]
        y, x = (np.concatenate(side) for side in zip(*reduced, strict=True))
        gain = (x * y).sum() / (x * x).sum()
        terms, plain = _terms(x), np.zeros((10, 3))
        plain[1:4] = gain * np.eye(3)
        ridge = _RIDGE * len(x) * np.eye(len(plain))
        self._map = plain + np.linalg.solve(terms.T @ terms + ridge, terms.T @ (y - terms @ plain))
        means = [(phone.mean(0), (_terms(camera) @ self._map).mean(0)) for phone, camera in reduced]
        known = [(a, b) for a, b in means if min(a.min(), b.min()) > _DARKEST]
        gains = np.array([np.log(a / b) for a, b in known] or [np.zeros(3)])
        self._gains = np.minimum(gains, _MOST_GAIN)

    def degrade(self, photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the phone could have made of a camera's picture: uint8 [H, W, 3], as the picture."""
        rgb = photo / 255
        colors = _terms(rgb.reshape(-1, 3)) @ self._map
        strength = rng.uniform(*_STRENGTH)
        gains = np.exp(strength * rng.choice(self._gains))
        changed = (rgb + strength * (colors.reshape(rgb.shape) - rgb)) * gains
        blurred = _image(changed).filter(ImageFilter.GaussianBlur(rng.uniform(*_BLUR)))
        noise = rng.normal(0, rng.uniform(*_NOISE), rgb.shape)
        jpeg = io.BytesIO()
        quality = int(rng.integers(*_QUALITY))
        _image(np.asarray(blurred) / 255 + noise).save(jpeg, "JPEG", quality=quality)
        return np.asarray(Image.open(jpeg))


def _image(rgb: np.ndarray) -> Image.Image:
    return Image.fromarray(np.rint(255 * rgb.clip(0, 1)).astype(np.uint8))


def _reduce(picture: np.ndarray) -> np.ndarray:
    """Means of blocks of a picture, float64 [N, 3] in [0, 1]."""
    factor = max(_BLOCK, -(-max(picture.shape) // _LARGEST))
    reduced = Image.fromarray(picture).reduce(factor)
    return np.asarray(reduced).reshape(-1, 3) / 255


def _terms(rgb: np.ndarray) -> np.ndarray:
    """Terms of a quadratic polynomial of the colors: [N, 3] -> [N, 10]."""
    r, g, b = rgb.T
    return np.stack([np.ones_like(r), r, g, b, r * r, g * g, b * b, r * g, g * b, r * b], axis=1)
