"""Photos of many sizes share programs, and their results are those of the exact programs."""

import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax.inference import padding
from ppcn_jax.inference.enhance import enhance_levels
from ppcn_jax.inference.photo_sizes import apply_to_photo, photo_side
from ppcn_jax.inference.programs import apply_network
from ppcn_jax.models import Student, SuperResolver
from ppcn_jax.weights.load import load_model


def test_the_lengths():
    assert [photo_side(side) for side in (16, 17, 24, 25, 200, 256, 257, 385, 512)] == [
        *(16, 24, 24, 32, 256, 256, 384, 512, 512)
    ]
    assert [photo_side(side) for side in (513, 600, 1025, 1600, 2048)] == [
        *(576, 640, 1152, 1664, 2048)
    ]
    assert {photo_side(side, 4) % 4 for side in range(16, 3000, 4)} == {0}
    sides = range(17, 4000)
    assert all(side <= photo_side(side) < 1.5 * side for side in sides)


def test_a_hundred_sizes_need_few_programs():
    rng = np.random.default_rng(0)
    sizes = {(int(h), int(w)) for h, w in rng.integers((150, 200), (400, 500), (101, 2))}
    assert len(sizes) > 90
    assert len({(photo_side(h), photo_side(w)) for h, w in sizes}) <= 12


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Student(padding="reflect"), (26, 35)),
        (Student(), (26, 35)),
        (SuperResolver(), (28, 36)),
    ],
    ids=["reflection", "zeros", "enlarging"],
)
def test_the_result_is_that_of_the_exact_program(random_params, module, shape):
    image = np.random.default_rng(1).random((*shape, 3), np.float32)
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    result = apply_to_photo(module, params, image)
    np.testing.assert_allclose(result, apply_network(module, params, image), rtol=0, atol=1e-5)


def test_photos_of_similar_sizes_share_a_program():
    model = load_model("student")
    rng = np.random.default_rng(2)
    photos = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((33, 40), (40, 34), (48, 47))]
    before = padding._apply_padded._traced
    alone = [enhance_levels([photo], model)[0] for photo in photos]
    assert padding._apply_padded._traced == before + 1
    # Whatever was processed before.
    np.testing.assert_array_equal(enhance_levels([photos[0]], model)[0], alone[0])
