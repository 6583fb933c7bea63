"""Boxes of the ISO base media file format: what AVIF and JPEG XL say beside their pictures.

Pillow's plugins do not return it. References: ISO/IEC 14496-12 and 23008-12 for the boxes, AV1 Codec
ISO Media File Format Binding for `av1C`, ITU-T H.273 for the code numbers.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

Box = tuple[bytes, bytes]


class Properties(NamedTuple):
    """What an AVIF file says about its main picture.

    Attributes:
        bits: per channel.
        codes: numbers of primaries and transfer; None if the file has none.
    """

    bits: int = 8
    codes: tuple[int, int] | None = None


def read_boxes(content: bytes) -> Iterator[Box]:
    """Names and contents of the boxes of a file or of another box; a damaged one ends them."""
    position = 0
    while position + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, position)
        start = position + 8
        if size == 1 and start + 8 <= len(content):
            (size,) = struct.unpack_from(">Q", content, start)
            start += 8
        end = len(content) if size == 0 else position + size
        if not start <= end <= len(content):
            return
        yield name, content[start:end]
        position = end


def read_properties(content: bytes) -> Properties:
    """The properties of the main picture of an AVIF file; the usual ones if they are damaged."""
    try:
        return _read_properties(content)
    except (struct.error, KeyError, IndexError):
        return Properties()


def _read_properties(content: bytes) -> Properties:
    inside = dict(read_boxes(dict(read_boxes(content))[b"meta"][4:]))
    wide = inside[b"pitm"][0] > 0
    (main,) = struct.unpack_from(">I" if wide else ">H", inside[b"pitm"], 4)
    shared = list(read_boxes(inside[b"iprp"]))
    properties = list(read_boxes(dict(shared)[b"ipco"]))
    indices = [
        index
        for name, table in shared
        if name == b"ipma"
        for item, associated in _associations(table)
        if item == main
        for index in associated
    ]
    bits, codes = 8, None
    for name, value in (properties[index - 1] for index in indices if index):
        if name == b"av1C":
            deep, deepest = value[2] & 0x40, value[2] & 0x20
            bits = 12 if deepest else 10 if deep else 8
        elif name == b"pixi":
            bits = max(bits, value[5])
        elif name == b"colr" and value[:4] == b"nclx":
            codes = struct.unpack_from(">HH", value, 4)
    return Properties(bits, codes)


def _associations(table: bytes) -> Iterator[tuple[int, list[int]]]:
    """Numbers of pictures with those of their properties, counted from 1."""
    wide_item, wide_index = table[0] > 0, table[3] & 1
    (count,) = struct.unpack_from(">I", table, 4)
    position = 8
    for _ in range(count):
        (item,) = struct.unpack_from(">I" if wide_item else ">H", table, position)
        position += 4 if wide_item else 2
        length = table[position]
        position += 1
        kind, mask = (">H", 0x7FFF) if wide_index else (">B", 0x7F)
        size = struct.calcsize(kind)
        yield (
            item,
            [struct.unpack_from(kind, table, position + size * n)[0] & mask for n in range(length)],
        )
        position += size * length
