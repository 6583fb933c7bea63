"""Networks of PPCN as Flax linen modules: `module.apply({"params": params}, images)`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppcn_jax.models.baselines import DpedResnet, Srcnn, Vdsr
    from ppcn_jax.models.discriminator import Discriminator, PatchDiscriminator, grayscale
    from ppcn_jax.models.enhancer import Student, Teacher
    from ppcn_jax.models.super_resolver import SuperResolver
    from ppcn_jax.models.vgg import Vgg, VggLayers

__all__ = [
    "Discriminator",
    "DpedResnet",
    "PatchDiscriminator",
    "Srcnn",
    "Student",
    "SuperResolver",
    "Teacher",
    "Vdsr",
    "Vgg",
    "VggLayers",
    "grayscale",
]

# Imported on first use, so that `definitions` needs neither JAX nor Flax.
_HOMES = {
    "Discriminator": "discriminator",
    "DpedResnet": "baselines",
    "PatchDiscriminator": "discriminator",
    "Srcnn": "baselines",
    "Student": "enhancer",
    "SuperResolver": "super_resolver",
    "Teacher": "enhancer",
    "Vdsr": "baselines",
    "Vgg": "vgg",
    "VggLayers": "vgg",
    "grayscale": "discriminator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
