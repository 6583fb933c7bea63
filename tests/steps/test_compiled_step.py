"""Which operations the student's compiled training step has on four devices."""

import math
import re

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest

from configs import student
from ppcn_jax.benchmark.random_weights import with_random_networks
from ppcn_jax.benchmark.training_steps import synthetic_batch
from ppcn_jax.models import Vgg
from ppcn_jax.models.vgg import kernel_shapes
from ppcn_jax.steps.parallel import parallelize, replicate
from ppcn_jax.training.enhancer import make_experiment

DEVICES, BATCH, SIDE = 4, 4, 16
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    config = student.get_config()
    config.train.batch_size, config.data.crop = BATCH, SIDE
    return make_experiment(with_random_networks(config, tmp_path_factory.mktemp("networks")))


@pytest.fixture(scope="module")
def light():
    """Both players without VGG, and therefore without the contextual loss and its center."""
    config = student.get_config("no_distillation")
    for name in ("contextual", "ssim", "color"):
        config.objective[name].weight = 0.0
    config.train.batch_size, config.data.crop = BATCH, SIDE
    return make_experiment(config)


@pytest.fixture(scope="module")
def images():
    batch = synthetic_batch(BATCH, SIDE)
    return {name: x.reshape(DEVICES, -1, *x.shape[1:]) for name, x in batch.items()}


@pytest.fixture(scope="module")
def lowered(experiment, images):
    state, frozen = replicate(experiment.state), replicate(experiment.frozen)
    return parallelize(experiment.step).lower(state, images, frozen)


@pytest.fixture(scope="module")
def compiled(lowered):
    return lowered.compile().as_text()


def instructions(text, name):
    """Lines of a compiled program that call an operation."""
    return re.findall(rf"(?m)^.* {name}\(.*$", text)


def dimensions(text):
    """Shapes of the arrays in a piece of a program, such as f32[2,32,32,3]."""
    return [
        list(map(int, found.split(","))) for found in re.findall(r"\b[a-z]+\d+\[([\d,]+)\]", text)
    ]


def convolutions(params):
    return sum(kernel.ndim == 4 for kernel in jax.tree.leaves(params))


def needed_convolutions(experiment):
    """The number of convolutions that the losses need."""
    players, frozen = experiment.state.players, experiment.frozen
    generator = convolutions(players["generator"].params)
    discriminator = convolutions(players["discriminator"].params)
    vgg, teacher = convolutions(frozen["vgg"]), convolutions(frozen["teachers"])
    expected = {
        # Output and gradients of kernel and input; the gradient of the photo is not needed.
        "student": 3 * generator - 1,
        # Its attention maps, which do not need the last convolution.
        "teacher": teacher - 1,
        # Features of the target and of the result, and the gradient with respect to the result.
        "vgg": 3 * vgg,
        # For the generator: output and gradient of the input. For itself: all three, without the
        # gradient of the photo.
        "discriminator": 2 * discriminator + 3 * discriminator - 1,
    }
    return sum(expected.values())


def test_there_are_only_the_convolutions_that_the_losses_need(experiment, compiled):
    assert len(instructions(compiled, "convolution")) == needed_convolutions(experiment)


def test_there_is_one_all_reduce_for_the_center_and_one_for_the_rest(experiment, compiled):
    # Features are centered before their gradient is known, so one all-reduce is not enough. The
    # discriminator's gradients are ready early and are reduced together with the center.
    reductions = instructions(compiled, "all-reduce")
    assert len(reductions) == 2
    exchanged = sum(math.prod(d) for line in reductions for d in dimensions(line.partition("=")[2]))
    trained = sum(
        leaf.size
        for player in experiment.state.players.values()
        for leaf in jax.tree.leaves(player.params)
    )
    center = 512
    biases_before_norms = 16 + 8  # their gradients are constant zeros
    assert exchanged == trained - biases_before_norms + center  # scalar metrics are not counted


def test_without_the_center_there_is_one_all_reduce(light, images):
    state, frozen = replicate(light.state), replicate(light.frozen)
    text = parallelize(light.step).lower(state, images, frozen).compile().as_text()
    assert len(instructions(text, "all-reduce")) == 1


def test_the_program_transposes_images_and_kernels_and_no_features(experiment, lowered):
    # Before XLA's passes: the augmentation, the planes filtered by SSIM and color loss, and the
    # student's kernels in the gradients of its convolutions.
    params = experiment.state.players["generator"].params
    kernels = [sorted(leaf.shape) for leaf in jax.tree.leaves(params) if leaf.ndim == 4]
    program = lowered.as_text()
    found = re.findall(r"stablehlo\.transpose .*-> tensor<((?:\d+x)+)", program)
    sizes = [list(map(int, size.rstrip("x").split("x"))) for size in found]
    maps = [size for size in sizes if len(size) == 4]
    assert maps
    assert all(3 in size or sorted(size) in kernels for size in maps), maps


def test_the_compiled_program_transposes_no_features_of_vgg(experiment, compiled):
    # XLA transposes operands of the gradients of trained kernels. VGG, most of the step's work, has
    # no trained kernels.
    local = jax.ShapeDtypeStruct((BATCH // DEVICES, SIDE, SIDE, 3), jnp.float32)

    def features(images):
        variables = {"params": experiment.frozen["vgg"]}
        _, state = Vgg(19).apply(
            variables, images, capture_intermediates=True, mutable=["intermediates"]
        )
        return state["intermediates"]

    shapes = jax.eval_shape(features, local)
    maps = {tuple(sorted(shapes[name]["__call__"][0].shape)) for name in kernel_shapes(19)}
    lines = instructions(compiled, "transpose")
    transposed = {tuple(sorted(dimensions(line)[0])) for line in lines if dimensions(line)}
    assert transposed
    assert not maps & transposed


def test_twenty_steps_compile_nothing_after_the_first(light, images):
    compilations = []
    step = parallelize(light.step)
    state, frozen = replicate(light.state), replicate(light.frozen)
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compilations.append(event) if event == COMPILED else None
    )
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(20):
        batch = {name: rng.permutation(x, axis=1) for name, x in images.items()}
        state, metrics = step(state, batch, frozen)
        jax.block_until_ready(metrics)
        counts.append(len(compilations))
    assert counts[0] > 0
    assert counts[-1] == counts[0]
