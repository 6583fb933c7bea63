"""Pairs whose inputs are smaller than their targets, for a super-resolver."""

import itertools

import numpy as np
import pytest
from PIL import Image

import data
from tests.data.sample_pictures import draw, encode, sideways

CROP = 12
SIZES = {"1.png": (8, 9), "2.png": (10, 7), "3.png": (9, 9), "4.png": (6, 11), "5.png": (7, 7)}


@pytest.fixture
def small(tmp_path):
    """A function that writes five pairs, the inputs smaller by a factor."""

    def write(scale=4):
        for number, (name, (height, width)) in enumerate(SIZES.items()):
            for folder, factor, seed in (("phone", 1, 0), ("camera", scale, 9)):
                (tmp_path / folder).mkdir(exist_ok=True)
                frame = draw(seed + number, factor * height, factor * width)
                (tmp_path / folder / name).write_bytes(encode(frame, "PNG"))
        return tmp_path

    return write


def enlarged(path, scale):
    with Image.open(path) as photo:
        size = scale * photo.width, scale * photo.height
        return np.asarray(photo.resize(size, Image.Resampling.BICUBIC))


def take(source, count=6):
    batches = data.batches(source, seed=3, batch_size=5)
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_full_frames_are_enlarged_as_everywhere(small, make, scale, split, in_memory):
    folder = small(scale)
    source = make(scale=scale, enlarge=True, in_memory=in_memory, split=split, crop=CROP)
    for index, name in enumerate(source.names):
        photo, target = source[index]
        np.testing.assert_array_equal(photo, enlarged(folder / "phone" / name, scale))
        np.testing.assert_array_equal(target, np.asarray(Image.open(folder / "camera" / name)))


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("scale", [3, 4])
def test_crops_are_cut_from_enlarged_frames_at_pixels_of_the_small_ones(
    small, make, scale, in_memory
):
    if not in_memory:
        pytest.importorskip("tensorflow")
    small(scale)
    source = make(scale=scale, enlarge=True, in_memory=in_memory, crop=CROP, holdout=0)
    corners = [set() for _ in source.names]
    for batch in take(source, 30):
        for crop, target, index in zip(*(batch[key][0] for key in batch), strict=True):
            frames = source[int(index)]
            views = np.lib.stride_tricks.sliding_window_view(frames[0], (CROP, CROP), (0, 1))
            ((top, left),) = np.argwhere((np.moveaxis(views, 2, -1) == crop).all((2, 3, 4)))
            np.testing.assert_array_equal(
                target, frames[1][top : top + CROP, left : left + CROP], strict=True
            )
            corners[int(index)].add((int(top), int(left)))
    for found, (height, width) in zip(corners, SIZES.values(), strict=True):
        steps = CROP // scale
        grid = itertools.product(range(height - steps + 1), range(width - steps + 1))
        allowed = {(scale * top, scale * left) for top, left in grid}
        assert found <= allowed
        assert len(found) > 0.4 * len(allowed)


def test_inputs_of_equal_size_are_unchanged_and_cropped_as_without_enlarging(pairs, make):
    for a, b in zip(take(make(enlarge=True)), take(make()), strict=True):
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], strict=True)


def test_both_kinds_may_be_mixed(small, make):
    folder = small()
    (folder / "phone" / "2.png").write_bytes(encode(draw(1, 40, 28), "PNG"))
    source = make(enlarge=True, crop=CROP)
    np.testing.assert_array_equal(source[1][0], draw(1, 40, 28))
    np.testing.assert_array_equal(source[2][0], enlarged(folder / "phone/3.png", 4))


def test_orientation_of_small_inputs_is_applied_first(small, make):
    folder = small()
    (folder / "phone" / "1.png").write_bytes(sideways(draw(0, 9, 8)))
    assert make(enlarge=True, crop=CROP)[0][0].shape == (32, 36, 3)


@pytest.mark.parametrize("in_memory", [True, False])
def test_an_enhancer_refuses_small_inputs(small, make, in_memory):
    small()
    with pytest.raises(
        data.DataError,
        match=r"3 of 3 records cannot be used:\n- .*phone/1\.png: the input is 9x8 pixels and the "
        r"target 36x32 pixels; align them to one size",
    ):
        make(crop=CROP, in_memory=in_memory)


@pytest.mark.parametrize("size", [(9, 8), (8, 10), (32, 9), (16, 18), (31, 36)])
def test_other_sizes_are_refused(small, make, size):
    folder = small()
    (folder / "phone" / "1.png").write_bytes(encode(draw(0, *size), "PNG"))
    with pytest.raises(
        data.DataError,
        match=r"1\.png: the input is .* 36x32 pixels; align .*, or to a target 4 times as large",
    ):
        make(enlarge=True, crop=CROP)


def test_another_scale_is_refused(small, make):
    small(2)
    with pytest.raises(data.DataError, match="(?s)3 of 3 records .* to a target 4 times as large"):
        make(enlarge=True, crop=CROP)


def test_good_windows_of_small_inputs_are_refused(small, make):
    folder = small()
    (folder / "windows.json").write_text(
        '{"window": 12, "stride": 4, "pairs": {"1.png": [[0, 0]], "2.png": [[0, 0]], "3.png": []}}',
        encoding="utf-8",
    )
    with pytest.raises(data.DataError, match=r"1\.png is smaller than its target, but .*windows"):
        make(enlarge=True, crop=CROP)


def test_frames_enlarged_for_a_super_resolver_are_not_stored_for_an_enhancer(
    small, make, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("data.sources.pairs._CACHE_BYTES", 0)
    small()
    options = {"crop": 4, "in_memory": False, "names": list(SIZES)[:3]}
    whole = (slice(0, 4), slice(0, 4))
    sharp = make(enlarge=True, **options)
    assert sharp.cut(0, lambda shape: whole)[0].shape == (4, 4, 3)
    assert len(list((tmp_path / "cache").rglob("frames/*"))) == 1
    with pytest.raises(data.DataError, match="align them to one size"):
        make(**options).cut(0, lambda shape: whole)
