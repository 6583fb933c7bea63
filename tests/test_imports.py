"""The imports that are allowed: the wings of both halves, and the doors to other libraries."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# A wing of `ppcn_jax` may import itself and the wings listed. `metrics` and `command` are modules.
WINGS = {
    "runtime": "",
    "ops": "",
    "losses": "ops",
    "models": "ops",
    "photos": "runtime",
    "pairing": "photos runtime",
    "metrics": "losses ops",
    "weights": "models runtime",
    "steps": "losses models metrics ops",
    "graphs": "weights models ops runtime",
    "inference": "graphs weights models photos ops runtime",
    "evaluation": "inference weights models losses photos metrics ops runtime",
    "export": "inference graphs weights models photos ops runtime",
    "serving": "inference weights photos runtime",
    "configuration": "steps weights models runtime",
    "training": "configuration evaluation steps weights models losses photos ops runtime",
    "benchmark": (
        "runtime ops losses models photos metrics weights graphs steps inference evaluation export "
        "configuration training"
    ),
    "command": "pairing serving export inference weights photos runtime",
}
# Modules and packages of `data`, each with what it may import beside itself.
DATA = {
    "errors": "",
    "storage": "errors",
    "pictures": "errors storage",
    "batching": "errors storage",
    "sources": "errors storage pictures batching",
    "dped": "errors storage pictures batching sources",
    "open": "errors storage pictures batching sources dped",
    "run": "errors storage pictures batching sources dped open",
}
# launch.py is the only file that imports both halves, and nothing below these wings.
LAUNCHER = {"benchmark", "training", "evaluation", "configuration", "runtime"}

# Where a library may be imported; a path ending in / is a package.
DOORS = {
    "orbax": ("ppcn_jax/weights/checkpoints.py", "ppcn_jax/runtime/exchange.py"),
    "PIL": ("ppcn_jax/photos/",),
    "cv2": ("ppcn_jax/pairing/",),
    "rawpy": ("ppcn_jax/photos/camera_raw.py",),
    "gradio": ("ppcn_jax/serving/",),
    "fastapi": ("ppcn_jax/serving/",),
    "uvicorn": ("ppcn_jax/serving/",),
    "openvino": ("ppcn_jax/graphs/openvino.py",),
    "torch": ("ppcn_jax/benchmark/pytorch/",),
    "ncnn": ("ppcn_jax/benchmark/pytorch/ncnn.py",),
    "pnnx": ("ppcn_jax/benchmark/pytorch/ncnn.py",),
    "tensorflow": ("ppcn_jax/weights/tensorflow_checkpoint.py", "ppcn_jax/export/tflite.py"),
    "wandb": ("ppcn_jax/training/wandb_run.py",),
    "keras": ("ppcn_jax/weights/vgg.py",),
    "etils": ("ppcn_jax/runtime/storage.py",),
    "fsspec": ("ppcn_jax/runtime/storage.py",),
    "google": ("ppcn_jax/runtime/lock_object.py",),
    "tensorflow_datasets": (),
    "configs": (),
}
# Heavy libraries are imported by the function that needs them, so that a module stays light.
INSIDE_FUNCTIONS = {
    *("torch", "tensorflow", "keras", "gradio", "fastapi", "uvicorn", "wandb", "google"),
    *("openvino", "ncnn", "pnnx"),
}


def sources(top):
    return sorted((REPOSITORY / top).rglob("*.py"))


def label(path):
    return path.relative_to(REPOSITORY).as_posix()


def imported_by(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: imports are absolute here"
        # `from ppcn_jax import losses` imports the module ppcn_jax.losses.
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports(text, *, inside_functions=True):
    """Dotted names that a module imports; the last part may be a member of a module."""
    nodes = [ast.parse(text)]
    names = set()
    while nodes:
        node = nodes.pop()
        names.update(imported_by(node))
        if inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes.extend(ast.iter_child_nodes(node))
    return names


def tops(names):
    return {name.partition(".")[0] for name in names}


def second_parts(names, top):
    """Wings that are imported: "weights" of ppcn_jax.weights.load."""
    return {name.split(".")[1] for name in names if name.startswith(f"{top}.")}


def wing_of(path):
    """The wing that a file belongs to; None for a package's own __init__ and __main__."""
    second = Path(path).parts[1]
    return None if second in ("__init__.py", "__main__.py") else second.removesuffix(".py")


def uses_attribute(text, *dotted):
    """Check for `jax.pmap` or the like, used as an attribute or imported."""
    tree = ast.parse(text)
    attributes = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return any(name in attributes or name in imports(text) for name in dotted)


def problems(path, text):
    """What is wrong with the imports of a file of the package or of `data`.

    Args:
        path: relative to the repository, with slashes.
        text: the file's content.
    """
    found = []
    names = imports(text)
    half = path.partition("/")[0]
    table = WINGS if half == "ppcn_jax" else DATA
    wing = wing_of(path)
    if wing is not None:
        assert wing in table, f"{path} stands outside of the wings"
        # Names that are no wing, such as ppcn_jax.enhance, are the package's own.
        strangers = second_parts(names, half) & set(table) - {wing, *table[wing].split()}
        found += [f"imports the wing {stranger}" for stranger in sorted(strangers)]
    if half == "data":
        forbidden = tops(names) & {"jax", "flax", "optax", "ppcn_jax", "configs"}
        return found + [f"imports {name}" for name in sorted(forbidden)]
    if "data" in tops(names):
        found.append("imports data")
    for library, doors in DOORS.items():
        if library in tops(names) and not path.startswith(doors):
            found.append(f"imports {library}")
    early = tops(imports(text, inside_functions=False)) & INSIDE_FUNCTIONS
    found += [f"imports {name} outside of a function" for name in sorted(early)]
    if any(name.startswith("jax._src") for name in names) or uses_attribute(text, "jax._src"):
        found.append("uses jax._src")
    if uses_attribute(text, "jax.pmap") and path != "ppcn_jax/steps/parallel.py":
        found.append("uses jax.pmap")
    return found


