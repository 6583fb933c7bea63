import numpy as np
import pytest

from ppcn_jax.losses import color, paper_blur, released_blur
from tests import references


def random_pair(shape=(2, 25, 30, 3), seed=0):
    rng = np.random.default_rng(seed)
    return [rng.random(shape, np.float32) for _ in range(2)]


@pytest.mark.parametrize(("name", "blur"), [("paper", paper_blur), ("released", released_blur)])
def test_outer_product_equals_reference_kernel(name, blur):
    expected = references.blur_kernel(name)
    np.testing.assert_allclose(np.outer(blur(), blur()), expected, rtol=1e-10)


def test_released_blur_equals_golden(goldens):
    expected = goldens("losses")["gauss_kernel_21_3"]
    np.testing.assert_allclose(np.outer(released_blur(), released_blur()), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("kernel", "sigma", "total"), [(paper_blur(), np.sqrt(3), 0.999), (released_blur(), 4.71, 1)]
)
def test_width_and_sum_of_kernel(kernel, sigma, total):
    # Sigma of the Gaussian with the same ratio of the center to the value 5 px away.
    assert np.sqrt(25 / (2 * np.log(kernel[10] / kernel[15]))) == pytest.approx(sigma, abs=5e-3)
    assert np.outer(kernel, kernel).sum() == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("name", ["paper", "released"])
def test_named_kernel_equals_separable_and_2d_kernel(name):
    pair = random_pair()
    expected = color(*pair, kernel=name)
    kernel = {"paper": paper_blur, "released": released_blur}[name]()
    np.testing.assert_allclose(color(*pair, kernel=kernel), expected, rtol=1e-6)
    np.testing.assert_allclose(color(*pair, kernel=np.outer(kernel, kernel)), expected, rtol=1e-5)


def test_asymmetric_kernel_is_not_flipped():
    pair = random_pair()
    kernel = np.random.default_rng(1).random((3, 5))
    expected = references.color(*pair, kernel=kernel)
    np.testing.assert_allclose(color(*pair, kernel=kernel), expected, rtol=1e-5)


def test_texture_costs_less_than_tint():
    image = np.full((1, 40, 40, 3), 0.5, np.float32)
    checkers = (np.indices(image.shape)[1:3].sum(axis=0) % 2 * 0.2 - 0.1).astype(np.float32)
    assert float(color(image + checkers, image)[0]) < 0.01 * float(color(image + 0.1, image)[0])


@pytest.mark.parametrize("kernel", ["gaussian", ""])
def test_unknown_kernel_raises(kernel):
    with pytest.raises(ValueError, match="'paper', 'released'.*" + kernel):
        color(*random_pair(), kernel=kernel)


@pytest.mark.parametrize("shape", [(), (3, 3, 1)])
def test_kernel_of_wrong_rank_raises(shape):
    with pytest.raises(ValueError, match=r"\[kh, kw\]"):
        color(*random_pair(), kernel=np.ones(shape))
