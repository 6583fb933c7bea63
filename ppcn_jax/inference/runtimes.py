"""The choice between JAX and OpenVINO."""

import importlib.metadata

import jax

from ppcn_jax.graphs.networks import NETWORKS
from ppcn_jax.inference.jax_programs import JaxPrograms
from ppcn_jax.inference.openvino_programs import OpenvinoPrograms
from ppcn_jax.inference.streaming import Programs
from ppcn_jax.runtime.runtime_option import check_runtime, has_openvino
from ppcn_jax.weights.model import Model

RUNTIME_NAMES = {"jax": "JAX", "openvino": "OpenVINO"}


def choose_runtime(runtime: str, model: Model) -> str:
    """Decide in what a network is run: "jax" or "openvino".

    "auto" is OpenVINO if it is installed and JAX has nothing but one processor to run on.

    Raises:
        InputError: another name, or OpenVINO is named and not installed.
    """
    check_runtime(runtime)
    if runtime != "auto":
        return runtime
    alone = jax.default_backend() == "cpu" and jax.device_count() == 1
    return "openvino" if alone and has_openvino() and model.name in NETWORKS else "jax"


def describe_runtime(runtime: str) -> str:
    """The name and version of "jax" or "openvino", for people."""
    return f"{RUNTIME_NAMES[runtime]} {importlib.metadata.version(runtime)}"


def make_programs(runtime: str, model: Model) -> Programs:
    """The programs of a network in "jax" or "openvino"."""
    if runtime == "openvino":
        return OpenvinoPrograms(model)
    return JaxPrograms(model.module, model.params)
