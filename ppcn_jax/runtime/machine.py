"""What a benchmark ran on."""

import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

from ppcn_jax.evaluation.timing import core_count, device_name

PACKAGES = ("ppcn-jax", "jax", "jaxlib", "flax", "optax", "numpy", "onnxruntime", "torch")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, versions and the commit of the code, as far as they are known.

    Returns:
        `{"device", "cores", "system", "python", "packages", "commit"}`; a package that is not
        installed is absent.
    """
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "device": device_name(),
        "cores": core_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": packages,
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Of the repository that holds this file, with "+" if files of it have changed."""
    here = pathlib.Path(__file__)
    try:
        if not _git(here.parent, "ls-files", here.name):
            return None  # installed, perhaps into somebody else's repository
        described = _git(
            here.parent, "describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=+"
        )
    except OSError:  # no git
        return None
    return described or None


def _git(folder: pathlib.Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], check=False, cwd=folder, capture_output=True, text=True
    ).stdout.strip()
