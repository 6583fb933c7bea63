"""Losses that are NaN, infinite or explode: updates are skipped, reported, and end the run if many."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import data
from configs import teacher
from data.batching.order import Order
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps import objective
from ppcn_jax.steps.parallel import Calls, replicate, to_host
from ppcn_jax.steps.state import SKIPPED, guarded_update, init_state
from ppcn_jax.training import loop
from ppcn_jax.training.enhancer import make_experiment
from ppcn_jax.training.replica_check import ReplicaCheck
from ppcn_jax.training.skipped_updates import Guard
from ppcn_jax.weights.checkpoints import steps_in
from tests.faults.runs import train
from tests.processes import end

DEVICES = 4

# A train step of two players with one parameter each.
OPTIMIZERS = {"generator": optax.adam(0.1), "discriminator": optax.sgd(0.1)}


def toy_step(state, batch, frozen, *, axis_name=None, total_limit=100.0):
    def loss(params):
        return jnp.mean(jnp.square(params["w"] - batch["input"]))

    values, gradients = {}, {}
    for name, player in state.players.items():
        values[name], gradients[name] = jax.value_and_grad(loss)(player.params)
    metrics = {"square": values["generator"], "total": values["generator"]}
    gradients, metrics = lax.pmean((gradients, metrics), axis_name)
    return guarded_update(state, gradients, OPTIMIZERS, metrics, total_limit=total_limit)


def toy_state():
    params = {name: {"w": jnp.zeros(3)} for name in OPTIMIZERS}
    return jax.device_get(init_state(params, OPTIMIZERS))


def toy_batches(bad):
    """Ten batches of three values per device; `bad` has values that replace one of a batch."""
    batches = np.random.default_rng(0).uniform(-1, 1, (10, DEVICES, 3)).astype(np.float32)
    for step, value in bad.items():
        batches[step, 2, 1] = value
    return [{"input": batch} for batch in batches]


def run_toy(batches, *, scan, length, guard):
    call = Calls(toy_step, scan=scan, finished=guard.note)
    state, frozen = replicate(toy_state()), replicate({})
    for first in range(0, len(batches), length):
        state, _ = call(state, batches[first : first + length], frozen)
    call.settle()
    guard.inspect()
    ReplicaCheck()(state, len(batches))  # also the device with the bad value
    return to_host(state)


def make_guard(stop_after, reports):
    return Guard(
        0,
        {"square": 1.0},
        stop_after=stop_after,
        samples=lambda step: [f"sample of {step}"],
        report=lambda *report: reports.append(report),
    )


# Step from 0 -> one value of its batch; 1e30 overflows when squared, 50 exceeds the limit.
BAD = {2: np.nan, 3: 1e30, 7: np.inf, 8: 50.0}


@pytest.mark.parametrize(("scan", "length"), [(False, 1), (False, 5), (True, 1), (True, 5)])
def test_skipped_updates_change_nothing_but_the_step(scan, length):
    reports = []
    guard = make_guard(3, reports)
    state = run_toy(toy_batches(BAD), scan=scan, length=length, guard=guard)
    assert [step for step, _, _ in reports] == [3, 4, 8, 9]
    assert [samples for _, _, samples in reports] == [[f"sample of {step}"] for step in BAD]
    by_limit = ["total", "square times its weight"]
    assert [list(wrong) for _, wrong, _ in reports] == [["square"]] * 3 + [by_limit]
    assert (guard.skipped, guard.in_a_row) == (4, 0)

    good = [batch for step, batch in enumerate(toy_batches({})) if step not in BAD]
    expected = run_toy(good, scan=scan, length=1, guard=make_guard(1, None))
    assert (state.step, expected.step) == (10, 6)
    for a, b in zip(jax.tree.leaves(state.players), jax.tree.leaves(expected.players), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("scan", "length"), [(False, 2), (True, 5)])
def test_too_many_in_a_row_end_the_run_and_name_the_term(scan, length):
    reports = []
    with pytest.raises(InputError, match=r"steps 3 to 4 .* because of square nan"):
        run_toy(
            toy_batches({2: np.inf, 3: np.nan, 4: np.nan, 6: np.nan}),
            scan=scan,
            length=length,
            guard=make_guard(2, reports),
        )
    assert [step for step, _, _ in reports] == [3, 4]


@jax.jit
def update(state, gradients):
    metrics = {"total": jnp.float32(1)}
    return guarded_update(state, gradients, OPTIMIZERS, metrics, total_limit=np.inf)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_bad_gradient_alone_skips_the_update(value):
    gradients = {"generator": {"w": jnp.zeros(3)}, "discriminator": {"w": jnp.full(3, value)}}
    before = toy_state()
    state, metrics = update(before, gradients)
    assert (state.step, metrics[SKIPPED]) == (1, 1)
    assert not np.isfinite(metrics["discriminator_gradient_norm"])
    jax.tree.map(np.testing.assert_array_equal, state.players, before.players)


def test_accelerators_use_no_branch_and_give_the_same_update(monkeypatch):
    gradients = {name: {"w": jnp.array([1e-3, 0, -2])} for name in OPTIMIZERS}
    traced = update.trace(toy_state(), gradients)
    branches = [
        traced.lower(lowering_platforms=(platform,)).as_text().count("stablehlo.case")
        for platform in ("cpu", "cuda", "tpu")
    ]
    # Two of them choose the platform and are constant.
    assert branches == [3, 2, 2]

    with monkeypatch.context() as patch:
        patch.setattr(lax, "platform_dependent", lambda *args, default, **_: default(*args))
        accelerator = jax.jit(lambda *args: update.__wrapped__(*args))(toy_state(), gradients)
    cpu = update(toy_state(), gradients)
    jax.tree.map(np.testing.assert_array_equal, cpu, accelerator)


# A run on 48 synthetic pictures with a loss that is NaN if the target is black.
STEPS, BATCH = 12, 4
BAD_STEPS = (2, 5, 6)  # from 0


class PartlyBlack:
    """Synthetic pictures, with black targets in three batches."""

    crop = 16

    def __init__(self):
        self._pictures = data.make_source(
            source="synthetic", dir="", test_dir="", phone="", input="", target="",
            holdout=0, validation=0, crop=16, scale=4, in_memory=True, split="train",
        )  # fmt: skip
        order = Order(len(self), 0, BATCH)
        self._black = {order.sample(step * BATCH + 1) for step in BAD_STEPS}
        self.names = [
            f"{'black' if index in self._black else 'picture'} {index}"
            for index in range(len(self))
        ]

    def __len__(self):
        return 48

    def __getitem__(self, index):
        image, target = self._pictures[index]
        return image, np.zeros_like(target) if index in self._black else target


def mae_but_nan_on_black(prediction, target):
    black = jnp.max(target, axis=(1, 2, 3)) == 0
    return jnp.where(black, jnp.nan, jnp.mean(jnp.abs(prediction - target), axis=(1, 2, 3)))


@pytest.fixture(scope="module")
def config():
    config = teacher.get_config()
    for name in config.objective:
        config.objective[name].weight = 0.0
    config.objective.mae.weight = 100.0
    changed = {
        "model": "student",
        "data.crop": 16,
        "train.batch_size": BATCH,
        "train.steps": STEPS,
        "log.every": 4,
        "checkpoint.every": 1,
        "checkpoint.keep": STEPS,
        "evaluate.every": STEPS,
    }
    config.update_from_flattened_dict(changed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(objective.LOSSES, "mae", (mae_but_nan_on_black, "images"))
        yield config


def run(config, workdir, stop_after):
    config = config.copy_and_resolve_references()
    config.train.guard.stop_after = stop_after
    source = PartlyBlack()
    batches = functools.partial(
        data.batches, source, seed=0, batch_size=BATCH, local_devices=jax.local_device_count()
    )
    samples = functools.partial(data.sample_names, source, seed=0, batch_size=BATCH)
    pairs = data.make_source(**{**config.data, "source": "synthetic"}, split="test")
    return loop.run(config, workdir, lambda step: batches(start_step=step), pairs, samples)


def rows(workdir, split):
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [row for row in lines if row["split"] == split]


@pytest.fixture(scope="module")
def stopped(config, tmp_path_factory):
    """A run ended by two bad steps in a row: its workdir, checkpoints and rows of skipped steps."""
    workdir = tmp_path_factory.mktemp("stopped")
    message = r"steps 6 to 7 .* because of mae nan"
    with pytest.raises(InputError, match=message):
        run(config, workdir, stop_after=2)
    return workdir, steps_in(workdir), rows(workdir, "skipped")


@pytest.fixture(scope="module")
def finished(config, stopped):
    """The same run, continued with a higher limit."""
    return run(config, stopped[0], stop_after=3)


def test_the_last_checkpoint_is_from_before_the_bad_steps(stopped):
    # Nothing was saved after step 3 either, which was skipped: only the next step shows that it was
    # a single one.
    assert stopped[1] == [1, 2, 4, 5]


def test_skipped_steps_have_rows_with_their_samples(stopped, finished):
    workdir, _, when_stopped = stopped
    skipped = rows(workdir, "skipped")
    assert [row["step"] for row in when_stopped] == [3, 6, 7]
    assert skipped == when_stopped  # the resumed run wrote the rows after step 5 again
    source = PartlyBlack()
    for row in skipped:
        assert row["mae"] == "nan"
        expected = data.sample_names(source, row["step"] - 1, seed=0, batch_size=BATCH)
        assert row["samples"] == expected
        assert sum(name.startswith("black") for name in expected) == 1
    # A row has the values of its own step, and none of these was skipped.
    trained = rows(workdir, "train")
    assert [row["step"] for row in trained] == [4, 8, 12]
    assert all(isinstance(row["total"], float) for row in trained)
    assert not {"skipped", "generator_gradient_norm"} & trained[0].keys()


def test_the_final_state_is_that_of_a_run_without_these_updates(config, finished):
    experiment = make_experiment(config)
    call, frozen = Calls(experiment.step, scan=False), replicate(experiment.frozen)
    state = replicate(experiment.state)
    stream = data.batches(
        PartlyBlack(), seed=0, batch_size=BATCH, local_devices=jax.local_device_count()
    )
    for step in range(STEPS):
        batch = next(stream)
        if step in BAD_STEPS:
            host = to_host(state)
            state = replicate(host.replace(step=host.step + 1))
        else:
            images = {name: batch[name] for name in ("input", "target")}
            state, _ = call(state, [images], frozen)
    stream.close()
    expected = to_host(state)
    assert finished.step == expected.step == STEPS
    for a, b in zip(jax.tree.leaves(finished), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_in_which_every_step_is_bad(launch, tmp_path):
    settings = {"objective.color.weight": 3e38, "train.guard.stop_after": 4}
    status, stdout, stderr = end(train(launch, tmp_path, **settings))
    assert status == 1
    assert "steps 1 to 4" in stderr and "Traceback" not in stderr
    assert re.search(r"generator_gradient_norm \w+, color times its weight \d\.\d+e\+38", stderr)
    assert stdout.count("update skipped") == 4
    assert steps_in(tmp_path) == []
