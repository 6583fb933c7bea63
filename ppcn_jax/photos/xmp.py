"""XMP packets, changed without parsing them: bytes that need no change stay as they are.

Reference: ISO 16684-1 (XMP), and part 3 of Adobe's specification for extended XMP in JPEG files.
"""

import hashlib
import re

_HAS_EXTENDED = rb"""\s+[\w.-]+:HasExtendedXMP\s*=\s*(["'])[0-9A-Fa-f]*\1"""
# Namespaces of pictures and videos that follow the photo in its file and are not kept: gain maps,
# motion photos, depth. Of the camera's namespace, only those properties.
_OF_OTHERS = {
    b"http://ns.adobe.com/hdr-gain-map/1.0/": rb"\w+",
    b"http://ns.apple.com/HDRGainMap/1.0/": rb"\w+",
    b"http://ns.google.com/photos/1.0/container/": rb"\w+",
    b"http://ns.google.com/photos/1.0/container/item/": rb"\w+",
    b"http://ns.google.com/photos/dd/1.0/container/": rb"\w+",
    b"http://ns.google.com/photos/dd/1.0/item/": rb"\w+",
    b"http://ns.google.com/photos/1.0/camera/": rb"(?:MicroVideo|MotionPhoto)\w*",
}


def mark_upright(xmp: bytes) -> bytes:
    """Set the orientation in a packet to 1."""
    return re.sub(rb"""(tiff:Orientation(?:=["']|>))[2-8]""", rb"\g<1>1", xmp)


def without_other_pictures(xmp: bytes) -> bytes:
    """Remove what a packet says of gain maps and motion videos, which results do not have."""
    for namespace, names in _OF_OTHERS.items():
        declaration = rb"""\s+xmlns:([\w.-]+)\s*=\s*(["'])""" + re.escape(namespace) + rb"\2"
        for found in re.findall(declaration, xmp):
            name = re.escape(found[0]) + rb":" + names
            xmp = re.sub(rb"\s+" + name + rb"""\s*=\s*("[^"]*"|'[^']*')""", b"", xmp)
            xmp = re.sub(
                rb"<(" + name + rb")(\s[^>]*)?(?<!/)>.*?</\1\s*>", b"", xmp, flags=re.DOTALL
            )
            xmp = re.sub(rb"<" + name + rb"(\s[^>]*)?/>", b"", xmp)
            if found[0] + b":" not in re.sub(declaration, b"", xmp):
                xmp = re.sub(declaration, b"", xmp)
    return xmp


def without_extension(xmp: bytes) -> bytes:
    """Remove the reference to extended XMP."""
    return re.sub(_HAS_EXTENDED, b"", xmp)


def extend(xmp: bytes) -> tuple[bytes, bytes]:
    """Split a packet that is too long for a JPEG: a short one, and itself as extended XMP."""
    body = re.sub(rb"<\?xpacket[^>]*\?>", b"", xmp).strip()
    short = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
        b'xmpNote:HasExtendedXMP="' + guid(body) + b'"/></rdf:RDF></x:xmpmeta>'
    )
    return short, body


def guid(extension: bytes) -> bytes:
    """The name of extended XMP, by its content."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()


def refers_to(xmp: bytes) -> bytes:
    """The name of the extended XMP that a packet refers to; empty if it has none."""
    found = re.search(rb"""HasExtendedXMP(?:\s*=\s*["']|>)([0-9A-Fa-f]{32})""", xmp)
    return found[1] if found else b""
