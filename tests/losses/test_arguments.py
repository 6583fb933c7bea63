"""Unusual arguments of every public function: a result, or an error that names the argument."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppcn_jax import losses, metrics

IMAGES = np.zeros((2, 12, 12, 3), np.float32), np.ones((2, 12, 12, 3), np.float32)
FEATURES = np.zeros((2, 2, 2, 4), np.float32), np.ones((2, 2, 2, 4), np.float32)
MAPS = [FEATURES[0][..., :1]], [FEATURES[1][..., :1]]
LAYERS = [FEATURES[0]], [FEATURES[1]]
LOGITS = (np.zeros((2, 1), np.float32),)
LABELED = *LOGITS, np.array([True, False])

# Function, its tensors, and the kind of each option.
OPTIONS = [
    (losses.l1, IMAGES, {"where": "mask"}),
    (losses.mae, IMAGES, {"where": "mask"}),
    (losses.log_mse, IMAGES, {"where": "mask"}),
    (losses.color, IMAGES, {"where": "mask"}),
    (losses.ssim, IMAGES, {"where": "mask"}),
    (losses.total_variation, IMAGES[:1], {"where": "mask", "form": "choice"}),
    (losses.charbonnier, IMAGES, {"where": "mask", "epsilon": "positive"}),
    (
        losses.edge_aware_total_variation,
        IMAGES,
        {"where": "mask", "edge_sensitivity": "weight"},
    ),
    (losses.gradient, IMAGES, {"where": "mask"}),
    (losses.laplacian, IMAGES, {"levels": "integer"}),
    (losses.focal_frequency, IMAGES, {"alpha": "weight"}),
    (losses.perceptual, FEATURES, {"where": "mask"}),
    (losses.contextual, FEATURES, {"where": "mask"}),
    (
        losses.contextual_map,
        FEATURES,
        {"bandwidth": "positive", "distance": "choice", "where": "mask"},
    ),
    (metrics.psnr, IMAGES, {"where": "mask"}),
    (metrics.ssim, IMAGES, {"where": "mask"}),
    (metrics.ssim_map, IMAGES, {"data_range": "positive", "sigma": "positive"}),
    (metrics.ssim_map, IMAGES, {"k1": "positive", "k2": "positive", "window": "integer"}),
    (losses.ssim, IMAGES, {"data_range": "positive", "sigma": "positive", "window": "integer"}),
    (losses.ssim, IMAGES, {"k1": "positive", "k2": "positive"}),
    (losses.ms_ssim, IMAGES, {"data_range": "positive", "per_channel": "flag"}),
    (losses.log_mse, IMAGES, {"floor": "positive", "clipped": "flag"}),
    (losses.contextual, FEATURES, {"bandwidth": "positive", "distance": "choice"}),
    (losses.contextual_bilateral, FEATURES, {"spatial_weight": "weight"}),
    (
        losses.frequency_distribution,
        FEATURES,
        {"phase_weight": "weight", "projections": "integer", "seed": "seed"},
    ),
    (losses.sliced_wasserstein, FEATURES, {"projections": "integer", "seed": "seed"}),
    (losses.attention, MAPS, {"form": "choice"}),
    (losses.lpips, LAYERS, {"weights": "weights"}),
    (losses.dists, LAYERS, {"alpha": "weights", "beta": "weights"}),
    (losses.color, IMAGES, {"kernel": "choice"}),
    (losses.texture, LOGITS, {"form": "choice"}),
    (losses.discrimination, LABELED, {"real_label": "share", "clip": "flag", "form": "choice"}),
    (losses.relativistic, LOGITS * 2, {"average": "flag"}),
    (metrics.luma, IMAGES[:1], {"data_range": "positive"}),
    (metrics.psnr, IMAGES, {"data_range": "positive"}),
    (metrics.psnr_of_mse, (np.float32(0.1),), {"data_range": "positive"}),
    (metrics.ssim, IMAGES, {"data_range": "positive"}),
    (metrics.ms_ssim, IMAGES, {"data_range": "positive", "per_channel": "flag"}),
]
NUMBER = [("1", TypeError), (True, TypeError), ([1.0], TypeError), (np.ones(2), TypeError)]
BAD = {
    "positive": [(0, ValueError), (-1.5, ValueError), (np.nan, ValueError), (np.inf, ValueError)],
    "mask": [
        (True, ValueError),
        (np.ones((2, 5, 1, 1), bool), ValueError),
        (np.ones((2, 12), bool), ValueError),
        (np.ones((2, 1, 1, 1)), TypeError),
        (1.0, TypeError),
    ],
    "weight": [(-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError), *NUMBER],
    "seed": [(-1, ValueError), (2**32, ValueError), (0.5, TypeError), (True, TypeError)],
    "weights": [
        (1.0, TypeError),
        (np.ones(4, np.float32), TypeError),
        ([np.ones(4, np.int32)], TypeError),
        ([], ValueError),
        ([np.ones(3, np.float32)], ValueError),
        ([np.ones(4, np.float32)] * 2, ValueError),
    ],
    "share": [(-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), *NUMBER],
    "integer": [(0, ValueError), (-3, ValueError), (7.0, TypeError), (True, TypeError)],
    "flag": [(1, TypeError), ("yes", TypeError), (0.0, TypeError), (None, TypeError)],
    "choice": [("other", ValueError), (1, ValueError)],
}
BAD["positive"] += NUMBER


@pytest.mark.parametrize(
    ("function", "tensors", "option", "kind"),
    [
        pytest.param(function, tensors, option, kind, id=f"{function.__name__}-{option}")
        for function, tensors, options in OPTIONS
        for option, kind in options.items()
    ],
)
def test_bad_options_raise_an_error_that_names_them(function, tensors, option, kind):
    for value, error in BAD[kind]:
        with pytest.raises(error, match=f"^{option} must"):
            function(*tensors, **{option: value})


def test_every_option_is_checked():
    functions = [getattr(losses, name) for name in losses.__all__]
    functions += [metrics.luma, metrics.ms_ssim, metrics.psnr, metrics.psnr_of_mse]
    functions += [metrics.ssim, metrics.ssim_map]
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        options = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} - {"axis_name"}
        checked = [set(kinds) for listed, _, kinds in OPTIONS if listed is function]
        assert options == set().union(*checked), function


@pytest.mark.parametrize("number", [np.float64(0.5), np.array(0.5), jnp.float32(0.5)], ids=str)
def test_numbers_of_numpy_and_jax_are_options(number):
    pair = [np.random.default_rng(i).random((1, 2, 3, 4), np.float32) for i in range(2)]
    with jax.numpy_dtype_promotion("strict"):
        value = losses.contextual(*pair, bandwidth=number)
    np.testing.assert_allclose(value, losses.contextual(*pair, bandwidth=0.5), rtol=1e-6)


def test_traced_options():
    pair = [np.random.default_rng(i).random((1, 12, 12, 1), np.float32) for i in range(2)]
    options = {"sigma": 1.1, "data_range": 2, "k1": 0.02, "k2": 0.04}
    value = jax.jit(losses.ssim)(*pair, **options)
    np.testing.assert_allclose(value, losses.ssim(*pair, **options), rtol=1e-5)


@pytest.mark.parametrize("labels", [[0.9, 0.1], [1, 0]], ids=str)
def test_labels_that_are_not_bool_raise(labels):
    with pytest.raises(TypeError, match="is_real must be bool, got"):
        losses.discrimination(*LOGITS, np.array(labels))


def test_attention_of_several_channels_raises():
    with pytest.raises(ValueError, match=r"one channel.*\(2, 2, 2, 4\)"):
        losses.attention(*([x] for x in FEATURES))


# Every function of tensors `[N, ...]`, called with other shapes and types.
FUNCTIONS = {
    **{name: (getattr(losses, name), IMAGES) for name in ("color", "l1", "log_mse", "mae")},
    **{name: (getattr(losses, name), IMAGES) for name in ("ms_ssim", "perceptual", "ssim")},
    **{name: (getattr(losses, name), IMAGES) for name in ("charbonnier", "gradient", "laplacian")},
    "edge_aware_total_variation": (losses.edge_aware_total_variation, IMAGES),
    "focal_frequency": (losses.focal_frequency, IMAGES),
    "attention": (lambda s, t: losses.attention([s], [t]), (MAPS[0][0], MAPS[1][0])),
    "dists": (lambda s, t: losses.dists([s], [t]), FEATURES),
    "fsp": (lambda s, t: losses.fsp([(s, s)], [(t, t)]), FEATURES),
    "lpips": (lambda s, t: losses.lpips([s], [t]), FEATURES),
    "contextual": (losses.contextual, FEATURES),
    "contextual_bilateral": (losses.contextual_bilateral, FEATURES),
    "frequency_distribution": (losses.frequency_distribution, FEATURES),
    "projected_wasserstein": (losses.projected_wasserstein, FEATURES),
    "sliced_wasserstein": (losses.sliced_wasserstein, FEATURES),
    "contextual_map": (losses.contextual_map, FEATURES),
    "metrics.ssim_map": (metrics.ssim_map, IMAGES),
    "total_variation": (losses.total_variation, IMAGES[:1]),
    "real_logit": (losses.real_logit, LOGITS),
    "relativistic": (losses.relativistic, LOGITS * 2),
    "texture": (losses.texture, LOGITS),
    **{f"metrics.{name}": (getattr(metrics, name), IMAGES) for name in ("psnr", "ssim", "ms_ssim")},
    "metrics.luma": (metrics.luma, IMAGES[:1]),
}


@pytest.fixture(params=FUNCTIONS)
def function(request):
    return FUNCTIONS[request.param]


def test_empty_batch(function):
    call, tensors = function
    none = [jax.ShapeDtypeStruct((0, *x.shape[1:]), x.dtype) for x in tensors]
    result = jax.eval_shape(jax.value_and_grad(lambda *x: call(*x).sum()), *none)
    assert jax.tree.map(lambda x: x.shape, result) == ((), none[0].shape)


def test_images_without_values_raise(function):
    call, tensors = function
    without = [np.zeros((2, *(0 for _ in x.shape[1:])), np.float32) for x in tensors]
    with pytest.raises(ValueError, match="at least one value"):
        call(*without)


def test_small_floats_give_float32(function):
    call, tensors = function
    for dtype in ("float8_e4m3fn", "float8_e5m2", "float16", "bfloat16"):
        small = [jax.ShapeDtypeStruct(x.shape, dtype) for x in tensors]
        assert jax.eval_shape(call, *small).dtype == jnp.float32


def test_float8_is_converted_to_float32():
    target = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    prediction = jnp.asarray(target, jnp.float8_e4m3fn)
    expected = losses.mae(prediction.astype(jnp.float32), target)
    np.testing.assert_array_equal(losses.mae(prediction, target), expected)


FOR_KNOWN_SIDES = {"contextual_bilateral", "focal_frequency", "frequency_distribution"}
FOR_KNOWN_SIDES |= {"laplacian", "ms_ssim"}


def test_export_for_any_height_and_width(function):
    call, tensors = function
    if tensors[0].ndim != 4:
        pytest.skip("logits have no height and width")
    height, width = jax.export.symbolic_shape("h, w", constraints=["h >= 11", "w >= 11"])
    shapes = [jax.ShapeDtypeStruct((2, height, width, x.shape[3]), x.dtype) for x in tensors]
    if call.__name__ in FOR_KNOWN_SIDES:
        with pytest.raises(ValueError, match="needs known sides"):
            jax.export.export(jax.jit(call))(*shapes)
        return
    exported = jax.export.export(jax.jit(call))(*shapes)
    assert exported.out_avals[0].dtype == jnp.float32


def test_exported_ssim_without_a_smallest_side_raises():
    height, width = jax.export.symbolic_shape("h, w")
    shape = jax.ShapeDtypeStruct((1, height, width, 3), np.float32)
    with pytest.raises(ValueError, match=r"at least 11 px: pass constraints=\['h >= 11'\]"):
        jax.export.export(jax.jit(losses.ssim))(shape, shape)


@pytest.mark.parametrize("name", ["color", "contextual", "ssim"])
def test_exported_program_gives_the_same_value(name):
    call, tensors = FUNCTIONS[name]
    height, width = jax.export.symbolic_shape("h, w", constraints=["h >= 11", "w >= 11"])
    shapes = [jax.ShapeDtypeStruct((1, height, width, x.shape[3]), x.dtype) for x in tensors]
    rng = np.random.default_rng(0)
    pair = [rng.random((1, 12, 11, x.shape[3]), np.float32) for x in tensors]
    value = jax.export.export(jax.jit(call))(*shapes).call(*pair)
    np.testing.assert_allclose(value, call(*pair), rtol=1e-5)
