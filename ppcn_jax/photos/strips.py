"""Pictures for people: labelled strips of images side by side."""

import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ppcn_jax.runtime.files import write_bytes

GAP, LABEL_HEIGHT = 4, 18


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Clip to [0, 1] and round to grey levels.

    Args:
        image: float `[..., 3]`, or uint8, which passes through.

    Returns:
        uint8 of the same shape.
    """
    if image.dtype == np.uint8:
        return image
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def strip(
    rows: Sequence[Sequence[np.ndarray]],
    columns: Sequence[str],
    captions: Sequence[str] = (),
) -> np.ndarray:
    """Lay images out as a table.

    Args:
        rows: each a sequence of images `[H, W, 3]` of one size (float in [0, 1] or uint8); rows
            may differ in size.
        columns: the heading of each column.
        captions: a line of text above each row, if any.

    Returns:
        uint8 `[height, width, 3]` on white.
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


def most_detailed(image: np.ndarray, side: int) -> tuple[int, int]:
    """The square of an image in which neighboring pixels differ most.

    Args:
        image: uint8 `[H, W, 3]`.
        side: of the square, px, at least 2 and at most H and W.

    Returns:
        (top, left) of the square.
    """
    gray = image.astype(np.float64).mean(axis=2)
    down, right = (np.abs(np.diff(gray, axis=axis)) for axis in (0, 1))
    # Sums over all squares at once, from sums over everything above and on the left.
    sums = np.pad(down[:, :-1] + right[:-1], ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    n = side - 1  # a square of this side has one less difference each way
    squares = sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]
    top, left = np.unravel_index(squares.argmax(), squares.shape)
    return int(top), int(left)


def closeup(image: np.ndarray, corner: tuple[int, int], side: int, factor: int) -> np.ndarray:
    """A square of an image, every pixel of it as a larger square.

    Args:
        image: `[H, W, 3]`.
        corner: (top, left) of the square.
        side: of the square, px.
        factor: side of what a pixel becomes, px.

    Returns:
        `[side * factor, side * factor, 3]` of the same type.
    """
    top, left = corner
    square = image[top : top + side, left : left + side]
    return square.repeat(factor, axis=0).repeat(factor, axis=1)


def save_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Write a picture as PNG, whole or not at all.

    Args:
        path: the file.
        image: uint8 `[H, W, 3]`.

    Raises:
        OSError: it cannot be written.
    """
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
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
