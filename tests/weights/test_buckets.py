"""Checkpoints and weights in a bucket, against an emulator."""

import io
import subprocess
import sys

import numpy as np
import pytest

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import write_bytes, write_json
from ppcn_jax.runtime.storage import objects_below
from ppcn_jax.weights.checkpoint_record import digest
from ppcn_jax.weights.checkpoints import DAMAGED, FOLDER, Checkpoints, has_tree, steps_in
from ppcn_jax.weights.load import CONFIG, GENERATOR, convert, load_model
from ppcn_jax.weights.vgg import WeightsError, load_vgg
from tests.states import assert_same_bits, make_state, restore, save

# Each save of Orbax makes about a hundred requests.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_checkpoints_are_kept_detected_as_damaged_and_complete_or_absent(bucket, caplog):
    with Checkpoints(bucket, keep=1) as checkpoints:
        for step, score in ((1, 5.0), (2, 1.0), (3, 2.0)):
            save(checkpoints, make_state(step), score=score)
    assert steps_in(bucket) == [1, 3]  # the best and the latest

    # What was killed during a save has no mark of completeness.
    write_bytes(bucket / FOLDER / "4" / GENERATOR / "_METADATA", b"{}")
    assert steps_in(bucket) == [1, 3] and has_tree(bucket, 3, GENERATOR)
    for path in objects_below(bucket / FOLDER / "3" / GENERATOR):
        if path.parent.name == "d":
            write_bytes(path, b"garbage")
    with Checkpoints(bucket, keep=1) as checkpoints:
        assert_same_bits(restore(checkpoints, make_state(0)), make_state(1))
        save(checkpoints, make_state(5))
    assert f"is renamed to 3{DAMAGED}" in caplog.text
    assert steps_in(bucket) == [1, 5]
    found = objects_below(bucket / FOLDER)
    folders = {path.relative_to(bucket / FOLDER).parts[0] for path in found}
    assert folders == {"1", "5", f"3{DAMAGED}"}


def test_models_are_loaded_and_converted(bucket, tmp_path):
    student = load_model("student")
    convert("student", f"{bucket}/student.safetensors")
    convert(f"{bucket}/student.safetensors", tmp_path / "student.safetensors")
    for place in (bucket, tmp_path):
        model = load_model(f"{place}/student.safetensors")
        assert (model.name, model.source) == ("student", f"{place}/student.safetensors")
        assert digest(model.params) == digest(student.params)
    with pytest.raises(InputError, match=f"^{bucket}/absent does not exist"):
        load_model(f"{bucket}/absent")
    write_bytes(bucket / "damaged.safetensors", b"x")
    with pytest.raises(InputError, match=f"^{bucket}/damaged.safetensors cannot be read"):
        load_model(f"{bucket}/damaged.safetensors")

    with Checkpoints(bucket / "run", keep=1) as checkpoints:
        checkpoints.save(7, {GENERATOR: student.params}, score=None)
    settings = {"model_settings": student.settings}
    write_json(bucket / "run" / CONFIG, {"model": "student", "preset": "paper", **settings})
    # A process of its own: reading a checkpoint in a bucket must not import TensorFlow.
    program = (
        "import sys; from ppcn_jax.weights.load import load_model\n"
        f"for path in ('{bucket}/run', '{bucket}/run/checkpoints/7'):\n"
        "    print(load_model(path).source, 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines() == [f"{bucket}/run (step 7) False"] * 2, done.stderr


def test_vgg_weights_are_read_and_named_in_errors(bucket):
    with pytest.raises(WeightsError, match=f"^{bucket}/vgg19.npz: no such file"):
        load_vgg(f"{bucket}/vgg19.npz")
    content = io.BytesIO()
    np.savez(content, **{"conv1_1/kernel": np.zeros((3, 3, 3, 64), np.float32)})
    write_bytes(bucket / "vgg19.npz", content.getvalue())
    with pytest.raises(WeightsError, match=f"^{bucket}/vgg19.npz: conv1_1/bias is missing"):
        load_vgg(f"{bucket}/vgg19.npz")
