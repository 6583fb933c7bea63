"""The chunks of a PNG file."""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

Chunk = tuple[bytes, bytes]

START = 8  # bytes of the signature
_HEADER_END = START + 25


def read_all(file: BinaryIO) -> list[Chunk]:
    """Names and contents of the chunks of a file, without its pixels; a truncated one ends them."""
    chunks: list[Chunk] = []
    file.seek(START)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        if name == b"IEND":
            break
        if name == b"IDAT":
            file.seek(length + 4, os.SEEK_CUR)
            continue
        content = file.read(length)
        if len(content) < length:
            break
        chunks.append((name, content))
        file.seek(4, os.SEEK_CUR)  # the checksum, which Pillow verifies
    return chunks


def chunks_of(png: bytes) -> Iterator[Chunk]:
    """Names and contents of all chunks of a complete file."""
    position = START
    while position < len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        yield name, png[position + 8 : position + 8 + length]
        position += 12 + length


def encode_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk with its length and checksum."""
    checksum = zlib.crc32(content, zlib.crc32(name))
    return b"".join([struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)])


def insert_chunks(png: bytes, chunks: Iterable[Chunk]) -> bytes:
    """Insert chunks right after the header, where all that precede palette and pixels may stand."""
    inserted = b"".join(encode_chunk(name, content) for name, content in chunks)
    return png[:_HEADER_END] + inserted + png[_HEADER_END:] if inserted else png
