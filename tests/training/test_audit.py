"""Audits of the devices of one process: wrong bits are found, and a clean run stays as it is."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from configs import student
from ppcn_jax.benchmark.training_steps import synthetic_batch
from ppcn_jax.runtime.errors import FaultyDevice
from ppcn_jax.steps.parallel import AXIS, replicate
from ppcn_jax.training import audit, enhancer, plan
from ppcn_jax.training.audit import Audit, suspected
from ppcn_jax.training.evaluations import Evaluations
from ppcn_jax.weights.checkpoints import steps_in
from tests.faults.runs import assert_same_state, read_state
from tests.tiny_runs import rows, run, small

DEVICES = 4
STATE = {"weight": np.linspace(-1, 1, 6, dtype=np.float32)}
IMAGES = {"input": np.arange(DEVICES * 10, dtype=np.uint8).reshape(DEVICES, 5, 2)}


def gradients(state, batch, frozen, *, axis_name=None):
    assert axis_name is None
    loss = jnp.sin(state["weight"].sum() * batch["input"].astype(jnp.float32))
    kernel = jnp.cumsum(loss)[None] * state["weight"][:, None]
    return {"generator": {"kernel": kernel, "bias": loss[:, 0]}}, {"total": loss.mean()}


def faulty(gradients, device, bit=0):
    """The gradients of a machine on which one device flips a bit of each kernel's third value."""

    def flip(path, x):
        if path[-1].key != "kernel" or not isinstance(device, int):
            return x
        bits = lax.bitcast_convert_type(x, jnp.uint32).ravel()
        wrong = lax.bitcast_convert_type(
            bits.at[2].set(bits[2] ^ jnp.uint32(1 << bit)), jnp.float32
        )
        return jnp.where(lax.axis_index(AXIS) == device, wrong.reshape(x.shape), x)

    def computed(*arguments, **keywords):
        trees, metrics = gradients(*arguments, **keywords)
        return jax.tree_util.tree_map_with_path(flip, trees), metrics

    return computed


def make_audit(of=gradients, images=IMAGES):
    Audit(of)(replicate(STATE), images, replicate({}), 7)


def test_devices_that_agree_pass():
    make_audit()
    nans = {"input": np.full((DEVICES, 5, 2), np.nan, np.float32)}
    make_audit(images=nans)  # compared are bits, not numbers


@pytest.mark.parametrize(("device", "bit"), [(0, 0), (1, 31), (3, 12)])
def test_the_device_with_one_wrong_bit_is_named(device, bit):
    with pytest.raises(FaultyDevice) as error:
        make_audit(faulty(gradients, device, bit))
    message = str(error.value)
    assert f"at step 7 {jax.devices()[device]} (" in message and ") or " not in message
    assert "other bits in generator/kernel from the same images" in message
    assert "process 0)" in message and "\n" not in message


@pytest.mark.parametrize(
    ("failed", "devices"),
    [
        ([0, 1, 1, 0], [2]),
        ([1, 0, 0, 1], [0]),
        ([0, 0, 1, 0], [2, 3]),  # one of two was wrong, and only once
        ([0, 0, 0, 1], [0, 3]),
        ([1, 0, 1, 0], [0, 1, 2, 3]),
        ([1, 1], [0, 1]),
    ],
)
def test_suspected_devices(failed, devices):
    assert suspected(np.array(failed, bool)) == devices


@pytest.fixture
def recipe():
    config = small(student.get_config("no_distillation"))
    config.data.crop = 16
    config.train.steps = 4
    config.train.steps_per_call = 3  # a call ends at the next audit
    return config


def test_devices_compute_the_same_bits_with_a_network(recipe):
    experiment = enhancer.make_experiment(recipe)
    images = {name: x[:, None] for name, x in synthetic_batch(DEVICES, 16).items()}
    frozen = replicate(experiment.frozen)
    Audit(experiment.step.gradients)(replicate(experiment.state), images, frozen, 0)


def light_gradients(state, batch, frozen, *, axis_name=None):
    """Gradients of all parameters that need no network."""
    light = batch["input"].astype(jnp.float32).mean() / 255
    params = {name: player.params for name, player in state.players.items()}
    trees = jax.tree.map(lambda x: jnp.sin(3 * x + light), params)
    return trees, {"total": light, "mse": light**2}


@pytest.fixture
def run_light(monkeypatch):
    """Runs a configuration with light gradients, changed by a function, and without evaluations."""
    make_experiment = enhancer.make_experiment
    monkeypatch.setattr(Evaluations, "run", lambda *arguments, **keywords: None)

    def run_with(config, workdir, *, every, change=lambda gradients: gradients):
        def make(config, ranges=None):
            made = make_experiment(config, ranges)
            step = dataclasses.replace(made.step, gradients=change(light_gradients))
            return dataclasses.replace(made, step=step)

        monkeypatch.setattr(enhancer, "make_experiment", make)
        config.audit.every = every
        run(config, workdir)

    return run_with


def test_audits_change_no_bits_and_take_their_time(recipe, tmp_path, run_light):
    run_light(recipe, tmp_path / "without", every=0)
    run_light(recipe, tmp_path / "with", every=2)
    assert_same_state(*(read_state(tmp_path / name, 4) for name in ("without", "with")))
    found = rows(tmp_path / "with")
    assert found == rows(tmp_path / "without") and len(found) == 2
    spent = [rows(tmp_path / name, "time")[-1]["run_audit"] for name in ("without", "with")]
    assert spent[0] == 0 < spent[1]


def test_a_faulty_device_ends_the_run_before_anything_is_saved(recipe, tmp_path, run_light):
    message = rf"at step 2 {jax.devices()[2]} .* in generator/\w+/kernel"
    with pytest.raises(FaultyDevice, match=message):
        run_light(recipe, tmp_path, every=2, change=lambda found: faulty(found, 2))
    assert not steps_in(tmp_path)
    assert rows(tmp_path) == []


def test_when_devices_are_not_audited(recipe, monkeypatch):
    made = plan.make_plan(recipe)
    assert (made.audit_every, made.without_audits) == (1000, "")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    made = plan.make_plan(recipe)
    assert made.audit_every == 0
    assert made.without_audits.endswith("only with XLA_FLAGS=" + audit.REPEATABLE[0])
    monkeypatch.setenv("XLA_FLAGS", "--a=b --xla_gpu_deterministic_ops=true")
    assert plan.make_plan(recipe).audit_every == 1000
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    assert plan.make_plan(recipe).audit_every == 0
