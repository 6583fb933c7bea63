"""HEIC with 10 or 12 bits per channel, which Pillow's plug-in reads and writes as 8."""

import io
import threading
from typing import Any, BinaryIO

import numpy as np

_MODES = {1: "L;16", 3: "RGB;16", 4: "RGBA;16"}
# Whether 12 bits are written is a global variable of the plug-in.
_LOCK = threading.Lock()


def read_deep(file: BinaryIO, bits: int) -> np.ndarray:
    """Read uint16 `[H, W, C]`, C 1 (gray), 3 or 4, from a file with 10 or 12 bits per channel."""
    import pillow_heif

    file.seek(0)
    image = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    samples = np.asarray(image)
    if samples.ndim == 2:
        samples = samples[..., None]
    # The bits are the highest ones of 16: repeat them below, so that white is 65535.
    return samples | samples >> bits


def encode_deep(samples: np.ndarray, bits: int, **options: Any) -> bytes:
    """Encode uint16 `[H, W, C]`, C 1, 3 or 4, with 10 or 12 bits; options are those of Pillow."""
    import pillow_heif

    height, width, channels = samples.shape
    most = 2**bits - 1
    rounded = (samples.astype(np.uint32) * most + 32767) // 65535
    content = (rounded << (16 - bits)).astype(np.uint16).tobytes()
    buffer = io.BytesIO()
    with _LOCK:
        before = pillow_heif.options.SAVE_HDR_TO_12_BIT
        pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
        try:
            pillow_heif.encode(_MODES[channels], (width, height), content, buffer, **options)
        finally:
            pillow_heif.options.SAVE_HDR_TO_12_BIT = before
    return buffer.getvalue()
