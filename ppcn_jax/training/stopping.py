"""All processes of a run stop at the same step, whichever of them gets a signal.

They agree through JAX's coordination service, so that the devices go on meanwhile.
`multihost_utils.reached_preemption_sync_point` does not fit: it hears SIGTERM alone, by a handler of
its own, which takes that signal from `Interruption`, and it must be called at every step.
"""

import jax

from ppcn_jax.runtime.exchange import read_text, write_text
from ppcn_jax.steps.parallel import IN_FLIGHT

EVERY = 4  # steps between looks at what other processes have left
_STEP = "stop/step"


class Stopping:
    """Decides if a run stops after a call.

    A process with a signal names the step to stop at, and the first to do so decides. No process can
    have looked for it at that step before: devices wait for each other's gradients, so that no
    process is further ahead than the steps in flight.

    Args:
        steps_per_call: largest number of steps in a call.
    """

    def __init__(self, steps_per_call: int):
        self._margin = max(IN_FLIGHT, steps_per_call) + max(EVERY, steps_per_call)
        self._alone = jax.process_count() == 1
        self._last: int | None = None

    def __call__(self, requested: bool, before: int, step: int) -> bool:
        """Return if the run stops now; all processes call this after each call, in order.

        Args:
            requested: this process has got a signal.
            before: number of steps made before the call.
            step: number of steps made.
        """
        if self._alone:
            return requested
        if before // EVERY == step // EVERY:
            return False
        if self._last is None:
            if requested:
                write_text(_STEP, str(step + self._margin))
            found = read_text(_STEP)
            self._last = None if found is None else int(found)
        return self._last is not None and step >= self._last
