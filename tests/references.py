"""Slow, obvious float64 versions of losses, metrics and networks, written from their formulas.

Images and features are NumPy `[N, H, W, C]`. Nothing here is shared with the code under test.
"""

import numpy as np
from scipy import ndimage
from scipy.special import expit, ndtr


def per_image(function):
    """Lift `f(image, ...) -> float` of float64 images to `[N, ...] -> float64[N]`."""

    def lifted(*batches, **knobs):
        batches = [np.asarray(batch, np.float64) for batch in batches]
        return np.array([function(*images, **knobs) for images in zip(*batches, strict=True)])

    return lifted


def numerical_gradient(function, x, coordinates, step=1e-6):
    """Central differences of a scalar function of a float64 array at a few coordinates."""
    x = np.asarray(x, np.float64)
    slopes = []
    for coordinate in coordinates:
        up, down = x.copy(), x.copy()
        up[coordinate] += step
        down[coordinate] -= step
        slopes.append((function(up) - function(down)) / (2 * step))
    return np.array(slopes)


def assert_gradients_close(actual, expected, fraction=2e-3):
    """Equal within a fraction of the largest expected element: small ones are rounding noise."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=fraction * np.abs(expected).max())


# Losses


@per_image
def l1(y, t):
    return np.abs(y - t).sum()


@per_image
def mae(y, t):
    return np.abs(y - t).sum() / y.size


@per_image
def log_mse(y, t):
    return np.log(((y - t) ** 2).sum() / y.size + 1e-4) - np.log(1e-4)


@per_image
def perceptual(y, t):
    return ((y - t) ** 2).sum() / y.size


@per_image
def total_variation(y):
    height, width, channels = y.shape
    down = sum(((y[i + 1] - y[i]) ** 2).sum() for i in range(height - 1))
    right = sum(((y[:, j + 1] - y[:, j]) ** 2).sum() for j in range(width - 1))
    return down / ((height - 1) * width * channels) + right / (height * (width - 1) * channels)


def blur_kernel(name):
    """The whole 21 x 21 kernel of the color loss, "paper" or "released"."""
    k = np.arange(-10, 11)
    if name == "paper":
        return 0.053 * np.exp(-(k[:, None] ** 2 + k[None, :] ** 2) / (2 * 3.0))
    # The normal distribution's mass in 21 cells, which end 7 / 21 / 2 beyond +-3 deviations.
    edge = 3 + 7 / 21 / 2
    g = np.diff(ndtr(np.linspace(-edge, edge, 22)))
    root = np.sqrt(np.outer(g, g))
    return root / root.sum()


def blur(image, kernel):
    return np.stack(
        [ndimage.correlate(c, kernel, mode="constant") for c in np.moveaxis(image, 2, 0)], 2
    )


@per_image
def color(y, t, *, kernel):
    return ((blur(y, kernel) - blur(t, kernel)) ** 2).sum()


def gaussian_window(size, sigma):
    values = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            rows, columns = i - (size - 1) / 2, j - (size - 1) / 2
            values[i, j] = np.exp(-(rows**2 + columns**2) / (2 * sigma**2))
    return values / values.sum()


def similarity(y, t, *, data_range=1.0, window=11, sigma=1.5, k1=0.01, k2=0.03):
    """Means over positions and channels of SSIM and of its contrast-structure factor."""
    weights = gaussian_window(window, sigma)
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    whole, contrasts = [], []
    for channel in range(y.shape[2]):
        a, b = (
            np.lib.stride_tricks.sliding_window_view(x[:, :, channel], (window, window))
            for x in (y, t)
        )
        mean_a, mean_b = ((weights * x).sum(axis=(2, 3), keepdims=True) for x in (a, b))
        variance_a = (weights * (a - mean_a) ** 2).sum(axis=(2, 3))
        variance_b = (weights * (b - mean_b) ** 2).sum(axis=(2, 3))
        covariance = (weights * (a - mean_a) * (b - mean_b)).sum(axis=(2, 3))
        mean_a, mean_b = mean_a[:, :, 0, 0], mean_b[:, :, 0, 0]
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
        whole.append(luminance * contrast)
        contrasts.append(contrast)
    return np.mean(whole), np.mean(contrasts)


@per_image
def ssim(y, t, **knobs):
    return 1 - similarity(y, t, **knobs)[0]


def contextual(prediction, target, *, bandwidth=0.5, distance="cosine"):
    prediction, target = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    channels = target.shape[3]
    center = target.reshape(-1, channels).mean(axis=0)
    values = []
    for y, t in zip(prediction, target, strict=True):
        y, t = y.reshape(-1, channels), t.reshape(-1, channels)
        affinity = np.empty((len(y), len(t)))
        for i in range(len(y)):
            d = np.empty(len(t))
            for j in range(len(t)):
                if distance == "cosine":
                    a, b = y[i] - center, t[j] - center
                    d[j] = (1 - a @ b / np.sqrt((a @ a) * (b @ b))) / 2
                else:
                    d[j] = ((y[i] - t[j]) ** 2).sum()
            w = np.exp((1 - d / (d.min() + 1e-5)) / bandwidth)
            affinity[i] = w / w.sum()
        values.append(-np.log(affinity.max(axis=0).mean()))
    return np.array(values)


@per_image
def attention_map_distance(student, teacher, *, form):
    difference = student / np.sqrt((student**2).sum()) - teacher / np.sqrt((teacher**2).sum())
    square = (difference**2).sum()
    return square / 2 if form == "squared" else np.sqrt(square)


def attention(prediction, target, *, form="norm"):
    return sum(
        attention_map_distance(s, t, form=form) for s, t in zip(prediction, target, strict=True)
    )


def probability_real(logits):
    """D: sigmoid of one logit, or the first class of a softmax over two."""
    logits = np.asarray(logits, np.float64)
    if logits.shape[1] == 1:
        return expit(logits[:, 0])
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials[:, 0] / exponentials.sum(axis=1)


def texture(logits, *, form="non_saturating"):
    d = probability_real(logits)
    return -np.log(d) if form == "non_saturating" else np.log(np.clip(1 - d, 1e-10, 1))


def discrimination(logits, is_real, *, real_label=1.0, clip=False):
    d = probability_real(logits)
    q = np.where(is_real, real_label, 0.0)
    floor = 1e-10 if clip else 0.0
    return -(q * np.log(np.maximum(d, floor)) + (1 - q) * np.log(np.maximum(1 - d, floor)))


# Metrics


@per_image
def psnr(y, t, *, data_range=1.0):
    return 10 * np.log10(data_range**2 / np.mean((y - t) ** 2))


@per_image
def mean_similarity(y, t, *, data_range=1.0):
    return similarity(y, t, data_range=data_range)[0]


@per_image
def mean_similarity_of_photo(y, t, *, data_range=1.0):
    """`mean_similarity` by filters, for images on which the obvious form takes minutes."""

    def local_mean(x):
        return ndimage.gaussian_filter(x, 1.5, radius=5, axes=(0, 1))[5:-5, 5:-5]

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_y, mean_t = local_mean(y), local_mean(t)
    variances = local_mean(y * y) - mean_y**2 + local_mean(t * t) - mean_t**2
    covariance = local_mean(y * t) - mean_y * mean_t
    luminance = (2 * mean_y * mean_t + c1) / (mean_y**2 + mean_t**2 + c1)
    return np.mean(luminance * (2 * covariance + c2) / (variances + c2))


@per_image
def luma(image, *, data_range=1.0):
    """ITU-R BT.601: Y of 219 levels above 16, from the primaries' luminances."""
    y = image @ [0.299, 0.587, 0.114] / data_range
    return (16 + 219 * y)[..., None] * data_range / 255


