import functools
import math
import os
import pathlib
import subprocess
import sys
import textwrap

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ppcn_jax.inference import process_programs
from ppcn_jax.inference.process_programs import ProcessProgram
from ppcn_jax.models import Student
from ppcn_jax.models.layers import leaky_relu
from ppcn_jax.ops import onednn
from ppcn_jax.ops.convolution import convolve, convolve_with_moments
from ppcn_jax.ops.moments import spatial_moments
from ppcn_jax.steps.parallel import parallelize, replicate, to_host

needs_onednn = pytest.mark.skipif(not onednn.is_usable(), reason=onednn.NEEDS)
MAPPINGS = pathlib.Path("/proc/self/maps")
_CPU = pathlib.Path("/proc/cpuinfo")
HAS_BFLOAT16 = _CPU.exists() and "avx512_bf16" in _CPU.read_text()
CALL = "__onednn$convolution"
SECONDS = "jax_persistent_cache_min_compile_time_secs"
# Kernel, channels, features, stride, dilation.
LAYERS = [
    ((1, 7), 3, 8, 1, 1),
    ((7, 1), 16, 8, 1, 2),
    ((1, 7), 8, 16, 1, 2),
    ((3, 3), 16, 32, 1, 2),
    ((3, 3), 8, 3, 1, 1),
    ((1, 1), 32, 16, 1, 1),
    ((9, 9), 1, 64, 4, 1),
    ((5, 5), 64, 128, 2, 1),
    ((4, 4), 5, 7, 3, 1),
    ((3, 3), 8, 4, 1, 1),
    ((3, 3), 64, 3, 1, 1),
    ((3, 3), 3, 32, 1, 1),
]


def _layer(count, size, channels, features):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 23, 30, channels)).astype(np.float32)
    kernel = rng.normal(size=(*size, channels, features)) / math.sqrt(math.prod(size) * channels)
    return x, kernel.astype(np.float32)


def _convolved(x, kernel, stride, dilation):
    return convolve(x, kernel, stride=stride, dilation=dilation)


def assert_same_by_onednn(function, x, kernel, most=1e-5):
    """All results, to `most` of the largest value of each."""
    program = ProcessProgram(function)
    assert CALL in program.compiled(x, kernel).as_text()
    for ours, expected in zip(program(x, kernel), jax.jit(function)(x, kernel), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=most * np.abs(expected).max())


@needs_onednn
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(("size", "channels", "features", "stride", "dilation"), LAYERS)
def test_onednn_computes_the_same_convolutions(size, channels, features, stride, dilation, count):
    x, kernel = _layer(count, size, channels, features)

    layer = functools.partial(_convolved, stride=stride, dilation=dilation)
    program = ProcessProgram(layer)
    assert CALL in program.compiled(x, kernel).as_text()
    np.testing.assert_allclose(program(x, kernel), jax.jit(layer)(x, kernel), atol=1e-5)


@needs_onednn
@pytest.mark.parametrize("features", [3, 16])
@pytest.mark.parametrize("with_plus", [False, True])
def test_what_is_added_is_the_same_and_has_gradients(features, with_plus):
    x, kernel = _layer(2, (3, 3), 8, features)
    rng = np.random.default_rng(1)
    bias = rng.normal(size=features).astype(np.float32)
    plus, weights = rng.normal(size=(2, *x.shape[:3], features)).astype(np.float32)

    def gradient(x, kernel):
        def loss(x, kernel, bias, plus):
            y = convolve(x, kernel, bias, plus if with_plus else None)
            return (weights * y).mean(), y

        (_, y), gradients = jax.value_and_grad(loss, (0, 1, 2, 3), has_aux=True)(
            x, kernel, bias, plus
        )
        return y, *gradients[: 3 + with_plus]

    assert_same_by_onednn(gradient, x, kernel)


@needs_onednn
def test_what_is_not_finite_goes_on():
    x, kernel = _layer(2, (3, 3), 32, 32)
    x[0, 5, 5, 3], x[1, 5, 5, 3] = np.nan, np.inf
    bias = np.zeros(32, np.float32)

    def layer(x, kernel):
        return leaky_relu(convolve(x, kernel, bias, x), 0.05)

    ours, expected = ProcessProgram(layer)(x, kernel), jax.jit(layer)(x, kernel)
    assert np.isnan(ours).any() and np.isinf(ours).any()
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    np.testing.assert_array_equal(np.isinf(ours), np.isinf(expected))


