"""Learning rates and optimizers of the paper, from optax."""

from collections.abc import Sequence

import optax


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


def adam(schedule: optax.Schedule) -> optax.GradientTransformation:
    """Adam with the paper's constants: decay rates 0.9 and 0.999, epsilon 1e-8.

    Args:
        schedule: learning rate by step.

    Returns:
        An optax transformation.

    Reference:
        Section 4.2.
    """
    return optax.adam(schedule, b1=0.9, b2=0.999, eps=1e-8)
