"""Slow, obvious float64 versions of losses, metrics and networks, written from their formulas.

Images and features are NumPy `[N, H, W, C]`. Nothing here is shared with the code under test.
"""

import numpy as np
from scipy import ndimage, stats
from scipy.special import expit, ndtr


def per_image(function):
    """Lift `f(image, ...) -> float` of float64 images to `[N, ...] -> float64[N]`."""

    def lifted(*batches, **options):
        batches = [np.asarray(batch, np.float64) for batch in batches]
        return np.array([function(*images, **options) for images in zip(*batches, strict=True)])

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


@per_image
def charbonnier(y, t, *, epsilon=1e-3):
    return np.mean(np.sqrt((y - t) ** 2 + epsilon**2) - epsilon)


def neighbors(x):
    """Pairs of maps of neighbors, one below and one to the right of the other."""
    return (x[1:], x[:-1]), (x[:, 1:], x[:, :-1])


@per_image
def total_variation_l1(y):
    return sum(np.abs(a - b).mean() for a, b in neighbors(y))


@per_image
def edge_aware_total_variation(y, t, *, edge_sensitivity=10.0):
    total = 0
    for (a, b), (c, d) in zip(neighbors(y), neighbors(t), strict=True):
        price = np.exp(-edge_sensitivity * np.abs(c - d).mean(axis=2))
        total += np.mean(np.abs(a - b) * price[..., None])
    return total


@per_image
def gradient(y, t):
    pairs = zip(neighbors(y), neighbors(t), strict=True)
    return sum(np.abs((a - b) - (c - d)).mean() for (a, b), (c, d) in pairs)


def laplacian_pyramid(x, levels):
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    details = []
    for _ in range(levels - 1):
        small = x
        for axis in (0, 1):
            small = ndimage.correlate1d(small, kernel, axis, mode="nearest")
            small = small.take(range(0, small.shape[axis], 2), axis)
        large = small
        for axis in (0, 1):
            # Zeros between the pixels, the edges repeated, and twice the kernel.
            edges = [(0, 0)] * axis + [(1, 1)] + [(0, 0)] * (2 - axis)
            padded = np.pad(large, edges, mode="edge")
            sparse = np.zeros([2 * n if i == axis else n for i, n in enumerate(padded.shape)])
            np.moveaxis(sparse, axis, 0)[::2] = np.moveaxis(padded, axis, 0)
            wide = ndimage.correlate1d(sparse, 2 * kernel, axis, mode="constant")
            large = wide.take(range(2, 2 + x.shape[axis]), axis)
        details.append(x - large)
        x = small
    return [*details, x]


@per_image
def laplacian(y, t, *, levels=5):
    pyramids = (laplacian_pyramid(x, levels) for x in (y, t))
    return sum(np.abs(a - b).mean() for a, b in zip(*pyramids, strict=True))


def focal_frequency(y, t, *, alpha=1.0, weighted_at=None):
    """The weights have no gradient: `weighted_at` is the prediction that they are taken from."""

    @per_image
    def value(y, t, fixed):
        distance, at = (np.abs(np.fft.fft2(x - t, axes=(0, 1), norm="ortho")) for x in (y, fixed))
        weights = (at / at.max(axis=(0, 1))) ** alpha
        return np.mean(weights * distance**2)

    return value(y, t, y if weighted_at is None else weighted_at)


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
def ssim(y, t, **options):
    return 1 - similarity(y, t, **options)[0]


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


def real_logit(logits):
    logits = np.asarray(logits, np.float64)
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 0] - logits[:, 1]


def texture(logits, *, form="non_saturating"):
    d, z = probability_real(logits), real_logit(logits)
    values = {
        "non_saturating": -np.log(d),
        "saturating": np.log(np.clip(1 - d, 1e-10, 1)),
        "hinge": -z,
        "least_squares": (z - 1) ** 2 / 2,
    }
    return values[form]


def discrimination(logits, is_real, *, form="cross_entropy", real_label=1.0, clip=False):
    d, z = probability_real(logits), real_logit(logits)
    q = np.where(is_real, real_label, 0.0)
    if form == "hinge":
        return np.where(is_real, np.maximum(0, 1 - z), np.maximum(0, 1 + z))
    if form == "least_squares":
        return (z - q) ** 2 / 2
    floor = 1e-10 if clip else 0.0
    return -(q * np.log(np.maximum(d, floor)) + (1 - q) * np.log(np.maximum(1 - d, floor)))


def relativistic(logits, target, *, average=False):
    y, t = real_logit(logits), real_logit(target)
    if average:
        return -np.log(expit(y - t.mean())) - np.log(1 - expit(t - y.mean()))
    return -np.log(expit(y - t))


