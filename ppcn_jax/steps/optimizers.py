"""Learning rates and optimizers built with optax: the paper's, and Muon."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax.typing import ArrayLike

# Adam's constants, section 4.2.
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8


def step_decay(initial: float, *, boundaries: Sequence[int], factor: float) -> optax.Schedule:
    """A learning rate that is multiplied by `factor` when the step count reaches each boundary.

    Raises:
        ValueError: the boundaries are not positive and increasing.

    Reference:
        Section 4.2: 5e-4, divided by 10 every 10^4 iterations.
    """
    if any(a >= b for a, b in zip([0, *boundaries], boundaries, strict=False)):
        raise ValueError(f"boundaries must be positive and increasing, got {tuple(boundaries)}")
    return optax.piecewise_constant_schedule(initial, {int(step): factor for step in boundaries})


def adam(
    schedule: optax.Schedule, *, epsilon_corrected: bool = True
) -> optax.GradientTransformation:
    """Adam with the paper's constants: decay rates 0.9 and 0.999, epsilon 1e-8.

    corrected:     rate * m^ / (sqrt(v^) + epsilon),  m^ = m / (1 - 0.9^t),  v^ = v / (1 - 0.999^t)
    not corrected: rate * sqrt(1 - 0.999^t) / (1 - 0.9^t) * m / (sqrt(v) + epsilon)

    The second, TensorFlow 1's Adam, was used by the released code. It equals the first with
    epsilon / sqrt(1 - 0.999^t), which is 32 times larger at the first step and slows parameters
    whose gradients are below about 1e-5. In both cases the state is that of `optax.adam`.

    Reference:
        Section 4.2; Kingma and Ba, Adam, ICLR 2015, Algorithm 1, and "epsilon hat" below it.
    """

    def scale(epsilon: ArrayLike) -> optax.GradientTransformation:
        return optax.scale_by_adam(b1=MEAN_DECAY, b2=SQUARE_DECAY, eps=epsilon)

    def tensorflow_update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        correction = jnp.sqrt(1 - SQUARE_DECAY ** (state.count + 1))
        return scale(EPSILON / correction).update(updates, state, params)

    update = scale(EPSILON).update if epsilon_corrected else tensorflow_update
    return optax.chain(
        optax.GradientTransformation(scale(EPSILON).init, update),
        optax.scale_by_learning_rate(schedule),
    )


def muon(schedule: optax.Schedule, *, weight_decay: float = 0.0) -> optax.GradientTransformation:
    """Muon for kernels, Adam with Nesterov momentum for all other parameters.

    Muon replaces a kernel's momentum, as a matrix of inputs by outputs, by approximately the
    nearest orthogonal matrix, so that all its directions are learned at the same speed. Each step
    also subtracts rate * `weight_decay` * kernel from a kernel (decoupled weight decay, Loshchilov
    and Hutter, ICLR 2019); other parameters do not decay.

    Reference:
        Jordan et al., Muon, 2024, https://kellerjordan.github.io/posts/muon/; not in the paper.
    """

    def axes(parameter: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        *inputs, output = range(parameter.ndim)
        return optax.contrib.MuonDimensionNumbers(tuple(inputs), (output,)) if inputs else None

    inner = optax.contrib.muon(
        schedule,
        weight_decay=weight_decay,
        muon_weight_dimension_numbers=lambda params: jax.tree.map(axes, params),
    )

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        with jax.default_matmul_precision("highest"):  # Optax's products name no precision
            return inner.update(updates, state, params)

    return optax.GradientTransformation(inner.init, update)
