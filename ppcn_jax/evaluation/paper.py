"""Published scores: the paper's Table 3, and the formulas of the PIRM 2018 challenge.

The challenge weighs quality against speed: the speed-up over SRCNN on 1280x720 images, of which
at most a factor of 4 counts. See Ignatov et al., "PIRM challenge on perceptual image enhancement
on smartphones: report", ECCV workshops 2018.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict

from ppcn_jax.weights.model import Model

MAX_SPEED_UP = 4.0


def super_resolution_score(psnr: float, ms_ssim: float, speed_up: float) -> float:
    """Score of track A: 4 (PSNR - 26.5) + 100 (MS-SSIM - 0.94) + min(speed-up, 4)."""
    return 4 * (psnr - 26.5) + 100 * (ms_ssim - 0.94) + min(speed_up, MAX_SPEED_UP)


def enhancement_scores(psnr: float, ms_ssim: float, speed_up: float) -> dict[str, float]:
    """Scores "A", "B" and "C" of track B, which weigh PSNR, MS-SSIM and speed differently."""
    decibels, similarity, speed = psnr - 21, ms_ssim - 0.9, min(speed_up, MAX_SPEED_UP)
    return {
        "A": 4 * decibels + 100 * similarity + 2 * speed,
        "B": decibels + 400 * similarity + 2 * speed,
        "C": 2 * decibels + 200 * similarity + 2.9 * speed,
    }


class Published(NamedTuple):
    """One row of the paper's Table 3.

    Attributes:
        psnr: dB, mean over 400 iPhone patches of DPED.
        ms_ssim: mean over the same patches.
        milliseconds: for 1280x720 on an Intel i7-8700K CPU.
    """

    psnr: float
    ms_ssim: float
    milliseconds: int


# Keyed by weights_digest(), so that released weights are recognized in any file. The table's row
# for the student with L1 and VGG losses has no released weights.
_TABLE3 = {
    "3fd310afe494b10b": Published(22.96, 0.9299, 1182),  # teacher
    "6aee3ebfdf8bc518": Published(22.54, 0.9244, 392),  # student
    "a6f74add28a26990": Published(22.34, 0.9229, 445),  # student without distillation
    "5b7441eebbf784f5": Published(21.32, 0.9030, 1832),  # SRCNN
    "176827944211ce4c": Published(22.17, 0.9204, 10701),  # DPED
    "3248a8bc70ad4fdd": Published(22.38, 0.9156, 3226),  # ResNet_8_32
}


def published_in_table3(model: Model) -> Published | None:
    """The paper's row for a model with exactly the released weights, otherwise None."""
    return _TABLE3.get(weights_digest(model))


def weights_digest(model: Model) -> str:
    """The first 16 hexadecimal digits of a SHA-256 over names and values of the weights."""
    sha = hashlib.sha256()
    for name, array in sorted(flatten_dict(model.params, sep="/").items()):
        sha.update(name.encode())
        sha.update(np.asarray(array, "<f4").tobytes())
    return sha.hexdigest()[:16]
