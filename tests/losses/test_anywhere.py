"""Every public function of losses and metrics wherever JAX runs it: meshes, settings, derivatives.

Inputs are multiples of 1/256, which bfloat16 and float16 represent exactly.
"""

import contextlib
import functools
import importlib
import inspect
import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ppcn_jax import losses, metrics
from ppcn_jax.losses import bilateral

# In the package, the name `contextual` is the function, not the module.
CONTEXTUAL = importlib.import_module("ppcn_jax.losses.contextual")
IMAGES, FEATURES, MAPS, LOGITS, SCALAR = (4, 12, 13, 3), (4, 3, 5, 8), (4, 3, 5, 1), (4, 1), (4,)


class Case(NamedTuple):
    """A function of one or two tensors of a shape `[4, ...]`.

    `compiled` is true if the function compiles itself as a whole, `center` if it takes statistics
    over the batch, `gradient` unless a loss with the same code has a case.
    """

    function: Callable
    shape: tuple[int, ...]
    tensors: int = 2
    compiled: bool = True
    center: bool = False
    gradient: bool = True


def contextual_in_blocks(prediction, target, **options):
    # Without the wrapper that compiles, whose programs would keep the other block size.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CONTEXTUAL, "BLOCK_ENTRIES", 1)
        patch.setattr(CONTEXTUAL, "LEAST_ROWS", 4)
        return inspect.unwrap(losses.contextual)(prediction, target, **options)


def bilateral_in_blocks(prediction, target):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bilateral, "BLOCK_ENTRIES", 1)
        patch.setattr(bilateral, "LEAST_ROWS", 4)
        return inspect.unwrap(losses.contextual_bilateral)(prediction, target)


def attention(student, teacher):
    return losses.attention([student], [teacher])


def lpips(prediction, target):
    return losses.lpips([prediction], [target])


def dists(prediction, target):
    return losses.dists([prediction], [target])


def fsp(student, teacher):
    return losses.fsp([(student, student)], [(teacher, teacher)])


@jax.jit
def discrimination(logits):
    return losses.discrimination(logits, np.full(len(logits), True), real_label=0.9)


CASES = {
    "attention": Case(attention, MAPS),
    "charbonnier": Case(losses.charbonnier, IMAGES),
    "color": Case(losses.color, IMAGES),
    "contextual": Case(losses.contextual, FEATURES, center=True),
    "contextual-in-blocks": Case(contextual_in_blocks, FEATURES, compiled=False, center=True),
    "contextual-l2": Case(
        functools.partial(contextual_in_blocks, distance="l2"),
        FEATURES,
        compiled=False,
        gradient=False,
    ),
    "contextual_bilateral": Case(losses.contextual_bilateral, FEATURES, gradient=False),
    "bilateral-in-blocks": Case(bilateral_in_blocks, FEATURES, compiled=False),
    "contextual_map": Case(losses.contextual_map, FEATURES, center=True, gradient=False),
    "dists": Case(dists, FEATURES),
    "discrimination": Case(discrimination, LOGITS, 1),
    "edge_aware_total_variation": Case(losses.edge_aware_total_variation, IMAGES),
    # Its weights have no gradient, so that differences of gradients are no second derivatives.
    "focal_frequency": Case(losses.focal_frequency, IMAGES, gradient=False),
    "focal_frequency-even": Case(functools.partial(losses.focal_frequency, alpha=0.0), IMAGES),
    "frequency_distribution": Case(
        # With few directions, finite differences cross no tie of two numbers.
        functools.partial(losses.frequency_distribution, projections=4),
        FEATURES,
    ),
    "fsp": Case(fsp, FEATURES),
    "gradient": Case(losses.gradient, IMAGES),
    "l1": Case(losses.l1, IMAGES),
    "laplacian": Case(functools.partial(losses.laplacian, levels=3), IMAGES),
    "log_mse": Case(functools.partial(losses.log_mse, clipped=True), IMAGES),
    "lpips": Case(lpips, FEATURES),
    "mae": Case(losses.mae, IMAGES),
    "ms_ssim": Case(losses.ms_ssim, IMAGES),
    "perceptual": Case(losses.perceptual, FEATURES),
    "projected_wasserstein": Case(losses.projected_wasserstein, FEATURES),
    "real_logit": Case(losses.real_logit, LOGITS, 1),
    "relativistic": Case(losses.relativistic, LOGITS),
    "relativistic-average": Case(
        functools.partial(losses.relativistic, average=True), LOGITS, center=True
    ),
    # The frequency distribution loss is a sum of two of these.
    "sliced_wasserstein": Case(losses.sliced_wasserstein, FEATURES, gradient=False),
    "ssim": Case(losses.ssim, IMAGES),
    "texture": Case(losses.texture, LOGITS, 1),
    "total_variation": Case(losses.total_variation, IMAGES, 1),
    "total_variation-l1": Case(functools.partial(losses.total_variation, form="l1"), IMAGES, 1),
    "metrics.luma": Case(metrics.luma, IMAGES, 1),
    "metrics.ms_ssim": Case(metrics.ms_ssim, IMAGES, gradient=False),
    "metrics.psnr": Case(metrics.psnr, IMAGES),
    "metrics.psnr_of_mse": Case(metrics.psnr_of_mse, SCALAR, 1),
    "metrics.ssim": Case(metrics.ssim, IMAGES, gradient=False),
    "metrics.ssim_map": Case(metrics.ssim_map, IMAGES, gradient=False),
}


