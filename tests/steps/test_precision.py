"""Networks multiply as their precision says, everything else in float32, also on accelerators."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import student, super_resolution, teacher
from ppcn_jax.benchmark.random_weights import with_random_networks
from ppcn_jax.benchmark.training_steps import synthetic_batch
from ppcn_jax.models.layers import PRECISIONS
from ppcn_jax.training import enhancer, super_resolver
from tests.products import CONVOLUTION, MATRIX_PRODUCT, PLATFORMS, products, products_on

BATCH, SIDE = 2, 32
# Convolutions of the student's step, forward and in gradients.
CONVOLUTIONS = {"vgg": 30, "discriminator": 29, "generator": 14}
TEACHER = 7  # not trained, always float32; its last convolution is not needed


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Builds the student's experiment with given precisions."""
    folder = tmp_path_factory.mktemp("networks")

    def make(**precision):
        config = student.get_config()
        config.train.batch_size, config.data.crop = BATCH, SIDE
        config.precision.update(precision)
        return enhancer.make_experiment(with_random_networks(config, folder))

    return make


def arguments(experiment):
    return experiment.state, synthetic_batch(BATCH, SIDE), experiment.frozen


@pytest.mark.parametrize("first", range(3))
def test_each_network_of_the_students_step_has_its_own_precision(build, first):
    names = [*PRECISIONS, *PRECISIONS]  # in three turns, each network has each precision once
    chosen = dict(zip(CONVOLUTIONS, names[first : first + 3], strict=True))
    experiment = build(**chosen)
    found = products_on(PLATFORMS, experiment.step, *arguments(experiment))
    matrix_products = {key: found.pop(key) for key in list(found) if key[0] == MATRIX_PRODUCT}
    assert matrix_products.keys() == {(MATRIX_PRODUCT, "float32")}
    expected = {(CONVOLUTION, chosen[name]): count for name, count in CONVOLUTIONS.items()}
    expected[CONVOLUTION, "float32"] += TEACHER
    assert found == expected
    assert experiment.module.precision == "float32"  # evaluations


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("recipe", [teacher, super_resolution], ids=["teacher", "super_resolver"])
def test_steps_of_one_network(recipe, precision):
    # With Muon, whose matrix products are float32.
    config = recipe.get_config("quick")
    config.train.batch_size, config.data.crop = BATCH, SIDE
    config.precision.generator = precision
    make = (super_resolver if recipe is super_resolution else enhancer).make_experiment
    experiment = make(config)
    found = products_on(PLATFORMS, experiment.step, *arguments(experiment))
    assert found.keys() == {(CONVOLUTION, precision), (MATRIX_PRODUCT, "float32")}
    assert experiment.module.precision == "float32"


def test_only_convolutions_use_bfloat16(build):
    experiment = build()
    exact = jax.jit(experiment.step).lower(*arguments(experiment))
    assert products(exact.as_text())[CONVOLUTION, "float32"] == sum(CONVOLUTIONS.values()) + TEACHER
    assert "bf16" not in exact.as_text()
    experiment = build(**dict.fromkeys(CONVOLUTIONS, "bfloat16"))
    rough = jax.jit(experiment.step).lower(*arguments(experiment))
    # Sums over an image or a batch, also in gradients of biases, are not in bfloat16.
    assert not re.search(r"stablehlo\.reduce\(.*stablehlo\.add.*bf16", rough.as_text())
    leaves = jax.tree.leaves(rough.out_info)
    floats = {x.dtype for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)}
    assert floats == {np.dtype(np.float32)}


@pytest.mark.long
def test_bfloat16_changes_metrics_by_a_few_percent(build):
    def metrics_of(**precision):
        experiment = build(**precision)
        return jax.jit(experiment.step)(*arguments(experiment))[1]

    expected, metrics = metrics_of(), metrics_of(**dict.fromkeys(CONVOLUTIONS, "bfloat16"))
    for name in metrics.keys() - {"discriminator_accuracy"}:
        np.testing.assert_allclose(
            metrics[name], expected[name], rtol=0.03, atol=0.03, err_msg=name
        )
