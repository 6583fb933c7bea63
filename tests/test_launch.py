"""launch.py as users run it: real processes, their exit status and what they print."""

import re
import signal
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
from PIL import Image

import data
from configs import student
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance
from ppcn_jax.runtime.processes import START_AGAIN
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.weights.checkpoints import Checkpoints, restore_params, steps_in
from ppcn_jax.weights.load import load_model
from tests.processes import REPOSITORY, end, last_step, rows, wait_until
from tests.states import restore

STEPS = 40
# A few seconds of work: no VGG, no discriminator, small images. Many checkpoints, so that a run that
# is killed has a checkpoint and loses some steps.
SETTINGS = {
    "data.source": "synthetic",
    "data.crop": 24,
    "objective.contextual.weight": 0.0,
    "objective.texture.weight": 0.0,
    "train.batch_size": 4,
    "train.steps": STEPS,
    "checkpoint.every": 4,
    "checkpoint.keep": STEPS,
    "evaluate.every": STEPS // 2,
    "log.every": 1,
}


def train(launch, workdir, *arguments, xla_flags="", **changed):
    settings = {**SETTINGS, **changed}
    config = "student.py:no_distillation"
    return launch(config, workdir, *arguments, settings=settings, xla_flags=xla_flags)


def configuration():
    """Return the same configuration for this process."""
    config = student.get_config("no_distillation")
    config.update_from_flattened_dict(SETTINGS)
    return config


def final_state(workdir):
    with Checkpoints(workdir, keep=1) as checkpoints:
        return restore(checkpoints, make_experiment(configuration()).state)


@pytest.fixture(scope="module")
def undisturbed(launch, tmp_path_factory):
    """The workdir of an undisturbed run in one process, and how it ended."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    heartbeat = tmp_path_factory.mktemp("heartbeat") / "file"
    run = train(launch, workdir, f"--heartbeat_file={heartbeat}", "--silence=1")
    wait_until(heartbeat.exists, run)
    started = heartbeat.stat().st_mtime_ns
    wait_until(lambda: heartbeat.stat().st_mtime_ns > started, run)
    return workdir, end(run)


def test_a_run_prints_its_progress_and_nothing_else(undisturbed):
    workdir, (status, stdout, stderr) = undisturbed
    assert (status, stderr) == (0, "")
    lines = stdout.splitlines()
    assert lines[0] == (
        f"training the student from the start to {STEPS} on 1 cpu device(s), 4 image(s) on each; "
        "8 test images"
    )
    assert sum(line.startswith("step ") for line in lines) == STEPS + 2  # two evaluations
    assert lines[1].startswith("compiled in ")
    assert re.fullmatch(r"\d+\.\d s: steps \d+\.\d%, compiling .*, starting \d+\.\d%", lines[-2])
    assert len(lines) == 2 + STEPS + 2 + 2  # and the progress bar
    trained = [row["step"] for row in rows(workdir) if row["split"] == "train"]
    assert trained == list(range(1, STEPS + 1))


def test_a_run_that_is_killed_and_then_interrupted_loses_nothing(launch, undisturbed, tmp_path):
    first = train(launch, tmp_path)
    # Until it has made steps after its last checkpoint.
    wait_until(lambda: steps_in(tmp_path) and last_step(tmp_path) > steps_in(tmp_path)[-1], first)
    first.kill()
    assert end(first)[0] == -signal.SIGKILL
    known = steps_in(tmp_path)[-1]
    assert known < STEPS

    second = train(launch, tmp_path)
    wait_until(lambda: steps_in(tmp_path)[-1] > known, second)
    second.send_signal(signal.SIGINT)
    status, stdout, stderr = end(second)
    assert (status, stderr) == (START_AGAIN, "")
    stopped = steps_in(tmp_path)[-1]
    assert known < stopped < STEPS
    assert f"from step {known} to {STEPS}" in stdout
    assert f"stopped at step {stopped}; the same command continues" in stdout
    assert last_step(tmp_path) == stopped

    status, stdout, stderr = end(train(launch, tmp_path))
    assert (status, stderr) == (0, "")
    assert f"from step {stopped} to {STEPS}" in stdout
    assert rows(tmp_path) == rows(undisturbed[0])
    final, expected = final_state(tmp_path), final_state(undisturbed[0])
    assert final.step == expected.step == STEPS
    for a, b in zip(jax.tree.leaves(final), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def train_in_pair(launch, workdir, **changed):
    """Start two processes with two devices each."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    flags = [f"--coordinator=localhost:{port}", "--process_count=2"]
    devices = "--xla_force_host_platform_device_count=2"
    return [
        train(launch, workdir, *flags, f"--process_index={k}", xla_flags=devices, **changed)
        for k in range(2)
    ]


