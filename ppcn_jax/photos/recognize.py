"""Recognize the format of a file by its first bytes, and name those that are not supported."""

from ppcn_jax.photos.plugins import load_plugin
from ppcn_jax.photos.tiff_pages import is_tiff
from ppcn_jax.runtime.errors import InputError

# How messages name the formats, by the names of Pillow's plug-ins.
NAMES = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "WEBP": "WebP",
    "TIFF": "TIFF",
    "HEIF": "HEIC",
    "AVIF": "AVIF",
    "JXL": "JPEG XL",
    "BMP": "BMP",
}
_STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"BM": "BMP",
    b"\xff\x0a": "JXL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JXL",
}
_OTHERS = {
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"II\xbc": "JPEG XR",
    b"8BPS": "a Photoshop file (PSD)",
    b"gimp xcf": "a GIMP file (XCF)",
    b"v/1\x01": "OpenEXR",
    b"#?RA": "Radiance HDR",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"\0\0\x01\0": "a Windows icon",
    b"P6": "PPM",
    b"P5": "PGM",
    b"PK\3\4": "a zip archive",
}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_EITHER_BRANDS = {b"mif1", b"msf1", b"miaf"}
_READABLE = f"{', '.join(list(NAMES.values())[:-1])} or {list(NAMES.values())[-1]}"
_ADVICE = "which is not supported; save it as JPEG, PNG or TIFF"


def plugin_for(start: bytes) -> str:
    """Name of the Pillow plug-in for a file, from its first 32 bytes; the file is no camera raw.

    Raises:
        InputError: the format is not supported, or its package is not installed.
    """
    if not start:
        raise InputError("is empty")
    plugin = _recognize(start)
    load_plugin(plugin)
    return plugin


def _recognize(start: bytes) -> str:
    for first, plugin in _STARTS.items():
        if start.startswith(first):
            return plugin
    if is_tiff(start):
        return "TIFF"
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "WEBP"
    if start[4:8] == b"ftyp":
        # The main brand, and the first compatible ones.
        brands = [start[8:12], *(start[n : n + 4] for n in (16, 20, 24, 28))]
        if brands[0] in _AVIF_BRANDS | _HEIC_BRANDS | _EITHER_BRANDS:
            is_avif = brands[0] not in _HEIC_BRANDS and not _AVIF_BRANDS.isdisjoint(brands)
            return "AVIF" if is_avif else "HEIF"
        raise InputError("is a video or another file of the MP4 family, not a photo")
    for first, name in _OTHERS.items():
        if start.startswith(first):
            raise InputError(f"is {name}, {_ADVICE}")
    raise InputError(f"is not a readable {_READABLE} file")


def check_jpeg(content: bytes) -> None:
    """Raise InputError for kinds of JPEG that Pillow does not decode; takes the file's beginning."""
    position = 2
    while position + 10 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:  # padding
            position += 1
            continue
        if marker == 0xF7:
            raise InputError(f"is JPEG-LS, {_ADVICE}")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if (bits := content[position + 4]) != 8:
                raise InputError(f"is a {bits}-bit JPEG, {_ADVICE} with 16 bits")
            return
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
