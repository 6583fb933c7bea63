"""VGG weights in MATLAB's and Keras's files, read in a subprocess.

The C libraries behind SciPy and h5py crash on damaged files and allocate whatever size a file
declares. In a subprocess this ends the subprocess, and the caller gets an error.
"""

import importlib.util
import io
import os
import re
import subprocess
import sys
from typing import Any

import numpy as np

_MEMORY = 4 * 2**30  # bytes; all of VGG-19 has 0.6 GB
_TIMEOUT = 600  # seconds
_NEEDED = 16  # convolutions of VGG-19; only the first are used


def read_in_subprocess(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the convolutions in a `.mat` file of MatConvNet or an `.h5` file of Keras.

    Returns kernels and biases: "0/kernel", "0/bias", "1/kernel", ... in order for `.mat`,
    "convB_I/kernel" and "convB_I/bias" for `.h5`.

    Raises:
        ValueError: the file is damaged or holds something else, or h5py is not installed.
    """
    if os.fspath(path).endswith(".h5") and importlib.util.find_spec("h5py") is None:
        raise ValueError("reading it needs h5py: pip install h5py")
    # -P keeps this file's folder out of the import path, where its modules could shadow others.
    command = [sys.executable, "-P", __file__, os.path.abspath(path)]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # threads reserve memory
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            env={**os.environ, **threads},
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"cannot be read within {_TIMEOUT} s; it is damaged") from error
    if done.returncode < 0:
        raise ValueError("is damaged: the library that reads it crashes")
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(lines[-1] if lines else f"exit status {done.returncode}")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as archive:
        return dict(archive)


def _read_matconvnet(path: str) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    layers = loadmat(path, variable_names=["layers"]).get("layers")
    if layers is None:
        sys.exit("has no cell array `layers`")
    pairs = [pair for entry in layers.ravel() if len(pair := _matconvnet_weights(entry)) == 2]
    arrays: dict[str, np.ndarray] = {}
    for order, (kernel, bias) in enumerate(pairs[:_NEEDED]):
        arrays |= {f"{order}/kernel": kernel, f"{order}/bias": bias}
    return arrays


def _matconvnet_weights(entry: np.ndarray) -> np.ndarray:
    """The cell (kernel, bias) of a layer; empty for ReLU and pooling.

    It is the field `weights`, or in the oldest files the first field.
    """
    names = entry.dtype.names or ()
    cell = entry["weights" if "weights" in names else names[0]].item()
    return cell.ravel() if cell.dtype == object else np.empty(0)


def _read_keras(path: str) -> dict[str, np.ndarray]:
    import h5py

    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: Any) -> None:
        # Keras 3 numbers the groups of a .weights.h5 and stores the layer's name in an attribute.
        label = f"{name} {item.parent.attrs.get('name', '')}"
        layer = re.search(r"block(\d)_conv(\d)", label)
        if layer and isinstance(item, h5py.Dataset):
            part = "kernel" if item.ndim == 4 else "bias"
            # Keep the first match: optimizer slots, if saved, follow the model.
            arrays.setdefault(f"conv{layer[1]}_{layer[2]}/{part}", item[()])

    with h5py.File(path, "r") as file:
        file.visititems(collect)
    return arrays


def _main(path: str) -> None:
    try:
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    except (ImportError, OSError, ValueError):
        pass
    try:
        arrays = _read_matconvnet(path) if path.endswith(".mat") else _read_keras(path)
        numbers = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **numbers)
    except Exception as error:  # noqa: BLE001  damaged files raise many types
        sys.exit(" ".join(f"cannot be read: {type(error).__name__}: {error}".split()))
    sys.stdout.buffer.write(content.getvalue())


if __name__ == "__main__":
    _main(sys.argv[1])
