"""PPCN in JAX: perception-preserving photo enhancement, trained, distilled and evaluated.

Conventions everywhere: images are float32 `[N, H, W, 3]`, RGB, in [0, 1]; one value per
image comes out of a loss or a metric. Nothing here imports TensorFlow, except to read a
TensorFlow checkpoint.

`ppcn_jax.enhance`, `ppcn_jax.upscale` and `ppcn_jax.load_model` are for one photo.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppcn_jax.inference.enhance import enhance, upscale
    from ppcn_jax.weights.load import load_model

__version__ = "0.1.0"
__all__ = ["enhance", "load_model", "upscale"]


def __getattr__(name: str) -> Any:
    # Imported when first asked for: who imports a loss needs neither Flax nor Orbax.
    if name in ("enhance", "upscale"):
        from ppcn_jax.inference import enhance as inference

        return getattr(inference, name)
    if name == "load_model":
        from ppcn_jax.weights.load import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
