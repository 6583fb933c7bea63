"""If a checkpoint is damaged the one before it is used; no run silently starts from step 0."""

import itertools
import shutil

import jax
import pytest

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.checkpoints import DAMAGED, FOLDER, Checkpoints, restore_params, steps_in
from tests.faults.runs import assert_same_state, read_state, train
from tests.processes import end, rows
from tests.states import assert_same_bits, make_state, restore, save

STEPS = 12
EVERY = 4


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


WAYS = (halve, empty, flip, lambda path: path.unlink())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with checkpoints of steps 3 and 7."""
    workdir = tmp_path_factory.mktemp("saved")
    with Checkpoints(workdir, keep=2) as checkpoints:
        for step in (3, 7):
            save(checkpoints, make_state(step), score=float(step))
    return workdir


def restore_damaged(saved, tmp_path, damage):
    """Damage step 7 of a copy and restore; returns the state and the checkpoints' folders."""
    shutil.rmtree(tmp_path / FOLDER, ignore_errors=True)
    shutil.copytree(saved / FOLDER, tmp_path / FOLDER)
    damage(tmp_path / FOLDER / "7")
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        state = restore(checkpoints, make_state(0))
        assert checkpoints.latest_step() == state.step
    return state, {path.name for path in (tmp_path / FOLDER).iterdir()}


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 9], ids=["all", "some"])
def test_damage_to_any_file_is_detected_or_harmless(saved, tmp_path, caplog, every):
    newest = saved / FOLDER / "7"
    files = sorted(p.relative_to(newest) for p in newest.rglob("*") if p.is_file())
    found = 0
    for file, way in itertools.islice(itertools.product(files, WAYS), 0, None, every):
        caplog.clear()
        state, folders = restore_damaged(saved, tmp_path, lambda step: way(step / file))  # noqa: B023
        if state.step == 7:
            assert folders == {"3", "7"}, file
            assert_same_bits(state, make_state(7))
        else:
            assert folders == {"3", f"7{DAMAGED}"}, file
            assert_same_bits(state, make_state(3))
            (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
            assert f"{newest.parent.name}/7 is damaged" in warning
            assert "continues from step 3" in warning
            found += 1
    assert found


@pytest.mark.parametrize("missing", ["generator", "discriminator_optimizer", "everything"])
def test_missing_folders_are_detected(saved, tmp_path, missing):
    def remove(step):
        for item in step.iterdir():
            if missing in (item.name, "everything"):
                shutil.rmtree(item) if item.is_dir() else item.unlink()

    state, folders = restore_damaged(saved, tmp_path, remove)
    assert_same_bits(state, make_state(3))
    assert folders == {"3", f"7{DAMAGED}"}


def test_a_damaged_step_can_be_saved_again(saved, tmp_path):
    for _ in range(2):
        shutil.copytree(saved / FOLDER / "3", tmp_path / FOLDER / "3", dirs_exist_ok=True)
        with Checkpoints(tmp_path, keep=2) as checkpoints:
            save(checkpoints, make_state(7), score=7.0)
        halve(tmp_path / FOLDER / "7" / "generator" / "manifest.ocdbt")
        with Checkpoints(tmp_path, keep=2) as checkpoints:
            assert restore(checkpoints, make_state(0)).step == 3
            save(checkpoints, make_state(7), score=7.0)
            assert_same_bits(restore(checkpoints, make_state(0)), make_state(7))
        shutil.rmtree(tmp_path / FOLDER / "7")
    names = {path.name for path in (tmp_path / FOLDER).iterdir()}
    assert names == {"3", f"7{DAMAGED}", f"7{DAMAGED}.2"}


def test_a_damaged_network_is_not_used(saved, tmp_path):
    shutil.copytree(saved / FOLDER, tmp_path / FOLDER)
    template = jax.eval_shape(lambda: make_state(0).players["generator"].params)
    for data in (tmp_path / FOLDER / "7" / "generator").rglob("d/*"):
        flip(data)
    with pytest.raises(InputError, match=r"checkpoints/7 cannot be read .* workdir: \[3\]"):
        restore_params(tmp_path, 7, "generator", template)


@pytest.mark.parametrize("damage", [flip, lambda path: path.unlink()], ids=["flip", "unlink"])
def test_a_damaged_average_is_detected(tmp_path, damage):
    states = {step: make_state(step, averaged=["generator"]) for step in (3, 7)}
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for state in states.values():
            save(checkpoints, state)
    for data in (tmp_path / FOLDER / "7" / "generator_average").rglob("d/*"):
        damage(data)
    template = states[3].players["generator"].average
    with pytest.raises(InputError, match="the generator_average of the checkpoint .*/7 cannot be"):
        restore_params(tmp_path, 7, "generator_average", template)
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert_same_bits(restore(checkpoints, states[7]), states[3])
    assert (tmp_path / FOLDER / f"7{DAMAGED}").is_dir()


@pytest.fixture(scope="module")
def finished(launch, tmp_path_factory):
    """The workdir of an uninterrupted run."""
    workdir = tmp_path_factory.mktemp("finished")
    assert end(start(launch, workdir))[::2] == (0, "")
    return workdir


def start(launch, workdir):
    changed = {"train.steps": STEPS, "checkpoint.every": EVERY}
    return train(launch, workdir, **changed)


def test_a_run_continues_from_the_last_intact_checkpoint(launch, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    for data in (tmp_path / FOLDER / str(STEPS) / "generator_optimizer").rglob("d/*"):
        flip(data)
    status, stdout, stderr = end(start(launch, tmp_path))
    assert status == 0 and f"from step {STEPS - EVERY} to {STEPS}" in stdout
    assert f"{FOLDER}/{STEPS} is damaged" in stderr
    assert (tmp_path / FOLDER / f"{STEPS}{DAMAGED}").is_dir()
    assert rows(tmp_path) == rows(finished)
    assert_same_state(read_state(tmp_path, STEPS), read_state(finished, STEPS))


def test_without_an_intact_checkpoint_the_run_does_not_start(launch, finished, tmp_path):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    steps = steps_in(tmp_path)
    for step in steps:
        empty(tmp_path / FOLDER / str(step) / "generator" / "manifest.ocdbt")
    status, stdout, stderr = end(start(launch, tmp_path))
    assert (status, stdout) == (1, "")
    assert f"InputError: no checkpoint in {tmp_path / FOLDER} can be read" in stderr
    assert all(f"- {step}: " in stderr for step in steps)
    assert steps_in(tmp_path) == steps
    assert rows(tmp_path) == rows(finished)
