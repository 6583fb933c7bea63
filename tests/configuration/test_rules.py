"""Rules that a configuration's fields have beyond one number or string."""

import pytest

from ppcn_jax.configuration.rules import sizes


@pytest.mark.parametrize(
    ("value", "images"),
    [(((16, 20), (720, 1280)), False), (((8, 100, 100), (1, 16, 20)), True)],
)
def test_sizes_are_accepted(value, images):
    assert sizes(value, images=images) is None


@pytest.mark.parametrize(
    ("value", "images", "names"),
    [
        ((), False, "(height, width)"),
        ((16, 20), False, "(height, width)"),
        (((15, 20),), False, "(height, width)"),
        (((8, 100, 100),), False, "(height, width)"),
        (((100, 100),), True, "(images, height, width)"),
        (((0, 100, 100),), True, "(images, height, width)"),
        (((8, 100, 15),), True, "(images, height, width)"),
        (((8, 100, 100.0),), True, "(images, height, width)"),
    ],
)
def test_other_sizes_are_refused(value, images, names):
    assert sizes(value, images=images) == f"it must be tuples {names} with sides of at least 16 px"