@pytest.mark.parametrize("path", [*sources("ppcn_jax"), *sources("data")], ids=label)
def test_imports(path):
    assert not problems(label(path), path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("path", "line", "problem"),
    [
        ("ppcn_jax/ops/x.py", "from ppcn_jax.runtime import errors", "the wing runtime"),
        ("ppcn_jax/losses/x.py", "from ppcn_jax.models import Student", "the wing models"),
        ("ppcn_jax/models/x.py", "import ppcn_jax.losses", "the wing losses"),
        ("ppcn_jax/metrics.py", "from ppcn_jax import models", "the wing models"),
        ("ppcn_jax/weights/x.py", "from ppcn_jax.steps.state import Player", "the wing steps"),
        ("ppcn_jax/configuration/x.py", "import ppcn_jax.training.loop", "the wing training"),
        ("ppcn_jax/export/x.py", "from ppcn_jax.benchmark import rows", "the wing benchmark"),
        ("ppcn_jax/command.py", "from ppcn_jax.training import loop", "the wing training"),
        ("ppcn_jax/steps/x.py", "def f():\n    import data", "imports data"),
        ("ppcn_jax/training/x.py", "from configs import student", "imports configs"),
        ("ppcn_jax/training/x.py", "import orbax.checkpoint", "imports orbax"),
        ("ppcn_jax/inference/x.py", "from PIL import Image", "imports PIL"),
        ("ppcn_jax/inference/x.py", "import gradio", "imports gradio"),
        ("ppcn_jax/photos/x.py", "import cv2", "imports cv2"),
        ("ppcn_jax/pairing/x.py", "from ppcn_jax.models import Student", "the wing models"),
        ("ppcn_jax/benchmark/x.py", "def f():\n    import torch", "imports torch"),
        ("ppcn_jax/benchmark/pytorch/x.py", "import torch", "torch outside of a function"),
        ("ppcn_jax/photos/x.py", "def f():\n    import tensorflow", "imports tensorflow"),
        ("ppcn_jax/runtime/x.py", "from jax._src import distributed", "uses jax._src"),
        ("ppcn_jax/runtime/x.py", "import jax\njax._src.core", "uses jax._src"),
        ("ppcn_jax/training/x.py", "import jax\njax.pmap(len)", "uses jax.pmap"),
        ("ppcn_jax/training/x.py", "from jax import pmap", "uses jax.pmap"),
        ("data/pictures/x.py", "from data.batching.order import Order", "the wing batching"),
        ("data/errors.py", "from data.pictures import images", "the wing pictures"),
        ("data/sources/x.py", "import jax", "imports jax"),
        ("data/open.py", "from ppcn_jax import losses", "imports ppcn_jax"),
    ],
)
def test_a_wrong_import_is_found(path, line, problem):
    assert any(problem in found for found in problems(path, line))


def test_a_module_outside_of_the_wings_is_found():
    with pytest.raises(AssertionError, match="outside of the wings"):
        problems("ppcn_jax/helpers.py", "")


@pytest.mark.parametrize("path", sources("configs"), ids=label)
def test_configs_import_only_each_other(path):
    assert tops(imports(path.read_text(encoding="utf-8"))) <= {"ml_collections", "configs"}


def test_the_launcher_alone_imports_both_halves():
    names = imports((REPOSITORY / "launch.py").read_text(encoding="utf-8"))
    assert {"ppcn_jax", "data"} <= tops(names)
    assert second_parts(names, "ppcn_jax") <= LAUNCHER
    others = [*sources("configs"), *sources("docs")]
    assert not [
        label(p)
        for p in others
        if {"ppcn_jax", "data"} <= tops(imports(p.read_text(encoding="utf-8")))
    ]


@functools.cache
def graph():
    """Module of the package -> modules of the package that it imports."""
    modules = {}
    for path in sources("ppcn_jax"):
        parts = path.relative_to(REPOSITORY).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {
        module: {
            other
            for name in imports(path.read_text(encoding="utf-8"))
            for other in (name, name.rpartition(".")[0])
            # A name in a package's __init__ is a reference to the package only.
            if other in modules and other not in (module, "ppcn_jax")
        }
        for module, path in modules.items()
    }


def test_imports_have_no_cycle():
    order = list(graphlib.TopologicalSorter(graph()).static_order())
    assert order.index("ppcn_jax.steps.objective") < order.index("ppcn_jax.steps.enhancer")


TRAINING = {"PIL", "ml_collections", "optax", "orbax", "scipy", "tensorboardX", "tensorflow"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("ppcn_jax.losses", TRAINING | {"flax"}),
        ("ppcn_jax.metrics", TRAINING | {"flax"}),
        ("ppcn_jax.models", TRAINING),
        ("ppcn_jax.steps.enhancer", {"tensorflow", "tensorflow_datasets", "keras", "torch"}),
    ],
)
def test_import_is_light(module, absent):
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    assert not absent & set(run.stdout.split())
