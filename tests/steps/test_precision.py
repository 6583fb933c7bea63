"""bfloat16 is used in convolutions only, and the losses stay close to those of float32."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import student
from ppcn_jax.benchmark.random_weights import with_random_networks
from ppcn_jax.benchmark.training_steps import synthetic_batch
from ppcn_jax.training.enhancer import make_experiment

BATCH, SIDE = 2, 32


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Builds an experiment with given precisions, the program of its step, and the step."""
    folder = tmp_path_factory.mktemp("networks")
    images = synthetic_batch(BATCH, SIDE)

    def build(**precision):
        config = student.get_config()
        config.train.batch_size, config.data.crop = BATCH, SIDE
        config.precision.update(precision)
        experiment = make_experiment(with_random_networks(config, folder))
        lowered = jax.jit(experiment.step).lower(experiment.state, images, experiment.frozen)

        def step():
            return lowered.compile()(experiment.state, images, experiment.frozen)

        return experiment, lowered.as_text(), step

    return build


def convolutions(text, kind):
    return len(re.findall(rf"stablehlo\.convolution.*-> tensor<[\dx]*{kind}>", text))


def test_only_convolutions_use_bfloat16(run):
    _, text, step = run()
    _, expected = step()
    assert convolutions(text, "f32") == 80 and "bf16" not in text
    experiment, text, step = run(vgg="bfloat16", discriminator="bfloat16", generator="bfloat16")
    state, metrics = step()
    teacher = 7  # not trained, always float32; the last convolution is not needed
    assert (convolutions(text, "bf16"), convolutions(text, "f32")) == (80 - teacher, teacher)
    # Sums over an image or a batch, also in gradients of biases, are not in bfloat16.
    assert not re.search(r"stablehlo\.reduce\(.*stablehlo\.add.*bf16", text)
    leaves = [*jax.tree.leaves(state), *jax.tree.leaves(metrics)]
    floats = {x.dtype for x in leaves if jnp.issubdtype(x.dtype, jnp.floating)}
    assert floats == {np.dtype(np.float32)}
    assert experiment.module.dtype is None  # evaluations are in float32
    for name in metrics.keys() - {"discriminator_accuracy"}:
        np.testing.assert_allclose(
            metrics[name], expected[name], rtol=0.03, atol=0.03, err_msg=name
        )


def test_each_network_has_its_own_precision(run):
    counts = {}
    for name in ("vgg", "discriminator", "generator"):
        counts[name] = convolutions(run(**{name: "bfloat16"})[1], "bf16")
    assert counts == {"vgg": 30, "discriminator": 29, "generator": 14}
