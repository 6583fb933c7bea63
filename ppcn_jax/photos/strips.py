"""Comparison images: labelled strips of images side by side, and close-ups."""

import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.runtime.files import write_bytes

GAP, LABEL_HEIGHT = 4, 18
MOST_PIXELS = 2**21  # of a strip whose images are reduced: 2 megapixels


def strip(
    rows: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str],
    captions: Sequence[str] = (),
) -> np.ndarray:
    """Arrange images as a table on white, uint8 `[height, width, 3]`.

    The images of a row, `[H, W, 3]`, float in [0, 1] or uint8, have one size. Columns have
    headings, and each row may have a caption above it; an empty caption takes no space.
    """
    width = max(sum(image.shape[1] + GAP for image in row) for row in rows) + GAP
    captions = captions or [""] * len(rows)
    parts = [_labels(columns, _lefts(rows[0]), width)]
    for row, caption in zip(rows, captions, strict=True):
        if caption:
            parts.append(_labels([caption], [GAP], width))
        line = np.full((max(image.shape[0] for image in row) + GAP, width, 3), 255, np.uint8)
        for image, left in zip(row, _lefts(row), strict=True):
            line[: image.shape[0], left : left + image.shape[1]] = to_uint8(image)
        parts.append(line)
    return np.concatenate(parts)


def reduce_panel(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Reduce an image so that a strip of such images has at most `MOST_PIXELS`.

    Args:
        image: `[H, W, 3]`, float in [0, 1] or uint8.
        rows: of the strip, each with a caption.
        columns: of the strip.

    Returns:
        The image itself if it is small enough; otherwise uint8 means of areas, with the same aspect
        ratio.
    """
    most_height, most_width = panel_size(rows, columns)
    height, width = image.shape[:2]
    factor = min(most_height / height, most_width / width)
    if factor >= 1:
        return image
    size = max(int(factor * width), 1), max(int(factor * height), 1)
    return np.asarray(Image.fromarray(to_uint8(image)).resize(size, Image.Resampling.BOX))


def panel_size(rows: int, columns: int) -> tuple[int, int]:
    """The largest height and width, 3 to 4, of the images of a strip of `MOST_PIXELS`."""
    width = 2048
    while True:
        height = 3 * width // 4
        strip_height = LABEL_HEIGHT + rows * (LABEL_HEIGHT + height + GAP)
        if strip_height * (columns * (width + GAP) + GAP) <= MOST_PIXELS or width <= 16:
            return height, width
        width -= 4


def most_detailed(image: np.ndarray, side: int) -> tuple[int, int]:
    """Find (top, left) of the square with the largest differences between neighboring pixels.

    The image is `[H, W, 3]`, and the side of the square is from 2 to min(H, W) px.
    """
    gray = image.astype(np.float64).mean(axis=2)
    down, right = (np.abs(np.diff(gray, axis=axis)) for axis in (0, 1))
    # Sums over all squares at once, by a summed-area table.
    sums = np.pad(down[:, :-1] + right[:-1], ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    n = side - 1  # differences per side
    squares = sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]
    top, left = np.unravel_index(squares.argmax(), squares.shape)
    return int(top), int(left)


def closeup(image: np.ndarray, corner: tuple[int, int], side: int, factor: int) -> np.ndarray:
    """Cut a square of `side` px at (top, left) and repeat each pixel `factor` times per axis."""
    top, left = corner
    square = image[top : top + side, left : left + side]
    return square.repeat(factor, axis=0).repeat(factor, axis=1)


def save_png(path: str | os.PathLike, image: np.ndarray, icc: bytes = b"") -> None:
    """Write uint8 `[H, W, 3]` as a PNG file with a color profile, sRGB by default, atomically."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", **({"icc_profile": icc} if icc else {}))
    write_bytes(path, buffer.getvalue())


def _lefts(row: Sequence[np.ndarray]) -> list[int]:
    widths = [image.shape[1] + GAP for image in row]
    return [GAP + sum(widths[:i]) for i in range(len(row))]


def _labels(texts: Sequence[str], lefts: Sequence[int], width: int) -> np.ndarray:
    canvas = Image.new("RGB", (width, LABEL_HEIGHT), "white")
    draw = ImageDraw.Draw(canvas)
    for text, left in zip(texts, lefts, strict=True):
        draw.text((left, 2), text, fill="black", font=ImageFont.load_default(12))
    return np.asarray(canvas)
