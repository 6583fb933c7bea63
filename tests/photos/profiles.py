"""Color profiles for tests, and conversions by LittleCMS to compare with."""

import io
import struct

import numpy as np
from PIL import Image, ImageCms

from ppcn_jax.photos.icc import D50, D65, SRGB_CURVE, SRGB_PRIMARIES, Curve, make_profile

_BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = make_profile("P3", ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65, SRGB_CURVE)
SPACES = {
    "p3": P3,
    "adobe": make_profile("A", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65, Curve(2.19921875)),
    "prophoto": make_profile(
        "P", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), (0.3457, 0.3585), Curve(1.8)
    ),
    "linear": make_profile("L", SRGB_PRIMARIES, D65, Curve()),
    "rec2020": make_profile("R", _BT2020, D65, Curve()),
}


def convert(pixels, source, target):
    """Convert uint8 `[H, W, 3]` with LittleCMS."""
    ends = [ImageCms.ImageCmsProfile(io.BytesIO(icc)) for icc in (source, target)]
    image = Image.fromarray(pixels)
    return np.asarray(ImageCms.profileToProfile(image, *ends, renderingIntent=1, outputMode="RGB"))


def _assemble(model, tags):
    place, table, content = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", place + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    header = struct.pack(">I4xI4s4s4s12x4s", place + len(content), 0x02400000, b"mntr", model,
                         b"XYZ ", b"acsp").ljust(68, b"\0")  # fmt: skip
    header += struct.pack(">3i", *(round(65536 * x) for x in D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + content


def gray_profile(gamma):
    """A profile for grayscale images."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * x) for x in D50))
    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"G\0" + bytes(78)
    return _assemble(b"GRAY", {b"desc": text, b"wtpt": white, b"kTRC": curve})


def table_profile(to_xyz, points=33, from_xyz=None):
    """A profile with tables instead of a matrix; functions of `[N, 3]` in [0, 1]."""
    axis = np.linspace(0, 1, points)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)

    def table(values, power=1.0):
        numbers = np.rint(np.clip(values, 0, 1) * 65535).astype(">u2").tobytes()
        head = b"mft2" + bytes(4) + bytes([3, 3, points, 0])
        identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
        ramp = struct.pack(">2H", 0, 65535) * 3
        curve = np.rint(np.linspace(0, 1, 4096) ** power * 65535).astype(">u2").tobytes() * 3
        return head + identity + struct.pack(">2H", 4096, 2) + curve + numbers + ramp

    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"T\0" + bytes(78)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * x) for x in D50))
    tags = {b"desc": text, b"wtpt": white, b"A2B0": table(to_xyz(grid) * 32768 / 65535)}
    if from_xyz:
        # Steps of light that look equal.
        tags[b"B2A0"] = table(from_xyz(grid**3 * 65535 / 32768), 1 / 3)
    return _assemble(b"RGB ", tags)
