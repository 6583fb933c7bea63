"""Command line of ppcn-jax: train, evaluate or compare what a configuration file describes.

    python launch.py --config=configs/student.py --workdir=W [--config.FIELD=VALUE ...]

Among several processes (TPU pods, SLURM, Open MPI, Kubernetes jobs as JAX detects them, or the
flags --coordinator, --process_count, --process_index) every process runs the same command.
"""

import atexit
import contextlib
import functools
import math
import os
import pathlib
import sys
import textwrap
import traceback
from collections.abc import Callable
from typing import NoReturn

import jax
from absl import app, flags, logging
from ml_collections import config_flags

import data
from ppcn_jax.benchmark import accelerator, scaling, suite
from ppcn_jax.configuration.check import check
from ppcn_jax.configuration.flags import parse_flags
from ppcn_jax.configuration.workdir import check_workdir
from ppcn_jax.evaluation import comparison, evaluate, table1, table3
from ppcn_jax.runtime.compilation_cache import keep_compiled_programs
from ppcn_jax.runtime.errors import InputError, is_disk_full
from ppcn_jax.runtime.malloc import keep_freed_memory
from ppcn_jax.runtime.processes import START_AGAIN, SharedFate
from ppcn_jax.training import loop as train
from ppcn_jax.training.enhancer import check_files

FLAGS = flags.FLAGS
config_flags.DEFINE_config_file("config", None, "Configuration file, e.g. configs/student.py.")
flags.DEFINE_string("workdir", None, "Folder for everything that is written.")
flags.DEFINE_string("coordinator", None, "Address host:port of process 0.")
flags.DEFINE_integer("process_count", None, "Number of processes.")
flags.DEFINE_integer("process_index", None, "Index of this process, from 0.")
flags.DEFINE_bool("distributed", True, "Join other processes when a cluster is detected.")
flags.DEFINE_float("silence", 60.0, "Seconds after which a silent process counts as dead.", 1.0)
flags.mark_flags_as_required(["config", "workdir"])
flags.register_validator("workdir", lambda folder: folder != "", "name a folder")

WITH_SPACE = "What was saved is whole; with space, the same command goes on from there."


def leave(status: int, last_words: str = "") -> NoReturn:
    """End this process; threads of a save that failed would wait for one another for minutes."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    atexit._run_exitfuncs()  # which may print too
    os.write(2, last_words.encode())
    os._exit(status)


def join_processes() -> None:
    """Start jax.distributed when this process is one of several."""
    explicit = (FLAGS.coordinator, FLAGS.process_count, FLAGS.process_index)
    # Later than SharedFate's word, which is clearer, and not the only one: JAX needs no Python.
    initialize = functools.partial(
        jax.distributed.initialize, heartbeat_timeout_seconds=math.ceil(2 * FLAGS.silence)
    )
    if any(flag is not None for flag in explicit):
        if any(flag is None for flag in explicit):
            raise app.UsageError("--coordinator, --process_count and --process_index go together")
        initialize(*explicit)
    elif FLAGS.distributed:
        try:
            initialize()
        except ValueError as error:
            if "coordinator_address" not in str(error):  # otherwise: no cluster, one process
                raise


def run_training(config, workdir: pathlib.Path) -> None:
    """Open both splits of the data and train."""
    check_files(config)
    training = data.TrainingData(
        config.data,
        workdir,
        seed=config.train.seed,
        batch_size=config.train.batch_size,
        unreadable=config.train.unreadable,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        local_devices=jax.local_device_count(),
    )
    state = train.run(config, workdir, training.batches, training.test, training.samples)
    if state.step < config.train.steps:  # it was asked to stop
        sys.exit(START_AGAIN)


def on_test_split(run: Callable, config, workdir: pathlib.Path) -> None:
    """Open the test split and run a job on it."""
    run(config, workdir, data.make_source(**config.data, split="test"))


def run_table1(config, workdir: pathlib.Path) -> None:
    """Open the test sets and compare super-resolvers on them."""
    table1.run(config, workdir, data.open_test_sets(config.data.dir))


def run_benchmark(config, workdir: pathlib.Path) -> None:
    """Open what training data is named and measure the speed of everything."""
    loaders = {}
    for name, loader in config.loading.items():
        if loader.data.dir:
            source = data.make_source(**loader.data, split="train")
            size = loader.batch_size
            loaders[name] = functools.partial(data.batches, source, seed=0, batch_size=size)
    suite.run(config, workdir, loaders)


TASKS = {
    "train": run_training,
    "accelerator": accelerator.run,
    "benchmark": run_benchmark,
    "comparison": functools.partial(on_test_split, comparison.run),
    "evaluate": functools.partial(on_test_split, evaluate.run),
    "scaling": scaling.run,
    "table1": run_table1,
    "table3": functools.partial(on_test_split, table3.run),
}


def main(arguments: list[str]) -> None:
    """Run the task that the configuration names."""
    if not FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # orbax tells every detail of every save
    if problem := keep_compiled_programs():
        logging.warning(problem)
    keep_freed_memory()
    join_processes()
    try:
        with SharedFate(silence=FLAGS.silence):
            config, workdir = FLAGS.config, pathlib.Path(FLAGS.workdir)
            check(config, devices=jax.device_count())
            check_workdir(workdir, config)
            TASKS[config.task](config, workdir)
    except (data.DataError, InputError) as error:  # what the user can mend needs no stack trace
        sys.exit(f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - told in full
        if is_disk_full(error):
            reason = textwrap.shorten(str(error), 160)
            leave(START_AGAIN, f"\nthe disk of {FLAGS.workdir} is full ({reason}). {WITH_SPACE}\n")
        traceback.print_exc()
        leave(1)


if __name__ == "__main__":
    app.run(main, flags_parser=parse_flags)
