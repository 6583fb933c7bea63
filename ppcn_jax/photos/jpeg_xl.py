"""JPEG XL by Pillow's plug-in: what its files say that the plug-in does not.

The plug-in returns 8 bits per channel and the first picture of an animation, silently. Reference:
ISO/IEC 18181-1, the headers before the first frame.
"""

from typing import NamedTuple

from ppcn_jax.photos.boxes import read_boxes

_BARE = b"\xff\x0a"
# Choices of a number: bits to read and the value of zero, see `_Bits.number`.
_SIZES = ((9, 1), (13, 1), (18, 1), (30, 1))
_DEPTHS = ((0, 8), (0, 10), (0, 12), (6, 1))
_FLOAT_DEPTHS = ((0, 32), (0, 16), (0, 24), (6, 1))


class JxlHeader(NamedTuple):
    """What the header says.

    Attributes:
        bits: per channel; more than 8 are reduced in reading.
        animated: there are several pictures.
        xmp: the XMP packet.
    """

    bits: int
    animated: bool
    xmp: bytes


def read_jxl_header(content: bytes) -> JxlHeader:
    """Read the header of a JPEG XL file."""
    boxes = {} if content.startswith(_BARE) else dict(reversed(list(read_boxes(content))))
    stream = boxes.get(b"jxlc") or boxes.get(b"jxlp", b"")[4:] or content
    bits, animated = _read(_Bits(stream[len(_BARE) : 64]))
    return JxlHeader(bits, animated, boxes.get(b"xml ", b""))


class _Bits:
    """Bits of a stream, the lowest of each byte first; zeros after its end."""

    def __init__(self, content: bytes):
        self._left = int.from_bytes(content, "little")

    def take(self, count: int) -> int:
        """The next bits as a number."""
        value = self._left & ((1 << count) - 1)
        self._left >>= count
        return value

    def number(self, choices: tuple[tuple[int, int], ...]) -> int:
        """A number whose first two bits say how many follow, and what is added."""
        count, least = choices[self.take(2)]
        return least + self.take(count)


def _read(bits: _Bits) -> tuple[int, bool]:
    """(bits per channel, whether there is an animation)."""
    _skip_size(bits)
    animated = False
    if bits.take(1):  # everything is as usual
        return 8, animated
    if bits.take(1):  # orientation and more
        bits.take(3)
        if bits.take(1):
            _skip_size(bits)
        if bits.take(1):
            return 8, animated  # a preview, which no encoder writes
        if bits.take(1):
            return 8, True
    is_float = bits.take(1)
    return bits.number(_FLOAT_DEPTHS if is_float else _DEPTHS), animated


def _skip_size(bits: _Bits) -> None:
    small = bits.take(1)
    for has_ratio in (False, True):
        if has_ratio and bits.take(3):
            return  # the width follows from the height
        if small:
            bits.take(5)
        else:
            bits.number(_SIZES)
