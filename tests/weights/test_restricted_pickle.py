"""Pickles that ask for more than arrays are refused, and none of their code runs."""

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from ppcn_jax.weights.vgg import WeightsError, load_vgg
from tests.weight_files import (
    REBUILD,
    TORCH_MAGIC,
    Reduced,
    Storage,
    TorchPickler,
    pickle_torch,
    pretend_lpips,
)


def write_evil_zip(path, evil):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vgg/data.pkl", evil)


def write_evil_stream(path, evil):
    headers = (pickle.dumps(header) for header in (TORCH_MAGIC, 1001, {}))
    path.write_bytes(b"".join(headers) + evil)


def write_evil_alone(path, evil):
    path.write_bytes(evil)


@pytest.mark.parametrize("write", [write_evil_zip, write_evil_stream, write_evil_alone])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickle_that_runs_code_is_refused(tmp_path, write, protocol):
    marker = tmp_path / "executed"
    evil = pickle.dumps(Reduced(os.system, (f"touch {marker}",)), protocol)
    write(tmp_path / "w.pth", evil)
    with pytest.raises(WeightsError, match="refused: the pickle asks for .*system"):
        load_vgg(tmp_path / "w.pth")
    assert not marker.exists()


@pytest.mark.parametrize(("offset", "stride"), [(0, 10**6), (1, 1), (-1, 1), (0, -1)])
def test_tensor_outside_its_storage_is_refused(tmp_path, offset, stride):
    call = (Storage("0", np.zeros(4, np.float32)), offset, (4,), (stride,), False, OrderedDict())
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        state = {"features.0.bias": Reduced(REBUILD, call)}
        archive.writestr("vgg/data.pkl", pickle_torch(TorchPickler, state))
        archive.writestr("vgg/data/0", bytes(16))
    with pytest.raises(WeightsError, match="cannot be read"):
        load_vgg(tmp_path / "w.pth")


class ObjectPickler(TorchPickler):
    """Declares storages of Python objects."""

    def persistent_id(self, obj):
        return ("storage", "O", obj.key, "cpu", 4) if isinstance(obj, Storage) else None


def object_storage_by_type():
    call = (Storage("0", np.zeros(4)), 0, (64,), (0,), False, OrderedDict())
    return pickle_torch(ObjectPickler, {"features.0.bias": Reduced(REBUILD, call)})


def object_storage_by_attributes():
    """In place of a storage, a function with the attributes `dtype` and `key`."""
    return (
        b"\x80\x02}X\x0f\0\0\0features.0.biasctorch._utils\n_rebuild_tensor_v2\n("
        b"ctorch.nn.parameter\nParameter\n}(X\x05\0\0\0dtypeX\x01\0\0\0O"
        b"X\x03\0\0\0keyX\x01\0\0\x000ubK\0K\x40\x85K\0\x85\x89}tRs."
    )


@pytest.mark.parametrize("make", [object_storage_by_type, object_storage_by_attributes])
def test_bytes_are_not_interpreted_as_pointers(tmp_path, make):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("vgg/data.pkl", make())
        archive.writestr("vgg/data/0", b"\x41" * 512)
    with pytest.raises(WeightsError, match="refused: tensors of type O"):
        load_vgg(tmp_path / "w.pth")


def test_lpips_that_runs_code_is_refused(tmp_path, monkeypatch):
    lpips_file, marker = pretend_lpips(monkeypatch, tmp_path), tmp_path / "executed"
    lpips_file.write_bytes(pickle.dumps(Reduced(os.system, (f"touch {marker}",))))
    with pytest.raises(WeightsError, match="refused: the pickle asks for .*system"):
        load_vgg("lpips")
    assert not marker.exists()


def test_lpips_with_other_arrays_is_refused(tmp_path, monkeypatch):
    lpips_file = pretend_lpips(monkeypatch, tmp_path)
    lpips_file.write_bytes(pickle.dumps({"VGG16_0": np.array([{}], object)}, protocol=4))
    with pytest.raises(WeightsError, match="must be floating, not O"):
        load_vgg("lpips")
