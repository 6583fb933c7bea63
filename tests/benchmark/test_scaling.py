"""The prediction of weak scaling: collectives in compiled programs, and the arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from configs import scaling as configuration
from ppcn_jax.benchmark import scaling
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.steps.parallel import AXIS

DEVICES = 4


def compiled(function, *shapes):
    arguments = [jax.ShapeDtypeStruct((DEVICES, *shape), jnp.float32) for shape in shapes]
    return jax.pmap(function, AXIS).lower(*arguments).compile().as_text()


def test_arrays_exchanged_together_count_as_one_collective():
    program = compiled(lambda a, b: lax.pmean((a, b, jnp.sum(a)), AXIS), (5, 3), (7,))
    assert scaling.exchanged(program) == [("all-reduce", 4 * (15 + 7 + 1))]


def test_dependent_exchanges_count_separately():
    def twice(a):
        return lax.pmean(jnp.sin(lax.pmean(a, AXIS)), AXIS)

    assert scaling.exchanged(compiled(twice, (6,))) == [("all-reduce", 24)] * 2


def test_other_collectives_are_counted():
    program = compiled(lambda a: lax.all_gather(a, AXIS), (3,))
    assert [name for name, _ in scaling.exchanged(program)] == ["all-gather"]


def test_a_program_without_collectives():
    assert scaling.exchanged(compiled(jnp.sin, (3,))) == []


@pytest.mark.parametrize("machine", scaling.MACHINES, ids=lambda machine: machine.name)
def test_an_exchange_is_free_on_one_chip_and_longer_with_more_chips(machine):
    seconds = [scaling.all_reduce_seconds(machine, n, 10**6, 1e-6) for n in scaling.CHIPS]
    assert seconds[0] == 0
    assert all(np.diff(seconds) > 0)


def test_an_exchange_within_a_domain_is_a_ring():
    machine = scaling.Machine("ring", 1.0, 1e9, 8, 1e8, lambda chips: 2 * (chips - 1))
    # Each of 4 chips sends 2 * 3/4 of the bytes, in 6 messages.
    expected = 1.5 * 1e6 / 1e9 + 6 * 1e-6
    assert scaling.all_reduce_seconds(machine, 4, 10**6, 1e-6) == pytest.approx(expected)


def test_between_domains_each_chip_exchanges_its_part():
    machine = scaling.Machine("rings", 1.0, 1e9, 8, 1e8, lambda chips: 2 * (chips - 1))
    within = scaling.all_reduce_seconds(machine, 8, 10**6, 1e-6)
    # An eighth of the bytes among four domains: two stages up the tree and two down.
    between = 1.5 * (1e6 / 8) / 1e8 + 4 * 1e-6
    assert scaling.all_reduce_seconds(machine, 32, 10**6, 1e-6) == pytest.approx(within + between)


def test_too_few_devices_are_reported_with_the_flag_to_set(tmp_path):
    with pytest.raises(InputError, match=r"device_count=8"):
        scaling.run(configuration.get_config(), tmp_path)
