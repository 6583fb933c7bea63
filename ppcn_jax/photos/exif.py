"""EXIF blocks, edited in place: every byte stays at its offset.

A block is a small TIFF file; in a JPEG it follows `Exif\\0\\0`. Maker notes may hold offsets into
the whole block, so nothing here moves a byte. Damaged blocks are read as far as possible, so that
pixels and orientation tag always agree.
"""

import contextlib
import datetime
import struct
from typing import NamedTuple

import numpy as np

HEADER = b"Exif\0\0"
# What Pillow raises while it reads or writes damaged EXIF.
ERRORS = (
    *(SyntaxError, OSError, ValueError, TypeError, LookupError, AttributeError),
    *(ArithmeticError, RuntimeError, struct.error),
)
_WIDTHS, _HEIGHTS, _ORIENTATION, _EXIF = {0x0100, 0xA002}, {0x0101, 0xA003}, 0x0112, 0x8769
_TAKEN, _SECONDS, _COLOR_SPACE, _INTEROPERABILITY = 0x9003, 0x9291, 0xA001, 0xA005
_SRGB, _UNCALIBRATED = 1, 0xFFFF
_INDEX, _ADOBE_RGB = 0x0001, "R03"  # of the interoperability directory
_SHORT = 3
_CODES = {1: "B", _SHORT: "H", 4: "I"}  # struct codes of the integer types of TIFF


class Entry(NamedTuple):
    """One field of a directory: its 12 bytes (`record`) and their offset in the block."""

    tag: int
    kind: int
    record: bytes
    position: int


def byte_order(block: bytes) -> str:
    """Byte order of a block as `struct` writes it, "<" or ">"."""
    return ">" if block[:2] == b"MM" else "<"


def entries(block: bytes) -> list[Entry]:
    """Fields of the first directory; the complete ones if the block is truncated."""
    if block[:4] not in (b"II*\0", b"MM\0*") or len(block) < 8:
        return []
    return _directory(block, *struct.unpack_from(byte_order(block) + "I", block, 4))


def valid_block(block: bytes) -> bytes:
    """A block without the header that it has in a JPEG; empty if no field can be read."""
    block = block.removeprefix(HEADER)
    return block if entries(block) else b""


def orientation(block: bytes) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) if the block has none or an invalid one."""
    for entry in entries(block):
        if entry.tag == _ORIENTATION and entry.kind in _CODES:
            (value,) = struct.unpack_from(byte_order(block) + _CODES[entry.kind], entry.record, 8)
            return value if 1 <= value <= 8 else 1
    return 1


def capture_time(block: bytes) -> datetime.datetime | None:
    """When a photo was taken, by the clock of the camera and without a time zone; None if unknown."""
    texts = {
        entry.tag: _text(block, entry)
        for entry in _exif_entries(block)
        if entry.tag in (_TAKEN, _SECONDS)
    }
    try:
        taken = datetime.datetime.strptime(texts.get(_TAKEN, ""), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    digits = texts.get(_SECONDS, "")
    fraction = float(f"0.{digits}") if digits.isascii() and digits.isdigit() else 0.0
    return taken + datetime.timedelta(seconds=fraction)


def is_uncalibrated(block: bytes) -> bool:
    """Return True if EXIF says that the colors are not sRGB."""
    return any(
        entry.tag == _COLOR_SPACE and _number(block, entry) == _UNCALIBRATED
        for entry in _exif_entries(block)
    )


def is_adobe_rgb(block: bytes) -> bool:
    """Return True if EXIF says that the colors are Adobe RGB, as DCF 2.0 does."""
    return is_uncalibrated(block) and any(
        field.tag == _INDEX and _text(block, field) == _ADOBE_RGB
        for entry in _exif_entries(block)
        if entry.tag == _INTEROPERABILITY
        for field in _directory(block, _number(block, entry))
    )


def mark_srgb(block: bytes) -> bytes:
    """Change the color space of a block to sRGB, if it has one; its length stays the same."""
    changed = bytearray(block)
    for entry in _exif_entries(block):
        if entry.tag == _COLOR_SPACE and entry.kind in _CODES:
            code = byte_order(block) + _CODES[entry.kind]
            struct.pack_into(code, changed, entry.position + 8, _SRGB)
    return bytes(changed)


def apply_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn `[H, W, ...]` pixels upright; returns a view."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def mark_upright(block: bytes, height: int, width: int) -> bytes:
    """Update the block of a photo whose pixels have changed; its length stays the same.

    Sets the orientation to 1 and the size to the given one, and unlinks the thumbnail, which still
    shows the old pixels.
    """
    changed, order = bytearray(block), byte_order(block)
    fields = entries(block)
    if fields:
        with contextlib.suppress(struct.error):
            struct.pack_into(order + "I", changed, fields[-1].position + 12, 0)
    for entry in fields + _exif_entries(block):
        position = entry.position
        if entry.tag == _ORIENTATION:
            # Rewrite the type too: some readers accept a number of any type.
            struct.pack_into(order + "HHIHH", changed, position, _ORIENTATION, _SHORT, 1, 1, 0)
        elif entry.tag in _WIDTHS | _HEIGHTS and entry.kind in _CODES:
            side = width if entry.tag in _WIDTHS else height
            with contextlib.suppress(struct.error):  # too large for the field's type
                struct.pack_into(order + _CODES[entry.kind], changed, position + 8, side)
    return bytes(changed)


def _exif_entries(block: bytes) -> list[Entry]:
    """Fields of the directory that describes how the photo was taken."""
    return [
        field
        for entry in entries(block)
        if entry.tag == _EXIF
        for field in _directory(block, _number(block, entry, "I"))
    ]


def _number(block: bytes, entry: Entry, code: str = "") -> int:
    """The first number of a field, by its own type or another one; -1 if that is no number."""
    code = code or _CODES.get(entry.kind, "")
    if not code:
        return -1
    (value,) = struct.unpack_from(byte_order(block) + code, entry.record, 8)
    return int(value)


def _text(block: bytes, entry: Entry) -> str:
    """Content of a text field, without its end; "" if it is cut off."""
    order = byte_order(block)
    (length,) = struct.unpack_from(order + "I", entry.record, 4)
    start = 8 if length <= 4 else struct.unpack_from(order + "I", entry.record, 8)[0]
    content = (entry.record if length <= 4 else block)[start : start + length]
    if len(content) < length:
        return ""
    return content.split(b"\0")[0].decode("ascii", "replace").strip()


def _directory(block: bytes, offset: int) -> list[Entry]:
    order = byte_order(block)
    fields: list[Entry] = []
    if offset < 0:
        return fields
    with contextlib.suppress(struct.error):  # the block is truncated
        (count,) = struct.unpack_from(order + "H", block, offset)
        for position in range(offset + 2, offset + 2 + 12 * count, 12):
            (record,) = struct.unpack_from("12s", block, position)
            tag, kind = struct.unpack_from(order + "HH", record)
            fields.append(Entry(tag, kind, record, position))
    return fields