def halve(image):
    """2 x 2 mean with reflection at the border, then every second pixel."""
    kernel = np.full((2, 2, 1), 0.25)
    return ndimage.convolve(image, kernel, mode="reflect")[::2, ::2]


@per_image
def ms_ssim(y, t, *, data_range=1.0, floor=0.0):
    product = 1.0
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    for scale, weight in enumerate(weights):
        window = min(11, y.shape[0], y.shape[1])
        whole, contrast = similarity(
            y, t, data_range=data_range, window=window, sigma=1.5 * window / 11
        )
        product *= max(whole if scale == len(weights) - 1 else contrast, floor) ** weight
        y, t = halve(y), halve(t)
    return product


# Resizing


def imresize(image, factor):
    """MATLAB's imresize(image, factor) of a uint8 image, factor 1/n or n, pixel by pixel."""
    for axis in (0, 1):
        lines = np.moveaxis(image, axis, 0).astype(np.float64)
        inputs = len(lines)
        outputs = []
        for i in range(1, round(inputs * factor) + 1):  # MATLAB counts from 1
            center = i / factor + 0.5 * (1 - 1 / factor)
            shrinking = min(factor, 1)
            total, weights = 0, 0
            for j in range(int(center - 3 / shrinking) - 2, int(center + 3 / shrinking) + 3):
                weight = shrinking * cubic(shrinking * (center - j))
                inside = j
                if j < 1:
                    inside = 1 - j
                elif j > inputs:
                    inside = 2 * inputs + 1 - j
                if weight:
                    total, weights = total + weight * lines[inside - 1], weights + weight
            outputs.append(total / weights)
        rounded = np.floor(np.clip(outputs, 0, 255) + 0.5).astype(np.uint8)
        image = np.moveaxis(rounded, 0, axis)
    return image


def cubic(x, a=-0.5):
    """Keys's kernel."""
    x = abs(x)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0


# Networks, on nested dicts of parameters under the names of the Flax modules


def gray(images):
    images = np.asarray(images, np.float64)
    return (images @ [0.2989, 0.587, 0.114])[..., None]


