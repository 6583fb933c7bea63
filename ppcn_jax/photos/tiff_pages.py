"""The directories of a TIFF file: whether it is a camera raw, and which page is the photo."""

import struct
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from ppcn_jax.runtime.errors import InputError

_BITS, _SAMPLE_FORMAT = 258, 339
# Sample formats other than unsigned integers (1) and unknown (4).
_KINDS = {2: "signed integer", 3: "floating-point", 5: "complex integer", 6: "complex"}
_SUBFILE, _OLD_SUBFILE, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG_VERSION = 254, 255, 262, 330, 50706
_REDUCED, _MASK = 1, 4  # bits of the subfile type
_OLD_REDUCED = 2
# Values of the photometric interpretation: a mosaic of colors, and linear camera colors.
_RAW_PHOTOMETRICS = (32803, 34892)
_MOST_PAGES = 1000
_STARTS = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"II+\0", b"MM\0+")
_ERRORS = (SyntaxError, struct.error, OSError, ValueError, TypeError, KeyError)

Directory = ImageFileDirectory_v2


def is_tiff(start: bytes) -> bool:
    """Recognize TIFF and BigTIFF by the first bytes of a file."""
    return start.startswith(_STARTS)


def read_directories(file: BinaryIO) -> list[Directory]:
    """The directories of a TIFF file's pages, without sub-directories; damaged ones end the list."""
    directories: list[Directory] = []
    header = _header(file)
    try:
        directory = Directory(header)
        seen: set[int] = set()
        while (offset := directory.next) and offset not in seen and len(seen) < _MOST_PAGES:
            seen.add(offset)
            directory = _read(file, header, offset)
            directories.append(directory)
    except _ERRORS:
        pass  # Pillow's decoder reports what is damaged
    return directories


def is_camera_raw(file: BinaryIO, directories: list[Directory]) -> bool:
    """Check if a TIFF file is a camera raw, whose pages are at most previews.

    Signs are the version of DNG, a page or sub-directory with the colors of a sensor, and a first
    page that is a reduced copy of no other page.
    """
    if not directories:
        return False
    if _DNG_VERSION in directories[0]:
        return True
    below = [directory for page in directories for directory in _sub_directories(file, page)]
    if any(page.get(_PHOTOMETRIC) in _RAW_PHOTOMETRICS for page in (*directories, *below)):
        return True
    return is_secondary(directories[0]) and all(map(is_secondary, directories))


def is_secondary(directory: Directory) -> bool:
    """Check if a page is a reduced copy or a mask of another one."""
    kind = directory.get(_SUBFILE, 0)
    reduced = isinstance(kind, int) and bool(kind & (_REDUCED | _MASK))
    return reduced or directory.get(_OLD_SUBFILE) == _OLD_REDUCED


def choose_page(directories: list[Directory]) -> int:
    """The page that is the photo; the others are thumbnails, smaller copies or masks.

    Raises:
        InputError: several pages, or samples that are not of 8 or 16 bits.
    """
    pages = [n for n, directory in enumerate(directories) if not is_secondary(directory)]
    if len(pages) > 1:
        raise InputError(
            f"contains {len(pages)} images (an animation or several pages); one is expected"
        )
    page = pages[0] if pages else 0
    if directories:
        _check_samples(directories[page])
    return page


def _check_samples(directory: Directory) -> None:
    bits, kinds = (_numbers(directory.get(tag, ())) for tag in (_BITS, _SAMPLE_FORMAT))
    kind = _KINDS.get(max(kinds, default=1))
    most = max(bits, default=1)
    if kind or most > 16:
        raise InputError(
            f"has {most}-bit {kind or 'integer'} samples; save it with 8 or 16 bits per channel"
        )


def _numbers(value: Any) -> list[int]:
    values = value if isinstance(value, tuple) else (value,)
    return [number for number in values if isinstance(number, int)]


def _sub_directories(file: BinaryIO, directory: Directory) -> list[Directory]:
    found = []
    offsets: Any = directory.get(_SUB_DIRECTORIES, ())
    header = _header(file)
    for offset in offsets if isinstance(offsets, tuple) else (offsets,):
        try:
            found.append(_read(file, header, offset))
        except _ERRORS:
            continue
    return found


def _header(file: BinaryIO) -> bytes:
    file.seek(0)
    header = file.read(16)
    return header if b"+" in header[2:4] else header[:8]  # BigTIFF's is longer


def _read(file: BinaryIO, header: bytes, offset: int) -> Directory:
    directory = Directory(header)
    file.seek(offset)
    directory.load(file)
    return directory
