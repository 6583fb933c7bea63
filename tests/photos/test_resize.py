"""Both bicubic kernels: definition, shapes, errors, and the published baseline."""

import numpy as np
import pytest
from PIL import Image

from data.sources import high_resolution
from ppcn_jax.photos.resize import KERNELS, crop_to_multiple, enlarge, shrink
from tests import references

both_kernels = pytest.mark.parametrize("kernel", KERNELS)


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(36, 24), (12, 60), (12, 12)])
def test_the_matlab_kernel_equals_its_definition(scale, channels, height, width):
    image = noise(height, width, channels)
    for name, resize, factor in (("shrink", shrink, 1 / scale), ("enlarge", enlarge, scale)):
        actual = resize(image, scale, kernel="matlab")
        np.testing.assert_array_equal(actual, references.imresize(image, factor), err_msg=name)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_pillow_kernel_is_pillows(scale):
    image = noise(36, 48)
    pillow = Image.fromarray(image)
    small = pillow.resize((48 // scale, 36 // scale), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(shrink(image, scale), np.asarray(small))
    large = pillow.resize((48 * scale, 36 * scale), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(enlarge(image, scale), np.asarray(large))


def test_the_loader_degrades_as_the_evaluation_does():
    image = noise(36, 48)
    expected = enlarge(shrink(image, 4), 4)
    np.testing.assert_array_equal(high_resolution.degrade(image, 4), expected)


@both_kernels
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_and_types(kernel, channels):
    image = noise(12, 20, channels)
    assert shrink(image, 4, kernel=kernel).shape == (3, 5, channels)
    assert enlarge(image, 3, kernel=kernel).shape == (36, 60, channels)
    assert shrink(image, 4, kernel=kernel).dtype == np.uint8
    np.testing.assert_array_equal(enlarge(image, 1, kernel=kernel), image)


@both_kernels
def test_flat_images_stay_flat(kernel):
    for value in (0, 1, 127, 255):
        image = np.full((16, 24, 3), value, np.uint8)
        assert (shrink(image, 4, kernel=kernel) == value).all()
        assert (enlarge(image, 4, kernel=kernel) == value).all()


@both_kernels
def test_channels_do_not_mix(kernel):
    image = noise(24, 32)
    together = enlarge(shrink(image, 4, kernel=kernel), 4, kernel=kernel)
    for channel in range(3):
        single = image[..., channel : channel + 1]
        single = enlarge(shrink(single, 4, kernel=kernel), 4, kernel=kernel)
        np.testing.assert_array_equal(together[..., channel : channel + 1], single)


@both_kernels
def test_overshoot_is_clipped(kernel):
    step = np.repeat(np.array([0, 255], np.uint8), 8)
    image = np.broadcast_to(step[None, :, None], (16, 16, 3)).copy()
    large = enlarge(image, 4, kernel=kernel)
    assert large[:, :20].max() == 0 and large[:, -20:].min() == 255


def test_crop_to_multiple_keeps_the_top_left():
    image = noise(19, 23)
    np.testing.assert_array_equal(crop_to_multiple(image, 4), image[:16, :20])
    np.testing.assert_array_equal(crop_to_multiple(image, 1), image)


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (noise(8, 8).astype(np.float32), {}, TypeError, "uint8, got float32"),
        (noise(8, 8)[..., 0], {}, ValueError, r"H, W, 1 or 3\], got \(8, 8\)"),
        (noise(8, 8, 4), {}, ValueError, "H, W, 1 or 3"),
        (noise(0, 8), {}, ValueError, "H, W, 1 or 3"),
        (noise(8, 8), {"scale": 0}, ValueError, "at least 1, not 0"),
        (noise(8, 8), {"kernel": "lanczos"}, ValueError, "pillow, matlab, not 'lanczos'"),
    ],
)
@pytest.mark.parametrize("resize", [shrink, enlarge])
def test_invalid_arguments_raise(resize, image, options, error, message):
    with pytest.raises(error, match=message):
        resize(image, **{"scale": 4, **options})


def test_sides_must_be_multiples_to_be_shrunk():
    with pytest.raises(ValueError, match=r"multiples of 4 to be shrunk, got \(8, 9, 3\)"):
        shrink(noise(8, 9), 4)


def y_of(images):
    return images if images.shape[3] == 1 else references.luma(images, data_range=255)


# Published for MATLAB's kernel: 28.42 / 0.8104 and 26.00 / 0.7027. These values round the small
# image to 8 bits and do not round Y.
@pytest.mark.parametrize(
    ("name", "kernel", "decibels", "similarity"),
    [
        ("set5", "matlab", 28.42, 0.8104),
        ("set5", "pillow", 28.43, 0.8104),
        ("set14", "matlab", 26.00, 0.7027),
        ("set14", "pillow", 26.00, 0.7027),
    ],
)
def test_bicubic_baseline(shared, name, kernel, decibels, similarity):
    folder = shared / "data" / name
    if not folder.is_dir():
        pytest.skip(f"no data/{name}; its images are in jbhuang0604/SelfExSR on GitHub")
    scores = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as file:
            image = np.atleast_3d(np.asarray(file))  # one image has a single channel
        image = crop_to_multiple(image, 4)
        low = enlarge(shrink(image, 4, kernel=kernel), 4, kernel=kernel)
        pair = [y_of(x[None, 4:-4, 4:-4]) for x in (low, image)]
        for metric in (references.psnr, references.mean_similarity_of_photo):
            scores.extend(metric(*pair, data_range=255))
    assert np.mean(scores[::2]) == pytest.approx(decibels, abs=1e-2)
    assert np.mean(scores[1::2]) == pytest.approx(similarity, abs=1e-3)
