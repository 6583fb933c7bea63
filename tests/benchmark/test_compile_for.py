"""Training steps compiled for TPUs: reading programs, topologies, predictions, and a real compiler."""

import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from configs import compile_for as configuration
from configs import student
from ppcn_jax.benchmark import compile_for, compiled_program, tpus
from ppcn_jax.benchmark.training_steps import in_format
from ppcn_jax.configuration.check import check
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.parallel import AXIS

DEVICES = 4
HAS_LIBTPU = importlib.util.find_spec("libtpu") is not None
needs_libtpu = pytest.mark.skipif(
    not HAS_LIBTPU, reason="libtpu is not installed: pip install '.[tpu-compile]'"
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Opening a topology sets variables for libtpu; the tests that follow get none of them."""
    for variable in tpus.ENVIRONMENT:
        monkeypatch.setenv(variable, tpus.ENVIRONMENT[variable])


def compiled(function, *shapes):
    arguments = [jax.ShapeDtypeStruct((DEVICES, *shape), jnp.float32) for shape in shapes]
    return jax.pmap(function, AXIS).lower(*arguments).compile().as_text()


def exchanged(program):
    return [(each.name, each.size) for each in compiled_program.exchanges(program)]


def test_arrays_exchanged_together_count_as_one_collective():
    program = compiled(lambda a, b: lax.pmean((a, b, jnp.sum(a)), AXIS), (5, 3), (7,))
    assert exchanged(program) == [("all-reduce", 4 * (15 + 7 + 1))]


def test_dependent_exchanges_count_separately():
    def twice(a):
        return lax.pmean(jnp.sin(lax.pmean(a, AXIS)), AXIS)

    assert exchanged(compiled(twice, (6,))) == [("all-reduce", 24)] * 2


def test_other_collectives_are_counted_by_what_a_device_contributes():
    program = compiled(lambda a: lax.all_gather(a, AXIS), (3,))
    assert exchanged(program) == [("all-gather", 12)]


def test_a_program_without_collectives():
    assert exchanged(compiled(jnp.sin, (3,))) == []


@pytest.mark.parametrize(
    ("text", "shape", "numbers", "stored", "outside"),
    [
        ("f32[5,3]{1,0}", (5, 3), 60, 60, True),
        ("f32[5,3]{1,0:T(8,128)}", (5, 3), 60, 8 * 128 * 4, True),
        ("f32[5,3]{0,1:T(8,128)}", (5, 3), 60, 8 * 128 * 4, True),
        ("f32[130,9]{0,1:T(8,128)}", (130, 9), 4680, 256 * 16 * 4, True),
        ("bf16[2,9,128]{2,1,0:T(8,128)(2,1)S(1)}", (2, 9, 128), 4608, 2 * 16 * 128 * 2, False),
        ("pred[3]{0:T(512)}", (3,), 3, 512, True),
        ("s32[]", (), 4, 4, True),
        ("u4[10]{0:T(128)E(4)}", (10,), 5, 64, True),
    ],
)
def test_arrays_have_the_padding_of_their_tiles(text, shape, numbers, stored, outside):
    assert compiled_program.arrays(text) == [
        compiled_program.Array(shape, numbers, stored, outside)
    ]


PROGRAM = """HloModule step, is_scheduled=true

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}

%inner (x: f32[8,128], w: f32[128,128]) -> f32[8,128] {
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  %w = f32[128,128]{1,0:T(8,128)} parameter(1)
  %part = f32[8,128]{1,0:T(8,128)} slice(%w), slice={[0:8], [0:128]}
  ROOT %y = f32[8,128]{1,0:T(8,128)} add(%x, %part)
}

%again (state: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %state = (s32[], f32[8,128]{1,0:T(8,128)}) parameter(0)
  %n = s32[] get-tuple-element(%state), index=0
  %v = f32[8,128]{1,0:T(8,128)} get-tuple-element(%state), index=1
  %w.1 = f32[8,128]{1,0:T(8,128)} negate(%v)
  ROOT %next = (s32[], f32[8,128]{1,0:T(8,128)}) tuple(%n, %w.1)
}

