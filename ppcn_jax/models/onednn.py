"""Convolutions by oneDNN, which jaxlib contains for x86 processors, and XLA leaves unused.

It is called by XLA's own name for it, which is not documented and whose settings differ from
version to version; wrong ones end the process. So it is used with the versions of jaxlib alone that
it was tried with, and only in programs that ask for it (`ppcn_jax.process_programs`), because jaxlib
cannot write such a program to disk.
"""

import contextlib
import contextvars
import functools
import json
import pathlib
import platform
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import jaxlib

_VERSIONS = ("0.10.2",)
_CPU = pathlib.Path("/proc/cpuinfo")
# On what has less, oneDNN was not tried.
_FEATURE = "avx512f"

_asked = contextvars.ContextVar("onednn", default=False)


@contextlib.contextmanager
def asked() -> Iterator[None]:
    """Let float32 convolutions traced inside be oneDNN's; they have no derivatives."""
    token = _asked.set(True)
    try:
        yield
    finally:
        _asked.reset(token)


def is_asked(dtype: jnp.dtype) -> bool:
    """Whether this is inside `asked`, and a convolution of this type is oneDNN's."""
    return _asked.get() and dtype == jnp.float32


def is_usable() -> bool:
    """Whether programs can ask for it: jaxlib has it, and JAX computes on processors."""
    return _is_contained() and jax.default_backend() == "cpu"


@functools.cache
def _is_contained() -> bool:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return False
    return jaxlib.__version__ in _VERSIONS and _FEATURE in _CPU.read_text().split()


def convolution(
    x: jax.Array, kernel: jax.Array, padding: list[tuple[int, int]], stride: int, dilation: int
) -> jax.Array:
    """A convolution with a zero border.

    Args:
        x: float32 `[N, H, W, C]`.
        kernel: float32 `[kh, kw, C, F]`.
        padding: zeros before and after, of height and width.
        stride: of both directions.
        dilation: of both directions.

    Returns:
        float32 `[N, rows, columns, F]`.
    """
    spatial = [
        (side + before + after - dilation * (taps - 1) - 1) // stride + 1
        for side, taps, (before, after) in zip(x.shape[1:3], kernel.shape[:2], padding, strict=True)
    ]
    before, after = zip(*padding, strict=True)
    image = {"data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    settings = {
        "dims": 4,
        "input": image,
        "kernel": {
            "filter": {"input_feature_dim": 2, "output_feature_dim": 3, "spatial_dims": [0, 1]}
        },
        "output": image,
        "window": {
            "size": kernel.shape[:2],
            "pad_left": before,
            "pad_right": after,
            "strides": [stride, stride],
            "window_dilations": [dilation, dilation],
        },
        "feature_groups": 1,
    }
    call = jax.ffi.ffi_call(
        "__onednn$convolution",
        jax.ShapeDtypeStruct((x.shape[0], *spatial, kernel.shape[3]), x.dtype),
        custom_call_api_version=2,
        legacy_backend_config=json.dumps({"onednn_conv_config": settings}),
    )
    return call(x, kernel)
