"""The comparison of exported files with JAX, and its images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ppcn_jax.export.contract import clipped
from ppcn_jax.export.images import as_input, cut, read_photos, synthetic_photo
from ppcn_jax.export.verify import Difference, compare
from ppcn_jax.photos.resize import enlarge, shrink
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import Model, make_network


@pytest.fixture(scope="module")
def models(random_params):
    models = {}
    for name in ("student", "super_resolver"):
        module = make_network(name)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)))
        models[name] = Model(name, "paper", {}, params, "random")
    return models


def test_compare(models):
    model = models["student"]
    images = [as_input(model, synthetic_photo(20, 30)), as_input(model, synthetic_photo(17, 16))]

    def run(batch):
        result = np.array(jax.jit(clipped(model))(batch))
        if batch.shape[1] == 17:
            result[0, 3, 4, 1] += 0.25
        return result

    difference = compare(clipped(model), run, images)
    values = sum(i.size for i in images)
    assert difference.largest == pytest.approx(0.25, abs=1e-6)
    assert difference.psnr == pytest.approx(10 * np.log10(values / 0.25**2), abs=1e-3)
    expected = [np.asarray(jax.jit(clipped(model))(i)) for i in images]
    inside = sum(np.sum((e > 0) & (e < 1)) for e in expected)
    assert difference.unclipped == inside / values


def test_compare_refuses_another_shape_or_type(models):
    images = [as_input(models["student"], synthetic_photo(20, 30))]
    with pytest.raises(InputError, match=r"float32 \(1, 19, 30, 3\)"):
        compare(clipped(models["student"]), lambda batch: batch[:, 1:], images)
    with pytest.raises(InputError, match="float64"):
        compare(clipped(models["student"]), lambda batch: batch.astype(np.float64), images)


def test_nan_is_a_difference(models):
    images = [as_input(models["student"], synthetic_photo(20, 30))] * 2
    results = iter([np.full_like(images[0], np.nan), np.zeros_like(images[0])])
    difference = compare(clipped(models["student"]), lambda _: next(results), images)
    for precision in ("float32", "float16", "int8"):
        with pytest.raises(InputError, match="nan"):
            difference.check(precision)


@pytest.mark.parametrize(
    ("precision", "good", "bad"),
    [
        ("float32", Difference(9e-5, 90, 1), Difference(2e-4, 90, 1)),
        ("float16", Difference(3e-3, 60, 1), Difference(5e-3, 60, 1)),
        ("int8", Difference(0.5, 16, 1), Difference(0.5, 14, 1)),
    ],
)
def test_bounds(precision, good, bad):
    good.check(precision)
    with pytest.raises(InputError, match="was not kept"):
        bad.check(precision)


def test_clipped_results_prove_nothing():
    with pytest.raises(InputError, match="proves nothing"):
        Difference(0, np.inf, 0.05).check("float32")


def test_cut():
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    np.testing.assert_array_equal(cut(image, 3, 5), image[1:4, 1:6])
    larger = cut(image, 8, 7)
    np.testing.assert_array_equal(larger, np.concatenate([image, image[:1:-1]]))


def test_synthetic_photo_is_deterministic_and_like_a_photo():
    photo = synthetic_photo(90, 120)
    np.testing.assert_array_equal(photo, synthetic_photo(90, 120))
    assert 80 < photo.mean() < 150 and photo.std() > 25
    neighbors = np.corrcoef(photo[:, 1:].ravel(), photo[:, :-1].ravel())[0, 1]
    assert 0.8 < neighbors < 1


def test_as_input(models):
    photo = synthetic_photo(18, 23)
    np.testing.assert_array_equal(as_input(models["student"], photo)[0], photo / np.float32(255))
    bicubic = enlarge(shrink(cut(photo, 20, 24), 4), 4)[:18, :23]
    np.testing.assert_array_equal(
        as_input(models["super_resolver"], photo)[0], bicubic / np.float32(255)
    )


def test_read_photos(tmp_path):
    photo = synthetic_photo(40, 50)
    for name in ("b.png", "a.png"):
        Image.fromarray(photo if name == "b.png" else photo[::-1]).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("none", encoding="utf-8")
    a, b = read_photos([tmp_path], 30, 40)
    np.testing.assert_array_equal(b, photo[5:35, 5:45])
    np.testing.assert_array_equal(a, photo[::-1][5:35, 5:45])
    (tmp_path / "empty").mkdir()
    for wrong, message in (("empty", "has no photos"), ("notes.txt", "notes.txt")):
        with pytest.raises(InputError, match=message):
            read_photos([tmp_path / "b.png", tmp_path / wrong], 30, 40)
