"""Crops from the good windows of a list."""

import itertools
import json

import numpy as np
import pytest

import data
from data.sources.good_windows import GoodWindows
from tests.data.sample_pictures import encode

HEIGHT, WIDTH, SIDE = 40, 48, 16
NAMES = [f"{number}.png" for number in range(1, 6)]
GOOD = [[0, 0], [8, 24], [24, 32]]  # of each pair, by default
STEPS = 60


@pytest.fixture
def write(tmp_path):
    """A function that writes windows.json; beside it, five pairs whose pixels are all different."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for number, name in enumerate(NAMES):
        frame = np.stack([y, x, np.full_like(y, number)], 2).astype(np.uint8)
        for folder in ("phone", "camera"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).write_bytes(encode(frame, "PNG"))

    def write(pairs=None, **changes):
        content = {"window": SIDE, "stride": 8, "pairs": dict.fromkeys(NAMES, GOOD), **changes}
        content["pairs"] = {**content["pairs"], **(pairs or {})}
        (tmp_path / "windows.json").write_text(json.dumps(content), encoding="utf-8")

    return write


def crops(source, steps=STEPS, **options):
    """(pair, top, left) of the crops of some batches; inputs and targets are the same place."""
    batches = data.batches(source, seed=3, batch_size=20, **options)
    found = []
    for batch in itertools.islice(batches, steps):
        np.testing.assert_array_equal(batch["input"], batch["target"])
        found += [tuple(crop[0, 0, [2, 0, 1]].tolist()) for crop in batch["input"][0]]
    batches.close()
    return found


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("crop", [8, SIDE])
def test_crops_lie_inside_good_windows(write, make, crop, in_memory):
    if not in_memory:
        pytest.importorskip("tensorflow")
    write({"2.png": [[3, 5]]})
    places = range(SIDE - crop + 1)
    in_order = crops(make(crop=crop, in_memory=in_memory, holdout=1))
    assert in_order == crops(make(crop=crop, holdout=1))
    found = set(in_order)
    inside = {
        (pair, top + down, left + right)
        for pair in range(4)
        for top, left in ([[3, 5]] if pair == 1 else GOOD)
        for down, right in itertools.product(places, places)
    }
    assert found <= inside
    assert len(found) > 0.6 * len(inside)
    assert {pair for pair, *_ in found} == {0, 1, 2, 3}


def test_window_and_place_inside_it_are_uniform(write, make):
    # Two windows that overlap: half of the crops come from each, also where both could give them.
    write({name: [[0, 0], [0, 4]] for name in NAMES})
    found = crops(make(crop=8, holdout=1), steps=600)
    lefts = np.bincount([left for _, _, left in found], minlength=13) / len(found)
    expected = np.array([1] * 4 + [2] * 5 + [1] * 4) / 18
    assert abs(lefts - expected).max() < 5 * np.sqrt(expected.max() / len(found))
    tops = np.bincount([top for _, top, _ in found], minlength=9) / len(found)
    assert len(tops) == 9
    assert abs(tops - 1 / 9).max() < 5 * np.sqrt(1 / 9 / len(found))


def test_crops_are_a_function_of_seed_and_position(write, make):
    write()
    source = make(crop=8)
    everything = crops(source, steps=6)
    assert crops(source, steps=4, start_step=2) == everything[40:]
    half = crops(source, steps=6, process_index=1, process_count=2)
    assert half == [crop for i, crop in enumerate(everything) if i % 20 >= 10]


def test_order_and_repetition_in_the_list_change_nothing(write, make):
    write()
    before = crops(make(crop=8), steps=3)
    write({name: [GOOD[2], GOOD[0], GOOD[1], GOOD[0]] for name in NAMES})
    assert crops(make(crop=8), steps=3) == before


def test_crops_without_a_list_are_as_before(write, make, tmp_path):
    source = make(crop=8)
    expected = [
        tuple(np.random.default_rng([3, 1, p]).integers([HEIGHT - 7, WIDTH - 7])) for p in range(60)
    ]
    assert [place for _, *place in crops(source, steps=3)] == [list(map(int, e)) for e in expected]
    write()
    assert crops(make(crop=8), steps=3) != crops(source, steps=3)


def test_test_split_has_full_frames(write, make):
    write({"5.png": []})
    source = make(crop=8, holdout=2, split="test")
    assert source.names == ["4.png", "5.png"]
    assert source[1][0].shape == (HEIGHT, WIDTH, 3)


def covered(crop, corners):
    """Slow and obvious: corners at which all pixels of a crop are in some window."""
    good = np.zeros((200, 200), bool)
    for top, left in corners:
        good[top : top + SIDE, left : left + SIDE] = True
    return sorted(
        [t, e]
        for t, e in map(list, {tuple(c) for c in corners})
        if good[t : t + crop, e : e + crop].all()
    )


@pytest.mark.parametrize("crop", [17, 20, 24, 31])
@pytest.mark.parametrize("stride", [1, 8])
def test_large_crops_start_where_good_windows_cover_them(tmp_path, crop, stride):
    rng = np.random.default_rng(crop)
    corners = (stride * rng.integers(0, 60 // stride, (200 if stride == 1 else 40, 2))).tolist()
    path = tmp_path / "windows.json"
    path.write_text(
        json.dumps({"window": SIDE, "stride": stride, "pairs": {"a": corners}}), encoding="utf-8"
    )
    expected = covered(crop, corners)
    assert 0 < len(expected) < len(corners)
    windows = GoodWindows(path, crop)
    found = []
    for number in range(len(expected)):

        def window(shape, number=number):
            assert shape == (crop, crop + len(expected) - 1, 3)
            return slice(0, crop), slice(number, number + crop)

        rows, columns = windows.place("a", window)((200, 200, 3))
        assert rows.stop - rows.start == columns.stop - columns.start == crop
        found.append([rows.start, columns.start])
    assert found == expected


def test_pairs_without_room_for_the_crop_are_skipped_with_one_line(write, make, caplog):
    grid = [[top, left] for top in (0, 8, 16) for left in (0, 8, 16)]
    write({"1.png": grid, "3.png": grid, "4.png": []})
    source = make(crop=24, holdout=1)
    assert source.names == ["1.png", "3.png"]
    (line,) = caplog.messages
    assert line.startswith("2 of 4 training pairs are skipped, because the good windows in ")
    assert line.endswith("no place for a crop of 24 pixels; a smaller crop may fit: 2.png, 4.png")
    places = {(top, left) for _, top, left in crops(source)}
    assert places == {(0, 0), (0, 8), (8, 0), (8, 8)}
    caplog.clear()
    assert make(crop=8, holdout=1).names == ["1.png", "2.png", "3.png"]
    assert caplog.messages[0].startswith("1 of 4 training pairs is skipped")
    with pytest.raises(data.DataError, match="no place for a crop of 40 pixels in any training"):
        make(crop=40, holdout=1)


def test_pair_that_is_not_in_the_list(write, make, tmp_path):
    write(pairs={})
    content = json.loads((tmp_path / "windows.json").read_text(encoding="utf-8"))
    for name in NAMES[1:3]:
        del content["pairs"][name]
    (tmp_path / "windows.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        data.DataError,
        match=r"windows\.json lists no windows of 2 training pairs: 2\.png, 3\.png; make it again",
    ):
        make(crop=8, holdout=1)
    assert len(make(crop=8, holdout=1, split="test")) == 1


def test_list_is_keyed_by_the_names_of_the_inputs(write, make, tmp_path):
    for name in NAMES:
        (tmp_path / "phone" / name).rename(tmp_path / "phone" / f"{name[0]}_low.png")
    write(pairs={f"{name[0]}_low.png": [[24, 32]] for name in NAMES})
    places = {place[1:] for place in crops(make(crop=SIDE, input_name="{}_low"), steps=5)}
    assert places == {(24, 32)}


@pytest.mark.parametrize("in_memory", [True, False])
def test_list_that_does_not_fit_the_frames(write, make, in_memory):
    write({"2.png": [[0, 0], [HEIGHT - SIDE + 1, 0]], "3.png": [[0, WIDTH]]})
    with pytest.raises(
        data.DataError,
        match=r"2 of 4 records cannot be used:\n- .*windows\.json: a good window of 2\.png goes "
        r"beyond its frame of 48x40 pixels; make it again with ppcn-jax pair, or remove it",
    ):
        make(crop=8, holdout=1, in_memory=in_memory)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe",
        b'{"window": 16}',
        b'{"window": 0, "pairs": {}}',
        b'{"window": true, "pairs": {}}',
        b'{"window": "16", "pairs": {}}',
        b'{"window": 16, "pairs": []}',
        b'{"window": 16, "pairs": {"1.png": 3}}',
        b'{"window": 16, "pairs": {"1.png": [1, 2]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, 2, 3]]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, 2], [3]]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, 2.5]]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, -2]]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, null]]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, NaN]]}}',
        b'{"window": 16, "pairs": {"1.png": [["1", "2"]]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, 99999999999999999999999]]}}',
        b'{"window": 16, "pairs": {"1.png": [[1, 99999999999]]}}',
        b'{"window": 16, "pairs": {"1.png": ' + 9999 * b"[",
    ],
)
def test_damaged_list(write, make, tmp_path, content):
    (tmp_path / "windows.json").write_bytes(content)
    with pytest.raises(
        data.DataError, match=r"windows\.json is not a list of good .* or remove it"
    ):
        make(crop=8)


def start(folder, workdir, **changes):
    fields = {
        "source": "pairs", "dir": folder, "test_dir": "", "phone": "", "input": "phone",
        "target": "camera", "holdout": 1, "validation": 0, "crop": 24, "scale": 4, "in_memory": True,
        **changes,
    }  # fmt: skip
    run = data.TrainingData(fields, workdir, seed=0, batch_size=4, unreadable=0.5)
    stream = run.batches(0)
    batch = next(stream)
    stream.close()
    return batch


def test_resumed_run_refuses_another_list(write, tmp_path, caplog):
    grid = [[top, left] for top in (0, 8, 16) for left in (0, 8, 16)]
    lists = {**dict.fromkeys(NAMES, grid), "3.png": []}
    write(lists)
    workdir = tmp_path / "run"
    workdir.mkdir()
    before = start(tmp_path, workdir)
    assert json.loads((workdir / "records.json").read_text(encoding="utf-8"))["train"] == [
        "1.png",
        "2.png",
        "4.png",
    ]
    caplog.clear()
    # Only the windows of the records matter, and skipped pairs are not reported as added.
    write({**lists, "5.png": [], "other.png": []})
    after = start(tmp_path, workdir)
    assert all((before[name] == after[name]).all() for name in before)
    assert not [line for line in caplog.messages if "added" in line]
    write({**lists, "2.png": grid[:5]})
    with pytest.raises(data.DataError, match="1 of 3 train records .* for example 2.png"):
        start(tmp_path, workdir)
    write({**lists, "2.png": []})
    with pytest.raises(
        data.DataError, match=r"windows\.json has no place for .* in 1 pair .*: 2\.png"
    ):
        start(tmp_path, workdir)
    (tmp_path / "windows.json").unlink()
    with pytest.raises(data.DataError, match="3 of 3 train records .* for example 1.png"):
        start(tmp_path, workdir)
