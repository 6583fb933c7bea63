"""The training loop on a tiny run: its files, resuming to the same bits, stopping on a signal."""

import json

import jax
import numpy as np
import pytest

import data
from configs import student, super_resolution, teacher
from ppcn_jax.evaluation import evaluate
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.parallel import to_host
from ppcn_jax.steps.state import TrainState
from ppcn_jax.training import loop
from ppcn_jax.weights.checkpoints import steps_in
from ppcn_jax.weights.load import load_model
from tests.tiny_runs import rows, run, small


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A teacher trained for six steps without interruption, with a discriminator."""
    workdir = tmp_path_factory.mktemp("finished")
    config = small(teacher.get_config())
    config.objective.texture.weight = 1.0
    state = run(config, workdir)
    return config, workdir, state


@pytest.fixture(scope="module")
def super_resolved(tmp_path_factory):
    """A super-resolver trained for five steps, three per call, with a row and test scores."""
    workdir = tmp_path_factory.mktemp("super_resolved")
    config = small(super_resolution.get_config())
    config.train.steps = 5
    config.log.every = config.evaluate.every = config.checkpoint.every = 5
    config.train.steps_per_call = 3
    return config, workdir, run(config, workdir)


def test_a_run_writes_its_files(finished):
    _, workdir, _ = finished
    assert json.loads((workdir / "config.json").read_text(encoding="utf-8"))["train"]["steps"] == 6
    assert "jax" in json.loads((workdir / "versions.json").read_text(encoding="utf-8"))
    assert sorted(path.name for path in (workdir / "strips").iterdir()) == [
        "0000003.png",
        "0000006.png",
    ]
    assert list((workdir / "tensorboard").glob("events*"))
    splits = [(row["step"], row["split"]) for row in rows(workdir)]
    assert splits == [(2, "train"), (3, "test"), (4, "train"), (6, "train"), (6, "test")]


def test_the_latest_checkpoints_and_the_best_are_kept(finished):
    _, workdir, _ = finished
    scores = {row["step"]: row["psnr"] for row in rows(workdir) if row["split"] == "test"}
    best = max(scores, key=scores.__getitem__)
    assert steps_in(workdir) == sorted({4, 6, best})


def test_stopping_and_resuming_gives_the_bits_of_an_uninterrupted_run(finished, tmp_path):
    config, workdir, uninterrupted = finished
    stopped = run(config, tmp_path, interrupt_at=2)
    assert stopped.step == 3
    resumed = run(config, tmp_path)
    assert resumed.step == 6
    for a, b in zip(jax.tree.leaves(resumed), jax.tree.leaves(uninterrupted), strict=True):
        np.testing.assert_array_equal(a, b)
    after = [row for row in rows(tmp_path) if row["step"] > 3]
    assert after == [row for row in rows(workdir) if row["step"] > 3]


@pytest.mark.parametrize(("first", "second"), [(2, 1), (1, 2)])
def test_steps_per_call_change_no_bits(finished, tmp_path, first, second):
    # With intervals of 2 and 3 there are calls of both lengths, and the run stops between them.
    config, workdir, uninterrupted = finished
    config = config.copy_and_resolve_references()
    config.train.steps_per_call = first
    assert run(config, tmp_path, interrupt_at=2).step == 3
    config.train.steps_per_call = second
    resumed = run(config, tmp_path)
    for a, b in zip(jax.tree.leaves(resumed), jax.tree.leaves(uninterrupted), strict=True):
        np.testing.assert_array_equal(a, b)
    after = [row for row in rows(tmp_path) if row["step"] > 3]
    assert after == [row for row in rows(workdir) if row["step"] > 3]


@pytest.mark.parametrize("steps_per_call", [1, 4])
def test_a_super_resolver_has_the_same_bits_with_every_number_of_steps_per_call(
    super_resolved, tmp_path, steps_per_call
):
    config, workdir, expected = super_resolved
    config = config.copy_and_resolve_references()
    config.train.steps_per_call = steps_per_call
    state = run(config, tmp_path)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)
    assert rows(tmp_path) == rows(workdir)


def test_a_call_ends_at_the_next_row_evaluation_or_checkpoint():
    plan = loop.Plan(23, 4, log_every=10, evaluate_every=20, checkpoint_every=5)
    step, lengths = 0, []
    while step < 23:
        lengths.append(plan.steps_of_call(step))
        step += lengths[-1]
    assert lengths == [4, 1] * 4 + [1, 1, 1]


def test_each_row_and_each_checkpoint_fetches_once(finished, tmp_path, monkeypatch):
    config, _, _ = finished
    fetched = []

    def counted(tree):
        fetched.append("checkpoint" if isinstance(tree, TrainState) else "row")
        return to_host(tree)

    monkeypatch.setattr(loop, "to_host", counted)
    monkeypatch.setattr(jax, "block_until_ready", lambda tree: fetched.append("wait"))
    run(config, tmp_path)
    # Rows at steps 2, 4 and 6, checkpoints at 2, 3, 4 and 6. The loop waits once for each step,
    # before the first row or checkpoint that needs it.
    expected = ["wait", "wait", "row", "checkpoint", "wait", "checkpoint"]
    expected += ["wait", "row", "checkpoint", "wait", "wait", "row", "checkpoint"]
    assert fetched == expected


def test_rows_of_times_add_up_to_all_time(finished):
    *since_last, total = rows(finished[1], "time")
    assert [row.pop("step") for row in since_last] == [2, 4, 6]
    assert (total.pop("step"), total.pop("split")) == (6, "time")
    for row in since_last:
        assert row.pop("split") == "time"
        assert sum(row.values()) == pytest.approx(1)
        assert all(0 <= share <= 1 for share in row.values())
    # The program is compiled once, before the first row, and step 3 is evaluated.
    assert [row["compile"] > 0 for row in since_last] == [True, False, False]
    assert [row["start"] > 0 for row in since_last] == [True, False, False]
    assert [row["evaluate"] > 0 for row in since_last] == [False, True, False]
    assert all(row["data_wait"] > 0 and row["steps"] > 0 for row in since_last)
    assert total.pop("run_seconds") > 0
    assert sum(total.values()) == pytest.approx(1)
    assert total.pop("run_audit") == 0  # the run is shorter than the interval of audits
    assert all(total.values())  # steps, compile, data_wait, evaluate, checkpoint, start


def test_a_finished_run_is_not_trained_further(finished, tmp_path):
    config, workdir, _ = finished
    before = (workdir / "metrics.jsonl").read_bytes()
    assert run(config, workdir).step == 6
    assert (workdir / "metrics.jsonl").read_bytes() == before


def test_another_experiment_may_not_use_the_workdir(finished):
    config, workdir, _ = finished
    other = config.copy_and_resolve_references()
    other.train.learning_rate = 1e-3
    other.train.steps = 100  # may change
    with pytest.raises(InputError, match=r"train\.learning_rate was 0.0005, is now 0.001"):
        run(other, workdir)


def test_metrics_after_the_last_checkpoint_are_replaced(finished, tmp_path):
    config, _, _ = finished
    run(config, tmp_path, interrupt_at=2)
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 5, "split": "train", "total": 1.0}\n{"step": 6, "spl')
    run(config, tmp_path)
    steps = [row["step"] for row in rows(tmp_path) if row["split"] == "train"]
    assert steps == sorted(set(steps))


def test_a_student_learns_from_the_teacher_and_does_not_save_it(finished, tmp_path):
    _, teacher_workdir, _ = finished
    config = small(student.get_config())
    config.teacher = str(teacher_workdir)
    state = run(config, tmp_path)
    assert "attention" in rows(tmp_path)[0]
    assert state.players.keys() == {"generator"}
    model = load_model(tmp_path)
    assert (model.name, model.parameters) == ("student", 2715)
    assert not list((tmp_path / "checkpoints").glob("*/teacher*"))


def test_a_student_imitates_several_teachers(finished, tmp_path):
    config = small(student.get_config("no_distillation"))
    config.imitation = 0.5
    config.teacher = f"{finished[1]}, {finished[1]}"
    run(config, tmp_path / "two")
    config.teacher = str(finished[1])
    run(config, tmp_path / "one")
    first, second = (rows(tmp_path / name)[0] for name in ("two", "one"))
    np.testing.assert_allclose(first["total"], second["total"], rtol=1e-5)
    config.teacher, config.imitation = "", 0.0
    run(config, tmp_path / "none")
    assert abs(rows(tmp_path / "none")[0]["total"] / first["total"] - 1) > 1e-4


def test_a_student_refuses_a_student_as_teacher(finished, tmp_path):
    config = small(student.get_config("no_distillation"))
    run(config, tmp_path / "student")
    config = small(student.get_config())
    config.teacher = str(tmp_path / "student")
    with pytest.raises(InputError, match="holds a student, not a teacher"):
        run(config, tmp_path / "second")


def test_a_list_of_teachers_without_names_is_refused(tmp_path):
    config = small(student.get_config())
    config.teacher = " , "
    with pytest.raises(InputError, match="names no teacher"):
        run(config, tmp_path)


def test_a_student_refuses_a_teacher_of_another_preset(finished, tmp_path):
    config = small(student.get_config("released"))
    config.teacher = str(finished[1])
    with pytest.raises(InputError, match=r"configs/teacher\.py:released"):
        run(config, tmp_path)


def test_evaluation_of_a_workdir(finished, tmp_path):
    config, workdir, _ = finished
    request = evaluate_config(str(workdir))
    pairs = data.make_source(**config.data, split="test")
    evaluate.run(request, tmp_path, pairs)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["images"] == len(results["per_image"]) == len(pairs)
    assert results["parameters"] == 21843
    last = rows(workdir)[-1]
    assert results["psnr"] == pytest.approx(last["psnr"], abs=1e-6)
    assert results["ms_ssim"] == pytest.approx(last["ms_ssim"], abs=1e-6)
    assert results["input"]["psnr"] > 0
    assert (tmp_path / "strip.png").stat().st_size > 0


def test_evaluation_of_one_checkpoint(finished, tmp_path):
    _, workdir, _ = finished
    model = load_model(workdir / "checkpoints" / "4")
    assert "step 4" in model.source


@pytest.mark.parametrize("step", ["5", "latest"])
def test_a_missing_checkpoint_is_reported(finished, step):
    with pytest.raises(InputError, match="no complete checkpoint"):
        load_model(finished[1] / "checkpoints" / step)


def test_a_folder_that_is_no_workdir_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a training workdir"):
        load_model(tmp_path)


def evaluate_config(path):
    from configs import evaluate as evaluate_configs

    config = evaluate_configs.get_config()
    config.weights = path
    return config


def test_a_resumed_workdir_may_have_a_field_that_this_version_has_removed(
    finished, tmp_path, capsys
):
    config, _, uninterrupted = finished
    assert run(config, tmp_path, interrupt_at=2).step == 3
    written = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    written["train"]["onednn"] = True
    (tmp_path / "config.json").write_text(json.dumps(written), encoding="utf-8")
    resumed = run(config, tmp_path)
    assert "ignored, because this version no longer has them: train.onednn" in " ".join(
        capsys.readouterr().out.split()
    )
    for a, b in zip(jax.tree.leaves(resumed), jax.tree.leaves(uninterrupted), strict=True):
        np.testing.assert_array_equal(a, b)
