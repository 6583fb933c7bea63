"""Networks of PPCN as Flax linen modules: `module.apply({"params": params}, images)`."""

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
