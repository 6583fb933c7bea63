"""A run may continue on another number of devices."""

import shutil

import pytest

from ppcn_jax.weights.checkpoints import FOLDER, steps_in
from tests.faults.runs import train
from tests.processes import end, rows

STEPS, SAVED = 12, 4


def devices(count):
    return f"--xla_force_host_platform_device_count={count}"


@pytest.fixture(scope="module")
def on_four(launch, tmp_path_factory):
    """The workdir of a run on four devices with all its checkpoints."""
    workdir = tmp_path_factory.mktemp("elastic") / "four"
    changed = {"train.steps": STEPS, "checkpoint.keep": STEPS}
    process = train(launch, workdir, xla_flags=devices(4), **changed)
    status, stdout, stderr = end(process)
    assert (status, stderr) == (0, "")
    assert "on 4 cpu device(s)" in stdout
    assert steps_in(workdir) == [4, 8, 12]
    return workdir


def test_saved_on_four_devices_and_resumed_on_one_and_on_two(launch, on_four):
    started = {}
    for count in (1, 2):
        workdir = on_four.parent / str(count)
        shutil.copytree(on_four, workdir)
        for step in steps_in(workdir):
            if step > SAVED:
                shutil.rmtree(workdir / FOLDER / str(step))
        started[workdir] = train(
            launch, workdir, xla_flags=devices(count), **{"train.steps": STEPS}
        )
    expected = rows(on_four)
    assert [row["step"] for row in expected if row["split"] == "train"] == list(range(1, STEPS + 1))
    for workdir, process in started.items():
        status, stdout, stderr = end(process)
        assert (status, stderr) == (0, "")
        assert f"from step {SAVED} to {STEPS} on {workdir.name} cpu device(s)" in stdout
        actual = rows(workdir)
        assert len(actual) == len(expected)
        for row, other in zip(actual, expected, strict=True):
            assert row.pop("split") == other["split"]
            assert row == pytest.approx({name: other[name] for name in row}, rel=1e-5)