@needs_onednn
def test_leaky_relu_is_the_same():
    x = np.array([-np.inf, -2, -1e-30, -0.0, 0, 1e-30, 3, np.inf, np.nan], np.float32)

    def both(x):
        y, pull_back = jax.vjp(lambda x: leaky_relu(x, 0.2), x)
        return y, *pull_back(jnp.full_like(x, 1.7))

    def expected(x):
        y, pull_back = jax.vjp(lambda x: nn.leaky_relu(x, 0.2), x)
        return y, *pull_back(jnp.full_like(x, 1.7))

    jax.tree.map(np.testing.assert_array_equal, ProcessProgram(both)(x), jax.jit(expected)(x))


@needs_onednn
def test_moments_of_rows_are_the_same():
    x, kernel = _layer(1, (3, 3), 8, 16)
    _, actual = ProcessProgram(convolve_with_moments)(x, kernel)
    _, expected = jax.jit(convolve_with_moments)(x, kernel)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@needs_onednn
def test_same_bits_every_time():
    x, kernel = _layer(1, (3, 3), 16, 16)
    program = ProcessProgram(convolve)
    first = np.asarray(program(x, kernel))
    assert all(np.array_equal(first, program(x, kernel)) for _ in range(10))


@needs_onednn
@pytest.mark.parametrize(("size", "channels", "features", "stride", "dilation"), LAYERS)
def test_gradients_are_the_same(size, channels, features, stride, dilation):
    x, kernel = _layer(2, size, channels, features)
    weights = np.random.default_rng(1).normal(size=_convolved(x, kernel, stride, dilation).shape)

    def gradient(x, kernel):
        def loss(x, kernel):
            return (weights * _convolved(x, kernel, stride, dilation)).mean()

        value, gradients = jax.value_and_grad(loss, (0, 1))(x, kernel)
        return value, *gradients

    assert_same_by_onednn(gradient, x, kernel)


@needs_onednn
def test_the_gradient_of_a_norm_after_it_is_the_same():
    x, kernel = _layer(1, (3, 3), 8, 16)
    weights = np.random.default_rng(1).normal(size=(*x.shape[:3], 16)).astype(np.float32)

    def gradient(x, kernel):
        def loss(x, kernel):
            y, rows = convolve_with_moments(x, kernel)
            mean, variance = spatial_moments(y, rows)
            return (weights * (y - mean) * lax.rsqrt(variance)).mean()

        return jax.grad(loss, (0, 1))(x, kernel)

    assert_same_by_onednn(gradient, x, kernel)


@needs_onednn
def test_bfloat16_is_rounded_once():
    x, kernel = (jnp.asarray(a, jnp.bfloat16) for a in _layer(2, (3, 3), 32, 8))
    program = ProcessProgram(convolve)
    # Elsewhere XLA's convolution is.
    assert (CALL in program.compiled(x, kernel).as_text()) == HAS_BFLOAT16
    exact = convolve(x.astype(jnp.float32), kernel.astype(jnp.float32))
    result = program(x, kernel)
    assert result.dtype == jnp.bfloat16
    np.testing.assert_allclose(result.astype(jnp.float32), exact, rtol=2**-8, atol=1e-5)


@needs_onednn
@pytest.mark.skipif(not HAS_BFLOAT16, reason="the processor has no AVX512_BF16")
@pytest.mark.parametrize(("size", "channels", "features"), [((3, 3), 16, 32), ((1, 7), 16, 8)])
def test_gradients_in_bfloat16_are_the_same(size, channels, features):
    x, kernel = _layer(2, size, channels, features)
    weights = np.random.default_rng(1).normal(size=(*x.shape[:3], features)).astype(np.float32)

    def gradient(x, kernel):
        def loss(x, kernel):
            y = convolve(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))
            return (weights * y.astype(jnp.float32)).sum()

        return jax.grad(loss, (0, 1))(x, kernel)

    assert_same_by_onednn(gradient, x, kernel, most=2**-7)


@needs_onednn
def test_a_step_on_several_devices_is_the_same():
    network = Student()
    images = np.random.default_rng(0).random((4, 1, 24, 24, 3), np.float32)
    params = network.init(jax.random.key(0), images[0])["params"]

    def step(params, images, frozen, *, axis_name):
        def loss(params):
            return jnp.square(network.apply({"params": params}, images) - frozen).mean()

        value, gradient = lax.pmean(jax.value_and_grad(loss)(params), axis_name)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), {"loss": value}

    def trained(onednn):
        mapped, replicas = parallelize(step, onednn=onednn), replicate(params)
        for _ in range(3):
            replicas, metrics = mapped(replicas, images, replicate(np.float32(0.7)))
        return to_host((replicas, metrics))

    ours, again, expected = trained(True), trained(True), trained(False)
    jax.tree.map(np.testing.assert_array_equal, ours, again)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, expected)


