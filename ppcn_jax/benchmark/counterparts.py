"""Losses and metrics in other libraries: which call gives the same number, and which does not.

The calls are expressions, not functions: docs/agreements.py evaluates them and prints them in
docs/api/other_libraries.md, and the benchmark times them. Names in them:

y, t      a prediction and its target, images in [0, 1]
y2, t2    images with larger and odd sides
f, g      features of a prediction and its target, 16 channels
z, real   logits of four images, `[4, 1]`, and which of these are real, `[4]`: 1.0 or 0.0

Images and features are `[N, H, W, C]` for this package and other libraries of JAX and TensorFlow,
`[N, C, H, W]` for libraries of PyTorch; those of NumPy get one `[H, W, C]` after the other.
"""

import importlib.util
import re
from typing import Literal, NamedTuple


class Library(NamedTuple):
    """A library: what its calls name it, the module of that name, and its arrays."""

    alias: str
    module: str
    arrays: Literal["jax", "numpy", "tensorflow", "torch"]


LIBRARIES = {
    "TensorFlow": Library("tf", "tensorflow", "tensorflow"),
    "PyTorch": Library("F", "torch.nn.functional", "torch"),
    "torchmetrics": Library("tm", "torchmetrics.functional", "torch"),
    "piq": Library("piq", "piq", "torch"),
    "pytorch-msssim": Library("pytorch_msssim", "pytorch_msssim", "torch"),
    "kornia": Library("kornia", "kornia", "torch"),
    "scikit-image": Library("skimage", "skimage", "numpy"),
    "dm_pix": Library("dm_pix", "dm_pix", "jax"),
    "Optax": Library("optax", "optax", "jax"),
    "focal-frequency-loss": Library("focal_frequency_loss", "focal_frequency_loss", "torch"),
    "SciPy": Library("scipy", "scipy", "numpy"),
    "POT": Library("ot", "ot", "numpy"),
}

WHOLE_BATCH = "the logarithm of the mean over the batch, not the mean of each image's value"
BORDERS = "windows reach over the border, into a reflection of the image"
SUM = "a sum over both directions; here each is averaged separately"
FULL_RANGE = "luma in full range, [0, 1]; here in studio range, [16/255, 235/255]"
PER_CHANNEL = "the scales of each channel are multiplied, as here with `per_channel=True`"
_WINDOW = "gaussian_weights=True, sigma=1.5, use_sample_covariance=False"
_SKIMAGE_SSIM = "skimage.metrics.structural_similarity(y, t, data_range=1.0, channel_axis=-1"
_TORCHMETRICS_SSIM = "tm.image.structural_similarity_index_measure"
_TORCHMETRICS_MAP = (
    f"{_TORCHMETRICS_SSIM}(y, t, data_range=1.0, return_full_image=True)[1][..., 5:-5, 5:-5]"
)

