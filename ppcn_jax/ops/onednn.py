"""Convolutions by oneDNN, which jaxlib contains for x86 processors, and XLA leaves unused.

It is called by XLA's own name for it, which is not documented and whose settings differ from
version to version; wrong ones end the process. So it is used with the versions of jaxlib alone that
it was tried with, and only in programs that ask for it (`ppcn_jax.inference.process_programs`), because jaxlib
cannot write such a program to disk.
"""

import functools
import json
import pathlib
import platform
from contextlib import AbstractContextManager

import jax
import jax.numpy as jnp
import jaxlib

_VERSIONS = ("0.10.2",)
NEEDS = (
    f"oneDNN needs jaxlib {' or '.join(_VERSIONS)} on an x86 processor with AVX-512, under Linux"
)
_CPU = pathlib.Path("/proc/cpuinfo")
# What a processor must have for a type: on what has less, oneDNN was not tried.
_FEATURES = {"float32": "avx512f", "bfloat16": "avx512_bf16"}

# Of JAX's own kind: what was traced inside is not taken for the same function outside.
_asked = jax.make_user_context(False)


def asked() -> AbstractContextManager[None]:
    """Let convolutions traced inside be oneDNN's; they have gradients, but no forward mode."""
    return _asked(True)


def is_asked(dtype: jnp.dtype) -> bool:
    """Whether this is inside `asked`, and a convolution of this type is oneDNN's."""
    return _asked.value and _FEATURES.get(jnp.dtype(dtype).name) in _processor()


def is_usable() -> bool:
    """Whether programs can ask for it: jaxlib has it, and JAX computes on processors."""
    contained = jaxlib.__version__ in _VERSIONS and _FEATURES["float32"] in _processor()
    return contained and jax.default_backend() == "cpu"


@functools.cache
def _processor() -> frozenset[str]:
    """Features of an x86 processor under Linux."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return frozenset()
    return frozenset(_CPU.read_text().split())


def convolution(
    x: jax.Array,
    kernel: jax.Array,
    padding: list[tuple[int, int]],
    strides: tuple[int, int],
    dilation: int,
    *,
    bias: jax.Array | None = None,
    plus: jax.Array | None = None,
    swapped: bool = False,
) -> jax.Array:
    """A convolution with a zero border.

    Args:
        x: float32 or bfloat16 `[N, H, W, C]`.
        kernel: `[kh, kw, C, F]`, of the same type.
        padding: zeros before and after, of height and width.
        strides: of height and width.
        dilation: of both directions.
        bias: float32 `[F]`, added to each position.
        plus: added to the result, of its shape and type.
        swapped: the kernel is `[kh, kw, F, C]`.

    Returns:
        `[N, rows, columns, F]`, of the same type.
    """
    spatial = [
        (side + before + after - dilation * (taps - 1) - 1) // stride + 1
        for side, taps, (before, after), stride in zip(
            x.shape[1:3], kernel.shape[:2], padding, strides, strict=True
        )
    ]
    before, after = zip(*padding, strict=True)
    inputs, outputs = (3, 2) if swapped else (2, 3)
    image = {"data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    settings = {
        "dims": 4,
        "input": image,
        "kernel": {
            "filter": {
                "input_feature_dim": inputs,
                "output_feature_dim": outputs,
                "spatial_dims": [0, 1],
            }
        },
        "output": image,
        "window": {
            "size": kernel.shape[:2],
            "pad_left": before,
            "pad_right": after,
            "strides": strides,
            "window_dilations": [dilation, dilation],
        },
        "feature_groups": 1,
    }
    added = {"BIAS": bias, "BINARY_ADD": plus}
    added = {name: values for name, values in added.items() if values is not None}
    if added:
        settings["fusions"] = {"ops": list(added)}
    call = jax.ffi.ffi_call(
        "__onednn$convolution",
        jax.ShapeDtypeStruct((x.shape[0], *spatial, kernel.shape[outputs]), x.dtype),
        custom_call_api_version=2,
        legacy_backend_config=json.dumps({"onednn_conv_config": settings}),
    )
    return call(x, kernel, *added.values())
