"""Train, evaluate or compare what a configuration file describes.

    python launch.py --config=configs/student.py --workdir=W [--config.FIELD=VALUE ...]

With several processes (docs/pods.md), all run the same command.
"""

import pathlib
import sys
from collections.abc import Callable
from functools import partial

import jax
from absl import app
from ml_collections import ConfigDict

import data
from ppcn_jax.benchmark import accelerator, compile_for, suite
from ppcn_jax.configuration.check import check
from ppcn_jax.configuration.flags import define_flags, parse_flags
from ppcn_jax.configuration.workdir import check_workdir
from ppcn_jax.evaluation import comparison, evaluate, photo_faults, table1, table3
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.exchange import exchange, layout
from ppcn_jax.runtime.processes import START_AGAIN, SharedFate
from ppcn_jax.runtime.start import start_process
from ppcn_jax.runtime.storage import to_path
from ppcn_jax.runtime.workdir_lock import WorkdirLock, end_if_in_use
from ppcn_jax.training import enhancer, loop

FLAGS = define_flags()


def run_training(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Open both splits of the data and train."""
    enhancer.check_files(config, workdir)
    with WorkdirLock(workdir, silence=FLAGS.silence) as lock:
        opened = data.TrainingData(
            {**config.data, "enlarge": config.model == "super_resolver"},
            workdir,
            seed=config.train.seed,
            batch_size=config.train.batch_size,
            unreadable=config.train.unreadable,
            exchange=exchange,
            **layout(),
        )
        state = loop.run(config, workdir, opened.batches, opened.test, opened.samples, lock.check)
    if state.step < config.train.steps:  # stopped by a signal
        sys.exit(START_AGAIN)


def on_test_split(run: Callable, config: ConfigDict, workdir: pathlib.Path) -> None:
    """Open the test split and run a task on it."""
    run(config, workdir, data.make_source(**config.data, split="test"))


def run_benchmark(config: ConfigDict, workdir: pathlib.Path) -> None:
    """Measure the speed of everything, with loaders of the data that the configuration names."""
    loaders = {}
    for name, loader in config.loading.items():
        if loader.data.dir:
            source = data.make_source(**loader.data, split="train")
            loaders[name] = partial(data.batches, source, seed=0, batch_size=loader.batch_size)
    suite.run(config, workdir, loaders)


TASKS: dict[str, Callable[[ConfigDict, pathlib.Path], object]] = {
    "train": run_training,
    "accelerator": accelerator.run,
    "benchmark": run_benchmark,
    "compile_for": compile_for.run,
    "comparison": partial(on_test_split, comparison.run),
    "evaluate": partial(on_test_split, evaluate.run),
    "photo_faults": photo_faults.run,
    "table1": lambda config, out: table1.run(config, out, data.open_test_sets(config.data.dir)),
    "table3": partial(on_test_split, table3.run),
}


def main(arguments: list[str]) -> None:
    """Run the task that the configuration names."""
    config, workdir = FLAGS.config, to_path(FLAGS.workdir)
    if config.task == "train":
        end_if_in_use(workdir, silence=FLAGS.silence)
    processes = (FLAGS.coordinator, FLAGS.process_count, FLAGS.process_index)
    start_process(*processes, detect=FLAGS.distributed, silence=FLAGS.silence)
    fate = SharedFate(silence=FLAGS.silence, heartbeat_file=FLAGS.heartbeat_file)
    try:
        with fate:
            check(config, devices=jax.device_count())
            check_workdir(workdir, config)
            TASKS[config.task](config, workdir)
    except (data.DataError, InputError) as error:  # mistakes of the user need no stack trace
        fate.leave_with(f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001
        fate.leave_after(error, workdir)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