# What gives the same number: expression of this package -> library -> its expression.
SAME: dict[str, dict[str, str]] = {
    "losses.mae(y, t)": {
        "TensorFlow": "tf.reduce_mean(tf.keras.losses.mae(t, y), (1, 2))",
        "dm_pix": "dm_pix.mae(y, t)",
    },
    "losses.mae(y, t).mean()": {
        "PyTorch": "F.l1_loss(y, t)",
        "torchmetrics": "tm.mean_absolute_error(y, t)",
    },
    "losses.charbonnier(y, t, epsilon=1.0).mean()": {
        "kornia": 'kornia.losses.charbonnier_loss(y, t, reduction="mean")',
    },
    "losses.gradient(y, t)": {
        "kornia": 'kornia.losses.total_variation(y - t, reduction="mean").mean(1)',
    },
    'losses.total_variation(y, form="l1")': {
        "kornia": 'kornia.losses.total_variation(y, reduction="mean").mean(1)',
    },
    "losses.edge_aware_total_variation(y, t, edge_sensitivity=1.0).mean()": {
        "kornia": "kornia.losses.inverse_depth_smoothness_loss(y, t)",
    },
    "losses.focal_frequency(y, t).mean()": {
        "focal-frequency-loss": "focal_frequency_loss.FocalFrequencyLoss()(y, t)",
    },
    "losses.l1(y, t).sum()": {
        "PyTorch": 'F.l1_loss(y, t, reduction="sum")',
    },
    "metrics.psnr(y, t)": {
        "TensorFlow": "tf.image.psnr(y, t, 1.0)",
        "dm_pix": "dm_pix.psnr(y, t)",
        "scikit-image": "skimage.metrics.peak_signal_noise_ratio(t, y, data_range=1.0)",
        "piq": 'piq.psnr(y, t, reduction="none")',
        "torchmetrics": (
            "tm.image.peak_signal_noise_ratio("
            'y, t, data_range=1.0, dim=(1, 2, 3), reduction="none")'
        ),
    },
    "metrics.psnr(y[:1], t[:1])": {
        "kornia": "kornia.metrics.psnr(y[:1], t[:1], 1.0)[None]",
    },
    "metrics.psnr_of_mse(jnp.mean((y - t) ** 2))": {
        "kornia": "kornia.metrics.psnr(y, t, 1.0)",
    },
    "losses.ssim(y, t)": {
        "TensorFlow": "1 - tf.image.ssim(y, t, 1.0)",
        "dm_pix": "1 - dm_pix.ssim(y, t)",
        "piq": 'piq.SSIMLoss(reduction="none")(y, t)',
        "pytorch-msssim": "1 - pytorch_msssim.ssim(y, t, data_range=1.0, size_average=False)",
        "torchmetrics": f"1 - {_TORCHMETRICS_MAP}.mean((1, 2, 3))",
    },
    "losses.ssim(y, t).mean()": {
        "kornia": '2 * kornia.losses.ssim_loss(y, t, 11, padding="valid")',
    },
    "metrics.ssim(y, t)": {
        "TensorFlow": "tf.image.ssim(y, t, 1.0)",
        "dm_pix": "dm_pix.ssim(y, t)",
        "scikit-image": f"{_SKIMAGE_SSIM}, {_WINDOW})",
        "piq": 'piq.ssim(y, t, reduction="none")',
        "pytorch-msssim": "pytorch_msssim.ssim(y, t, data_range=1.0, size_average=False)",
        "kornia": 'kornia.metrics.ssim(y, t, 11, padding="valid").mean((1, 2, 3))',
        "torchmetrics": f"{_TORCHMETRICS_MAP}.mean((1, 2, 3))",
    },
    "metrics.ssim(y2, t2)": {
        "piq": 'piq.ssim(y2, t2, reduction="none", downsample=False)',
    },
    "metrics.ssim_map(y, t)": {
        "dm_pix": "dm_pix.ssim(y, t, return_map=True)",
        "kornia": 'kornia.metrics.ssim(y, t, 11, padding="valid").permute(0, 2, 3, 1)',
        "torchmetrics": f"{_TORCHMETRICS_MAP}.permute(0, 2, 3, 1)",
        "scikit-image": f"{_SKIMAGE_SSIM}, {_WINDOW}, full=True)[1][5:-5, 5:-5]",
    },
    "metrics.ssim_map(y, t).mean(3)": {
        "TensorFlow": "tf.image.ssim(y, t, 1.0, return_index_map=True)",
    },
    "losses.ms_ssim(y, t, per_channel=True)": {
        "TensorFlow": "1 - tf.image.ssim_multiscale(y, t, 1.0)",
        "piq": 'piq.MultiScaleSSIMLoss(reduction="none")(y, t)',
        "pytorch-msssim": "1 - pytorch_msssim.ms_ssim(y, t, data_range=1.0, size_average=False)",
    },
    "metrics.ms_ssim(y, t, per_channel=True)": {
        "TensorFlow": "tf.image.ssim_multiscale(y, t, 1.0)",
        "piq": 'piq.multi_scale_ssim(y, t, reduction="none")',
        "pytorch-msssim": "pytorch_msssim.ms_ssim(y, t, data_range=1.0, size_average=False)",
    },
    "metrics.ms_ssim(y2[:, :181, :195], t2[:, :181, :195], per_channel=True)": {
        "TensorFlow": "tf.image.ssim_multiscale(y2[:, :181, :195], t2[:, :181, :195], 1.0)",
    },
    "metrics.luma(y)": {
        "scikit-image": "skimage.color.rgb2ycbcr(y)[..., :1] / 255",
    },
    "losses.perceptual(f, g)": {
        "TensorFlow": "tf.reduce_mean(tf.keras.losses.mse(g, f), (1, 2))",
        "dm_pix": "dm_pix.mse(f, g)",
        "scikit-image": "skimage.metrics.mean_squared_error(g, f)",
    },
    "losses.perceptual(f, g).mean()": {
        "PyTorch": "F.mse_loss(f, g)",
        "torchmetrics": "tm.mean_squared_error(f, g)",
    },
    "losses.projected_wasserstein(f[..., :1], g[..., :1])": {
        "SciPy": "scipy.stats.wasserstein_distance(f[..., 0].ravel(), g[..., 0].ravel())",
    },
    "losses.projected_wasserstein(f, g)": {
        "POT": "ot.wasserstein_1d(f.reshape(-1, 16), g.reshape(-1, 16)).mean()",
    },
    "losses.discrimination(z, real > 0)": {
        "PyTorch": 'F.binary_cross_entropy_with_logits(z[:, 0], real, reduction="none")',
        "TensorFlow": "tf.nn.sigmoid_cross_entropy_with_logits(real, z[:, 0])",
        "Optax": "optax.sigmoid_binary_cross_entropy(z[:, 0], real)",
    },
    "losses.discrimination(z, real > 0, real_label=0.9)": {
        "PyTorch": 'F.binary_cross_entropy_with_logits(z[:, 0], 0.9 * real, reduction="none")',
    },
    "losses.texture(z)": {
        "PyTorch": "F.softplus(-z[:, 0])",
        "TensorFlow": "tf.nn.softplus(-z[:, 0])",
    },
    'losses.texture(z, form="saturating")': {
        "PyTorch": "F.logsigmoid(-z[:, 0])",
    },
    "losses.relativistic(z, z[::-1])": {
        "PyTorch": "F.softplus(z.flip(0) - z)[:, 0]",
    },
    "losses.lpips([f], [g])": {
        "PyTorch": "2 - 2 * F.cosine_similarity(f, g, dim=1).mean((1, 2))",
    },
}
# What gives another number, with the reason.
DIFFERENT: dict[str, dict[str, tuple[str, str]]] = {
    "metrics.psnr(y, t).mean()": {
        "torchmetrics": ("tm.image.peak_signal_noise_ratio(y, t, data_range=1.0)", WHOLE_BATCH),
        "kornia": ("kornia.metrics.psnr(y, t, 1.0)", WHOLE_BATCH),
    },
    "losses.ssim(y, t).mean()": {
        "kornia": ("kornia.losses.ssim_loss(y, t, 11)", f"half of 1 - SSIM, and {BORDERS}"),
    },
    "metrics.ssim(y, t)": {
        "scikit-image": (
            f"{_SKIMAGE_SSIM})",
            "a uniform window of 7 px and sample covariances by default",
        ),
        "pytorch-msssim": (
            "pytorch_msssim.ssim(y, t, size_average=False)",
            "takes pixel values to be in [0, 255] by default",
        ),
        "kornia": ("kornia.metrics.ssim(y, t, 11).mean((1, 2, 3))", BORDERS),
        "torchmetrics": (f'{_TORCHMETRICS_SSIM}(y, t, reduction="none", data_range=1.0)', BORDERS),
    },
    "metrics.ssim(y2, t2)": {
        "piq": (
            'piq.ssim(y2, t2, reduction="none")',
            "shrinks images whose shorter side is at least 384 px",
        ),
    },
    "losses.ms_ssim(y[:1, :32, :32], t[:1, :32, :32]).mean()": {
        "kornia": (
            "kornia.losses.MS_SSIMLoss()(y[:1, :, :32, :32], t[:1, :, :32, :32])",
            "another loss: windows of five sizes on the image at one scale, plus an L1 term",
        ),
    },
    "metrics.ms_ssim(y, t)": {
        "TensorFlow": ("tf.image.ssim_multiscale(y, t, 1.0)", PER_CHANNEL),
    },
    "metrics.ms_ssim(y[:, :176, :176], t[:, :176, :176])": {
        "torchmetrics": (
            "tm.image.multiscale_structural_similarity_index_measure("
            'y[..., :176, :176], t[..., :176, :176], data_range=1.0, reduction="none")',
            f"at the last scale {BORDERS}",
        ),
    },
    "metrics.ms_ssim(y2[:, :181, :195], t2[:, :181, :195], per_channel=True)": {
        "piq": (
            'piq.multi_scale_ssim(y2[..., :181, :195], t2[..., :181, :195], reduction="none")',
            "repeats the first row or column of odd sides; here the last one",
        ),
        "pytorch-msssim": (
            "pytorch_msssim.ms_ssim("
            "y2[..., :181, :195], t2[..., :181, :195], data_range=1.0, size_average=False)",
            "pads odd sides with zeros; here by repeating the last row or column",
        ),
    },
    "metrics.luma(y)": {
        "TensorFlow": ("tf.image.rgb_to_grayscale(y)", FULL_RANGE),
        "kornia": ("kornia.color.rgb_to_ycbcr(y)[:, :1].permute(0, 2, 3, 1)", FULL_RANGE),
    },
    'losses.total_variation(y, form="l1")': {
        "TensorFlow": ("tf.image.total_variation(y)", SUM),
        "torchmetrics": ('tm.image.total_variation(y, reduction="none")', SUM),
        "piq": ('piq.total_variation(y, reduction="none", norm_type="l1")', SUM),
    },
    "losses.total_variation(y)": {
        "piq": ('piq.total_variation(y, reduction="none", norm_type="l2_squared")', SUM),
    },
    "losses.laplacian(y, t)": {
        "kornia": (
            "sum((a - b).abs().mean((1, 2, 3)) for a, b in zip(*("
            "kornia.geometry.build_laplacian_pyramid(x, 5) for x in (y, t))))",
            "the pyramid continues an image by reflection; here by its last pixels",
        ),
    },
    "losses.sliced_wasserstein(f, g)": {
        "POT": (
            "ot.sliced_wasserstein_distance("
            "f.reshape(-1, 16), g.reshape(-1, 16), n_projections=64, seed=0, p=1)",
            "the same mean over other random directions",
        ),
    },
    "losses.discrimination(z, real > 0, real_label=0.9).mean()": {
        "TensorFlow": (
            "tf.keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)"
            "(real[:, None], z)",
            "the labels of both classes are smoothed; here those of real images alone",
        ),
    },
}

# Calls of the functions that none of these libraries has, or none without fetching weights.
ALONE = (
    "losses.attention([f[..., :1]], [g[..., :1]])",
    "losses.color(y, t)",
    "losses.contextual(f, g)",
    "losses.contextual_bilateral(f, g)",
    "losses.contextual_map(f, g)",
    "losses.dists([f], [g])",
    "losses.frequency_distribution(f, g)",
    "losses.fsp([(f, f)], [(g, g)])",
    "losses.log_mse(y, t)",
    "losses.paper_blur()",
    "losses.real_logit(z)",
    "losses.released_blur()",
)


def is_installed(library: str) -> bool:
    """Tell if a library can be imported."""
    return importlib.util.find_spec(LIBRARIES[library].module.partition(".")[0]) is not None


def function_of(ours: str) -> str:
    """The function of this package that an expression calls, `losses.NAME` or `metrics.NAME`."""
    return re.findall(r"\b(?:losses|metrics)\.\w+", ours)[0]
