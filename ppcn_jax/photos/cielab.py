"""Convert sRGB to CIELAB, where equal distances look about equally large."""

import numpy as np

# IEC 61966-2-1: linear sRGB to XYZ, divided by the white point D65 (0.95047, 1, 1.08883).
_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
) / np.array([[0.95047], [1.0], [1.08883]])
_LINEAR_BELOW = (6 / 29) ** 3  # the cube root is replaced by its tangent there


def to_cielab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of an sRGB image, for the white point D65 and an observer of 2 degrees.

    Args:
        rgb: float `[..., 3]` in [0, 1].

    Returns:
        float32 `[..., 3]`: L* in [0, 100], a* and b* in about [-110, 100].

    Reference:
        CIE 15:2004, section 8.2.1; IEC 61966-2-1 for sRGB.
    """
    rgb = np.asarray(rgb, np.float32)
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = linear @ _TO_XYZ.T.astype(np.float32)
    slope, offset = np.float32((29 / 6) ** 2 / 3), np.float32(4 / 29)
    x, y, z = np.moveaxis(np.where(xyz > _LINEAR_BELOW, np.cbrt(xyz), xyz * slope + offset), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
