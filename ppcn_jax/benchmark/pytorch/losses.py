"""The paper's losses in PyTorch, written as is usual there: batch means, images `[N, C, H, W]`.

`losses/` explains them and their deviations from the paper. These are the forms that
configs/student.py uses. PyTorch is imported inside functions.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ppcn_jax.losses.color import paper_blur
from ppcn_jax.losses.contextual import DISTANCE_EPSILON
from ppcn_jax.ops.gaussian import gaussian_window
from ppcn_jax.ops.luma import TENSORFLOW_WEIGHTS

Tensor = Any  # torch.Tensor


def contextual(prediction: Tensor, target: Tensor, *, bandwidth: float) -> Tensor:
    """Eqs. 1 and 2 with cosine distances, of VGG features."""
    from torch.nn import functional as F

    center = target.mean((0, 2, 3), keepdim=True)
    y = F.normalize(prediction - center, dim=1).flatten(2)
    t = F.normalize(target - center, dim=1).flatten(2)
    distances = (1 - y.transpose(1, 2) @ t) / 2
    relative = distances / (distances.amin(2, keepdim=True) + DISTANCE_EPSILON)
    affinities = F.softmax((1 - relative) / bandwidth, dim=2)
    return -affinities.amax(1).mean(1).log().mean()


def open_contextual(
    prediction: np.ndarray, target: np.ndarray, *, bandwidth: float = 0.5
) -> Callable[[], np.ndarray]:
    """A function that returns the gradient of `contextual` of features `[N, H, W, C]`."""
    import torch

    y, t = (torch.from_numpy(np.moveaxis(x, -1, 1).copy()) for x in (prediction, target))
    y.requires_grad_()

    def run() -> np.ndarray:
        y.grad = None
        contextual(y, t, bandwidth=bandwidth).backward()
        return np.moveaxis(y.grad.numpy(), 1, -1)

    return run


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Eqs. 4 and 5: 1 - SSIM with a Gaussian window of 11 px and deviation 1.5 px."""
    import torch

    x, y = prediction, target
    channels = x.shape[1]
    moments = _blur(torch.cat((x, y, x * x, y * y, x * y), 1), gaussian_window(11, 1.5), padding=0)
    mean_x, mean_y, xx, yy, xy = moments.split(channels, 1)
    variance_x, variance_y = xx - mean_x**2, yy - mean_y**2
    covariance = xy - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return 1 - (luminance * contrast).mean()


def color(prediction: Tensor, target: Tensor) -> Tensor:
    """Eqs. 9 and 10: squared distance of blurred images, summed over each image."""
    window = paper_blur()
    blurred = _blur(prediction - target, window, padding=len(window) // 2)
    return blurred.square().sum((1, 2, 3)).mean()


def total_variation(prediction: Tensor) -> Tensor:
    """Eq. 11."""
    return prediction.diff(dim=2).square().mean() + prediction.diff(dim=3).square().mean()


def texture(logits: Tensor) -> Tensor:
    """Eq. 8, for a discriminator with one logit."""
    from torch.nn import functional as F

    return F.softplus(-logits).mean()


def discrimination(logits: Tensor, is_real: Tensor) -> Tensor:
    """Section 3.2: cross-entropy of telling targets from enhanced images."""
    from torch.nn import functional as F

    return F.binary_cross_entropy_with_logits(logits[:, 0], is_real.to(logits.dtype))


def attention(prediction: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> Tensor:
    """Eq. 12."""
    from torch.nn import functional as F

    total: Tensor = 0
    for student, teacher in zip(prediction, target, strict=True):
        student, teacher = (F.normalize(maps.flatten(1), dim=1) for maps in (student, teacher))
        total = total + (student - teacher).norm(dim=1).mean()
    return total


def grayscale(images: Tensor) -> Tensor:
    """The luma that the discriminator gets, `[N, 1, H, W]`."""
    red, green, blue = TENSORFLOW_WEIGHTS
    return red * images[:, :1] + green * images[:, 1:2] + blue * images[:, 2:]


def _blur(images: Tensor, window: np.ndarray, *, padding: int) -> Tensor:
    """Correlate every channel with a 1-D kernel along both axes."""
    import torch
    from torch.nn import functional as F

    channels, count = images.shape[1], len(window)
    kernel = torch.from_numpy(window).to(images)
    filter_each = functools.partial(F.conv2d, groups=channels)
    rows = kernel.view(1, 1, count, 1).expand(channels, 1, count, 1)
    columns = kernel.view(1, 1, 1, count).expand(channels, 1, 1, count)
    images = filter_each(images, rows, padding=(padding, 0))
    return filter_each(images, columns, padding=(0, padding))
