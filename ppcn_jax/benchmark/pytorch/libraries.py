"""Losses and metrics of PyTorch's libraries on NumPy arrays, with their gradients.

PyTorch is imported inside functions.
"""

import importlib
from collections.abc import Callable, Mapping

import numpy as np

from ppcn_jax.benchmark.counterparts import LIBRARIES

Result = tuple[float, np.ndarray]


def open_call(
    library: str, expression: str, arrays: Mapping[str, np.ndarray], variable: str
) -> Callable[[], Result]:
    """A function that computes the mean of an expression and its gradient.

    Args:
        library: a name in `LIBRARIES`, one of PyTorch's.
        expression: a call of `counterparts`.
        arrays: the arrays that it names; images are `[N, H, W, C]`.
        variable: the array with respect to which the gradient is; it is returned in its layout.
    """
    import torch

    alias, module, _ = LIBRARIES[library]
    names = {name: torch.from_numpy(_channels_first(array)) for name, array in arrays.items()}
    names |= {alias: importlib.import_module(module)}
    code = compile(expression, library, "eval")

    def run() -> Result:
        names[variable].requires_grad_()
        names[variable].grad = None
        value = eval(code, names).mean()
        value.backward()
        gradient = names[variable].grad.numpy()
        return value.item(), np.moveaxis(gradient, 1, -1) if gradient.ndim == 4 else gradient

    return run


def _channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if array.ndim == 4 else array.copy()
