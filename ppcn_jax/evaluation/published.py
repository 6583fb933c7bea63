"""What the paper printed about networks whose weights its authors, or others, released."""

import dataclasses
import hashlib

import numpy as np
from flax.traverse_util import flatten_dict

from ppcn_jax.weights.model import Model


@dataclasses.dataclass(frozen=True)
class Printed:
    """One row of the paper's Table 3.

    Attributes:
        psnr: dB, mean of 400 iPhone patches of DPED.
        ms_ssim: of the same.
        milliseconds: for 1280x720 on the CPU Intel i7-8700K.
    """

    psnr: float
    ms_ssim: float
    milliseconds: int


# By the digest of the weights, so that they are known in whatever file they are.
_TABLE3 = {
    "3fd310afe494b10b": Printed(22.96, 0.9299, 1182),  # the teacher
    "6aee3ebfdf8bc518": Printed(22.54, 0.9244, 392),  # the student
    "a6f74add28a26990": Printed(22.34, 0.9229, 445),  # the student without distillation
    "5b7441eebbf784f5": Printed(21.32, 0.9030, 1832),  # SRCNN
    "176827944211ce4c": Printed(22.17, 0.9204, 10701),  # DPED
    "3248a8bc70ad4fdd": Printed(22.38, 0.9156, 3226),  # ResNet_8_32
}


def printed_in_table3(model: Model) -> Printed | None:
    """The paper's row of a network, None if it has none.

    Args:
        model: with any weights.

    Returns:
        The row, when the weights are bit for bit the released ones.

    Reference:
        Table 3. The row of the student with L1 and VGG losses has no released weights.
    """
    return _TABLE3.get(digest(model))


def digest(model: Model) -> str:
    """A short fingerprint of a network's weights.

    Args:
        model: with any weights.

    Returns:
        The first 16 hexadecimal digits of a SHA-256.
    """
    sha = hashlib.sha256()
    for name, array in sorted(flatten_dict(model.params, sep="/").items()):
        sha.update(name.encode())
        sha.update(np.asarray(array, "<f4").tobytes())
    return sha.hexdigest()[:16]
