"""Programs for many shapes: the same results, and old programs are dropped."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.inference import programs
from ppcn_jax.inference.programs import BoundedJit

MAPPINGS = pathlib.Path("/proc/self/maps")


def test_programs_of_many_shapes_are_dropped(monkeypatch):
    monkeypatch.setattr(programs, "_MOST_PROGRAMS", 3)
    traced = []

    def double(x):
        traced.append(x.shape[-1])
        return 2 * x

    program = BoundedJit(double)
    for size in (1, 2, 3, 1, 4, 4, 1):
        np.testing.assert_array_equal(program(np.ones((4, size))), np.full((4, size), 2))
    # All were dropped just before the next call after the third shape.
    assert traced == [1, 2, 3, 1, 4]


@pytest.mark.skipif(not MAPPINGS.exists(), reason="only Linux lists memory mappings")
def test_dropped_programs_leave_no_memory_mappings(monkeypatch):
    monkeypatch.setattr(programs, "_MOST_PROGRAMS", 10)
    program = BoundedJit(lambda x: jnp.tanh(x) @ x.T)
    counts = []
    for size in range(1, 51):
        program(np.ones((size, 3)))
        counts.append(len(MAPPINGS.read_text(encoding="utf-8").splitlines()))
    assert counts[9] - counts[0] > 0
    assert counts[-1] - counts[9] < 2 * (counts[9] - counts[0])


def test_static_arguments_and_lowering():
    program = BoundedJit(lambda power, x: x**power, static_argnums=0)
    assert program(2, np.float32(3)) == 9
    assert program(3, np.float32(3)) == 27
    assert program.lower(2, np.float32(3)).compile()(np.float32(5)) == 25


def test_it_can_be_differentiated_inside_another_program():
    program = BoundedJit(lambda x: x**3)
    assert jax.jit(jax.grad(lambda x: program(x)))(2.0) == 12