def test_a_program_around_it_is_left_to_xla_and_can_be_differentiated():
    x, kernel = _layer(1, (3, 3), 8, 8)
    program = ProcessProgram(convolve)
    around = jax.jit(jax.grad(lambda k: program(x, k).sum()))
    assert CALL not in around.lower(kernel).compile().as_text()
    expected = jax.grad(lambda k: convolve(x, k).sum())(kernel)
    np.testing.assert_allclose(around(kernel), expected, rtol=1e-4, atol=1e-4)
    constant = jax.jit(lambda: program(x, kernel))
    assert CALL not in constant.lower().compile().as_text()
    np.testing.assert_allclose(constant(), convolve(x, kernel), atol=1e-5)


@needs_onednn
def test_a_function_that_others_compile_too_is_onednns_here_alone():
    x, kernel = _layer(1, (3, 3), 8, 8)
    shared = jax.jit(convolve)

    def program(x, kernel):
        return shared(x, kernel) + 1

    assert CALL in ProcessProgram(program).compiled(x, kernel).as_text()
    assert CALL not in jax.jit(program).lower(x, kernel).compile().as_text()
    assert CALL in ProcessProgram(program).compiled(x, kernel).as_text()


def _mapped(function, compiler_options):
    del compiler_options
    return jax.pmap(function)


@pytest.mark.parametrize("transform", [jax.jit, _mapped])
def test_of_many_shapes_not_all_programs_are_kept(monkeypatch, transform):
    monkeypatch.setattr(process_programs, "_MOST_SHAPES", 3)
    traced = []

    def double(x):
        traced.append(x.shape[-1])
        return 2 * x

    program = ProcessProgram(double, transform)
    for size in (1, 2, 3, 1, 4, 4, 1):
        np.testing.assert_array_equal(program(np.ones((4, size))), np.full((4, size), 2))
    # Beyond the third shape all went, just before the next call.
    assert traced == [1, 2, 3, 1, 4]


@pytest.mark.skipif(not MAPPINGS.exists(), reason="Linux alone lists them")
def test_what_goes_leaves_no_mappings_of_memory(monkeypatch):
    monkeypatch.setattr(process_programs, "_MOST_SHAPES", 10)
    program = ProcessProgram(lambda x: jnp.tanh(x) @ x.T)
    counts = []
    for size in range(1, 51):
        program(np.ones((size, 3)))
        counts.append(len(MAPPINGS.read_text().splitlines()))
    assert counts[9] - counts[0] > 0
    assert counts[-1] - counts[9] < 2 * (counts[9] - counts[0])


def test_without_onednn_it_is_like_jit(monkeypatch):
    monkeypatch.setattr(onednn, "is_usable", lambda: False)
    x, kernel = _layer(1, (3, 3), 8, 8)
    program = ProcessProgram(convolve)
    assert CALL not in program.compiled(x, kernel).as_text()
    np.testing.assert_array_equal(program(x, kernel), jax.jit(convolve)(x, kernel))


@needs_onednn
def test_nothing_is_saved_while_it_is_traced_and_settings_come_back():
    before, seen = getattr(jax.config, SECONDS), []

    def nested(x):
        seen.append(getattr(jax.config, SECONDS))
        return x + 1

    def outer(x):
        ProcessProgram(nested)(np.float32(1))
        seen.append(getattr(jax.config, SECONDS))
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        ProcessProgram(outer)(np.float32(1))
    assert seen == [math.inf, math.inf]
    assert getattr(jax.config, SECONDS) == before


@needs_onednn
def test_such_programs_are_not_written_to_the_persistent_cache(tmp_path):
    program = """
        import jax, numpy as np
        from ppcn_jax.ops.convolution import convolve
        from ppcn_jax.inference.process_programs import ProcessProgram

        def fast(x, k):
            return convolve(x, k)

        def slow(x, k):
            return convolve(x, k)

        x, k = np.ones((1, 16, 16, 4), np.float32), np.ones((3, 3, 4, 4), np.float32)
        ProcessProgram(fast)(x, k)
        jax.jit(slow)(x, k)
    """
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        SECONDS.upper(): "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    subprocess.run(command, env=environment, check=True)
    names = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert "jit_slow" in names
    assert "jit_fast" not in names
