"""Pillow's plug-ins that are packages of their own: HEIC and JPEG XL."""

import importlib.util

from PIL import features

from ppcn_jax.runtime.errors import InputError, install_hint


def load_plugin(plugin: str) -> None:
    """Make Pillow read and write the format of a plug-in, "HEIF", "JXL" or one that it has itself.

    Raises:
        InputError: its package is not installed, or this build of Pillow lacks it.
    """
    if plugin == "HEIF":
        _need("pillow_heif", "HEIC", "heic")
        import pillow_heif

        pillow_heif.register_heif_opener()
    elif plugin == "JXL":
        _need("pillow_jxl", "JPEG XL", "jxl")
        import pillow_jxl  # noqa: F401  # registers itself
    elif plugin == "AVIF" and not features.check("avif"):
        raise InputError("is AVIF, which this build of Pillow cannot read: pip install -U pillow")


def _need(module: str, name: str, extra: str) -> None:
    if not importlib.util.find_spec(module):
        package = {"heic": "pillow-heif", "jxl": "pillow-jxl-plugin"}[extra]
        raise InputError(f"is {name}, which needs {package}: {install_hint(extra)}")