%more (state.1: (s32[], f32[8,128])) -> pred[] {
  %state.1 = (s32[], f32[8,128]{1,0:T(8,128)}) parameter(0)
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (p: f32[8,3], q: f32[128,128]) -> f32[8,128] {
  %p = f32[8,3]{1,0:T(8,128)} parameter(0)
  %q = f32[128,128]{1,0:T(8,128)} parameter(1)
  %k = f32[3,128]{1,0:T(4,128)S(1)} constant({...})
  %conv = f32[8,128]{1,0:T(8,128)} convolution(%p, %k), dim_labels=bf_io->bf, metadata={op_name="net/conv"}
  %ar = f32[8,128]{1,0:T(8,128)} all-reduce-start(%conv), to_apply=%sum
  %f = f32[8,128]{1,0:T(8,128)} fusion(%conv, %q), kind=kLoop, calls=%inner, backend_config={"estimated_cycles":"50"}
  %part.1 = ((f32[128,128]{1,0:T(8,128)}), f32[8,128]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%q), slice={[0:8], [0:128]}
  %part.2 = f32[8,128]{1,0:T(8,128)S(1)} slice-done(%part.1)
  %done = f32[8,128]{1,0:T(8,128)} all-reduce-done(%ar)
  %zero = s32[] constant(0)
  %start = (s32[], f32[8,128]{1,0:T(8,128)}) tuple(%zero, %f)
  %loop = (s32[], f32[8,128]{1,0:T(8,128)}) while(%start), condition=%more, body=%again, backend_config={"known_trip_count":{"n":"3"}}
  ROOT %out = f32[8,128]{1,0:T(8,128)} get-tuple-element(%loop), index=1
}
"""
TILE = 8 * 128 * 4


def test_operations_move_what_they_read_and_write_in_main_memory():
    found = {each.name: each for each in compiled_program.operations(PROGRAM)}
    # The kernel is in VMEM; of eight rows with three numbers, the tile is mostly padding.
    assert found["conv"].moved == 2 * TILE
    assert found["conv"].padding == TILE - 8 * 3 * 4
    assert found["conv"].source == "net/conv"
    assert (found["f"].moved, found["f"].cycles) == (3 * TILE, 50)  # a slice of q, not all of it
    assert found["part.1"].moved == TILE  # into VMEM
    assert found["w.1"].moved == 3 * 2 * TILE  # in each of three rounds
    assert "done" not in found and "p" not in found


def test_operations_between_start_and_end_of_an_exchange_hide_it():
    assert compiled_program.exchanges(PROGRAM) == [
        compiled_program.Exchange("all-reduce", TILE, hidden=50)
    ]


CHAIN = """
%begin (x: f32[8,128]) -> f32[8,128] {
  %x = f32[8,128]{1,0} parameter(0)
  ROOT %ar.1 = f32[8,128]{1,0} all-reduce(%x), to_apply=%sum, frontend_attributes={chain_id="0"}
}

%beside (x.1: f32[8,128]) -> f32[8,128] {
  %x.1 = f32[8,128]{1,0} parameter(0)
  %ar.2 = f32[8,128]{1,0} all-reduce(%x.1), to_apply=%sum, frontend_attributes={chain_id="0"}
  ROOT %y = f32[8,128]{1,0} negate(%ar.2)
}

ENTRY %main (p: f32[8,128]) -> f32[8,128] {
  %p = f32[8,128]{1,0} parameter(0)
  %first = f32[8,128]{1,0} fusion(%p), kind=kCustom, calls=%begin
  %next = f32[8,128]{1,0} fusion(%first), calls=%beside, backend_config={"estimated_cycles":"70"}
  ROOT %last = f32[8,128]{1,0} all-reduce(%next), to_apply=%sum
}
"""


def test_parts_of_an_exchange_in_fusions_are_one_exchange():
    assert compiled_program.exchanges(CHAIN) == [
        compiled_program.Exchange("all-reduce", TILE, hidden=70),
        compiled_program.Exchange("all-reduce", TILE, hidden=0),
    ]


def test_convolutions_are_grouped_by_features():
    assert compiled_program.padded_convolutions(PROGRAM) == [
        compiled_program.Convolutions(3, 128, 1, 8 * 3 * 4 + TILE, 2 * TILE)
    ]


@pytest.mark.parametrize("chip", tpus.CHIPS.values(), ids=tpus.CHIPS)
def test_an_exchange_is_free_on_one_chip_and_longer_with_more_chips(chip):
    seconds = [tpus.all_reduce_seconds(chip, n, 10**6, 1e-6) for n in compile_for.SCALES]
    assert seconds[0] == 0
    assert all(np.diff(seconds) > 0)


CHIP = tpus.Chip(1.0, 1.0, 1.0, links=1e9, axes=1, domain=8, outer=1e8, clock=1e9)


def test_an_exchange_within_a_torus_is_a_ring():
    # Each of 4 chips sends 2 * 3/4 of the bytes, in 6 messages.
    expected = 1.5 * 1e6 / 1e9 + 6 * 1e-6
    assert tpus.all_reduce_seconds(CHIP, 4, 10**6, 1e-6) == pytest.approx(expected)


def test_between_toruses_each_chip_exchanges_its_part():
    within = tpus.all_reduce_seconds(CHIP, 8, 10**6, 1e-6)
    # An eighth of the bytes among four toruses: two stages up the tree and two down.
    between = 1.5 * (1e6 / 8) / 1e8 + 4 * 1e-6
    assert tpus.all_reduce_seconds(CHIP, 32, 10**6, 1e-6) == pytest.approx(within + between)


def test_hidden_time_of_an_exchange_costs_nothing():
    plain, hidden = (compiled_program.Exchange("all-reduce", 10**6, n) for n in (0, 10**9))
    waiting, free = (
        compile_for.predict_scaling(CHIP, 1.0, [each], latency=0.0) for each in (plain, hidden)
    )
    assert waiting[1]["exchange_ms"] == pytest.approx(1.75)
    assert [each["efficiency"] for each in free] == [1.0] * len(compile_for.SCALES)


def request(**changes):
    config = configuration.get_config()
    config.topologies, config.models, config.formats = tpus.CPU, "super_resolver", "float32"
    config.batch_sizes, config.operations = (1,), 3
    config.super_resolver.data.crop = 16
    config.update_from_flattened_dict(changes)
    return config


def test_the_configuration_is_valid():
    check(configuration.get_config(), devices=4)


def test_a_step_compiled_for_this_machine(tmp_path):
    results = compile_for.run(request(), tmp_path)
    (row,) = results["rows"]
    assert (row["topology"], row["model"], row["images"], row["chips"]) == (
        *("cpu", "super_resolver", 1, DEVICES),
    )
    # All gradients and metrics are exchanged once: at least one number per parameter.
    assert [each["name"] for each in row["exchanges"]] == ["all-reduce"]
    assert row["exchanges"][0]["size"] >= 4 * 236_560
    assert 0 < row["flops"] < 1e9 and row["moved"] > 4 * 236_560
    assert row["padding"] == 0  # processors have no tiles
    assert row["memory_of_chip"] is None and row["scaling"] == []
    moved = [each["moved"] for each in row["operations"]]
    assert len(moved) == 3 and moved == sorted(moved, reverse=True)
    (program,) = (tmp_path / "programs").iterdir()
    assert program.name == "cpu-super_resolver-float32-1.txt"
    assert "all-reduce" in program.read_text(encoding="utf-8")
    assert (
        json.loads((tmp_path / "compile_for.json").read_text(encoding="utf-8"))["rows"][0]["side"]
        == 16
    )
    text = (tmp_path / "compile_for.md").read_text(encoding="utf-8")
    assert "| cpu | super_resolver | float32 | 1 |" in text and "weak scaling" not in text


def test_a_step_that_does_not_compile_is_reported_and_others_follow(tmp_path, monkeypatch):
    def compile_step(experiment, devices, count, side):
        if count == 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: 20 GB of 16\nlargest allocations:")
        return jax.jit(jnp.matmul).lower(*jnp.ones((2, 3, 3))).compile(), 1.5

    monkeypatch.setattr(compile_for, "compile_step", compile_step)
    rows = compile_for.run(request(batch_sizes=(2, 4)), tmp_path)["rows"]
    problem = "RuntimeError: RESOURCE_EXHAUSTED: 20 GB of 16"
    assert [row["problem"] for row in rows] == [problem, None]
    text = (tmp_path / "compile_for.md").read_text(encoding="utf-8")
    assert f"* cpu, super_resolver, float32, 2 images a chip: {problem}" in text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"models": "pupil"}, "config.models names 'pupil'; known names are student, "),
        ({"models": ""}, "config.models is empty"),
        ({"topologies": " , "}, "config.topologies is empty"),
        ({"formats": "float16"}, "config.formats names 'float16'"),
    ],
    ids=str,
)
def test_mistakes_are_reported_before_any_work(changed, message, tmp_path):
    with pytest.raises(InputError, match=message):
        compile_for.run(request(**changed), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_missing_compiler_is_reported_with_its_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"names v5e:2x2, .*pip install '\.\[tpu-compile\]'"):
        compile_for.run(request(topologies="v5e:2x2"), tmp_path / "none")


@needs_libtpu
@pytest.mark.parametrize("name", ["v99:2x2", "nonsense", "v5e:3x5"])
def test_an_unknown_topology_is_one_line(name):
    with pytest.raises(InputError, match=f"config.topologies names '{name}'") as error:
        tpus.open_topology(name)
    assert "\n" not in str(error.value)


@needs_libtpu
def test_the_smallest_topology_compiles(tmp_path):
    (row,) = compile_for.run(request(topologies="v5e:2x2"), tmp_path)["rows"]
    assert (row["kind"], row["chips"]) == ("TPU v5 lite", 4)
    assert 0 < row["memory"] < row["memory_of_chip"]
    assert row["padding"] > 0 and row["estimated_seconds"] > 0
    assert sum(each["size"] for each in row["exchanges"]) >= 4 * 236_560
    efficiency = [each["efficiency"] for each in row["scaling"]]
    assert efficiency[0] == 1 and all(np.diff(efficiency) < 0)


def test_in_bfloat16_the_generator_keeps_its_format():
    config = student.get_config()
    assert in_format(config, "bfloat16").precision.generator == "float32"
    config.precision.generator = "bfloat16"
    formats = in_format(config, "bfloat16").precision
    assert (formats.vgg, formats.discriminator, formats.generator) == ("bfloat16",) * 3
    assert in_format(config, "float32").precision.generator == "float32"
