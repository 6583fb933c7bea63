"""All forms of a convolution give equal results and equal derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from ppcn_jax.ops.convolution import convolve
from ppcn_jax.ops.portable import portable

# Kernel, dilation, input and output channels: all of the enhancers, and 3x3 to two channels.
LAYERS = [
    ((1, 7), 1, 3, 8),
    ((7, 1), 1, 8, 8),
    ((1, 7), 2, 8, 16),
    ((7, 1), 2, 16, 8),
    ((3, 3), 1, 8, 3),
    ((1, 7), 1, 3, 16),
    ((7, 1), 1, 16, 16),
    ((3, 3), 1, 16, 32),
    ((3, 3), 2, 32, 16),
    ((1, 1), 1, 32, 16),
    ((3, 3), 1, 16, 3),
    ((9, 9), 1, 8, 2),
    ((3, 3), 1, 32, 64),
    ((3, 3), 1, 3, 32),
]
SIZES = [(16, 16), (17, 19), (24, 30), (21, 16)]


def drawn(size, kernel, channels, features):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size, channels)).astype(np.float32)
    # Outputs of about 1.
    scale = np.sqrt(np.prod(kernel) * channels)
    return x, (rng.standard_normal((*kernel, channels, features)) / scale).astype(np.float32)


def reference(x, kernel, dilation):
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=[(dilation * (taps - 1) // 2,) * 2 for taps in kernel.shape[:2]],
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "dilation", "channels", "features"), LAYERS)
def test_equals_one_operation(kernel, dilation, channels, features, size):
    x, weights = drawn(size, kernel, channels, features)
    y = jax.jit(lambda x, k: convolve(x, k, dilation=dilation))(x, weights)
    np.testing.assert_allclose(y, reference(x, weights, dilation), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kernel", "dilation", "channels", "features"), LAYERS)
def test_derivatives_equal_those_of_one_operation(kernel, dilation, channels, features):
    x, weights = drawn((17, 20), kernel, channels, features)

    def loss(convolution):
        # Not linear, so that the gradient needs the value too.
        return lambda x, k: jnp.mean(jnp.square(convolution(x, k)), axis=(1, 2, 3)).sum()

    def compare(derivative):
        ours = derivative(loss(lambda x, k: convolve(x, k, dilation=dilation)))
        expected = derivative(loss(lambda x, k: reference(x, k, dilation)))
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())

    compare(lambda f: jax.jit(jax.grad(f, argnums=(0, 1)))(x, weights))
    compare(lambda f: jax.jit(lambda *xs: jax.jvp(f, xs, xs))(x, weights)[1])


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), 2), ((9, 9), 4), ((2, 4), 1)])
def test_derivatives_of_strides_and_even_kernels(kernel, stride):
    x, weights = drawn((17, 20), kernel, 3, 8)

    def loss(x, k):
        return jnp.mean(jnp.square(convolve(x, k, stride=stride)), axis=(1, 2, 3)).sum()

    ours = jax.jit(jax.grad(loss, argnums=(0, 1)))(x, weights)
    with portable():
        expected = jax.grad(loss, argnums=(0, 1))(x, weights)
    for a, b in zip(ours, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(b).max())


def operations(function, shape, platform):
    """How many convolutions and transposes a program has before it is compiled."""
    exported = export.export(jax.jit(function), platforms=[platform])
    text = exported(jax.ShapeDtypeStruct(shape, jnp.float32)).mlir_module()
    return text.count("stablehlo.convolution"), text.count("stablehlo.transpose")


def test_folded_on_processors_only():
    _, kernel = drawn((16, 16), (7, 1), 8, 8)
    shape = (1, 32, 24, 8)

    def exportable(x):
        with portable():
            return convolve(x, kernel)

    assert operations(lambda x: convolve(x, kernel), shape, "cpu") == (1, 1)
    assert operations(lambda x: convolve(x, kernel), shape, "cuda") == (1, 0)
    assert operations(exportable, shape, "cpu") == (1, 0)
    symbolic = export.symbolic_shape("n, h, w, 8")
    assert operations(lambda x: convolve(x, kernel), symbolic, "cpu") == (1, 0)


def test_a_jitted_function_is_traced_again_for_an_export():
    _, kernel = drawn((16, 16), (7, 1), 8, 8)
    shared = jax.jit(lambda x: convolve(x, kernel))

    def exportable(x):
        with portable():
            return shared(x)

    shape = (1, 32, 24, 8)
    assert operations(shared, shape, "cpu") == (1, 1)
    assert operations(exportable, shape, "cpu") == (1, 0)
    assert operations(shared, shape, "cpu") == (1, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [2, 3])
def test_strides(stride, size):
    x, kernel = drawn(size, (3, 3), 3, 32)
    counts = [-(-side // stride) for side in size]
    # TensorFlow's SAME: padding is split, and the odd row or column is the last.
    paddings = [max((n - 1) * stride + 3 - side, 0) for n, side in zip(counts, size, strict=True)]
    padded = np.pad(x, [(0, 0), *((total // 2, total - total // 2) for total in paddings), (0, 0)])
    every = reference(padded, kernel, 1)[:, 1:-1, 1:-1]
    y = jax.jit(lambda x, k: convolve(x, k, stride=stride))(x, kernel)
    np.testing.assert_allclose(y, every[:, ::stride, ::stride], rtol=0, atol=1e-5)
