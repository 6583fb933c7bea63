"""EXIF blocks, changed in place: what a camera wrote stays where its offsets say it is.

A block is a small TIFF file, as it stands in a JPEG after `Exif\\0\\0`. A maker's note may hold
offsets into the whole block, so nothing here moves a byte. Of a damaged block, what can be found
is treated, so that no picture is turned twice.
"""

import contextlib
import dataclasses
import re
import struct

import numpy as np

HEADER = b"Exif\0\0"
_WIDTHS, _HEIGHTS, _ORIENTATION, _EXIF = {0x0100, 0xA002}, {0x0101, 0xA003}, 0x0112, 0x8769
_SHORT = 3
_CODES = {1: "B", _SHORT: "H", 4: "I"}  # of the whole numbers, by their TIFF type


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
        Its fields, those that are there if the block is cut short.
    """
    return _directory(block, _first(block))


def orientation(block: bytes) -> int:
    """How the pixels must be turned to stand upright.

    Args:
        block: a block, maybe empty.

    Returns:
        1 to 8, where 1 is upright and said of blocks without it.
    """
    for entry in entries(block):
        if entry.tag == _ORIENTATION and entry.kind in _CODES:
            (value,) = struct.unpack_from(byte_order(block) + _CODES[entry.kind], entry.record, 8)
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
    changed, order = bytearray(block), byte_order(block)
    fields = entries(block)
    if fields:
        with contextlib.suppress(struct.error):
            struct.pack_into(order + "I", changed, fields[-1].position + 12, 0)
    for entry in list(fields):
        if entry.tag == _EXIF:
            fields += _directory(block, *struct.unpack_from(order + "I", entry.record, 8))
    for entry in fields:
        position = entry.position
        if entry.tag == _ORIENTATION:
            # The whole field, for some readers take a number of any type.
            struct.pack_into(order + "HHIHH", changed, position, _ORIENTATION, _SHORT, 1, 1, 0)
        elif entry.tag in _WIDTHS | _HEIGHTS and entry.kind in _CODES:
            side = width if entry.tag in _WIDTHS else height
            with contextlib.suppress(struct.error):  # too large for the field
                struct.pack_into(order + _CODES[entry.kind], changed, position + 8, side)
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
    if block[:4] not in (b"II*\0", b"MM\0*") or len(block) < 8:
        return len(block)
    (offset,) = struct.unpack_from(byte_order(block) + "I", block, 4)
    return offset


def _directory(block: bytes, offset: int) -> list[Entry]:
    order, fields = byte_order(block), []
    with contextlib.suppress(struct.error):  # where the block is cut short
        (count,) = struct.unpack_from(order + "H", block, offset)
        for position in range(offset + 2, offset + 2 + 12 * count, 12):
            (record,) = struct.unpack_from("12s", block, position)
            tag, kind = struct.unpack_from(order + "HH", record)
            fields.append(Entry(tag, kind, record, position))
    return fields
