"""Arrays out of pickle files, without running what such a file may name.

A pickle is a program that calls whatever functions it names. Here every name leads to one of the
inert stand-ins below or to an error. They only note down what they are given; the arrays are
made afterwards by NumPy functions that check that they lie inside the bytes of the file.
"""

import functools
import io
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_FLOATS = ("f2", "f4", "f8")
_NOTES, _MOST_NOTES = ("PUT", "BINPUT", "LONG_BINPUT"), 1_000_000
# Bytes that may be unpacked of a zip file; all of VGG-19 in float64 has 1.15 GB.
_MOST_BYTES = 2**31


def read_numpy_pickle(path: str | os.PathLike) -> Any:
    """Read nested dictionaries of floating NumPy arrays.

    Args:
        path: a pickle file.

    Returns:
        The dictionaries, with read-only arrays.

    Raises:
        pickle.UnpicklingError: the file names anything but NumPy's array reconstruction.
        Exception: whatever else a damaged file leads to.

    Reference:
        Python's `pickle`, "Restricting globals".
    """
    with open(path, "rb") as file:
        return _to_numpy(_Unpickler(file, _NUMPY_NAMES).load())


def read_torch_state(path: str | os.PathLike, *, prefix: str = "") -> dict[str, np.ndarray]:
    """Read floating tensors of a state dict that `torch.save` wrote, in either of its formats.

    Args:
        path: a zip file, or the stream of pickles that torch wrote before 1.6.
        prefix: only tensors whose names start so are read.

    Returns:
        Read-only arrays by name.

    Raises:
        pickle.UnpicklingError: not such a file, or it names more than tensors need.
        Exception: whatever else a damaged file leads to.

    Reference:
        PyTorch's `torch/serialization.py`.
    """
    read = _read_torch_zip if zipfile.is_zipfile(path) else _read_torch_stream
    return read(path, prefix)


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor:
    """Stands for a torch tensor, whose numbers are elsewhere in the file."""

    def __init__(self, storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def __setstate__(self, state: Any) -> None:
        pass  # flags and hooks of a parameter

    def to_numpy(self, read: Callable[[str], bytes]) -> np.ndarray:
        item = np.dtype(self.storage.dtype).itemsize
        return np.ndarray(
            self.size,
            self.storage.dtype,
            buffer=read(self.storage.key),
            offset=self.offset * item,
            strides=tuple(step * item for step in self.stride),
        )


class _Dtype:
    """Stands for `numpy.dtype`."""

    def __init__(self, name: str, *_: Any):
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]


class _Array:
    """Stands for `numpy.ndarray`, whose own `__setstate__` trusts its argument."""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def to_numpy(self) -> np.ndarray:
        if self.dtype.name not in _FLOATS:
            raise pickle.UnpicklingError(f"arrays must be floating, not {self.dtype.name}")
        array = np.frombuffer(self.data, self.dtype.order + self.dtype.name)
        return array.reshape(self.shape, order="F" if self.fortran else "C")


def _new_array(*_: Any) -> _Array:
    return _Array()


def _data_of_parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


# NumPy 2 renamed the module.
_NUMPY_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "_reconstruct"): _new_array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}
# State dicts of 2017 hold parameters and call _rebuild_tensor.
_TORCH_NAMES = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): _data_of_parameter,
    ("torch.nn.parameter", "Parameter"): _data_of_parameter,
    ("torch", "HalfStorage"): "<f2",
    ("torch", "FloatStorage"): "<f4",
    ("torch", "DoubleStorage"): "<f8",
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, names: dict[tuple[str, str], Any]):
        super().__init__(file)
        self.file = file
        self.names = names
        self.storages: dict[str, _Storage] = {}

    def load(self) -> Any:
        # Numbered notes of a pickle are a table that Python makes as long as the highest number.
        start = self.file.tell()
        for opcode, argument, _ in pickletools.genops(self.file):
            if opcode.name in _NOTES and int(argument or 0) > _MOST_NOTES:
                raise pickle.UnpicklingError("refused: the pickle asks for too much memory")
        self.file.seek(start)
        return super().load()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"refused: the pickle asks for {module}.{name}")
        return self.names[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, _length, *view = pid
        if kind != "storage" or any(view):
            raise pickle.UnpicklingError(f"refused: the pickle asks for {pid}")
        return self.storages.setdefault(key, _Storage(dtype, key))


def _to_numpy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _to_numpy(value) for key, value in tree.items()}
    return tree.to_numpy() if isinstance(tree, _Array) else tree


def _read_torch_zip(path: str | os.PathLike, prefix: str) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        folders = [n.removesuffix("data.pkl") for n in archive.namelist() if n.endswith("data.pkl")]
        if not folders:
            raise pickle.UnpicklingError("a zip file, but not one that torch.save wrote")
        folder = folders[0]
        storages: dict[str, bytes] = {}

        def read(name: str) -> bytes:
            # Once each, as the tensors of a file may all share one; so what is read is bounded.
            if name not in storages:
                unpacked = sum(map(len, storages.values())) + archive.getinfo(name).file_size
                if unpacked > _MOST_BYTES:
                    raise pickle.UnpicklingError(f"unpacks to more than {_MOST_BYTES:,} bytes")
                storages[name] = archive.read(name)
            return storages[name]

        pickled = io.BytesIO(read(f"{folder}data.pkl"))
        state = _Unpickler(pickled, _TORCH_NAMES).load()
        return _select(state, prefix, lambda key: read(f"{folder}data/{key}"))


def _read_torch_stream(path: str | os.PathLike, prefix: str) -> dict[str, np.ndarray]:
    """A magic number, two headers, the state, the keys of its storages; then the storages."""
    with open(path, "rb") as file:
        if _Unpickler(file, {}).load() != _TORCH_MAGIC:
            raise pickle.UnpicklingError("not a file that torch.save wrote")
        _version, _sizes = _Unpickler(file, {}).load(), _Unpickler(file, {}).load()
        unpickler = _Unpickler(file, _TORCH_NAMES)
        state = unpickler.load()
        places = {}
        for key in _Unpickler(file, {}).load():
            count = int.from_bytes(file.read(8), "little")
            places[key] = file.tell(), count * np.dtype(unpickler.storages[key].dtype).itemsize
            file.seek(sum(places[key]))

        @functools.cache
        def read(key: str) -> bytes:
            start, size = places[key]
            file.seek(start)
            return file.read(size)

        return _select(state, prefix, read)


def _select(state: Any, prefix: str, read: Callable[[str], bytes]) -> dict[str, np.ndarray]:
    if not isinstance(state, dict):
        raise pickle.UnpicklingError(f"not a state dict, but {type(state).__name__}")
    return {
        name: tensor.to_numpy(read)
        for name, tensor in state.items()
        if isinstance(tensor, _Tensor) and name.startswith(prefix)
    }
