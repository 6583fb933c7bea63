"""The batch contract, tested on a source in RAM."""

import itertools

import numpy as np
import pytest

import data


@pytest.fixture
def source(pairs, make):
    return make()  # seven pairs


def take(count: int, source: data.Source, **options) -> list[dict[str, np.ndarray]]:
    defaults = {"seed": 5, "batch_size": 4}
    batches = data.batches(source, **{**defaults, **options})
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys() == {"input", "target", "id"}
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


def test_shapes_and_types(source):
    (batch,) = take(1, source, local_devices=2)
    assert batch["input"].shape == batch["target"].shape == (2, 2, 8, 8, 3)
    assert batch["input"].dtype == batch["target"].dtype == np.uint8
    assert batch["id"].shape == (2, 2)
    assert batch["id"].dtype == np.int32


def test_same_seed_same_batches(source):
    assert_same(take(6, source), take(6, source))


def test_other_seed_other_order(source):
    first, second = (np.concatenate([b["id"] for b in take(6, source, seed=s)]) for s in (1, 2))
    assert (first != second).any()


def test_order_follows_the_documented_formula(source):
    ids = np.concatenate([batch["id"].ravel() for batch in take(7, source)])
    epochs = [np.random.default_rng([5, epoch]).permutation(7) for epoch in range(4)]
    np.testing.assert_array_equal(ids, np.concatenate(epochs))


def test_batch_may_span_many_epochs(source):
    (batch,) = take(1, source, batch_size=21)
    for epoch in batch["id"].reshape(3, 7):
        assert sorted(epoch) == list(range(7))


@pytest.mark.parametrize("step", [1, 2, 1_000_003])
def test_starting_later_gives_the_same_batches(source, step):
    assert_same(take(3, source, start_step=step)[1:], take(2, source, start_step=step + 1))


@pytest.mark.parametrize(("processes", "devices"), [(1, 4), (2, 2), (4, 1), (2, 1)])
def test_global_batch_does_not_depend_on_the_machines(source, processes, devices):
    expected = take(3, source)
    parts = [
        take(3, source, process_index=k, process_count=processes, local_devices=devices)
        for k in range(processes)
    ]
    joined = [
        {
            name: np.concatenate([device for part in step for device in part[name]])[None]
            for name in step[0]
        }
        for step in zip(*parts, strict=True)
    ]
    assert_same(joined, expected)


def windows_of(frame: np.ndarray, crop: int) -> np.ndarray:
    """All crops of a frame, [rows, columns, crop, crop, 3]."""
    views = np.lib.stride_tricks.sliding_window_view(frame, (crop, crop), (0, 1))
    return np.moveaxis(views, 2, -1)


def test_crops_are_aligned_windows_of_their_frames(pairs, make):
    source = make(crop=5)
    corners = set()
    for batch in take(20, source):
        for i, index in enumerate(batch["id"][0]):
            crops = batch["input"][0, i], batch["target"][0, i]
            found = [
                (windows_of(frame, 5) == crop).all((2, 3, 4))
                for frame, crop in zip(source[index], crops, strict=True)
            ]
            (corner,) = np.argwhere(found[0] & found[1])
            corners.add(tuple(corner))
    assert len(corners) > 40  # 80 crops at 12 x 16 possible corners


def test_sample_gets_another_crop_in_the_next_epoch(source):
    first, second = take(2, source, batch_size=7)
    left, right = np.argsort(first["id"][0]), np.argsort(second["id"][0])
    assert (first["input"][0, left] != second["input"][0, right]).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 6, "process_count": 2, "local_devices": 2}, "multiple of 4"),
        ({"batch_size": 0}, "multiple of 1"),
        ({"process_index": 2, "process_count": 2}, r"in \[0, 2\)"),
        ({"seed": -1}, "negative"),
        ({"start_step": -1}, "negative"),
    ],
)
def test_invalid_numbers(source, options, message):
    with pytest.raises(ValueError, match=message):
        data.batches(source, **{"seed": 0, "batch_size": 4, **options})


def test_test_split_is_not_batched(pairs, make):
    with pytest.raises(ValueError, match="one full image at a time"):
        data.batches(make(split="test"), seed=0, batch_size=2)
