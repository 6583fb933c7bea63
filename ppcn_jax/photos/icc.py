"""ICC profiles of a matrix and curves: reading and writing them.

Reference: ICC.1:2022, sections 7.2 (header), 9.2 (tags), 10.6 (curveType), 10.18
(parametricCurveType) and F.3 (matrix and curves).
"""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

# White of the profile connection space, and Bradford's cone responses (ICC.1:2022, annex E).
D50 = np.array([0.9642, 1.0, 0.8249])
_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_COLORANTS = (b"rXYZ", b"gXYZ", b"bXYZ")
_CURVES = (b"rTRC", b"gTRC", b"bTRC")
_TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1")
# Which of the parameters g, a, b, c, d, e, f each type of parametric curve has.
_PARAMETERS = ("g", "gab", "gabc", "gabcd", "gabcdef")

Pair = tuple[float, float]


class Curve(NamedTuple):
    """From encoded values to light, both in [0, 1]: a table, or the parametric curve of ICC.

    `(a x + b)^g + e` from d on, and `c x + f` below.
    """

    g: float = 1.0
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0
    table: np.ndarray | None = None

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Light for encoded values, float64 in [0, 1]."""
        if self.table is not None:
            return np.interp(encoded, np.linspace(0, 1, len(self.table)), self.table)
        power = np.maximum(self.a * encoded + self.b, 0) ** self.g + self.e
        return np.clip(np.where(encoded >= self.d, power, self.c * encoded + self.f), 0, 1)


SRGB_CURVE = Curve(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65 = (0.3127, 0.3290)


class MatrixProfile(NamedTuple):
    """A color space by three curves and a matrix from their light to XYZ, relative to D50.

    Gray profiles have no matrix: the three channels of a gray photo are equal.
    """

    curves: tuple[Curve, Curve, Curve]
    matrix: np.ndarray | None


def color_model(icc: bytes) -> str:
    """Channels that a profile is for, such as "RGB", "GRAY" or "CMYK"; "" if it is damaged."""
    if len(icc) < 132 or icc[36:40] != b"acsp":
        return ""
    return icc[16:20].decode("ascii", "replace").strip()


def read_matrix_profile(icc: bytes) -> MatrixProfile | None:
    """Read a profile; None if it is damaged or has tables of colors instead of a matrix."""
    try:
        tags = _tags(icc)
        if icc[20:24] != b"XYZ " or tags.keys() & set(_TABLES):
            return None
        if color_model(icc) == "GRAY":
            curve = _curve(tags[b"kTRC"])
            return MatrixProfile((curve, curve, curve), None)
        if color_model(icc) != "RGB":
            return None
        red, green, blue = (_curve(tags[name]) for name in _CURVES)
        matrix = np.array([struct.unpack_from(">3i", tags[name], 8) for name in _COLORANTS]).T
    except (KeyError, IndexError, struct.error, ValueError):
        return None
    matrix = matrix / 65536
    return MatrixProfile((red, green, blue), matrix) if np.linalg.det(matrix) > 1e-6 else None


def make_profile(name: str, primaries: Sequence[Pair], white: Pair, curve: Curve) -> bytes:
    """Make the profile of a color space: xy of red, green and blue, xy of white, one curve."""
    adaptation = _adaptation(white)
    colorants = [_xyz(column) for column in matrix_of(primaries, white).T]
    parameters = [curve.g, curve.a, curve.b, curve.c, curve.d, curve.e, curve.f]
    shape = b"para" + struct.pack(">IHH", 0, 4, 0) + _fixed(parameters)
    tags = {
        b"desc": _text(name),
        b"cprt": _text("CC0"),
        b"wtpt": _xyz(D50),
        b"chad": b"sf32" + bytes(4) + _fixed(adaptation.ravel()),
        **dict(zip(_COLORANTS, colorants, strict=True)),
        **dict.fromkeys(_CURVES, shape),
    }
    return _assemble(tags)


def in_color(gray: bytes) -> bytes:
    """A profile for RGB with the curve of a gray profile; empty if that cannot be read."""
    if color_model(gray) != "GRAY" or read_matrix_profile(gray) is None:
        return b""
    colorants = [_xyz(column) for column in matrix_of(SRGB_PRIMARIES, D65).T]
    tags = {
        b"desc": _text("Gray as RGB"),
        b"cprt": _text("CC0"),
        b"wtpt": _xyz(D50),
        **dict(zip(_COLORANTS, colorants, strict=True)),
        **dict.fromkeys(_CURVES, _tags(gray)[b"kTRC"]),
    }
    return _assemble(tags)


def matrix_of(primaries: Sequence[Pair], white: Pair) -> np.ndarray:
    """From linear RGB to XYZ relative to D50, `[3, 3]`; ValueError if the primaries span no colors."""
    points = np.array([(x, y, 1 - x - y) for x, y in primaries]).T
    if abs(np.linalg.det(points)) < 1e-6 or white[1] <= 0:
        raise ValueError("the primaries span no colors")
    return _adaptation(white) @ (points * np.linalg.solve(points, _white(white)))


def _white(white: Pair) -> np.ndarray:
    return np.array([white[0], white[1], 1 - white[0] - white[1]]) / white[1]


def _adaptation(white: Pair) -> np.ndarray:
    scale = (_CONES @ D50) / (_CONES @ _white(white))
    adaptation: np.ndarray = np.linalg.inv(_CONES) @ np.diag(scale) @ _CONES
    return adaptation


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    tags = {}
    for index in range(min(count, 1000)):
        name, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * index)
        tags[name] = icc[offset : offset + size]
    return tags


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        names = _PARAMETERS[kind]
        numbers = np.array(struct.unpack_from(f">{len(names)}i", tag, 12)) / 65536
        given: dict[str, Any] = dict(zip(names, map(float, numbers), strict=True))
        if kind in (1, 2):  # below -b / a, these are constant
            offset = given.pop("c", 0.0)
            given |= {"d": -given["b"] / given["a"], "e": offset, "f": offset}
        return Curve(**given)
    if tag[:4] != b"curv":
        raise ValueError("no curve")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return Curve()
    if count == 1:
        return Curve(struct.unpack_from(">H", tag, 12)[0] / 256)
    table = np.frombuffer(tag, ">u2", count, 12) / 65535
    return Curve(table=np.maximum.accumulate(table))


def _assemble(tags: dict[bytes, bytes]) -> bytes:
    start = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    places: dict[bytes, int] = {}  # equal tags share their content
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(content)
            content += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, places[data], len(data))
    size = start + len(content)
    header = struct.pack(">I4xI4s4s4s12x4s", size, 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (header + bytes(28) + _fixed(D50)).ljust(128, b"\0") + table + content


def _fixed(numbers: Sequence[float] | np.ndarray) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(65536 * float(x)) for x in numbers))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(encoded), 28) + encoded
