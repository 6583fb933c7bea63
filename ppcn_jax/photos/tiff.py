"""The TIFF writer: gray or RGB of 8 or 16 bits, with alpha, plain or deflated.

Pillow writes no RGB of 16 bits, and loses the EXIF directory when it compresses.
"""

import struct
import zlib

import numpy as np

from ppcn_jax.photos import exif

_STRIP_BYTES = 1 << 20
# Tags that describe how the pixels are stored; those of a picture's source say nothing of ours.
STRUCTURE = frozenset(
    {254, 255, *range(256, 267), 273, 277, 278, 279, 284, *range(288, 294), 317, *range(320, 326)}
    | {330, *range(332, 348), *range(512, 522), *range(529, 533), 700, 34675, 37724}
)


def encode(
    samples: np.ndarray, *, block: bytes = b"", icc: bytes = b"", xmp: bytes = b"", packed=True
) -> bytes:
    """A TIFF file.

    The EXIF block becomes the beginning of the file, so that its offsets stay right; only its
    first directory is written anew, with the tags of the pixels.

    Args:
        samples: uint8 or uint16 `[H, W, C]`, C from 1 (gray) to 4 (RGB and alpha).
        block: EXIF.
        icc: the color profile.
        xmp: the packet.
        packed: compress with deflate.

    Returns:
        The file.
    """
    height, width, channels = samples.shape
    order = exif.byte_order(block)
    own = {entry.tag: entry.record for entry in exif.entries(block)}
    head = block if own else b"II*\0\0\0\0\0"
    parts, end = [head + b"\0" * (len(head) % 2)], len(head) + len(head) % 2
    offsets, sizes = [], []
    rows = max(1, _STRIP_BYTES // (width * channels * samples.itemsize))
    for top in range(0, height, rows):
        strip = _strip(samples[top : top + rows], order, packed)
        offsets.append(end)
        sizes.append(len(strip))
        parts.append(strip + b"\0" * (len(strip) % 2))
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
        **({34675: ("s", icc)} if icc else {}),
    }
    records = {tag: record for tag, record in own.items() if tag not in STRUCTURE}
    for tag, (kind, values) in tags.items():
        type_number = {"B": 1, "H": 3, "I": 4, "s": 7}[kind]
        data = values if isinstance(values, bytes) else _packed(order, kind, values)
        field = data.ljust(4, b"\0")
        if len(data) > 4:
            field = struct.pack(order + "I", end)
            parts.append(data + b"\0" * (len(data) % 2))
            end += len(parts[-1])
        records[tag] = struct.pack(order + "HHI", tag, type_number, len(values)) + field
    directory = b"".join(records[tag] for tag in sorted(records))
    parts.append(struct.pack(order + "H", len(records)) + directory + bytes(4))
    parts[0] = parts[0][:4] + struct.pack(order + "I", end) + parts[0][8:]
    return b"".join(parts)


def _strip(samples: np.ndarray, order: str, packed: bool) -> bytes:
    if packed:
        # Modulo 2^8 or 2^16, as predictor 2 has it.
        samples = np.concatenate([samples[:, :1], samples[:, 1:] - samples[:, :-1]], axis=1)
    content = samples.astype(f"{order}u{samples.itemsize}").tobytes()
    return zlib.compress(content) if packed else content


def _packed(order: str, kind: str, values: list[int]) -> bytes:
    return struct.pack(f"{order}{len(values)}{kind}", *values)
