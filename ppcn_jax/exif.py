"""EXIF blocks, changed in place: what a camera wrote stays where its offsets say it is.

A block is a small TIFF file, as it stands in a JPEG after `Exif\\0\\0`. A maker's note may hold
offsets into the whole block, so nothing here moves a byte. A damaged block passes unchanged.
"""

import dataclasses
import re
import struct

import numpy as np

HEADER = b"Exif\0\0"
_WIDTHS, _HEIGHTS, _ORIENTATION, _EXIF = {0x0100, 0xA002}, {0x0101, 0xA003}, 0x0112, 0x8769
_SHORT, _LONG = 3, 4


@dataclasses.dataclass(frozen=True)
class Entry:
    """One field of a directory.

    Attributes:
        tag: what it is.
        kind: its TIFF type.
        record: its 12 bytes.
        position: where they stand in the block.
    """

    tag: int
    kind: int
    record: bytes
    position: int


def byte_order(block: bytes) -> str:
    """The order of a block's numbers, as `struct` writes it.

    Args:
        block: a block with or without content.

    Returns:
        "<" or ">".
    """
    return ">" if block[:2] == b"MM" else "<"


def entries(block: bytes) -> list[Entry]:
    """The fields of the first directory.

    Args:
        block: a block, maybe empty.

    Returns:
        Its fields; none if the block is damaged.
    """
    try:
        return _directory(block, _first(block))[0]
    except struct.error:
        return []


def orientation(block: bytes) -> int:
    """How the pixels must be turned to stand upright.

    Args:
        block: a block, maybe empty.

    Returns:
        1 to 8, where 1 is upright and said of blocks without it.
    """
    for entry in entries(block):
        if entry.tag == _ORIENTATION and entry.kind == _SHORT:
            (value,) = struct.unpack_from(byte_order(block) + "H", entry.record, 8)
            return value if 1 <= value <= 8 else 1
    return 1


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a picture upright.

    Args:
        pixels: `[H, W, ...]` as stored.
        orientation: of EXIF.

    Returns:
        A view of the pixels.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def upright(block: bytes, height: int, width: int) -> bytes:
    """The block of a picture that has been turned, enlarged or changed.

    The orientation becomes 1, the sizes become those given, and the thumbnail, which shows the
    picture as it was, is unlinked.

    Args:
        block: a block, maybe empty.
        height: of the picture now, px.
        width: of the picture now, px.

    Returns:
        A block of the same length.
    """
    changed = bytearray(block)
    order = byte_order(block)
    try:
        fields, link = _directory(block, _first(block))
        for entry in list(fields):
            if entry.tag == _EXIF:
                fields += _directory(block, *struct.unpack_from(order + "I", entry.record, 8))[0]
        struct.pack_into(order + "I", changed, link, 0)
    except struct.error:
        return block
    for entry in fields:
        if entry.tag == _ORIENTATION:
            value = 1
        elif entry.tag in _WIDTHS | _HEIGHTS:
            value = width if entry.tag in _WIDTHS else height
        else:
            continue
        if entry.kind == _LONG:
            struct.pack_into(order + "I", changed, entry.position + 8, value)
        elif entry.kind == _SHORT and value < 1 << 16:
            struct.pack_into(order + "H", changed, entry.position + 8, value)
    return bytes(changed)


def upright_xmp(xmp: bytes) -> bytes:
    """XMP of a picture that has been turned.

    Args:
        xmp: a packet, maybe empty.

    Returns:
        The same with the orientation 1.
    """
    return re.sub(rb"""(tiff:Orientation(?:=["']|>))[2-8]""", rb"\g<1>1", xmp)


def _first(block: bytes) -> int:
    (offset,) = struct.unpack_from(byte_order(block) + "I", block, 4)
    return offset


def _directory(block: bytes, offset: int) -> tuple[list[Entry], int]:
    """A directory's fields, and where its link to the next one stands."""
    order = byte_order(block)
    (count,) = struct.unpack_from(order + "H", block, offset)
    fields = []
    for position in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", block, position)
        record = struct.unpack_from("12s", block, position)[0]
        fields.append(Entry(tag, kind, record, position))
    link = offset + 2 + 12 * count
    struct.unpack_from("4s", block, link)
    return fields, link
