"""Segments of JPEG files beyond what Pillow handles: IPTC, extended XMP and resolution.

References: ISO/IEC 10918-5 (JFIF), IPTC-IIM in Photoshop's image resources, and part 3 of Adobe's
XMP specification.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

from ppcn_jax.photos import xmp

_PHOTOSHOP, _EXTENDED = b"Photoshop 3.0\0", b"http://ns.adobe.com/xmp/extension/\0"
_APP1, _APP13 = 0xE1, 0xED
_MOST = 65_533  # bytes in a segment
_IPTC = 1028
_THUMBNAILS = (1033, 1036)

Segment = tuple[str, bytes]


def read_resources(segments: Iterable[Segment]) -> bytes:
    """Photoshop's image resources, which hold IPTC data, without thumbnails."""
    content = b"".join(
        content.removeprefix(_PHOTOSHOP)
        for name, content in segments
        if name == "APP13" and content.startswith(_PHOTOSHOP)
    )
    return without_thumbnails(content)


def without_thumbnails(resources: bytes) -> bytes:
    """Image resources without pictures of the photo."""
    return b"".join(whole for kind, _, whole in _resources(resources) if kind not in _THUMBNAILS)


def iptc_of(resources: bytes) -> bytes:
    """The IPTC data among image resources; empty if there are none."""
    return b"".join(content for kind, content, _ in _resources(resources) if kind == _IPTC)


def make_resources(iptc: bytes) -> bytes:
    """IPTC data as image resources."""
    return b"8BIM" + struct.pack(">HxxI", _IPTC, len(iptc)) + iptc + bytes(len(iptc) % 2)


def read_extension(segments: Sequence[Segment], packet: bytes) -> bytes:
    """The extended XMP that a packet refers to; empty if it is not complete."""
    name = xmp.refers_to(packet)
    parts: dict[int, bytes] = {}
    for kind, content in segments:
        if kind == "APP1" and name and content.startswith(_EXTENDED + name):
            start = len(_EXTENDED) + 32
            if len(content) >= start + 8:
                (_, offset) = struct.unpack_from(">II", content, start)
                parts[offset] = content[start + 8 :]
    extension = b""
    for offset, part in sorted(parts.items()):
        if offset != len(extension):
            return b""
        extension += part
    return extension


def encode_segments(resources: bytes, packet: bytes, extension: bytes) -> bytes:
    """Segments with image resources and with the extension that a packet refers to."""
    written = [
        _segment(_APP13, _PHOTOSHOP + part) for part in _parts(resources, _MOST - len(_PHOTOSHOP))
    ]
    head, position = _EXTENDED + xmp.refers_to(packet), 0
    for part in _parts(extension, _MOST - len(head) - 8):
        place = struct.pack(">II", len(extension), position)
        written.append(_segment(_APP1, head + place + part))
        position += len(part)
    return b"".join(written)


def set_density(jpeg: bytes, unit: int, x: int, y: int) -> bytes:
    """Set the resolution in the header of JFIF; a file without one stays as it is."""
    if jpeg[6:11] != b"JFIF\0":
        return jpeg
    return jpeg[:13] + struct.pack(">BHH", unit, x, y) + jpeg[18:]


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _parts(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def _resources(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content and all bytes of each image resource; a damaged one ends them."""
    position = 0
    while content[position : position + 4] == b"8BIM" and position + 12 <= len(content):
        (kind,) = struct.unpack_from(">H", content, position + 4)
        name = 1 + content[position + 6]
        start = position + 6 + name + name % 2
        if start + 4 > len(content):
            return
        (size,) = struct.unpack_from(">I", content, start)
        end = start + 4 + size
        if end > len(content):
            return
        yield kind, content[start + 4 : end], content[position : end + size % 2]
        position = end + size % 2
