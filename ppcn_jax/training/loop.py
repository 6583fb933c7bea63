"""The training loop: steps, logs, evaluations and checkpoints, until the end or an interruption."""

import contextlib
import functools
import pathlib
import platform
import time
from collections.abc import Callable, Generator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
from ml_collections import ConfigDict

from ppcn_jax.configuration.check import check
from ppcn_jax.configuration.networks import check_networks, record_networks
from ppcn_jax.configuration.workdir import changes, claim_workdir
from ppcn_jax.evaluation.selection import Pairs, Selection
from ppcn_jax.runtime.machine import versions
from ppcn_jax.steps.parallel import Calls, replicate, to_devices, to_host
from ppcn_jax.steps.state import TrainState, from_trees, to_trees, without_guard
from ppcn_jax.training import enhancer, super_resolver
from ppcn_jax.training.audit import Audit
from ppcn_jax.training.evaluations import Evaluations, held_out_photos
from ppcn_jax.training.experiment import Experiment
from ppcn_jax.training.feed import AHEAD, feed
from ppcn_jax.training.int8 import run_ranges, write_ranges
from ppcn_jax.training.interruption import Interruption
from ppcn_jax.training.logs import Progress, Recorder, Writer
from ppcn_jax.training.plan import Plan, make_plan
from ppcn_jax.training.profile import STEP, Profile
from ppcn_jax.training.replica_check import ReplicaCheck
from ppcn_jax.training.services import RunServices
from ppcn_jax.training.skipped_updates import Guard
from ppcn_jax.training.start_from import load_start, start_from, write_record
from ppcn_jax.training.stopping import Stopping
from ppcn_jax.training.stragglers import Stragglers
from ppcn_jax.training.time_spent import TimeSpent
from ppcn_jax.training.wandb_run import WandbRun
from ppcn_jax.training.watchdog import Watchdog
from ppcn_jax.weights.checkpoints import Checkpoints, steps_in

Batches = Callable[[int], Generator[dict[str, np.ndarray]]]
Samples = Callable[[int], Sequence[str]]


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    batches: Batches,
    pairs: Pairs,
    samples: Samples = lambda step: (),
    check_lock: Callable[[], None] = lambda: None,
    writers: Sequence[Writer] = (),
) -> TrainState:
    """Train what a configuration describes, continuing from the last checkpoint in `workdir`.

    Args:
        config: a configuration of configs/teacher.py, student.py or super_resolution.py.
        workdir: folder for config.json, versions.json, metrics.jsonl, tensorboard/, strips/ and
            checkpoints/; also started_from.json if the run starts from another network, and
            int8_ranges.json with `train.quantize`.
        batches: first step -> endless generator of this process's batches from that step on.
        pairs: the test split.
        samples: step -> names of the samples in its global batch, to report with a skipped update.
        check_lock: called before writing; see `WorkdirLock.check`.
        writers: get the scalars and pictures too, from process 0.

    Returns:
        The final state, on the host. Its step is less than `train.steps` if Ctrl-C or SIGTERM
        ended training, which happens after the current call (`train.steps_per_call`), with a
        checkpoint.

    Raises:
        FaultyDevice: a device computes wrong results (`audit.every`).
        InputError: an invalid configuration, a workdir of another run, weights that cannot be
            used, or too many skipped updates in a row (`train.guard.stop_after`).
    """
    time_spent = TimeSpent()
    check(config, devices=jax.device_count())
    family = super_resolver if config.model == "super_resolver" else enhancer
    ranges = run_ranges(config, workdir, batches)
    experiment = family.make_experiment(config, ranges)
    plan = make_plan(config)
    selection = Selection(
        pairs,
        images=config.evaluate.images,
        largest=config.evaluate.largest,
        scale=getattr(experiment.module, "scale", 1),
    )
    evaluations = Evaluations(experiment, selection, held_out_photos(config.evaluate.photos))
    first = jax.process_index() == 0
    changed = changes(workdir)
    python = {"python": platform.python_version()}
    check_networks(workdir, experiment.frozen)
    claim = functools.partial(claim_workdir, workdir, config, python | versions())
    resumable = bool(steps_in(workdir))
    check_lock()
    claim(write=first and not resumable)
    # Signals end nothing until the last checkpoint is on disk, when `checkpoints` is closed.
    with (
        Interruption() as interruption,
        Checkpoints(workdir, keep=config.checkpoint.keep) as checkpoints,
        contextlib.ExitStack() as stack,
    ):
        state, origin = experiment.state, ""
        if checkpoints.latest_step() is not None:
            state = from_trees(*checkpoints.restore(to_trees(state)))
        elif config.start_from:
            state, record, origin = start_from(state, load_start(config), config)
            if first:
                write_record(workdir, record)
        start = int(state.step)
        console = rich.console.Console(quiet=not first)
        if start >= plan.steps:
            console.print(
                f"the run in {workdir} has reached step {start}, so that nothing is left to do with "
                f"train.steps={plan.steps}; a higher number continues it",
                soft_wrap=True,
                highlight=False,
            )
            return state
        if resumable:
            claim(write=first)
        if first:
            record_networks(workdir, experiment.frozen)
            if ranges and not resumable:
                write_ranges(workdir, ranges)
        recorder = None
        if first:
            if project := config.log.wandb:
                writers = [*writers, WandbRun(project, workdir, config.to_dict())]
            recorder = Recorder(workdir, start_step=start, check_lock=check_lock, writers=writers)
            stack.callback(recorder.close)
        progress = stack.enter_context(Progress(plan.steps, start, console))
        where = f"from step {start}" if start else "from the start"
        # "paper" is also the preset of variants that train differently, such as `:quick`.
        preset = "" if config.preset == "paper" else f" ({config.preset} preset)"
        progress.say(
            f"training the {config.model}{preset} {where} to {plan.steps} on "
            f"{_devices(config.train.batch_size)}; {evaluations}"
        )
        if origin:
            progress.say(origin)
        if ranges:
            progress.say(
                f"trains {len(ranges)} convolutions in int8; evaluations score the network in int8"
            )
        if plan.without_audits:
            progress.say(plan.without_audits)
        for line in changed:
            progress.say(line)
        watchdog = stack.enter_context(Watchdog(workdir, **config.hang))
        profile = Profile(workdir, start=start, say=progress.say, **config.profile)
        stack.callback(profile.close)
        services = RunServices(
            checkpoints, recorder, progress, time_spent, watchdog, interruption, profile, check_lock
        )
        guard = Guard(
            start,
            {name: term.weight for name, term in config.objective.items() if term.weight},
            stop_after=config.train.guard.stop_after,
            samples=samples,
            report=services.report_skipped,
        )
        state = _loop(experiment, state, batches, evaluations, plan, guard, services)
    return state


