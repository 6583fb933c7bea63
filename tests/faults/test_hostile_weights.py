"""Hostile weights files cause an error that names the file; no code runs, memory is bounded."""

import json
import os
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights import restricted_pickle
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.vgg import load_vgg
from tests.weight_files import Reduced

METADATA = {
    "format": "ppcn-jax 1",
    "network": "student",
    "settings": "{}",
    "preset": "paper",
    "source": "nowhere",
}


def raw_safetensors(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(begin, end, shape=(1,), dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "huge header": raw_safetensors({}, length=2**62),
    "header beyond the file": raw_safetensors({}, length=10**6),
    "no JSON": raw_safetensors(b"{{{{{{{{"),
    "deep JSON": raw_safetensors(b"[" * 100_000),
    "overlap": raw_safetensors({"a": tensor(0, 4), "b": tensor(0, 4)}, bytes(4)),
    "hole": raw_safetensors({"a": tensor(0, 4), "b": tensor(100, 104)}, bytes(104)),
    "backwards": raw_safetensors({"a": tensor(4, 0)}, bytes(4)),
    "other size": raw_safetensors({"a": tensor(0, 4, (10**12,))}, bytes(4)),
    "overflow": raw_safetensors({"a": tensor(0, 4, (2**33, 2**33, 2**33))}, bytes(4)),
    "unknown type": raw_safetensors({"a": tensor(0, 4, dtype="F99")}, bytes(4)),
    "bfloat16": raw_safetensors({"__metadata__": METADATA, "a": tensor(0, 2, dtype="BF16")}, b"ab"),
    "integers": raw_safetensors(
        {"__metadata__": METADATA, "a": tensor(0, 4, dtype="I32")}, b"abcd"
    ),
    "array and group": raw_safetensors(
        {"__metadata__": METADATA, "a": tensor(0, 4), "a/b": tensor(4, 8)}, bytes(8)
    ),
    "ONNX": b"\x08\x07\x12\x07pytorch",
    "TFLite": b"\x1c\0\0\0TFL3" + bytes(100),
    "pickle": pickle.dumps({"a": 1}),
    "empty": b"",
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_a_hostile_safetensors_file_is_refused(tmp_path, name):
    path = tmp_path / "w.safetensors"
    path.write_bytes(SAFETENSORS[name])
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_model(path)
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_vgg(path)


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        ("dped_resnet", {"blocks": 10**9}),
        ("dped_resnet", {"features": -1}),
        ("super_resolver", {"scale": 7}),
        ("super_resolver", {"scale": "4"}),
        ("super_resolver", {"scale": None}),
        ("student", [1]),
        ("student", 5),
    ],
)
def test_invalid_settings_are_refused(tmp_path, network, settings):
    metadata = {**METADATA, "network": network, "settings": json.dumps(settings)}
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(1, np.float32)}, metadata))
    with pytest.raises(InputError, match="damaged metadata"):
        load_model(path)


def test_other_kinds_of_files_are_refused(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name in ("onnx", "tflite", "pkl", "npz"):
        (tmp_path / f"w.{name}").write_bytes(pickle.dumps(Reduced(os.system, ("false",))))
    for path in tmp_path.iterdir():
        with pytest.raises(InputError, match=path.name):
            load_model(path)
    for name in ("pipe.safetensors", "folder.safetensors", "w.onnx", "w.tflite", "w.pkl", "w.npz"):
        with pytest.raises(InputError, match=name):
            load_vgg(tmp_path / name)


def write_npz_bomb(path):
    np.savez_compressed(path, **{"conv1_1/kernel": np.zeros((3, 3, 3, 10**6), np.float32)})


def write_zip_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vgg/data.pkl", bytes(10**8))


def write_memo_bomb(path):
    """The highest memo index, for which Python would allocate 64 GB."""
    path.write_bytes(b"\x80\x02K\x01r\xff\xff\xff\xff.")


def write_wide_h5(path):
    with h5py.File(path, "w") as file:
        group = file.create_group("block1_conv1")
        group.create_dataset("kernel:0", (3, 3, 3, 10**10), "f4", chunks=(3, 3, 3, 64))


def write_other_mat(path):
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\xff" * 64)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("w.npz", write_npz_bomb, "unpacks to 108,000"),
        ("w.pth", write_zip_bomb, "unpacks to more than"),
        ("w.pth", write_memo_bomb, "asks for too much memory"),
        ("w.h5", write_wide_h5, "cannot be read: MemoryError|cannot be read: .*[Uu]nable to alloc"),
        ("w.mat", write_other_mat, "cannot be read|damaged"),
    ],
)
def test_bombs_are_refused(tmp_path, monkeypatch, name, write, message):
    monkeypatch.setattr(restricted_pickle, "_MOST_BYTES", 10**7)  # a smaller bomb is quicker
    write(tmp_path / name)
    with pytest.raises(InputError, match=message):
        load_vgg(tmp_path / name)


def test_garbage_in_a_checkpoint_folder_is_refused(tmp_path):
    config = {"model": "student", "preset": "paper"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    step = tmp_path / "checkpoints" / "5"
    (step / "generator").mkdir(parents=True)
    (step / "_CHECKPOINT_METADATA").write_bytes(b"\xff" * 100)
    for name in ("_METADATA", "manifest.ocdbt", "_sharding", "d"):
        (step / "generator" / name).write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="5"):
        load_model(tmp_path)
    for text in ("{", "[1]", '{"model": ["student"]}', '{"model": "student"}', "\xff"):
        (tmp_path / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"config\.json"):
            load_model(tmp_path)


def test_commands_refuse_hostile_files_and_run_no_code(tmp_path, run_commands):
    evil, marker = tmp_path / "evil.pth", tmp_path / "executed"
    evil.write_bytes(pickle.dumps(Reduced(os.system, (f"touch {marker}",))))
    write_memo_bomb(tmp_path / "memo.pth")
    write_npz_bomb(tmp_path / "bomb.npz")
    (tmp_path / "w.safetensors").write_bytes(SAFETENSORS["huge header"])
    launch = ["--config=configs/teacher.py", f"--workdir={tmp_path / 'new'}"]
    launch += ["--config.data.source=synthetic", "--config.data.crop=16"]
    launch += ["--config.train.batch_size=4"]
    cases = [
        {"command": "launch.py", "arguments": [*launch, f"--config.vgg.weights={tmp_path / name}"]}
        for name in ("evil.pth", "memo.pth", "bomb.npz")
    ]
    written = str(tmp_path / "new.safetensors")
    for source in ("w.safetensors", "evil.pth", "absent"):
        arguments = ["convert", str(tmp_path / source), written]
        cases.append({"command": "ppcn-jax", "arguments": arguments})
    results = run_commands(cases)
    for case, result in zip(cases, results, strict=True):
        assert result["status"] == 1 and "Traceback" not in result["stderr"], case
        assert str(tmp_path) in result["stderr"]
    assert {path.name for path in tmp_path.iterdir()} == {
        *("evil.pth", "memo.pth", "bomb.npz", "w.safetensors")
    }
