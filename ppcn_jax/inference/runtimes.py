"""The choice between JAX and OpenVINO."""

import functools
import importlib.metadata
import importlib.util
import os
import sys

from ppcn_jax.inference.openvino_programs import OpenvinoPrograms
from ppcn_jax.inference.streaming import Programs
from ppcn_jax.runtime.runtime_option import check_runtime, has_openvino
from ppcn_jax.weights.model import Model

RUNTIME_NAMES = {"jax": "JAX", "openvino": "OpenVINO"}
# Variables by which JAX is given other devices than one processor.
_DEVICES = (
    *("JAX_NUM_CPU_DEVICES", "JAX_PLATFORM_NAME", "JAX_PLATFORMS", "XLA_FLAGS"),
    *("PJRT_NAMES_AND_LIBRARY_PATHS", "TPU_LIBRARY_PATH"),
)


def choose_runtime(runtime: str) -> str:
    """Decide in what a network is run: "jax" or "openvino".

    "auto" is OpenVINO if it is installed and JAX has nothing but one processor to run on.

    Raises:
        InputError: another name, or OpenVINO is named and not installed.
    """
    check_runtime(runtime)
    if runtime != "auto":
        return runtime
    return "openvino" if has_openvino() and _has_one_processor() else "jax"


def describe_runtime(runtime: str) -> str:
    """The name and version of "jax" or "openvino", for people."""
    return f"{RUNTIME_NAMES[runtime]} {importlib.metadata.version(runtime)}"


def make_programs(runtime: str, model: Model) -> Programs:
    """The programs of a network in "jax" or "openvino"."""
    if runtime == "openvino":
        return OpenvinoPrograms(model)
    # To import JAX takes longer than to enhance a small photo in OpenVINO.
    from ppcn_jax.inference.jax_programs import JaxPrograms

    return JaxPrograms(model.module, model.params)


def errors_of(runtime: str) -> tuple[type[Exception], ...]:
    """Errors of "jax" or "openvino" itself, for example if it gets no memory."""
    if runtime == "openvino":
        return ()
    import jax

    return (jax.errors.JaxRuntimeError,)


def _has_one_processor() -> bool:
    """Check that JAX has nothing but one processor, if possible without importing it."""
    if _has_certainly_one_processor():
        return True
    import jax

    return jax.default_backend() == "cpu" and jax.device_count() == 1


def _has_certainly_one_processor() -> bool:
    """Check that nobody has set up JAX otherwise, and that it finds no accelerator's plugin."""
    changed = "jax" in sys.modules or any(map(os.environ.get, _DEVICES))
    return not changed and not _has_plugins()


@functools.cache
def _has_plugins() -> bool:
    """Look for plugins where JAX does; see https://openxla.org/xla/pjrt/pjrt_integration."""
    packages = map(importlib.util.find_spec, ("jax_plugins", "libtpu"))
    return any(packages) or bool(importlib.metadata.entry_points(group="jax_plugins"))
