"""Color spaces that files describe by code numbers or by PNG's chunks, as color profiles.

References: ITU-T H.273, tables 2 and 3, for the numbers; the PNG specification, third edition,
sections 4.3 (precedence) and 11.3.2, for the chunks.
"""

import struct
from collections.abc import Sequence

from ppcn_jax.photos.icc import (
    D65,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    Curve,
    Pair,
    make_profile,
)
from ppcn_jax.photos.png_chunks import Chunk
from ppcn_jax.runtime.errors import InputError

_SRGB, _UNSPECIFIED = 1, 2
_ILLUMINANT_C, _DCI_WHITE = (0.310, 0.316), (0.314, 0.351)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
# By code number: name, xy of red, green and blue, xy of white.
_PRIMARIES: dict[int, tuple[str, Sequence[Pair], Pair]] = {
    1: ("BT.709", SRGB_PRIMARIES, D65),
    4: ("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _ILLUMINANT_C),
    5: ("BT.601 625", ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), D65),
    6: ("BT.601 525", ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65),
    7: ("SMPTE 240M", ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), D65),
    8: ("Film", ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), _ILLUMINANT_C),
    9: ("BT.2020", ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    11: ("DCI P3", _P3, _DCI_WHITE),
    12: ("Display P3", _P3, D65),
    22: ("EBU 3213", ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)), D65),
}
_VIDEO_CURVE = Curve(1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_CURVES = {
    1: _VIDEO_CURVE,
    4: Curve(2.2),
    5: Curve(2.8),
    6: _VIDEO_CURVE,
    7: Curve(1 / 0.45, 1 / 1.1115, 0.1115 / 1.1115, 1 / 4, 0.0913),
    8: Curve(),
    13: SRGB_CURVE,
    14: _VIDEO_CURVE,
    15: _VIDEO_CURVE,
}
_CURVE_NAMES = {8: "linear", 13: "sRGB curve"}
_HDR = {16: "PQ", 18: "HLG"}
# Encoders of video write these for any photo in sRGB, and viewers show them as sRGB.
_VIDEO = (1, 5, 6), (1, 6)
# gAMA and cHRM that go with the chunk sRGB, for programs that do not know it.
_SRGB_GAMMA, _SRGB_CHROMATICITIES = 45455, (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_COLOR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")


def profile_of_nclx(primaries: int, transfer: int) -> bytes:
    """The profile for the code numbers of a HEIC or AVIF file; empty for sRGB."""
    if primaries in _VIDEO[0] and transfer in _VIDEO[1]:
        return b""
    return _profile_of_codes(primaries, transfer)


def adobe_rgb() -> bytes:
    """The profile of Adobe RGB (1998)."""
    return _make("Adobe RGB (1998)", _ADOBE_RGB, D65, Curve(2 + 51 / 256))


def color_chunks(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """The chunks that describe colors; none if a color profile alone does."""
    found = tuple(chunk for chunk in chunks if chunk[0] in _COLOR_CHUNKS)
    return () if all(name == b"iCCP" for name, _ in found) else found


def profile_of_png(chunks: Sequence[Chunk], icc: bytes) -> bytes:
    """The profile that PNG's color chunks describe, by precedence; empty for sRGB.

    Args:
        chunks: those of `color_chunks`.
        icc: the content of iCCP, decompressed; empty if there is none.

    Raises:
        InputError: PQ, HLG or another space that is not supported.
    """
    known = dict(chunks)
    if len(codes := known.get(b"cICP", b"")) == 4 and codes[2] == 0:
        primaries, transfer, _, full = codes
        if not full:
            raise InputError("has colors of narrow range (cICP), which is not supported")
        if _UNSPECIFIED not in (primaries, transfer):
            return _profile_of_codes(primaries, transfer)
    if icc or b"sRGB" in known:
        return icc
    gamma, chromaticities = _SRGB_GAMMA, _SRGB_CHROMATICITIES
    if len(content := known.get(b"gAMA", b"")) == 4:
        gamma = struct.unpack(">I", content)[0] or gamma
    if len(content := known.get(b"cHRM", b"")) == 32:
        chromaticities = struct.unpack(">8I", content)
    is_srgb = all(
        abs(a - b) <= 100 for a, b in zip(chromaticities, _SRGB_CHROMATICITIES, strict=True)
    )
    if is_srgb and abs(gamma - _SRGB_GAMMA) <= 500:
        return b""
    white, *points = ((x / 1e5, y / 1e5) for x, y in zip(*[iter(chromaticities)] * 2, strict=True))
    # A curve alone is that of sRGB's primaries; primaries alone have the curve of sRGB.
    curve = Curve(1e5 / gamma) if b"gAMA" in known else SRGB_CURVE
    return _make(f"PNG gamma {gamma / 1e5:g}", points, white, curve)


def _profile_of_codes(primaries: int, transfer: int) -> bytes:
    if transfer in _HDR:
        raise InputError(
            f"has high dynamic range ({_HDR[transfer]}); the networks learned photos of standard "
            "range: convert it with the program that made it"
        )
    primaries = _SRGB if primaries == _UNSPECIFIED else primaries
    transfer = 13 if transfer == _UNSPECIFIED else transfer
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        raise InputError(
            f"has colors of a kind that is not supported: primaries {primaries} and transfer "
            f"{transfer} of ITU-T H.273"
        )
    if (primaries, transfer) == (_SRGB, 13):
        return b""
    name, points, white = _PRIMARIES[primaries]
    kind = _CURVE_NAMES.get(transfer, f"transfer {transfer}")
    return _make(name if transfer == 13 else f"{name}, {kind}", points, white, _CURVES[transfer])


def _make(name: str, primaries: Sequence[Pair], white: Pair, curve: Curve) -> bytes:
    try:
        return make_profile(name, primaries, white, curve)
    except (ValueError, struct.error, OverflowError) as error:
        raise InputError(f"describes impossible colors ({name}): {error}") from error
