"""A look that is learned backwards: it finds what made phone pictures of camera pictures."""

import numpy as np
import pytest
from PIL import Image

from data.sources import look as module
from data.sources.look import Look

# Of the blocks of `cameras`; JPEG blurs colors at their edges.
CENTERS = slice(5, None, 10), slice(5, None, 10)
# What the made-up phone does: dark, with red leaking into blue.
COLORS = np.array([[0.7, 0.0, 0.0], [0.05, 0.6, 0.0], [0.1, 0.0, 0.8]])


@pytest.fixture
def exact(monkeypatch):
    """Degrade by colors alone: no blur, no noise, the finest JPEG, full strength."""
    monkeypatch.setattr(module, "_STRENGTH", (1.0, 1.0))
    monkeypatch.setattr(module, "_BLUR", (0.0, 0.0))
    monkeypatch.setattr(module, "_NOISE", (0.0, 0.0))
    monkeypatch.setattr(module, "_QUALITY", (100, 101))


def cameras(count):
    """Pictures of 60x60 pixels in smooth blocks of many colors."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(20, 235, (count, 6, 6, 3), dtype=np.uint8)
    return [block.repeat(10, 0).repeat(10, 1) for block in blocks]


def phone(camera, gain=1.0):
    return np.rint(gain * (camera @ COLORS)).clip(0, 255).astype(np.uint8)


def test_a_color_change_is_found_in_other_colors(exact):
    pictures = cameras(9)
    look = Look((phone(camera), camera) for camera in pictures[:8])
    found = look.degrade(pictures[8], np.random.default_rng(0))
    expected = phone(pictures[8])[CENTERS].astype(float)
    assert np.abs(found[CENTERS] - expected).mean() < 4  # gray levels
    assert np.abs(pictures[8][CENTERS] - expected).mean() > 30


def test_photos_vary_in_exposure_as_the_pairs_do_but_become_no_brighter(exact):
    gains = (0.5, 1.0)
    pictures = cameras(16)
    look = Look((phone(camera, gains[i % 2]), camera) for i, camera in enumerate(pictures))
    photo = np.full((16, 16, 3), 150, np.uint8)
    means = [look.degrade(photo, np.random.default_rng(seed)).mean() for seed in range(20)]
    dark, bright = min(means), max(means)
    # The color map has the mean of both gains, 0.75; the larger one is 1.33 times as large.
    assert bright == pytest.approx(0.75 * phone(photo).mean(), rel=0.05)
    assert dark / bright == pytest.approx(0.5 / 0.75, abs=0.05)


def test_strength_of_zero_leaves_the_colors(exact, monkeypatch):
    monkeypatch.setattr(module, "_STRENGTH", (0.0, 0.0))
    picture = cameras(1)[0]
    look = Look([(phone(picture), picture)])
    found = look.degrade(picture, np.random.default_rng(0))
    assert np.abs(found[CENTERS].astype(float) - picture[CENTERS]).mean() < 2


def test_a_degraded_photo_depends_on_the_random_numbers_alone():
    pictures = cameras(2)
    look = Look((phone(camera), camera) for camera in pictures)
    first, again, other = (look.degrade(pictures[0], np.random.default_rng(s)) for s in (0, 0, 1))
    assert first.dtype == np.uint8 and first.shape == pictures[0].shape
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_pairs_that_are_black_do_not_spoil_the_look():
    pictures = cameras(4)
    black = np.zeros_like(pictures[0])
    look = Look([*((phone(camera), camera) for camera in pictures), (black, black)])
    degraded = look.degrade(pictures[0], np.random.default_rng(0))
    assert degraded.std() > 10


def test_large_frames_are_reduced(monkeypatch):
    frame = np.asarray(Image.fromarray(cameras(1)[0]).resize((1000, 700)))
    assert len(module._reduce(frame)) <= module._LARGEST**2
