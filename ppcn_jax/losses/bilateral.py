"""Contextual loss that also looks at where features lie, for pairs that do not fit exactly.

Symbols: P_i are features of the enhanced image, Q_j of the target, x_i and x_j their positions.
"""

import jax
import jax.numpy as jnp
from jax import lax

from ppcn_jax.losses.arguments import as_float_pair, check_known_sides, number
from ppcn_jax.losses.contextual import directions
from ppcn_jax.ops.compiled import compiled

# Distances in memory at once: 4 MiB of float32. Larger matrices are computed in blocks of rows, of
# at least `LEAST_ROWS` for each image, for the sake of the matrix product.
BLOCK_ENTRIES, LEAST_ROWS = 2**20, 32


@compiled
def contextual_bilateral(
    prediction: jax.Array, target: jax.Array, *, spatial_weight: float = 0.1
) -> jax.Array:
    """Contextual bilateral loss (CoBi) between two feature maps.

    CoBi = mean_i min_j (D_ij + w ||x_i - x_j||_2)  with  D_ij = 1 - cos(P_i, Q_j)

    Args:
        prediction: P, float `[N, H, W, C]`.
        target: Q, the same shape.
        spatial_weight: w, the price of a match that is one position of the map away; 0 matches
            features anywhere. A shift by s positions costs at most w s.

    Returns:
        float32 `[N]` in [0, 2]; 0 means that every feature of the prediction has the direction of
        the target's feature at its position. Memory grows linearly with H W.

    Raises:
        TypeError: an input is not floating, or `spatial_weight` is not a number.
        ValueError: a rank other than 4, unequal shapes, no positions, a negative `spatial_weight`,
            or an H or W that is symbolic in an export.

    Reference:
        Zhang et al., Zoom to Learn, Learn to Zoom, CVPR 2019, Eq. 2. The paper leaves the unit of
        positions open; here it is one position of the feature map. It sums this loss of VGG
        features and of RGB patches (Eq. 3).

    Example:
        >>> f = jnp.sin(jnp.arange(256.0)).reshape(2, 4, 4, 8)  # features, of VGG for example
        >>> losses.contextual_bilateral(jnp.roll(f, 1, axis=2), f)
        Array([0.13706207, 0.13443856], dtype=float32)
    """
    prediction, target = as_float_pair(prediction, target)
    weight = number("spatial_weight", spatial_weight, prediction.dtype, zero=True)
    images, height, width, channels = prediction.shape
    check_known_sides("the contextual bilateral loss", prediction)
    where = jnp.stack(jnp.indices((height, width), prediction.dtype), axis=-1).reshape(-1, 2)

    def match(at: tuple[jax.Array, jax.Array], q: jax.Array) -> jax.Array:
        feature, position = at
        cosines = jnp.einsum("c,jc->j", feature, q, precision=lax.Precision.HIGHEST)
        return jnp.argmin(1 - cosines + weight * _distances(where, position[None]))

    def nearest(p: jax.Array, q: jax.Array) -> jax.Array:
        # The choice is constant, so that derivatives, of one match for each feature, need no matrix.
        fixed = lax.stop_gradient(q)
        chosen = lax.map(
            lambda at: match(at, fixed), (lax.stop_gradient(p), where), batch_size=rows
        )
        matched = jnp.stack(jnp.divmod(chosen, width), axis=1).astype(where.dtype)
        cosines = jnp.sum(p * q[chosen], axis=1)
        return 1 - cosines + weight * _distances(matched, where)

    positions = height * width
    rows = max(LEAST_ROWS, BLOCK_ENTRIES // (positions * max(images, 1)))
    p, q = (directions(x.reshape(images, positions, channels)) for x in (prediction, target))
    return jnp.mean(jax.vmap(nearest)(p, q), axis=1)


def _distances(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(jnp.square(a - b), axis=1))
