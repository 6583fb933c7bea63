"""Photos, evaluations and exports are computed in float32 on accelerators too."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from ppcn_jax.evaluation import evaluate, image_scores
from ppcn_jax.export.stablehlo import to_stablehlo
from ppcn_jax.inference import devices, jax_programs, padding
from ppcn_jax.inference.programs import BoundedJit, apply_network
from ppcn_jax.models import Student
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import NETWORKS, abstract_params, make_network
from tests.products import CONVOLUTION, MATRIX_PRODUCT, PLATFORMS, products, products_on

STUDENT = Student(padding="reflect")
PARAMS = abstract_params(STUDENT)
IMAGE = jax.ShapeDtypeStruct((40, 32, 3), jnp.float32)
BATCH = jax.ShapeDtypeStruct((2, 40, 32, 3), jnp.float32)
TILE = jax.ShapeDtypeStruct((1, 266, 266, 3), jnp.float32)
KERNEL = jax.ShapeDtypeStruct((11,), jnp.float32)
SIZE = (np.int32(30), np.int32(31))
# Every compiled function of inference and evaluation, with arguments; networks and other constants
# are bound.
PROGRAMS = {
    padding._apply_padded: ((STUDENT, 10), (PARAMS, IMAGE, *SIZE)),
    jax_programs.gather: ((STUDENT, (), 10), (PARAMS, {}, IMAGE, {}, SIZE[1])),
    jax_programs._output: ((STUDENT,), (PARAMS, {}, IMAGE, {}, None)),
    devices._apply_batch: ((STUDENT,), (PARAMS, BATCH)),
    devices._apply_sharded: ((STUDENT, 10, 38), (PARAMS, IMAGE)),
    evaluate._scores_of_patch: ((), (IMAGE, IMAGE)),
    image_scores._sums: ((), (TILE, TILE, KERNEL, *SIZE)),
}
# The first statistic comes before the first convolution.
WITHOUT = {jax_programs.gather}


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_photos(name):
    module = make_network(name)
    network = functools.partial(apply_network, module)
    found = products_on(PLATFORMS, network, abstract_params(module), IMAGE)
    assert found.keys() == {(CONVOLUTION, "float32")}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_parts_of_photos_and_their_scores(program):
    constants, arguments = PROGRAMS[program]
    found = products_on(PLATFORMS, functools.partial(program, *constants), *arguments)
    assert found.keys() <= {(CONVOLUTION, "float32"), (MATRIX_PRODUCT, "float32")}
    assert bool(found) == (program not in WITHOUT)


def test_no_program_is_missing():
    compiled = [
        value
        for module in (devices, evaluate, image_scores, jax_programs, padding)
        for value in vars(module).values()
        if isinstance(value, BoundedJit) or hasattr(value, "lower")
        if inspect.getmodule(value) is module
    ]
    assert set(compiled) == set(PROGRAMS)


def test_exported_networks():
    exported = export.deserialize(bytearray(to_stablehlo(load_model("student"))))
    assert set(PLATFORMS) < set(exported.platforms)
    assert products(exported.mlir_module()).keys() == {(CONVOLUTION, "float32")}
