"""Comparison strips: the position of every image and label, close-ups, and PNG files."""

import itertools

import numpy as np
import pytest
from PIL import Image

from ppcn_jax.photos.strips import GAP, LABEL_HEIGHT, closeup, most_detailed, save_png, strip


def noise(height, width, seed):
    return np.random.default_rng(seed).integers(0, 200, (height, width, 3), np.uint8)


def test_rows_may_differ_in_size():
    rows = [[noise(10, 30, 0), noise(10, 30, 1)], [noise(6, 8, 2), noise(6, 8, 3)]]
    table = strip(rows, ["input", "target"])
    assert table.dtype == np.uint8
    assert table.shape == (LABEL_HEIGHT + 10 + GAP + 6 + GAP, GAP + 2 * (30 + GAP), 3)
    paper = np.full_like(table, 255)
    paper[:LABEL_HEIGHT] = table[:LABEL_HEIGHT]
    first, second = LABEL_HEIGHT, LABEL_HEIGHT + 10 + GAP
    paper[first : first + 10, GAP : GAP + 30] = rows[0][0]
    paper[first : first + 10, 2 * GAP + 30 : 2 * GAP + 60] = rows[0][1]
    paper[second : second + 6, GAP : GAP + 8] = rows[1][0]
    paper[second : second + 6, 2 * GAP + 8 : 2 * GAP + 16] = rows[1][1]
    np.testing.assert_array_equal(table, paper)


def test_a_wider_row_below_widens_the_strip():
    table = strip([[noise(4, 20, 0)], [noise(4, 50, 1)]], ["input"])
    assert table.shape[1] == 50 + 2 * GAP


def ink(band):
    """Indices of the columns of a band that contain text."""
    return np.flatnonzero((band < 128).any((0, 2)))


def test_headings_are_above_their_columns():
    row = [np.full((8, 60, 3), 255, np.uint8)] * 3
    heading = ink(strip([row], ["one", "", "three"])[:LABEL_HEIGHT])
    lefts = [GAP + i * (60 + GAP) for i in range(4)]
    inside = [
        bool(((heading >= left) & (heading < right)).any())
        for left, right in itertools.pairwise(lefts)
    ]
    assert inside == [True, False, True]


def test_captions_are_above_their_rows():
    rows = [[noise(8, 120, seed)] for seed in range(3)]
    table = strip(rows, ["input"], ["best: IMG_1.jpg", "", "Füße 写真.png"])
    assert len(table) == LABEL_HEIGHT + 3 * (8 + GAP) + 2 * LABEL_HEIGHT
    first, third = LABEL_HEIGHT, 2 * LABEL_HEIGHT + 2 * (8 + GAP)
    for top in (first, third):
        assert len(ink(table[top : top + LABEL_HEIGHT]))
    below = third + LABEL_HEIGHT
    np.testing.assert_array_equal(table[below : below + 8, GAP : GAP + 120], rows[2][0])
    # A different text looks different.
    other = strip(rows, ["input"], ["worst: IMG_1.jpg", "", "Füße 写真.png"])
    assert (table != other)[first : first + LABEL_HEIGHT].any()
    np.testing.assert_array_equal(table[first + LABEL_HEIGHT :], other[first + LABEL_HEIGHT :])


@pytest.mark.parametrize(("columns", "captions"), [(["a"], []), (["a", "b"], ["x", "y"])])
def test_the_number_of_labels_must_match(columns, captions):
    with pytest.raises(ValueError, match="zip"):
        strip([[noise(4, 4, 0), noise(4, 4, 1)]], columns, captions)


def test_png_keeps_every_pixel(tmp_path):
    image = noise(7, 5, 0)
    save_png(tmp_path / "strips" / "0000003.png", image)
    with Image.open(tmp_path / "strips" / "0000003.png") as file:
        assert (file.format, file.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(file), image)
    assert [path.name for path in (tmp_path / "strips").iterdir()] == ["0000003.png"]


@pytest.mark.parametrize("side", [2, 5, 16])
def test_the_most_detailed_square(side):
    image = np.concatenate([noise(16, 9, 0) // 8, noise(16, 11, 1)], axis=1)
    gray = image.astype(np.float64).mean(axis=2)

    def detail(top, left):
        square = gray[top : top + side, left : left + side]
        down, right = np.diff(square, axis=0)[:, :-1], np.diff(square, axis=1)[:-1]
        return np.abs(down).sum() + np.abs(right).sum()

    places = itertools.product(range(16 - side + 1), range(20 - side + 1))
    assert most_detailed(image, side) == max(places, key=lambda place: detail(*place))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_closeup_repeats_every_pixel(dtype):
    image = noise(9, 12, 0).astype(dtype)
    large = closeup(image, (2, 5), 4, 3)
    assert large.shape == (12, 12, 3) and large.dtype == dtype
    for row, column in itertools.product(range(12), range(12)):
        np.testing.assert_array_equal(large[row, column], image[2 + row // 3, 5 + column // 3])