def test_two_processes_of_two_devices_train_as_one(launch, undisturbed, tmp_path):
    steps = 8
    ends = [end(process) for process in train_in_pair(launch, tmp_path, **{"train.steps": steps})]
    assert [(status, stderr) for status, _, stderr in ends] == [(0, ""), (0, "")]
    assert f"to {steps} on 4 cpu device(s) of 2 processes, 1 image(s) on each" in ends[0][1]
    assert "step " not in ends[1][1]

    # Only one process writes rows and events.
    trained = [row for row in rows(tmp_path) if row["split"] == "train"]
    assert [row["step"] for row in trained] == list(range(1, steps + 1))
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1
    for row, expected in zip(trained, rows(undisturbed[0]), strict=False):
        assert row["ssim"] == pytest.approx(expected["ssim"], rel=1e-4)
    # They share the test split, and its scores are those of one process.
    (tested,) = [row for row in rows(tmp_path) if row["split"] == "test"]
    model = load_model(tmp_path / "checkpoints" / str(steps))
    enhance = make_enhance(model.module, model.params)
    expected = evaluate(enhance, data.make_source(**configuration().data, split="test"))
    for score in ("psnr", "ms_ssim"):
        assert tested[score] == pytest.approx(expected[score], rel=1e-5)

    start = make_experiment(configuration()).state.players["generator"].params
    final = restore_params(tmp_path, steps, "generator", start)
    expected = restore_params(undisturbed[0], steps, "generator", start)
    # Adam turns gradients that are zero except for rounding into full steps of random sign. Without
    # a discriminator there are none: the networks move a hundred times as far as they may differ.
    assert furthest(start, expected) > 1e-3
    assert furthest(final, expected) < 1e-5


def test_a_signal_to_one_process_stops_all_at_one_step(launch, tmp_path):
    # A signal reaches the processes between different steps. A process that left the loop on its
    # own would leave the others waiting for its gradients.
    steps = 4000
    intervals = {"checkpoint.every": steps, "evaluate.every": steps}
    pair = train_in_pair(launch, tmp_path, **{"train.steps": steps, **intervals})
    wait_until(lambda: (tmp_path / "metrics.jsonl").exists() and rows(tmp_path), pair[0])
    pair[1].send_signal(signal.SIGTERM)
    ends = [end(process, timeout=60) for process in pair]
    assert [(status, stderr) for status, _, stderr in ends] == 2 * [(START_AGAIN, "")]
    (stopped,) = steps_in(tmp_path)
    assert stopped < steps
    assert f"stopped at step {stopped}; the same command continues" in ends[0][1]


def furthest(params, others):
    differences = jax.tree.map(lambda a, b: np.abs(a - b).max(), params, others)
    return max(jax.tree.leaves(differences))


@pytest.fixture(scope="module")
def refusals(launch, tmp_path_factory):
    """Invalid commands by name: (exit status, stdout, stderr, workdir)."""
    folder = tmp_path_factory.mktemp("refusals")
    for side in ("input", "target"):
        (folder / side).mkdir()
        Image.new("RGB", (32, 32)).save(folder / side / "both.png")
    Image.new("RGB", (32, 32)).save(folder / "input" / "lonely.png")
    for side in ("iphone", "canon"):
        patches = folder / "dped" / "iphone" / "training_data" / side
        patches.mkdir(parents=True)
        Image.new("RGB", (100, 100)).save(patches / "0.jpg")
    here, no_vgg = {"data.dir": folder}, {"objective.contextual.weight": 0.0}
    commands = {
        "misspelt field": {"train.stepz": 3},
        "no weights": {"data.source": "synthetic"},
        "lonely picture": {"data.source": "pairs", **no_vgg, **here},
        "unprepared": {"data.source": "dped", **no_vgg, "data.dir": folder / "dped"},
        "absent weights": {
            "data.source": "synthetic",
            "vgg.weights": "absent.npz",
            "train.batch_size": 4,
        },
    }
    # In parallel: most of their time is the start of TensorFlow and JAX.
    started = {
        name: (launch("teacher.py", folder / name, settings=settings), folder / name)
        for name, settings in commands.items()
    }
    return {name: (*end(process), workdir) for name, (process, workdir) in started.items()}


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("no weights", ["InputError", "vgg.weights is empty", "docs/training.md"]),
        ("absent weights", ["absent.npz: no such file"]),
        ("lonely picture", ["DataError", "lonely.png", "no partner"]),
        ("unprepared", ["DataError", "must be prepared once", "data.dped.prepare"]),
    ],
)
def test_a_mistake_of_the_user_is_reported_without_a_stack_trace(refusals, name, texts):
    status, stdout, stderr, workdir = refusals[name]
    assert (status, stdout) == (1, "")
    assert all(text in stderr for text in texts), stderr
    assert "Traceback" not in stderr
    assert not workdir.exists()


def test_a_misspelt_field_is_named(refusals):
    status, stdout, stderr, workdir = refusals["misspelt field"]
    assert status != 0 and stdout == ""
    assert "no field train.stepz; did you mean train.steps?" in stderr
    assert not workdir.exists()


def test_help_lists_the_flags():
    command = [sys.executable, "launch.py", "--help"]
    result = subprocess.run(
        command, check=False, cwd=REPOSITORY, capture_output=True, encoding="utf-8"
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "python launch.py --config=configs/student.py --workdir=W" in result.stdout
    flags = re.findall(r"^  --(?:\[no\])?(\w+):", result.stdout, re.MULTILINE)
    processes = ["coordinator", "distributed", "heartbeat_file", "process_count", "process_index"]
    assert flags == ["config", *processes, "silence", "workdir"]
