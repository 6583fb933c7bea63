"""A TIFF writer: gray or RGB of 8 or 16 bits, with or without alpha, raw or deflated.

Pillow writes no 16-bit RGB and loses the EXIF directory when it compresses.
"""

import fractions
import struct
import zlib

import numpy as np

from ppcn_jax.photos import exif
from ppcn_jax.photos.jpeg_segments import iptc_of
from ppcn_jax.photos.photo import Resolution

_STRIP_BYTES = 1 << 20
# Tags that describe how the pixels of a file are stored; they do not apply to a new file.
STRUCTURE = frozenset(
    {254, 255, *range(256, 267), 273, 277, 278, 279, 284, *range(288, 294), 317, *range(320, 326)}
    | {330, *range(332, 348), *range(512, 522), *range(529, 533), 700, 34675, 37724}
)


def encode(
    samples: np.ndarray,
    *,
    block: bytes = b"",
    icc: bytes = b"",
    xmp: bytes = b"",
    resources: bytes = b"",
    resolution: Resolution | None = None,
    packed: bool = True,
) -> bytes:
    """Encode uint8 or uint16 `[H, W, C]`, C from 1 (gray) to 4 (RGB and alpha), as a TIFF file.

    The EXIF block becomes the beginning of the file, so that its offsets stay valid; only its first
    directory is rewritten, with the tags of the pixels. `resources` are Photoshop's, with IPTC data.
    The resolution replaces that of the block. `packed` compresses with deflate.
    """
    height, width, channels = samples.shape
    order = exif.byte_order(block)
    own = {entry.tag: entry.record for entry in exif.entries(block)}
    parts = [_even(block if own else b"II*\0\0\0\0\0")]
    end = len(parts[0])
    offsets, sizes = [], []
    rows = max(1, _STRIP_BYTES // (width * channels * samples.itemsize))
    for top in range(0, height, rows):
        strip = _strip(samples[top : top + rows], order, packed)
        offsets.append(end)
        sizes.append(len(strip))
        parts.append(_even(strip))
        end += len(parts[-1])
    alpha = channels in (2, 4)
    tags: dict[int, tuple[str, list[int] | bytes]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [8 * samples.itemsize] * channels),
        259: ("H", [8 if packed else 1]),
        262: ("H", [2 if channels > 2 else 1]),
        273: ("I", offsets),
        277: ("H", [channels]),
        278: ("I", [rows]),
        279: ("I", sizes),
        284: ("H", [1]),
        **({317: ("H", [2])} if packed else {}),
        **({338: ("H", [2])} if alpha else {}),
        **({700: ("B", xmp)} if xmp else {}),
        **({33723: ("s", iptc)} if (iptc := iptc_of(resources)) else {}),
        **({34377: ("B", resources)} if resources else {}),
        **({34675: ("s", icc)} if icc else {}),
        **_resolution_tags(resolution),
    }
    records = {tag: record for tag, record in own.items() if tag not in STRUCTURE}
    for tag, (kind, values) in tags.items():
        type_number = {"B": 1, "H": 3, "I": 4, "R": 5, "s": 7}[kind]
        count = len(values)
        if isinstance(values, bytes):
            data = values
        elif kind == "R":  # a pair of integers
            data, count = struct.pack(f"{order}{count}I", *values), count // 2
        else:
            data = struct.pack(f"{order}{len(values)}{kind}", *values)
        field = data.ljust(4, b"\0")
        if len(data) > 4:
            field = struct.pack(order + "I", end)
            parts.append(_even(data))
            end += len(parts[-1])
        records[tag] = struct.pack(order + "HHI", tag, type_number, count) + field
    directory = b"".join(records[tag] for tag in sorted(records))
    parts.append(struct.pack(order + "H", len(records)) + directory + bytes(4))
    parts[0] = parts[0][:4] + struct.pack(order + "I", end) + parts[0][8:]
    return b"".join(parts)


def _resolution_tags(resolution: Resolution | None) -> dict[int, tuple[str, list[int] | bytes]]:
    if resolution is None:
        return {}
    ratios = (fractions.Fraction(r).limit_denominator(10_000) for r in resolution[:2])
    x, y = ([ratio.numerator, ratio.denominator] for ratio in ratios)
    return {282: ("R", x), 283: ("R", y), 296: ("H", [resolution.unit])}


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _strip(samples: np.ndarray, order: str, packed: bool) -> bytes:
    if packed:
        # Predictor 2: differences modulo 2^8 or 2^16.
        samples = np.concatenate([samples[:, :1], samples[:, 1:] - samples[:, :-1]], axis=1)
    content = samples.astype(f"{order}u{samples.itemsize}").tobytes()
    return zlib.compress(content) if packed else content
