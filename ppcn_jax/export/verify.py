"""Compare an exported file with JAX on typical images."""

import dataclasses
from collections.abc import Callable, Iterable

import jax
import numpy as np

from ppcn_jax.runtime.errors import InputError

Run = Callable[[np.ndarray], np.ndarray]

# Largest difference for values in [0, 1]. Float16 kernels: one 8-bit pixel value.
TOLERANCE = {"float32": 1e-4, "float16": 1 / 255}
# dB against JAX; int8 costs some networks a lot, so this only detects a broken file.
LEAST_PSNR = 15.0
# Where JAX clips, the results can be equal although the networks differ.
LEAST_UNCLIPPED = 0.1


@dataclasses.dataclass(frozen=True)
class Difference:
    """Difference between the results of a file and of JAX.

    Attributes:
        largest: absolute difference, for values in [0, 1].
        psnr: dB, over all values; infinite if there is no difference.
        unclipped: share of values that JAX does not clip.
    """

    largest: float
    psnr: float
    unclipped: float

    def __str__(self) -> str:
        return (
            f"largest difference {self.largest:.1e}, PSNR {self.psnr:.1f} dB "
            f"({self.unclipped:.0%} of values unclipped)"
        )

    def check(self, precision: str) -> None:
        """Raise InputError for a larger difference than the precision explains.

        Also if almost all values are clipped, since the comparison then proves nothing.
        """
        if self.unclipped < LEAST_UNCLIPPED:
            raise InputError(
                f"the comparison with JAX proves nothing, since most values are clipped: {self}. "
                "Name other --photos"
            )
        good = (
            self.psnr >= LEAST_PSNR if precision == "int8" else self.largest <= TOLERANCE[precision]
        )
        if not good:  # also for NaN
            limit = f"{LEAST_PSNR} dB" if precision == "int8" else f"{TOLERANCE[precision]:.1e}"
            raise InputError(
                f"the exported file differs from JAX by more than {precision} allows ({limit}): "
                f"{self}. The file was not kept"
            )


def compare(
    function: Callable[[jax.Array], jax.Array], run: Run, inputs: Iterable[np.ndarray]
) -> Difference:
    """Run a file and JAX on the same float32 inputs `[N, H, W, 3]`.

    Args:
        function: what the file computes, in JAX.
        run: runs the file.
        inputs: for both.

    Returns:
        The difference over all inputs.

    Raises:
        InputError: the file's result has another shape or type.
    """
    largest, squares, inside, values = 0.0, 0.0, 0, 0
    # Run JAX on the CPU too: accelerators round the factors of convolutions.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        reference = jax.jit(function)
        for images in inputs:
            expected, result = np.asarray(reference(images)), run(images)
            if (result.shape, result.dtype) != (expected.shape, expected.dtype):
                raise InputError(
                    f"the exported file returns {result.dtype} {result.shape} for images "
                    f"{images.shape}"
                )
            error = np.abs(result.astype(np.float64) - expected)
            largest = np.maximum(largest, error.max())  # propagates NaN, unlike max()
            squares += np.square(error).sum()
            inside += int(((expected > 0) & (expected < 1)).sum())
            values += error.size
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(squares / values)
    return Difference(float(largest), float(psnr), inside / values)