@pytest.fixture(params=CASES)
def name(request) -> str:
    return request.param


def test_every_public_function_has_a_case():
    public = {name for name in losses.__all__ if not name.endswith("_blur")}
    written = {
        f"metrics.{name}"
        for name, member in vars(metrics).items()
        if inspect.isfunction(member)
        and member.__module__ == metrics.__name__
        and not name.startswith("_")
    }
    assert public | written == {name for name in CASES if "-" not in name}


def inputs(case, dtype=np.float32):
    """The prediction `[4, ...]` and, for two tensors, one target `[1, ...]` of all of them."""
    rng = np.random.default_rng(0)
    shapes = [case.shape, (1, *case.shape[1:])][: case.tensors]
    return [jnp.asarray(rng.integers(1, 256, shape) / 256, dtype) for shape in shapes]


def spread(case, prediction, *target):
    """Compare each of the four predictions with the same target."""
    return case.function(prediction, *(jnp.broadcast_to(t, prediction.shape) for t in target))


def with_gradients(case, function, tensors):
    """Value and gradients with respect to all tensors, of a total that weights the images."""
    if not case.gradient:
        return (function(*tensors),)

    def total(*tensors):
        values = function(*tensors)
        weights = jnp.arange(1, 1 + values.size, dtype=values.dtype).reshape(values.shape)
        return jnp.sum(weights * values), values

    gradients, values = jax.grad(total, tuple(range(len(tensors))), has_aux=True)(*tensors)
    return values, *gradients


# Programs that run once, so that a long compilation does not pay.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def all_cases(evaluate, tensors):
    """A program of all cases, because several are slow to compile: `{name: tensors}` to results.

    `evaluate(case, tensors)` is the part of one case.
    """
    program = jax.jit(
        lambda tensors: {name: evaluate(CASES[name], tensors[name]) for name in tensors}
    )
    return program.lower(tensors).compile(QUICK)


def assert_close(actual, wanted, tolerance=1e-5):
    for a, b in zip(actual, wanted, strict=True):
        b = np.asarray(b)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@pytest.fixture(scope="module")
def expected():
    tensors = {name: inputs(case) for name, case in CASES.items()}
    return all_cases(
        lambda case, x: with_gradients(case, functools.partial(spread, case), x), tensors
    )(tensors)


@pytest.fixture(scope="module")
def in_shard_map():
    """The same in `jax.shard_map`, where each device has one prediction, and all one target."""
    mesh = jax.make_mesh((4,), ("devices",))

    def evaluate(case, tensors):
        function = case.function
        if case.center:
            function = functools.partial(function, axis_name="devices")
        specs = (P("devices"), P())[: case.tensors]
        mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P("devices"))
        return with_gradients(case, mapped, tensors)

    with jax.set_mesh(mesh):
        tensors = {
            name: [
                jax.device_put(x, NamedSharding(mesh, spec))
                for x, spec in zip(inputs(case), (P("devices"), P()), strict=False)
            ]
            for name, case in CASES.items()
        }
        return all_cases(evaluate, tensors)(tensors)


def test_inside_shard_map_with_a_target_that_does_not_vary(name, in_shard_map, expected):
    assert_close(in_shard_map[name], expected[name])


def sharded(axis_type, names):
    """Text and results of the program of cases whose batches are sharded over devices."""
    mesh = jax.make_mesh((4,), ("devices",), (axis_type,))

    def evaluate(case, tensors):
        return with_gradients(case, case.function, tensors)

    tensors = {
        name: [jnp.broadcast_to(x, CASES[name].shape) for x in inputs(CASES[name])]
        for name in names
    }
    with jax.set_mesh(mesh):
        tensors = jax.device_put(tensors, NamedSharding(mesh, P("devices")))
        program = all_cases(evaluate, tensors)
        return program.as_text(), program(tensors)


