"""Read arrays from pickle files without running the code that such a file may name.

A pickle is a program that calls the functions it names. Here every name maps to one of the inert
stand-ins below, which only record their arguments, or to an error. The arrays are built afterwards
by NumPy functions that check that they lie inside the bytes of the file.
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
_FLOATS, _TORCH_FLOATS = ("f2", "f4", "f8"), ("<f2", "<f4", "<f8")
_MEMO_OPCODES, _LARGEST_MEMO_INDEX = ("PUT", "BINPUT", "LONG_BINPUT"), 1_000_000
# Limit of bytes unpacked from a zip file; all of VGG-19 in float64 has 1.15 GB.
_MOST_BYTES = 2**31


def read_numpy_pickle(path: str | os.PathLike) -> Any:
    """Read nested dictionaries of floating NumPy arrays; the arrays are read-only.

    Raises:
        pickle.UnpicklingError: the file names anything but NumPy's array reconstruction.
        Exception: the file is damaged in another way.

    Reference:
        Python's `pickle`, "Restricting globals".
    """
    with open(path, "rb") as file:
        return _to_numpy(_Unpickler(file, _NUMPY_NAMES).load())


def read_torch_state(path: str | os.PathLike, *, prefix: str = "") -> dict[str, np.ndarray]:
    """Read the floating tensors of a state dict written by `torch.save`, as read-only arrays.

    The file is a zip file, or the stream of pickles that torch wrote before 1.6. Only tensors
    whose names start with the prefix are read.

    Raises:
        pickle.UnpicklingError: not such a file, or it names more than tensors need.
        Exception: the file is damaged in another way.

    Reference:
        PyTorch's `torch/serialization.py`.
    """
    read = _read_torch_zip if zipfile.is_zipfile(path) else _read_torch_stream
    return read(path, prefix)


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor:
    """Stands for a torch tensor, whose values are elsewhere in the file."""

    def __init__(self, storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any):
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def __setstate__(self, state: Any) -> None:
        pass  # flags and hooks of a parameter

    def to_numpy(self, read: Callable[[str], bytes]) -> np.ndarray:
        # An array of objects would interpret the file's bytes as pointers.
        if self.storage.dtype not in _TORCH_FLOATS:
            raise pickle.UnpicklingError(f"refused: tensors of type {self.storage.dtype}")
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


# NumPy 2 renamed the module.
_NUMPY_NAMES: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}
# State dicts of 2017 hold parameters and call _rebuild_tensor.
_TORCH_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _Tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch.nn.parameter", "Parameter"): lambda data, *_: data,
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
        # Python sizes the memo by its highest index, so a huge index exhausts memory.
        start = self.file.tell()
        for opcode, argument, _ in pickletools.genops(self.file):
            if opcode.name in _MEMO_OPCODES and int(argument or 0) > _LARGEST_MEMO_INDEX:
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
            raise pickle.UnpicklingError("a zip file, but not from torch.save")
        folder = folders[0]
        storages: dict[str, bytes] = {}

        def read(name: str) -> bytes:
            # Read each storage once, since tensors may share one; this bounds the total size.
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
    """The stream holds a magic number, two headers, the state, the storages' keys, the storages."""
    with open(path, "rb") as file:
        if _Unpickler(file, {}).load() != _TORCH_MAGIC:
            raise pickle.UnpicklingError("not a file from torch.save")
        _version, _sizes = _Unpickler(file, {}).load(), _Unpickler(file, {}).load()
        unpickler = _Unpickler(file, _TORCH_NAMES)
        state = unpickler.load()
        positions = {}
        for key in _Unpickler(file, {}).load():
            count = int.from_bytes(file.read(8), "little")
            positions[key] = file.tell(), count * np.dtype(unpickler.storages[key].dtype).itemsize
            file.seek(sum(positions[key]))

        @functools.cache
        def read(key: str) -> bytes:
            start, size = positions[key]
            file.seek(start)
            return file.read(size)

        return _select(state, prefix, read)


def _select(state: Any, prefix: str, read: Callable[[str], bytes]) -> dict[str, np.ndarray]:
    if not isinstance(state, dict):
        raise pickle.UnpicklingError(f"not a state dict but {type(state).__name__}")
    return {
        name: tensor.to_numpy(read)
        for name, tensor in state.items()
        if isinstance(tensor, _Tensor) and name.startswith(prefix)
    }
