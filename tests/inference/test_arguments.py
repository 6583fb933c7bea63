"""What `ppcn_jax.enhance` and `upscale` refuse."""

import pathlib

import numpy as np
import pytest

import ppcn_jax

IMAGE = np.full((16, 16, 3), 0.5, np.float32)


def with_value(value):
    image = IMAGE.copy()
    image[3, 4, 1] = value
    return image


@pytest.mark.parametrize("function", [ppcn_jax.enhance, ppcn_jax.upscale])
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE * 510, r"must be in \[0, 1\], got values from 255 to 255: divide by 255"),
        (with_value(255), r"got values from 0.5 to 255: divide by 255 or 65535"),
        (with_value(2.1), r"got values from 0.5 to 2.1"),
        (with_value(-1.1), r"got values from -1.1 to 0.5$"),
        (with_value(np.nan), "got values from nan to nan"),
        (with_value(np.inf), "got values from 0.5 to inf$"),
        (with_value(-np.inf), "got values from -inf to 0.5$"),
    ],
)
def test_values_that_are_no_photo_are_named(function, image, message):
    with pytest.raises(ValueError, match=message):
        function(image)


@pytest.mark.parametrize("function", [ppcn_jax.enhance, ppcn_jax.upscale])
@pytest.mark.parametrize("path", ["photo.jpg", pathlib.Path("photo.jpg")])
def test_a_path_is_no_array(function, path):
    with pytest.raises(TypeError, match=r"must be an array, got the path 'photo\.jpg'.*ppcn-jax"):
        function(path)


def test_a_little_outside_is_a_photo():
    for value in (-0.9, 1.9):
        assert np.isfinite(ppcn_jax.enhance(with_value(value))).all()
