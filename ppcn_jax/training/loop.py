"""The training loop: steps, records, evaluations, checkpoints, and a way out of all of it."""

import contextlib
import pathlib
import platform
import time
from collections.abc import Callable, Generator, Sequence
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import rich.console
from jax.experimental import multihost_utils

from ppcn_jax.configuration.check import check
from ppcn_jax.configuration.workdir import claim_workdir, removed_fields
from ppcn_jax.evaluation.evaluate import Pairs, evaluate, make_enhance
from ppcn_jax.runtime.machine import versions
from ppcn_jax.steps.parallel import IN_FLIGHT, Calls, replicate, to_host
from ppcn_jax.steps.state import TrainState, from_trees, to_trees, without_guard
from ppcn_jax.training import enhancer as enhancement
from ppcn_jax.training import super_resolver as super_resolution
from ppcn_jax.training.experiment import Experiment
from ppcn_jax.training.interruption import Interruption
from ppcn_jax.training.logs import Progress, Recorder
from ppcn_jax.training.replica_check import check_agreement
from ppcn_jax.training.skipped_updates import Guard, told
from ppcn_jax.training.time_spent import ProductiveTime
from ppcn_jax.training.watchdog import Watchdog
from ppcn_jax.weights.checkpoints import Checkpoints

Batches = Callable[[int], Generator[dict[str, np.ndarray]]]
Samples = Callable[[int], Sequence[str]]


def run(
    config,
    workdir: pathlib.Path,
    batches: Batches,
    pairs: Pairs,
    samples: Samples = lambda step: (),
) -> TrainState:
    """Train what a configuration describes, from where `workdir` was left.

    Args:
        config: of configs/teacher.py, configs/student.py or configs/super_resolution.py.
        workdir: gets config.json, versions.json, metrics.jsonl, tensorboard/, strips/ and
            checkpoints/.
        batches: first step -> endless generator of batches of this process, from that step on.
        pairs: the test split.
        samples: step -> names of the samples in the global batch that it sees, for what is told of
            bad steps.

    Returns:
        The final state, on the host. Ctrl-C (or SIGTERM) ends training after the current call
        (`train.steps_per_call`) with a checkpoint: the state is then of an earlier step than
        `train.steps`.

    Raises:
        InputError: a configuration that does not fit together, a workdir of another run, weights
            that cannot be used, or too many bad steps in a row (see `guard`).
    """
    spent = ProductiveTime()
    check(config, devices=jax.device_count())
    family = super_resolution if config.model == "super_resolver" else enhancement
    experiment = family.make_experiment(config)
    first = jax.process_index() == 0
    removed = removed_fields(workdir)
    python = {"python": platform.python_version()}
    claim_workdir(workdir, config, python | versions(), write=first)
    console = rich.console.Console(quiet=not first)
    # Signals wait until the last checkpoint is on disk, which is when `checkpoints` are closed.
    with (
        Interruption() as interruption,
        Checkpoints(workdir, keep=config.checkpoint.keep) as checkpoints,
    ):
        state = experiment.state
        if checkpoints.latest_step() is not None:
            state = from_trees(*checkpoints.restore(to_trees(state)))
        start = int(state.step)
        with contextlib.ExitStack() as stack:
            recorder = None
            if first:
                recorder = Recorder(workdir, start_step=start)
                stack.callback(recorder.close)
            progress = stack.enter_context(Progress(config.train.steps, start, console))
            progress.say(_greeting(config, start, len(pairs)))
            if removed:
                progress.say(f"ignored, as this version no longer has them: {', '.join(removed)}")
            tools = SimpleNamespace(
                checkpoints=checkpoints,
                recorder=recorder,
                progress=progress,
                pairs=pairs,
                spent=spent,
                samples=samples,
                interruption=interruption,
                watchdog=stack.enter_context(Watchdog(workdir, **config.hang)),
            )
            state = _loop(config, experiment, state, batches, tools)
    return state


