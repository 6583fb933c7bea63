"""Learning rates and optimizers, from optax: those of the paper, and Muon."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax.typing import ArrayLike

# Adam's constants, section 4.2.
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8


def step_decay(initial: float, *, boundaries: Sequence[int], factor: float) -> optax.Schedule:
    """A learning rate that is multiplied by a factor at given steps.

    Args:
        initial: learning rate of step 0.
        boundaries: steps (number of updates made) from which the next factor holds, increasing.
        factor: what the rate is multiplied by at each boundary.

    Returns:
        An optax schedule.

    Raises:
        ValueError: boundaries that do not increase or are not positive.

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

    The second is the first with epsilon / sqrt(1 - 0.999^t): 32 times larger at the first step,
    which slows parameters whose gradients are below 1e-5 or so.

    Args:
        schedule: learning rate by step.
        epsilon_corrected: False is TensorFlow 1's Adam, with which the released code trained.

    Returns:
        An optax transformation; its state is that of `optax.adam` in both cases.

    Reference:
        Section 4.2; Kingma and Ba, Adam, ICLR 2015, Algorithm 1, and "epsilon hat" below it.
    """
    scale = _scale_by_adam(EPSILON) if epsilon_corrected else _scale_by_tensorflow_adam()
    return optax.chain(scale, optax.scale_by_learning_rate(schedule))


def muon(schedule: optax.Schedule, *, weight_decay: float = 0.0) -> optax.GradientTransformation:
    """Muon for kernels, Adam with Nesterov's momentum for everything else.

    The momentum of a kernel, as a matrix of inputs by outputs, is replaced by about the nearest
    orthogonal one: all directions of it are learned at the same speed.

    Args:
        schedule: learning rate by step, of both.
        weight_decay: a kernel loses this share of itself times the rate in each step, apart from
            its gradient (Loshchilov and Hutter, ICLR 2019); other parameters lose nothing.

    Returns:
        An optax transformation.

    Reference:
        Jordan et al., Muon, 2024, https://kellerjordan.github.io/posts/muon/; not in the paper.
    """

    def axes(parameter: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        *inputs, output = range(parameter.ndim)
        return optax.contrib.MuonDimensionNumbers(tuple(inputs), (output,)) if inputs else None

    return optax.contrib.muon(
        schedule,
        weight_decay=weight_decay,
        muon_weight_dimension_numbers=lambda params: jax.tree.map(axes, params),
    )


def _scale_by_adam(epsilon: ArrayLike) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=MEAN_DECAY, b2=SQUARE_DECAY, eps=epsilon)


def _scale_by_tensorflow_adam() -> optax.GradientTransformation:
    def update(updates, state, params=None):
        correction = jnp.sqrt(1 - SQUARE_DECAY ** (state.count + 1))
        return _scale_by_adam(EPSILON / correction).update(updates, state, params)

    return optax.GradientTransformation(_scale_by_adam(EPSILON).init, update)