def fsp(prediction, target):
    """Sums of squares of differences of FSP matrices, for lists of pairs of features."""
    total = 0
    for student, teacher in zip(prediction, target, strict=True):
        matrices = []
        for first, second in (student, teacher):
            first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
            n, height, width, channels = first.shape
            g = np.zeros((n, channels, second.shape[3]))
            for i in np.ndindex(height, width):
                g += first[:, *i, :, None] * second[:, *i, None, :] / (height * width)
            matrices.append(g)
        total = total + ((matrices[0] - matrices[1]) ** 2).sum(axis=(1, 2))
    return total


# Learned distances


@per_image
def lpips_of_layer(y, t, *, weights):
    y, t = (x / (np.sqrt((x**2).sum(axis=2, keepdims=True)) + 1e-10) for x in (y, t))
    return (((y - t) ** 2) @ weights).mean()


def lpips(prediction, target, *, weights):
    layers = zip(prediction, target, weights, strict=True)
    return sum(lpips_of_layer(y, t, weights=np.asarray(w, np.float64)) for y, t, w in layers)


@per_image
def dists_of_layer(y, t, *, alpha, beta):
    similarity = 0
    for c, (a, b) in enumerate(zip(alpha, beta, strict=True)):
        covariances = np.cov(y[..., c].ravel(), t[..., c].ravel(), bias=True)
        m_y, m_t = y[..., c].mean(), t[..., c].mean()
        texture = (2 * m_y * m_t + 1e-6) / (m_y**2 + m_t**2 + 1e-6)
        structure = (2 * covariances[0, 1] + 1e-6) / (np.trace(covariances) + 1e-6)
        similarity += a * texture + b * structure
    return similarity


def dists(prediction, target, *, alpha, beta):
    total = sum(map(np.sum, (*alpha, *beta)))
    layers = zip(prediction, target, alpha, beta, strict=True)
    return 1 - sum(dists_of_layer(y, t, alpha=a / total, beta=b / total) for y, t, a, b in layers)


# Losses for pairs that do not fit


@per_image
def contextual_bilateral(p, q, *, spatial_weight=0.1):
    height, width, _ = p.shape
    total = 0
    for i in np.ndindex(height, width):
        costs = []
        for j in np.ndindex(height, width):
            cosine = p[i] @ q[j] / np.sqrt((p[i] @ p[i]) * (q[j] @ q[j]))
            costs.append(1 - cosine + spatial_weight * np.hypot(i[0] - j[0], i[1] - j[1]))
        total += min(costs)
    return total / (height * width)


@per_image
def projected_wasserstein(y, t):
    channels = y.shape[2]
    distances = [
        stats.wasserstein_distance(y[..., c].ravel(), t[..., c].ravel()) for c in range(channels)
    ]
    return np.mean(distances)


@per_image
def sliced_wasserstein(y, t, *, directions):
    return np.mean(
        [stats.wasserstein_distance((y @ w).ravel(), (t @ w).ravel()) for w in directions.T]
    )


def polar_spectrum(x):
    """Amplitude and phase of each channel, the phase of a real number being 0 or pi."""
    z = np.fft.fft2(x, axes=(0, 1))
    imaginary = np.where(np.abs(z.imag) < 1e-12 * np.abs(x).sum(), 0.0, z.imag)
    return np.abs(z), np.arctan2(imaginary, z.real)


@per_image
def frequency_distribution(y, t, *, directions, phase_weight=1.0):
    parts = zip(polar_spectrum(y), polar_spectrum(t), strict=True)
    amplitudes, phases = (
        sliced_wasserstein(a[None], b[None], directions=directions)[0] for a, b in parts
    )
    return amplitudes + phase_weight * phases


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


def patch_discriminator(p, images):
    """Logits."""
    x = np.asarray(images, np.float64)
    for index, stride in enumerate((2, 2, 2, 1)):
        x = conv(x, p[f"conv{index}"], stride=stride)
        if f"norm{index}" in p:
            x = instance_norm(x, p[f"norm{index}"])
        x = lrelu(x, 0.2)
    return conv(x, p["logits"])


def l2_pool(x):
    """Windows of 3 x 3 at every second position, weighted as a Hanning window."""
    hanning = np.hanning(5)[1:-1]
    weights = np.outer(hanning, hanning)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x**2, [(0, 0), (1, 1), (1, 1), (0, 0)]), (3, 3), (1, 2)
    )
    return np.sqrt((windows[:, ::2, ::2] * weights).sum(axis=(4, 5)) / weights.sum() + 1e-12)


def max_pool(x):
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def vgg_layers(weights, images, pooling):
    """Maps after relu1_2 to relu5_3, in front of them the images with pooling "l2".

    `weights` are kernels and biases of torchvision's VGG-16 by name, for RGB images in [0, 1].
    """
    images = np.asarray(images, np.float64)
    x = (images - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    maps = [images] if pooling == "l2" else []
    for name, (kernel, bias) in weights.items():
        if name.endswith("_1") and name != "conv1_1":
            maps.append(x)
            x = l2_pool(x) if pooling == "l2" else max_pool(x)
        x = np.maximum(conv(x, {"kernel": kernel, "bias": bias}), 0)
    return [*maps, x]


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
