"""The formats of photo files: their names and suffixes, and those of camera raw."""

import functools
import importlib.util
import pathlib

# File suffixes of each format; the first one is used for new names.
SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
    "tiff": (".tif", ".tiff"),
    "heic": (".heic", ".heif", ".hif"),
    "avif": (".avif",),
    "jxl": (".jxl",),
    "bmp": (".bmp",),
}
# Several pictures in one file, of which the first one becomes a regular JPEG.
_MULTI_PICTURE = ".mpo"
# Of cameras; LibRaw reads them, and no program writes them.
RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc"),
    *(".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl"),
    *(".sr2", ".srf", ".srw", ".x3f"),
)
ALL_SUFFIXES = (*(suffix for suffixes in SUFFIXES.values() for suffix in suffixes), _MULTI_PICTURE)
# Camera raw becomes a file of this format unless another one is chosen.
DEVELOPED = "tiff"

# Format of a photo by the name of Pillow's plugin.
PLUGINS = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "TIFF": "tiff",
    "HEIF": "heic",
    "AVIF": "avif",
    "JXL": "jxl",
    "BMP": "bmp",
}
# First bytes of camera raw files that are no regular TIFF files.
_RAW_STARTS = (
    *(b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM"),
    *(b"II\x1a\0\0\0HEAPCCDR", b"\0\0\0\x18ftypcrx "),
)


def starts_like_raw(start: bytes) -> bool:
    """Recognize camera raw by its first 32 bytes; raw files based on TIFF need more."""
    return start.startswith(_RAW_STARTS) or start[8:11] == b"CR\2"


@functools.cache
def searched_suffixes() -> tuple[str, ...]:
    """Suffixes of the files that are photos if they lie in a folder."""
    return ALL_SUFFIXES + (RAW_SUFFIXES if importlib.util.find_spec("rawpy") else ())


def result_format(name: pathlib.Path, format: str | None) -> str | None:
    """Format of the result for a photo of this name; None is the photo's own."""
    suffix = name.suffix.lower()
    if format is None and suffix in RAW_SUFFIXES:
        return DEVELOPED
    if format is None and suffix == _MULTI_PICTURE:
        return "jpeg"
    return format


def result_name(name: pathlib.Path, format: str | None, suffix: str = "") -> pathlib.Path:
    """Name of a result of a format: that of the photo, unless the file suffix does not fit.

    The suffix is added before that of the file.
    """
    return name.with_name(f"{name.stem}{suffix}{_file_suffix(name, format)}")


def long_result_name(name: pathlib.Path, format: str | None, suffix: str = "") -> pathlib.Path:
    """Name of a result with the complete name of the photo, `x.png.jpg`, which no other photo has."""
    return name.with_name(f"{name.name}{suffix}{_file_suffix(name, format)}")


def _file_suffix(name: pathlib.Path, format: str | None) -> str:
    if format and name.suffix.lower() not in SUFFIXES[format]:
        return SUFFIXES[format][0]
    return name.suffix
