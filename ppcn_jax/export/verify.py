"""An exported file against JAX, on images as it will get."""

import dataclasses
from collections.abc import Callable, Iterable

import jax
import numpy as np

from ppcn_jax.export.contract import clipped
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model

Run = Callable[[np.ndarray], np.ndarray]

# Largest difference, of a range of 1. Float16 kernels: one level of 8 bits.
MOST = {"float32": 1e-4, "float16": 1 / 255}
# dB against JAX; int8 costs some networks a lot, so this only tells a broken file.
LEAST_PSNR = 15.0
# Where both results are clipped they are equal whatever the network says.
LEAST_UNCLIPPED = 0.1


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far a file's results are from JAX's.

    Attributes:
        largest: absolute difference, of a range of 1.
        psnr: dB, over all values; infinite where there is no difference.
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
        """Refuse a file that does not do what the network does.

        Args:
            precision: "float32", "float16" or "int8".

        Raises:
            InputError: a difference above what the precision explains, or nothing to tell it by.
        """
        if self.unclipped < LEAST_UNCLIPPED:
            raise InputError(f"the check says nothing: {self}. Name other --photos")
        good = self.psnr >= LEAST_PSNR if precision == "int8" else self.largest <= MOST[precision]
        if not good:  # NaN is not good either
            wanted = f"{LEAST_PSNR} dB" if precision == "int8" else f"{MOST[precision]:.1e}"
            raise InputError(
                f"the exported file differs from JAX by more than {precision} may ({wanted}): "
                f"{self}. It was not kept"
            )


def compare(model: Model, run: Run, inputs: Iterable[np.ndarray]) -> Difference:
    """Run a file and JAX on the same images.

    Args:
        model: the network.
        run: the file in its runtime.
        inputs: float32 `[N, H, W, 3]` each.

    Returns:
        The difference over all of them.

    Raises:
        InputError: the file's result has another shape or type.
    """
    largest, squares, inside, values = 0.0, 0.0, 0, 0
    # JAX too on the processor: accelerators round the factors of convolutions.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        reference = jax.jit(clipped(model))
        for images in inputs:
            wanted, found = np.asarray(reference(images)), run(images)
            if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
                raise InputError(
                    f"the exported file makes {found.dtype} {found.shape} of {images.shape}"
                )
            error = np.abs(found.astype(np.float64) - wanted)
            largest = np.maximum(largest, error.max())  # hands NaN on, unlike max()
            squares += np.square(error).sum()
            inside += int(((wanted > 0) & (wanted < 1)).sum())
            values += error.size
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(squares / values)
    return Difference(float(largest), float(psnr), inside / values)
