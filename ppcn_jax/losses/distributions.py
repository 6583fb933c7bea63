"""Distances of the distributions of features, for pairs that do not fit: positions do not count.

W_1 of two sets of as many numbers is the mean distance of their sorted values.
"""

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.losses.arguments import as_float_pair, check_known_sides, integer, number
from ppcn_jax.losses.pixel import absolute
from ppcn_jax.ops.compiled import compiled
from ppcn_jax.ops.fourier import spectrum

# Amplitudes below this share of a map's sum of magnitudes, or below this value, are rounding noise:
# the phase of noise means nothing, and its gradient would be huge.
ROUNDING, SMALLEST = 1e-6, 1e-15


@compiled
def projected_wasserstein(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Projected distribution loss: the distance of each channel's distribution.

    L = mean_c W_1({f_c(y)}, {f_c(t)}), over the positions of channel c

    Args:
        prediction: features f(y), float `[N, H, W, C]`.
        target: features f(t), the same shape.

    Returns:
        float32 `[N]`, >= 0, in units of the features; 0 means equal distributions.

    Raises:
        TypeError: an input is not floating.
        ValueError: a rank other than 4, unequal shapes, or no values.

    Reference:
        Delbracio et al., Projected Distribution Loss for Image Enhancement, ICCP 2021. The mean
        over channels instead of a sum keeps the weight apart from the number of channels.

    Example:
        >>> f = jnp.sin(jnp.arange(256.0)).reshape(2, 4, 4, 8)  # features, of VGG for example
        >>> losses.projected_wasserstein(f[:, ::-1] + 0.5, f)
        Array([0.5, 0.5], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    return _distance(_points(prediction), _points(target))


@compiled
def sliced_wasserstein(
    prediction: jax.Array, target: jax.Array, *, projections: int = 64, seed: int = 0
) -> jax.Array:
    """Sliced Wasserstein distance of the distributions of feature vectors.

    SW = mean_k W_1({<w_k, f(y)_p>}_p, {<w_k, f(t)_p>}_p), with random directions |w_k| = 1

    Args:
        prediction: features f(y), float `[N, H, W, C]`.
        target: features f(t), the same shape.
        projections: number of directions.
        seed: of the directions, which are the same for every call and image.

    Returns:
        float32 `[N]`, >= 0, in units of the features; 0 means equal distributions along these
        directions.

    Raises:
        TypeError: an input is not floating, or an option is not an integer.
        ValueError: a rank other than 4, unequal shapes, no values, no directions, or a negative
            seed.

    Reference:
        Rabin et al., Wasserstein Barycenter and its Application to Texture Mixing, SSVM 2011, with
        W_1 as in the frequency distribution loss.

    Example:
        >>> f = jnp.sin(jnp.arange(256.0)).reshape(2, 4, 4, 8)  # features, of VGG for example
        >>> losses.sliced_wasserstein(2 * f, f)
        Array([0.5620409, 0.565058 ], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    directions = _directions(prediction, projections, seed)
    return _sliced(prediction, target, directions)


@compiled
def frequency_distribution(
    prediction: jax.Array,
    target: jax.Array,
    *,
    phase_weight: float = 1.0,
    projections: int = 64,
    seed: int = 0,
) -> jax.Array:
    """Frequency distribution loss (FDL): distances of the distributions of spectra.

    FDL = SW(|F(f(y))|, |F(f(t))|) + lambda SW(arg F(f(y)), arg F(f(t)))

    F is the discrete Fourier transform of each channel, not normalized, and SW the sliced
    Wasserstein distance (see `sliced_wasserstein`) over frequencies instead of positions.

    Args:
        prediction: features f(y), float `[N, H, W, C]`.
        target: features f(t), the same shape.
        phase_weight: lambda, 0 or more.
        projections: number of random directions.
        seed: of the directions, which are the same for every call, image and part.

    Returns:
        float32 `[N]`, >= 0; 0 means equal distributions. Amplitudes below the rounding errors of
        the transform count as 0, and their phases as 0 without a gradient.

    Raises:
        TypeError: an input is not floating, or an option is not a number.
        ValueError: a rank other than 4, unequal shapes, no values, a negative option, no directions,
            or an H or W that is symbolic in an export.

    Reference:
        Ni et al., Misalignment-Robust Frequency Distribution Loss for Image Transformation,
        CVPR 2024. The directions are over channels; the released code projects 5 x 5 frequencies.

    Example:
        >>> f = jnp.sin(jnp.arange(256.0)).reshape(2, 4, 4, 8)  # features, of VGG for example
        >>> losses.frequency_distribution(2 * f, f)
        Array([1.5506191, 1.5442674], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    check_known_sides("the frequency distribution loss", prediction)
    weight = number("phase_weight", phase_weight, prediction.dtype, zero=True)
    directions = _directions(prediction, projections, seed)
    (amplitude, phase), (target_amplitude, target_phase) = map(_polar, (prediction, target))
    amplitudes = _sliced(amplitude, target_amplitude, directions)
    return amplitudes + weight * _sliced(phase, target_phase, directions)


def _polar(features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Amplitude and phase of the spectrum of each channel."""
    real, imaginary = spectrum(features)
    energy = jnp.square(real) + jnp.square(imaginary)
    noise = ROUNDING * jnp.sum(jnp.abs(features), axis=(1, 2), keepdims=True)
    known = energy > jnp.square(jnp.maximum(noise, SMALLEST))
    # `where` differentiates both branches: the inner ones avoid infinite slopes at 0.
    amplitude = jnp.where(known, jnp.sqrt(jnp.where(known, energy, 1)), 0)
    phase = jnp.arctan2(jnp.where(known, imaginary, 0), jnp.where(known, real, 1))
    return amplitude, phase


def _directions(features: jax.Array, projections: int, seed: int) -> jax.Array:
    """Random unit vectors `[C, K]`."""
    key = jax.random.key(integer("seed", seed, least=0, most=2**32 - 1))
    shape = features.shape[3], integer("projections", projections)
    directions = jax.random.normal(key, shape, features.dtype)
    return directions / jnp.linalg.norm(directions, axis=0, keepdims=True)


def _sliced(prediction: jax.Array, target: jax.Array, directions: jax.Array) -> jax.Array:
    def project(features: jax.Array) -> jax.Array:
        points = _points(features)
        return jnp.einsum("npc,ck->npk", points, directions, precision=lax.Precision.HIGHEST)

    return _distance(project(prediction), project(target))


def _points(features: jax.Array) -> jax.Array:
    n, height, width, channels = features.shape
    return features.reshape(n, height * width, channels)


def _distance(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean over K of W_1 between sets of P numbers, `[N, P, K]` each."""
    difference = _sorted(prediction) - _sorted(target)
    return jnp.mean(absolute(difference), axis=(1, 2))


@jax.custom_jvp
def _sorted(points: jax.Array) -> jax.Array:
    """Sort `[N, P, K]` along P. The derivative of `jnp.sort` fails on meshes of explicit types."""
    return jnp.sort(points, axis=1)


@_sorted.defjvp
def _sorted_derivative(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    (points,), (tangent,) = primals, tangents
    # Added to zeros, which are sharded as the points are.
    places = jnp.zeros_like(points, jnp.int32) + jnp.arange(points.shape[1])[None, :, None]
    _, order = lax.sort((points, places), dimension=1, num_keys=1)
    return _sorted(points), jnp.take_along_axis(tangent, order, axis=1)
