"""What happens to the colors of a photo when it is changed, pixel by pixel in CIELAB.

The meaning of the faults, and where they fail: `ppcn_jax.evaluation.faults`.
"""

import numpy as np

COLORFUL, HAS_HUE = 20, 5  # chroma
TURNED = 20  # degrees
BRIGHT, DIMMED = 92, 5  # L*


def color_fault_maps(before: np.ndarray, after: np.ndarray) -> dict[str, np.ndarray]:
    """Measure the faults of color of each pixel.

    Args:
        before: CIELAB `[..., 3]`, see `to_cielab`.
        after: of the same shape.

    Returns:
        Maps `[...]` by name, NaN where a fault is not measured: "hue" in degrees; "lost" and
        "dimmed", 0 or 1.
    """
    chroma = np.hypot(before[..., 1], before[..., 2])
    chroma_left = np.hypot(after[..., 1], after[..., 2])
    colorful = chroma > COLORFUL
    turn = np.degrees(
        np.arctan2(after[..., 2], after[..., 1]) - np.arctan2(before[..., 2], before[..., 1])
    )
    turn = np.abs((turn + 180) % 360 - 180)
    light, light_after = before[..., 0], after[..., 0]
    return {
        "hue": np.where(colorful & (chroma_left > HAS_HUE), turn, np.nan),
        "lost": np.where(colorful, chroma_left < chroma / 2, np.nan),
        "dimmed": np.where(light > BRIGHT, light_after < light - DIMMED, np.nan),
    }


def mean_where_measured(map: np.ndarray) -> float | None:
    """The mean of a map where it is not NaN; None if it is NaN everywhere."""
    values = map[np.isfinite(map)]
    return float(np.mean(values)) if values.size else None
