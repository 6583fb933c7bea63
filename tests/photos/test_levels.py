"""Conversions between floats in [0, 1] and the integers of image files."""

import numpy as np
import pytest

from ppcn_jax.photos.levels import from_float, to_float, to_uint8

ALL = {dtype: np.arange(np.iinfo(dtype).max + 1).astype(dtype) for dtype in (np.uint8, np.uint16)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-0.5, 0),
        (0.0, 0),
        (1.0, 255),
        (1.5, 255),
        (np.inf, 255),
        (-np.inf, 0),
        (10.4 / 255, 10),  # rounded, not truncated
        (10.6 / 255, 11),
        (0.5, 128),  # 127.5: to the even neighbor
    ],
)
def test_floats_are_clipped_and_rounded(value, expected):
    image = to_uint8(np.full((2, 3, 3), value, np.float32))
    assert image.dtype == np.uint8 and image.shape == (2, 3, 3)
    assert (image == expected).all()


@pytest.mark.parametrize("dtype", ALL)
def test_every_integer_survives_the_round_trip(dtype):
    floats = to_float(ALL[dtype])
    assert floats.dtype == np.float32 and floats.min() == 0 and floats.max() == 1
    np.testing.assert_array_equal(from_float(floats, dtype), ALL[dtype])
    assert from_float(floats, dtype).dtype == dtype


def test_floats_stay_floats():
    np.testing.assert_array_equal(to_float(np.array([-0.5, 1.5])), np.float32([-0.5, 1.5]))


def test_uint8_is_returned_unchanged():
    assert to_uint8(ALL[np.uint8]) is ALL[np.uint8]


def test_16_bits_are_rounded_to_8():
    samples = np.array([[[0, 128, 129], [385, 386, 65535]]], np.uint16)
    np.testing.assert_array_equal(to_uint8(samples), [[[0, 0, 1], [1, 2, 255]]])


def test_16_bits_are_rounded_to_8_as_their_floats_are():
    samples = ALL[np.uint16].reshape(256, 256)
    np.testing.assert_array_equal(to_uint8(samples), to_uint8(to_float(samples)))
