"""Calls of other libraries give the number that docs/api/other_libraries.md says, or another one."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest

from ppcn_jax import losses, metrics
from ppcn_jax.benchmark.counterparts import ALONE, LIBRARIES, function_of, is_installed

DOCS = Path(__file__).resolve().parent.parent / "docs"
_SPEC = importlib.util.spec_from_file_location("agreements", DOCS / "agreements.py")
agreements = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(agreements)


@pytest.fixture(scope="module")
def in_pytorch():
    return agreements.differences_in_pytorch()


@pytest.mark.parametrize("cell", agreements.CELLS, ids=lambda cell: f"{cell.library}: {cell.key}")
def test_a_call_gives_the_number(cell, request):
    if not is_installed(cell.library):
        pytest.skip(f"needs {cell.library}: pip install '.[agreement]'")
    if agreements.uses_pytorch(cell):
        found = request.getfixturevalue("in_pytorch")[cell.key]
    else:
        found = agreements.difference(cell)
    assert isinstance(found, float), found


def test_every_function_is_in_the_list():
    public = {f"losses.{name}" for name in losses.__all__} | {
        f"metrics.{name}"
        for name, member in vars(metrics).items()
        if inspect.isfunction(member) and member.__module__ == metrics.__name__ and name[0] != "_"
    }
    compared = {function_of(cell.ours) for cell in agreements.CELLS}
    alone = [function_of(ours) for ours in ALONE]
    assert sorted(public) == sorted([*compared, *alone])
    assert {cell.library for cell in agreements.CELLS} == LIBRARIES.keys()


def test_the_page_is_made_from_the_list():
    kept = json.loads(agreements.KEPT.read_text(encoding="utf-8"))
    assert kept["differences"].keys() == {cell.key for cell in agreements.CELLS}
    page = agreements.PAGE.read_text(encoding="utf-8")
    assert agreements.make_page(kept) == page, "run python docs/agreements.py"


@pytest.mark.parametrize(
    ("theirs", "reason", "message"),
    [
        ("optax.sigmoid_binary_cross_entropy(z[:, 0], real) + 0.1", "", "differ by"),
        ("optax.sigmoid_binary_cross_entropy(z, z)", "", r"shapes \(4,\) and \(4, 1\)"),
        ("optax.sigmoid_binary_cross_entropy(z[:, 0], real)", "other", "differ by"),
    ],
)
def test_what_does_not_hold_is_an_error(theirs, reason, message):
    cell = agreements.Cell("losses.discrimination(z, real > 0)", "Optax", theirs, reason)
    with pytest.raises(ValueError, match=message):
        agreements.difference(cell)
