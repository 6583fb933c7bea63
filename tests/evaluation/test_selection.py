"""Which test images are scored, and which part of them."""

import numpy as np
import pytest

from ppcn_jax.evaluation import selection
from ppcn_jax.evaluation.selection import Selection, evenly_spaced


class Pairs:
    """Pairs whose pixels hold their coordinates; targets are those plus 100."""

    def __init__(self, *sizes):
        self.names = [f"{index}.png" for index in range(len(sizes))]
        self._sizes = sizes

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        height, width = self._sizes[index]
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0] = np.arange(height)[:, None]
        image[..., 1] = np.arange(width)
        return image, image + np.uint8(100)


def corners(image):
    return image[0, 0, :2].tolist(), image[-1, -1, :2].tolist()


def test_everything_by_default():
    pairs = Pairs((30, 41), (50, 20))
    selected = Selection(pairs)
    assert selected.names == pairs.names and len(selected) == 2
    for index in range(2):
        for image, expected in zip(selected[index], pairs[index], strict=True):
            np.testing.assert_array_equal(image, expected)
    assert str(selected) == "2 test images"


def test_some_images_evenly_spaced():
    pairs = Pairs(*[(20, 20 + index) for index in range(10)])
    selected = Selection(pairs, images=4)
    assert selected.names == ["0.png", "3.png", "6.png", "9.png"]
    assert [selected[index][0].shape[1] for index in range(len(selected))] == [20, 23, 26, 29]
    assert str(selected) == "4 of 10 test images"
    assert len(Selection(pairs, images=10)) == len(Selection(pairs, images=1000)) == 10
    assert evenly_spaced(10, 1) == [0]


def test_crops_are_in_the_center():
    selected = Selection(Pairs((50, 100), (20, 41)), largest=40)
    image, target = selected[0]
    assert corners(image) == ([5, 30], [44, 69])
    np.testing.assert_array_equal(target, image + np.uint8(100))
    assert corners(selected[1][0]) == ([0, 0], [19, 39])  # only the larger side is cropped
    assert str(selected) == "2 test images, center crops of up to 40 px"


@pytest.mark.parametrize("scale", [3, 4])
def test_crops_for_a_super_resolver_are_aligned(scale):
    image, _ = Selection(Pairs((50, 101)), largest=40, scale=scale)[0]
    (top, left), _ = corners(image)
    assert top % scale == left % scale == 0
    assert image.shape[:2] == (40 // scale * scale,) * 2
    assert abs(top - 5) < scale + 1 and abs(left - 30) < scale + 1


def test_large_images_for_a_super_resolver_are_cropped_to_its_multiples(monkeypatch):
    monkeypatch.setattr(selection, "WHOLE_PIXELS", 40 * 40)
    selected = Selection(Pairs((50, 101), (39, 41)), scale=4)
    assert corners(selected[0][0]) == ([0, 0], [47, 99])
    assert selected[1][0].shape == (39, 41, 3)