def _loop(
    experiment: Experiment,
    state: TrainState,
    batches: Batches,
    evaluations: Evaluations,
    plan: Plan,
    guard: Guard,
    services: RunServices,
) -> TrainState:
    checkpoints, progress = services.checkpoints, services.progress
    time_spent, watchdog = services.time_spent, services.watchdog
    start = int(state.step)
    scan = jax.default_backend() != "cpu"
    call = Calls(experiment.step, scan=scan, finished=guard.note)
    replicas, frozen = replicate(state), replicate(experiment.frozen)
    check_agreement, stragglers = ReplicaCheck(), Stragglers(progress.say)
    check_agreement(replicas, start)
    audit = Audit(experiment.step.gradients)
    is_stopping = Stopping(plan.steps_per_call)
    step, stopping, compiled = start, False, set[int]()
    time_spent.switch("steps")
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(contextlib.closing(batches(start)))
        calls = stack.enter_context(
            contextlib.closing(feed(stream, plan, start, call.put, ahead=AHEAD if scan else 0))
        )
        while step < plan.steps and not stopping:
            checkpoints.check()
            before, called = step, time.monotonic()
            watchdog.doing(f"waiting for the data of step {step + plan.steps_of_call(step)}")
            with time_spent.on("data_wait"):
                step, images, last_batch = next(calls)

            watchdog.doing(f"running step {step}")
            ready = time.monotonic()
            program = images.count if scan else 1
            services.profile.before_call(step, call.settle)
            kind = "steps" if program in compiled else "compile"
            with time_spent.on(kind), jax.profiler.StepTraceAnnotation(STEP, step_num=step):
                replicas, metrics = call(replicas, images, frozen)
            compiled.add(program)
            watchdog.dispatched(step, metrics["total"])
            if before == start:
                progress.say(f"compiled in {time.monotonic() - ready:.1f} s")
            progress.advance(step)
            services.profile.after_call(step, call.settle)
            stragglers.add(step - before, time.monotonic() - called)
            stopping = is_stopping(services.interruption.requested, before, step)
            last = step == plan.steps or stopping

            if plan.audit_every and step % plan.audit_every == 0:
                call.settle()
                watchdog.doing(f"auditing the devices at step {step}")
                with time_spent.on("audit"):
                    audit(replicas, to_devices(last_batch), frozen, step)

            if step % plan.log_every == 0 or last:
                call.settle()
                guard.inspect()  # so that earlier skipped updates are reported before this row
                # Fetched with the metrics, because each fetch waits for the device.
                rate = jnp.reshape(experiment.learning_rate(step - 1), 1)
                fetched = to_host({**without_guard(metrics), "learning_rate": rate})
                values = {name: float(value) for name, value in fetched.items()}
                progress.line(step, values)
                services.record(step, "train", values)
                # A separate row, because times differ from run to run.
                services.record(step, "time", time_spent.since_last_row())

            evaluating = step % plan.evaluate_every == 0 or step == plan.steps
            if evaluating or last or step % plan.checkpoint_every == 0:
                call.settle()
                guard.inspect()
                with time_spent.on("checkpoint"):
                    stragglers.judge(check_agreement(replicas, step, stragglers.measure()))
                    state = to_host(replicas)
                watchdog.doing(f"evaluating and saving step {step}")
                score = None
                if evaluating:
                    with time_spent.on("evaluate"):
                        score = evaluations.run(
                            state,
                            recorder=services.recorder,
                            say=progress.say,
                            doing=watchdog.doing,
                        )
                # Do not checkpoint while updates are being skipped: the run may be about to abort.
                if not guard.in_a_row or step == plan.steps:
                    with time_spent.on("checkpoint"):
                        if services.recorder:
                            services.recorder.flush()
                        services.check_lock()
                        checkpoints.save(step, to_trees(state), score=score)
                stragglers.restart()

    if guard.skipped:
        progress.say(f"{guard.skipped} updates were skipped, see the rows 'skipped'")
    if step > start:
        progress.say(time_spent.summary())
        services.record(step, "time", time_spent.total())
    if stopping:
        progress.say(f"stopped at step {step}; the same command continues")
    return state


def _devices(batch_size: int) -> str:
    count, processes = jax.device_count(), jax.process_count()
    owners = f" of {processes} processes" if processes > 1 else ""
    kind = jax.devices()[0].device_kind
    return f"{count} {kind} device(s){owners}, {batch_size // count} image(s) on each"
