"""The benchmark of losses beside other libraries: rows, differences and failures. No times."""

import numpy as np
import pytest

from ppcn_jax import losses
from ppcn_jax.benchmark.counterparts import ALONE, DIFFERENT, SAME, function_of
from ppcn_jax.benchmark.parts import losses as part

SIZES = ((2, 8, 12), (1, 9, 8))


@pytest.fixture
def one_loss(monkeypatch):
    """One loss with a library that gives the same, one that does not, and one that fails."""

    def open_call(library, expression, arrays, variable):
        if library == "broken":
            raise RuntimeError("no such kernel")
        images, others = arrays["y"], arrays["t"]
        gradient = np.sign(images - others) / images.size
        return lambda: (np.abs(images - others).mean(), gradient * float(expression))

    calls = {"losses.mae(y, t)": {"equal": "1", "other": "1.5", "broken": "1", "absent": "1"}}
    monkeypatch.setattr(part, "calls", lambda: calls)
    monkeypatch.setattr(part, "open_call", open_call)
    monkeypatch.setattr(part, "is_installed", lambda library: library != "absent")
    monkeypatch.setattr(part, "OTHERS", list(calls["losses.mae(y, t)"]))


def test_rows(one_loss):
    absent, *rows = part.measure_losses(SIZES, rounds=1, channels=2)
    assert "absent is not installed: run pip install '.[bench]'" in absent["problem"]
    tasks = ["losses.mae(y, t), 2 of 12x8"] * 4 + ["losses.mae(y, t), 1 of 8x9"] * 4
    assert [row["task"] for row in rows] == tasks
    assert [row["name"] for row in rows[:4]] == ["JAX", "equal", "other", "broken"]
    assert rows[0]["difference"] == 0 and rows[1]["difference"] < 1e-5
    assert rows[0]["ratio"] == 1 and rows[0]["bytes"] == 3 * 4 * 2 * 8 * 12 * 3
    assert "its gradient differs from JAX's by 5.0e-01" in rows[2]["problem"]
    assert rows[3]["problem"] == "RuntimeError: no such kernel"
    assert rows[2]["milliseconds"] is None and rows[3]["milliseconds"] is None


def test_every_function_with_a_gradient_is_timed_once():
    functions = [function_of(ours) for ours in part.calls()]
    assert len(functions) == len(set(functions))
    without = {"losses.paper_blur", "losses.released_blur"}
    assert set(functions) == {function_of(ours) for ours in [*SAME, *DIFFERENT, *ALONE]} - without
    assert {f"losses.{name}" for name in losses.__all__} - without <= set(functions)


def test_calls_have_the_same_mean():
    calls = part.calls()
    assert calls["losses.mae(y, t)"]["PyTorch"] == "F.l1_loss(y, t)"
    assert calls["losses.ssim(y, t)"].keys() == {"piq", "pytorch-msssim", "torchmetrics", "kornia"}
    assert calls["losses.color(y, t)"] == {}


def test_a_gradient_of_pytorch_is_in_the_layout_of_this_package():
    pytest.importorskip("torch", reason="needs PyTorch: pip install '.[bench]'")
    arrays = {"y": np.full((2, 3, 4, 3), 0.5, np.float32), "t": np.zeros((2, 3, 4, 3), np.float32)}
    arrays["t"][:, 1] = 1
    run = part.open_call("PyTorch", "F.mse_loss(y, t)", arrays, "y")
    for _ in range(2):  # gradients of calls do not add up
        value, gradient = run()
        assert value == pytest.approx(0.25)
        np.testing.assert_allclose(gradient, 2 * (arrays["y"] - arrays["t"]) / 72, rtol=1e-6)
