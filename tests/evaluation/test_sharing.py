"""Devices and processes share the images of an evaluation; and it shows its progress."""

import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rich.console
from jax.experimental import multihost_utils

from ppcn_jax.evaluation import progress, sharing
from ppcn_jax.evaluation.evaluate import evaluate, make_enhance, unchanged
from ppcn_jax.evaluation.progress import progress_bar, with_lines
from ppcn_jax.evaluation.sharing import on_devices, share
from ppcn_jax.weights.model import make_network

SIDE = 16


class Pairs:
    """Noise, and noise that is brighter; the last pair is identical."""

    def __init__(self, count):
        self.names = [f"{index}.png" for index in range(count)]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 100, (SIDE, SIDE, 3), np.uint8)
        return image, image + np.uint8((len(self) - 1 - index) * 5)


def test_devices_share_the_images(random_params):
    module = make_network("student")
    enhance = make_enhance(module, random_params(module, jnp.zeros((1, SIDE, SIDE, 3))))
    used = set()

    def noted(image):
        used.add((jax.config.jax_default_device, threading.current_thread().name))
        time.sleep(0.1)  # so that each device gets an image
        return enhance(image)

    expected = evaluate(noted, Pairs(4), devices=jax.devices()[:1])
    assert len(used) == 1
    used.clear()
    result = evaluate(noted, Pairs(4), devices=jax.devices()[:2])
    assert {device for device, _ in used} == set(jax.devices()[:2])
    assert len({thread for _, thread in used}) == 2
    assert [score["name"] for score in result["per_image"]] == Pairs(4).names
    for score, other in zip(result["per_image"], expected["per_image"], strict=True):
        for field in ("psnr", "ms_ssim"):
            assert score[field] == pytest.approx(other[field], rel=1e-5)


def test_an_error_ends_the_evaluation_without_the_images_that_have_not_begun():
    began = []

    def work(index):
        began.append(index)
        if index == 1:
            raise OSError("1.png cannot be read")
        if index > 1:
            time.sleep(0.01)  # the error must arrive while images are waiting
        return index

    with pytest.raises(OSError, match=r"1\.png cannot be read"):
        on_devices(work, range(1000), jax.devices()[:1], iter)
    assert len(began) < 1000


@pytest.mark.parametrize("count", [1, 4, 5, 6])
def test_processes_share_the_images(count, monkeypatch):
    expected = evaluate(unchanged, Pairs(count))
    values = []
    # What the three processes would send to each other.
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    monkeypatch.setattr(
        multihost_utils, "process_allgather", lambda array: values.append(array) or np.stack(values)
    )
    results = []
    for process in range(3):
        monkeypatch.setattr(jax, "process_index", lambda: process)  # noqa: B023
        try:
            results.append(evaluate(unchanged, Pairs(count)))
        except IndexError:  # the last process has not sent anything yet
            assert process < 2
    assert results[-1] == expected
    assert results[-1]["infinite_psnr"] == 1


def test_every_image_is_computed_by_one_process():
    for count in range(1, 12):
        for processes in range(1, 6):
            shares = [list(share(count, process, processes)) for process in range(processes)]
            assert all(shares)
            useful = [index for indices in shares[:count] for index in indices]
            assert sorted(useful) == list(range(count))
            assert all(indices == [0] for indices in shares[count:])


def test_processors_compute_one_image_at_a_time():
    assert sharing.useful_devices() == jax.local_devices()[:1]


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, capsys):
    clock = iter([0.0, 1.0, 31.0, 31.0, 45.0, 62.0, 62.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    console = rich.console.Console(force_terminal=False)
    assert list(progress_bar("student", console)(range(4))) == [0, 1, 2, 3]
    assert capsys.readouterr().out.splitlines() == [
        "student: 1 of 4 images",
        "student: 3 of 4 images",
    ]


def test_short_loops_print_nothing():
    lines = []
    assert list(with_lines(range(100), lines.append)) == list(range(100))
    assert not lines