def conv(x, layer, *, stride=1, dilation=1):
    kernel, bias = (np.asarray(layer[name], np.float64) for name in ("kernel", "bias"))
    height, width, inputs, outputs = kernel.shape
    spread = np.zeros(((height - 1) * dilation + 1, (width - 1) * dilation + 1, inputs, outputs))
    spread[::dilation, ::dilation] = kernel
    padding = [(0, 0)]
    for side, taps in zip(x.shape[1:3], spread.shape[:2], strict=True):
        total = max((int(np.ceil(side / stride)) - 1) * stride + taps - side, 0)
        padding.append((total // 2, total - total // 2))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, [*padding, (0, 0)]), spread.shape[:2], (1, 2)
    )
    return (
        np.einsum("nhwcij,ijco->nhwo", windows[:, ::stride, ::stride], spread, optimize=True) + bias
    )


def lrelu(x, slope=0.05):
    return np.where(x > 0, x, slope * x)


def instance_norm(x, layer):
    mean = x.mean(axis=(1, 2), keepdims=True)
    variance = ((x - mean) ** 2).mean(axis=(1, 2), keepdims=True)
    scale, shift = (np.asarray(layer[name], np.float64) for name in ("scale", "shift"))
    return scale * (x - mean) / np.sqrt(variance + 1e-3) + shift


def stretch_contrast(x):
    mean = x.mean(axis=(1, 2), keepdims=True)
    return 1.2 * (x - mean) + mean


def enhanced(x, stages):
    return 0.58 * np.tanh(x) + 0.5, tuple(stage.mean(axis=3, keepdims=True) for stage in stages)


def student(p, images):
    """Output and attention taps."""
    x = stretch_contrast(np.asarray(images, np.float64))
    c0 = lrelu(conv(x, p["conv0"]))
    c1 = lrelu(conv(c0, p["conv1"]))
    c2 = lrelu(instance_norm(conv(c1, p["conv2"], dilation=2), p["norm2"]))
    c3 = lrelu(instance_norm(conv(c2, p["conv3"], dilation=2), p["norm3"])) + c1
    return enhanced(conv(c3, p["conv4"]), (c1, c3))


def teacher(p, images):
    """Output and attention taps."""
    x = stretch_contrast(np.asarray(images, np.float64))
    c0 = lrelu(conv(x, p["conv0"]))
    c1 = lrelu(conv(c0, p["conv1"]))
    c2 = lrelu(instance_norm(conv(c1, p["conv2"]), p["norm2"]))
    c3 = instance_norm(conv(c2, p["conv3"]), p["norm3"]) + c1
    c4 = lrelu(instance_norm(conv(c3, p["conv4"], dilation=2), p["norm4"]))
    c5 = instance_norm(conv(c4, p["conv5"], dilation=2), p["norm5"]) + c3
    c6 = lrelu(conv(np.concatenate([c3, c5], axis=3), p["conv6"]))
    return enhanced(conv(c6, p["conv7"]), (c1, c6))


def discriminator(p, images):
    """Logits."""
    x = np.asarray(images, np.float64)
    for index, stride in enumerate((4, 2, 1, 1, 2, 1)):
        x = lrelu(conv(x, p[f"conv{index}"], stride=stride), 0.2)
        if f"norm{index}" in p:
            x = instance_norm(x, p[f"norm{index}"])
    hidden, logits = (
        [np.asarray(p[name][part], np.float64) for part in ("kernel", "bias")]
        for name in ("dense", "logits")
    )
    x = lrelu(x.reshape(len(x), -1) @ hidden[0] + hidden[1], 0.2)
    return x @ logits[0] + logits[1]


def super_resolver(p, images, *, scale):
    """Output, cropped to the size of the input."""
    levels = 255 * np.asarray(images, np.float64)
    mean = levels.mean(axis=(1, 2), keepdims=True)
    first, second = {2: (2, 1), 3: (3, 1), 4: (2, 2)}[scale]
    x = lrelu(conv(levels - mean, p["down0"], stride=first))
    x = lrelu(conv(x, p["down1"], stride=second))
    f = conv(x, p["entry"])
    r = f
    for block in ("block0", "block1"):
        start = r
        for residual in (f"{block}_residual0", f"{block}_residual1"):
            r = r + conv(lrelu(conv(r, p[f"{residual}_conv0"])), p[f"{residual}_conv1"])
        r = conv(r, p[f"{block}_transition"]) + start
    depth = conv(conv(conv(r, p["merge"]) + f, p["refine"]), p["pixels"])
    n, height, width, _ = depth.shape
    output = np.empty((n, height * scale, width * scale, 3))
    for color in range(3):
        for row in range(scale):
            for column in range(scale):
                channel = (color * scale + row) * scale + column
                output[:, row::scale, column::scale, color] = depth[..., channel]
    return (output[:, : images.shape[1], : images.shape[2]] + mean) / 255
