"""Released TensorFlow checkpoints: recognition, variables and errors."""

import shutil
import sys

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.model import abstract_params, make_network
from ppcn_jax.weights.tensorflow_checkpoint import find_checkpoint, read_released

# Shapes of the released student's kernels, in the order of its layers.
KERNELS = [(1, 7, 3, 8), (7, 1, 8, 8), (1, 7, 8, 16), (7, 1, 16, 8), (3, 3, 8, 3)]
NORMS = [16, 8]  # features of the norms after the third and fourth convolutions


def draw(shape):
    return np.random.default_rng(abs(hash(shape))).standard_normal(shape, np.float32)


def student_variables(scope="generator_little"):
    variables = {}
    for i, shape in enumerate(KERNELS):
        variables[f"{scope}/W{i}"] = draw(shape)
        variables[f"{scope}/b{i}"] = draw(shape[-1:])
    for i, features in enumerate(NORMS):
        shift, scale = (f"Variable_{n}" if n else "Variable" for n in (2 * i, 2 * i + 1))
        variables[f"{scope}/{shift}"] = draw((features,))
        variables[f"{scope}/{scale}"] = draw((features,)) + 7
    return variables


@pytest.fixture
def write(tmp_path):
    """A function that writes variables as a TensorFlow checkpoint and returns its prefix."""
    import tensorflow as tf

    def write_checkpoint(variables, name="a.ckpt"):
        prefix = tmp_path / name
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=list(variables),
            shape_and_slices=[""] * len(variables),
            tensors=list(variables.values()),
        )
        return prefix

    return write_checkpoint


@pytest.mark.parametrize("scope", ["generator_little", "generator_s", "generator_t", "generator"])
def test_student_in_any_scope(write, scope):
    variables = student_variables(scope)
    model = read_released(write(variables))
    assert (model.name, model.preset, model.source) == ("student", "released", "a.ckpt")
    for i in range(5):
        np.testing.assert_array_equal(
            model.params[f"conv{i}"]["kernel"], variables[f"{scope}/W{i}"]
        )
        np.testing.assert_array_equal(model.params[f"conv{i}"]["bias"], variables[f"{scope}/b{i}"])
    for layer, shift, scale in ((2, "Variable", "Variable_1"), (3, "Variable_2", "Variable_3")):
        norm = model.params[f"norm{layer}"]
        np.testing.assert_array_equal(norm["shift"], variables[f"{scope}/{shift}"])
        np.testing.assert_array_equal(norm["scale"], variables[f"{scope}/{scale}"])


def test_optimizer_slots_are_ignored(write):
    variables = student_variables()
    slots = {f"{name}/{slot}": v for name, v in variables.items() for slot in ("Adam", "Adam_1")}
    counters = {"beta1_power": np.float32(0.9), "learning_rate/Variable": np.float32(1e-5)}
    model = read_released(write(variables | slots | counters))
    np.testing.assert_array_equal(model.params["conv0"]["kernel"], variables["generator_little/W0"])


def test_the_file_name_does_not_matter(write):
    assert read_released(write(student_variables(), "teacher.ckpt")).name == "student"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("generator_little/b3"), r"generator_little/b3 is missing"),
        (
            lambda v: v.update({"generator_little/W1": draw((7, 1, 8, 9))}),
            r"generator_little/W1 has shape \[7, 1, 8, 9\], expected \[7, 1, 8, 8\]",
        ),
        (
            lambda v: v.update({"generator_little/W9": draw((7, 1, 8, 9))}),
            r"generator_little/W9 is not part of this student",
        ),
        (
            lambda v: v["generator_little/b0"].__setitem__(2, np.nan),
            r"conv0/bias has values that are not finite",
        ),
        (
            lambda v: v.update(student_variables("generator_s")),
            r"several networks: student in generator_\w+/, student in generator_\w+/",
        ),
    ],
    ids=["missing", "shape", "unexpected", "nan", "two"],
)
def test_wrong_variables_are_named(write, change, message):
    variables = student_variables()
    change(variables)
    with pytest.raises(InputError, match=message):
        read_released(write(variables))


def test_another_network_is_refused(write):
    with pytest.raises(InputError, match=r"no known network; its variables are model/dense"):
        read_released(write({"model/dense/kernel": draw((3, 4)), "model/dense/bias": draw((4,))}))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), r"generator/b1 has shape"),
        ((9, 9, 3, 512), r"a\.ckpt: the network dped_resnet has features 512"),
    ],
)
def test_settings_from_a_hostile_kernel_shape_are_refused(write, shape, message):
    layers = [(f"W{i}", f"b{i}") for i in range(1, 9)]
    names = [name for pair in layers for name in pair]
    names += ["Variable", *(f"Variable_{n}" for n in range(1, 8))]
    variables = {f"generator/{name}": np.zeros(3, np.float32) for name in names}
    variables["generator/W1"] = np.zeros(shape, np.float32)
    with pytest.raises(InputError, match=message):
        read_released(write(variables))


def test_truncated_data_names_the_variable(write):
    prefix = write(student_variables())
    (data,) = prefix.parent.glob("a.ckpt.data-*")
    data.write_bytes(data.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"a\.ckpt: generator_little/\w+ cannot be read"):
        read_released(prefix)


def test_truncated_index_is_no_checkpoint(write):
    prefix = write(student_variables())
    index = prefix.with_name("a.ckpt.index")
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(InputError, match="not a readable checkpoint"):
        read_released(prefix)


def test_a_checkpoint_is_found_by_its_prefix_or_files(write, tmp_path):
    prefix = write(student_variables())
    assert find_checkpoint(prefix) == prefix
    for file in tmp_path.glob("a.ckpt.*"):
        assert find_checkpoint(file) == prefix
    assert find_checkpoint(tmp_path / "b.ckpt") is None
    (tmp_path / "text").write_text("some text", encoding="utf-8")
    assert find_checkpoint(tmp_path / "text") is None
    # The older format is one file that ends like an index.
    shutil.copy(prefix.with_name("a.ckpt.index"), tmp_path / "old")
    assert find_checkpoint(tmp_path / "old") == tmp_path / "old"


def test_without_tensorflow_the_error_says_how_to_get_it(write, monkeypatch):
    prefix = write(student_variables())
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match=r"needs TensorFlow: run pip install '\.\[data\]' in a"):
        read_released(prefix)


CHECKPOINTS = {
    "student.ckpt": ("student", {}),
    "student_wo_kd": ("student", {}),
    "teacher.ckpt": ("teacher", {}),
    "generator_all.ckpt": ("super_resolver", {}),
    "baselines/dped_srcnn": ("srcnn", {}),
    "baselines/div2k_srcnn": ("srcnn", {}),
    "baselines/iphone_orig": ("dped_resnet", {"blocks": 4, "features": 64}),
    "baselines/dped_resnet_8_32": ("dped_resnet", {"blocks": 2, "features": 32}),
    "baselines/div2k_vgg19_vdsr.ckpt": ("vdsr", {}),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_released_checkpoint(shared, name):
    network, settings = CHECKPOINTS[name]
    model = read_released(shared / "checkpoints" / name)
    assert model.name == network
    assert model.module == make_network(network, settings)
    wanted = jax.tree.map(lambda leaf: leaf.shape, abstract_params(model.module))
    assert jax.tree.map(np.shape, model.params) == wanted
    assert all(array.std() > 0 for array in flatten_dict(model.params).values() if array.size > 3)
