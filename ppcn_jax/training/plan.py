"""When a training run does what: its length and its intervals."""

import dataclasses

import jax
from ml_collections import ConfigDict

from ppcn_jax.training.audit import obstacle


@dataclasses.dataclass(frozen=True)
class Plan:
    """The length of a run, and the intervals of what happens between steps, in steps.

    These are logs, evaluations, checkpoints and audits. Without audits, `audit_every` is 0;
    `without_audits` is a line that says why, if they were asked for.
    """

    steps: int
    steps_per_call: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    audit_every: int = 0
    without_audits: str = ""

    def steps_of_call(self, step: int) -> int:
        """Number of steps in the next call: `steps_per_call`, or 1.

        It is 1 if fewer steps are left to the end or to the next row, evaluation, checkpoint or
        audit, because a call of any other length would have to be compiled as well.
        """
        intervals = (self.log_every, self.evaluate_every, self.checkpoint_every, self.audit_every)
        left = min(self.steps - step, *(every - step % every for every in intervals if every))
        return self.steps_per_call if self.steps_per_call <= left else 1


def make_plan(config: ConfigDict) -> Plan:
    """The plan of a run on the devices of this one."""
    audited = config.audit.every if jax.device_count() > 1 else 0  # one device has no neighbor
    reason = obstacle() if audited else ""
    return Plan(
        config.train.steps,
        config.train.steps_per_call,
        log_every=config.log.every,
        evaluate_every=config.evaluate.every,
        checkpoint_every=config.checkpoint.every,
        audit_every=0 if reason else audited,
        without_audits=reason,
    )