def _loop(config, experiment: Experiment, state: TrainState, batches: Batches, tools):
    start, total = int(state.step), config.train.steps
    guard = _guard(config, start, tools)
    scan = jax.default_backend() != "cpu"
    call = Calls(experiment.step, scan=scan, finished=guard.look)
    replicas, frozen = replicate(state), replicate(experiment.frozen)
    check_agreement(replicas, start)
    step, stopping, compiled = start, False, set[int]()
    tools.spent.switch("steps")
    with contextlib.closing(batches(start)) as stream:
        while step < total and not stopping:
            tools.checkpoints.check()
            before, step = step, step + steps_of_call(config, step)
            tools.watchdog.doing(f"waiting for the data of step {step}")
            with tools.spent.on("data_wait"):
                images = [_images(next(stream)) for _ in range(step - before)]
            tools.watchdog.doing(f"running step {step}")
            called = time.monotonic()
            program = len(images) if scan else 1
            with tools.spent.on("steps" if program in compiled else "compile"):
                replicas, metrics = call(replicas, images, frozen)
            compiled.add(program)
            tools.watchdog.dispatched(step, metrics["total"])
            if before == start:
                tools.progress.say(f"compiled in {time.monotonic() - called:.1f} s")
            tools.progress.advance(step)
            stopping = _agreed(tools.interruption.asked, before, step)
            last = step == total or stopping
            if step % config.log.every == 0 or last:
                call.settle()  # what happened before a row is told before it
                _log(step, metrics, experiment, tools)
            due = step % config.evaluate.every == 0 or step == total
            if due or last or step % config.checkpoint.every == 0:
                call.settle()
                with tools.spent.on("checkpoint"):
                    check_agreement(replicas, step)
                    state = to_host(replicas)
                tools.watchdog.doing(f"evaluating and saving step {step}")
                score = None
                if due:
                    with tools.spent.on("evaluate"):
                        score = _evaluate(state, experiment, tools)
                # Amid bad steps nobody knows whether a good one is still to come.
                if not guard.in_a_row or step == total:
                    with tools.spent.on("checkpoint"):
                        tools.checkpoints.save(step, to_trees(state), score=score)
        if step > start:
            _tell_the_whole(step, guard, tools)
        if stopping:
            tools.progress.say(f"stopped at step {int(state.step)}; the same command continues")
    return state


def steps_of_call(config, step: int) -> int:
    """How many steps the next call makes.

    Args:
        config: the configuration.
        step: updates made so far.

    Returns:
        `train.steps_per_call`, or 1 where fewer are left to the end or to the next row, evaluation
        or checkpoint: calls of other lengths would be compiled as well.
    """
    wanted = config.train.steps_per_call
    intervals = (config.log.every, config.evaluate.every, config.checkpoint.every)
    left = min(config.train.steps - step, *(every - step % every for every in intervals))
    return wanted if wanted <= left else 1


def _agreed(asked: bool, before: int, step: int) -> bool:
    # Signals reach processes at different steps, but all must make the same ones.
    if jax.process_count() == 1:
        return asked
    return before // IN_FLIGHT < step // IN_FLIGHT and bool(
        multihost_utils.process_allgather(np.asarray(asked)).any()
    )


def _guard(config, start: int, tools) -> Guard:
    def report(step: int, wrong: dict[str, float], samples: Sequence[str]) -> None:
        tools.progress.say(
            f"step {step}: update left out because of {told(wrong)}; samples: {', '.join(samples)}"
        )
        if tools.recorder:
            tools.recorder.scalars(step, "skipped", wrong, samples=list(samples))

    return Guard(
        start,
        {name: term.weight for name, term in config.objective.items() if term.weight},
        stop_after=config.train.guard.stop_after,
        samples=tools.samples,
        report=report,
    )


def _images(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: batch[name] for name in ("input", "target")}


def _log(step: int, metrics, experiment: Experiment, tools) -> None:
    # Fetched with the metrics: each fetch waits for the device.
    rate = jnp.reshape(experiment.learning_rate(step - 1), 1)
    fetched = to_host({**without_guard(metrics), "learning_rate": rate})
    values = {name: float(value) for name, value in fetched.items()}
    tools.progress.line(step, values)
    if tools.recorder:
        tools.recorder.scalars(step, "train", values)
        # Apart from what a seed fixes: times differ from run to run.
        tools.recorder.scalars(step, "time", tools.spent.row())


def _tell_the_whole(step: int, guard: Guard, tools) -> None:
    if guard.skipped:
        tools.progress.say(f"{guard.skipped} updates were left out, see the rows 'skipped'")
    tools.progress.say(tools.spent.summary())
    if tools.recorder:
        tools.recorder.scalars(step, "time", tools.spent.whole())


def _evaluate(state: TrainState, experiment: Experiment, tools) -> float | None:
    enhance = make_enhance(experiment.module, state.players["generator"].params)
    result = evaluate(enhance, tools.pairs, score=experiment.score)
    step = int(state.step)
    if tools.recorder:
        values = {name: result[name] for name in experiment.metrics if result[name] is not None}
        tools.recorder.scalars(step, "test", values)
        tools.recorder.picture(step, "test", experiment.picture(enhance, tools.pairs))
        scores = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        tools.progress.say(f"step {step}: test split  {scores}")
    return result[experiment.metrics[0]]


def _greeting(config, start: int, images: int) -> str:
    where = f"from step {start}" if start else "from the start"
    # "paper" is also the preset of variants that train differently, such as `:quick`.
    preset = "" if config.preset == "paper" else f" ({config.preset} preset)"
    return (
        f"training the {config.model}{preset} {where} to {config.train.steps} on "
        f"{jax.device_count()} {jax.default_backend()} device(s); {images} test images"
    )
