"""PPCN in JAX: perception-preserving photo enhancement, trained, distilled and evaluated.

Conventions: images are float32 `[N, H, W, 3]`, RGB, in [0, 1]; losses and metrics return one value
per image. Nothing imports TensorFlow, except to read TensorFlow checkpoints and to write TFLite.

`enhance`, `upscale` and `load_model` process single photos; `InputError` is what they raise for
files that cannot be used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppcn_jax.inference.enhance import enhance, upscale
    from ppcn_jax.runtime.errors import InputError
    from ppcn_jax.weights.load import load_model

__version__ = "0.2.0"
__all__ = ["InputError", "enhance", "load_model", "upscale"]

# Imported on first use, so that importing a loss does not need Flax or Orbax.
_HOMES = {
    "InputError": "ppcn_jax.runtime.errors",
    "enhance": "ppcn_jax.inference.enhance",
    "load_model": "ppcn_jax.weights.load",
    "upscale": "ppcn_jax.inference.enhance",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__", "losses", "metrics", "models"]