@pytest.fixture(scope="module")
def explicit():
    return sharded(jax.sharding.AxisType.Explicit, CASES)


# Means over the batch need sums of a few numbers, but nothing may move images or features.
MOVES = re.compile("all-gather|all-to-all|collective-permute")


def test_on_a_mesh_with_explicit_types(name, explicit, expected):
    text, results = explicit
    assert not MOVES.search(text)
    # The gradient of the target is that of one image in `expected`.
    assert_close(results[name][:2], expected[name][:2])
    assert all(x.sharding.spec[0] == "devices" for x in results[name])


def test_on_a_mesh_with_automatic_types(expected):
    # Those that work on reshaped batches, which the compiler may gather without a word.
    text, results = sharded(jax.sharding.AxisType.Auto, ["contextual-in-blocks", "ms_ssim"])
    assert not MOVES.search(text)
    for name, result in results.items():
        assert_close(result[:2], expected[name][:2])


@contextlib.contextmanager
def strictness():
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.numpy_dtype_promotion("strict"))
        stack.enter_context(jax.numpy_rank_promotion("raise"))
        stack.enter_context(jax.debug_nans(True))
        stack.enter_context(jax.debug_infs(True))
        stack.enter_context(jax.default_matmul_precision("bfloat16"))
        stack.enter_context(jax.checking_leaks())
        stack.enter_context(jax.transfer_guard("disallow"))
        yield


def test_first_call_under_every_strict_setting_compiles_once(name, expected, caplog):
    case = CASES[name]
    tensors = [jnp.broadcast_to(x, case.shape) for x in inputs(case, "bfloat16")]
    function = case.function if case.compiled else jax.jit(case.function)
    with jax.log_compiles(), strictness():
        values = function(*tensors)
    assert values.dtype == jnp.float32
    assert_close([values], expected[name][:1])
    programs = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Compiling")]
    assert len(programs) == 1, programs


def test_float32_stays_float32_beside_float64(name):
    case = CASES[name]
    with jax.enable_x64(True):
        tensors = [jnp.broadcast_to(x, case.shape) for x in inputs(case)]
        values, *gradients = jax.eval_shape(
            functools.partial(with_gradients, case, case.function), tensors
        )
        assert {x.dtype for x in (values, *gradients)} == {jnp.dtype(jnp.float32)}
        doubles = [jax.ShapeDtypeStruct(x.shape, jnp.float64) for x in tensors]
        assert jax.eval_shape(case.function, *doubles).dtype == jnp.float64


DIFFERENTIATED = [name for name, case in CASES.items() if case.gradient]


@pytest.fixture(scope="module")
def derivatives():
    """In float64: the slope along a direction in both modes, and Hessian-vector products.

    The latter forward over reverse, and as finite differences of gradients. No prediction equals
    its target, and no pixel its neighbor, where absolute differences have no derivative.
    """
    rng = np.random.default_rng(1)
    directions = {name: rng.standard_normal(CASES[name].shape) for name in DIFFERENTIATED}

    def evaluate(case, tensors):
        prediction, direction, *target = tensors

        def total(y):
            return jnp.sum(spread(case, y, *target) ** 2)

        gradient, product = jax.jvp(jax.grad(total), (prediction,), (direction,))
        return gradient, jax.jvp(total, (prediction,), (direction,))[1], product

    def shifted(step):
        tensors = {}
        for name, direction in directions.items():
            prediction, *target = inputs(CASES[name], np.float64)
            prediction += (jnp.arange(prediction.size) % 7 + 1).reshape(prediction.shape) / 4096
            tensors[name] = prediction + step * direction, jnp.asarray(direction), *target
        return tensors

    step = 1e-6
    with jax.enable_x64(True):
        program = all_cases(evaluate, shifted(0))
        # In NumPy, where float64 stays float64 after this setting.
        at, up, down = (jax.device_get(program(shifted(shift))) for shift in (0, step, -step))
    return {
        name: (
            (slope, np.vdot(gradient, directions[name])),
            (product, (up[name][0] - down[name][0]) / (2 * step)),
        )
        for name, (gradient, slope, product) in at.items()
    }


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_forward_mode_and_second_derivatives(name, derivatives):
    (forward, reverse), (product, differences) = derivatives[name]
    np.testing.assert_allclose(forward, reverse, rtol=1e-8)
    assert_close([product], [differences], 1e-4)
