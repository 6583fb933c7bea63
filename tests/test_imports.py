"""Who may import whom."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# The training half runs on machines without TensorFlow; weights in Keras's keeping need Keras.
FOREIGN = {"tensorflow", "tensorflow_datasets", "keras", "torch", "data", "configs"}
FOREIGN |= {"gradio", "fastapi", "uvicorn"}
INSIDE_FUNCTIONS = {
    "ppcn_jax/benchmark/competitors.py": {"torch"},
    "ppcn_jax/benchmark/pytorch/losses.py": {"torch"},
    "ppcn_jax/benchmark/pytorch/networks.py": {"torch"},
    "ppcn_jax/benchmark/pytorch/training.py": {"torch"},
    "ppcn_jax/weights/vgg.py": {"keras"},
    "ppcn_jax/weights/tensorflow_checkpoint.py": {"tensorflow"},
    "ppcn_jax/export/tflite.py": {"tensorflow"},
    "ppcn_jax/serving/page.py": {"gradio"},
    "ppcn_jax/serving/server.py": {"gradio", "fastapi", "uvicorn"},
}

# From the bottom up; a module of a floor sees only the floors below it.
FLOORS = (
    {"ppcn_jax.losses", "ppcn_jax.models"},
    {"ppcn_jax.steps.objective"},
    {"ppcn_jax.steps.enhancer", "ppcn_jax.steps.super_resolver"},
    {"ppcn_jax.steps.parallel"},
    {"ppcn_jax.training.experiment"},
    {"ppcn_jax.training.enhancer", "ppcn_jax.training.super_resolver"},
    {"ppcn_jax.training.loop"},
)


def sources(top):
    return sorted((REPOSITORY / top).rglob("*.py"))


def module_name(path):
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_by(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: imports are absolute here"
        # `from ppcn_jax import losses` imports the module ppcn_jax.losses.
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


@functools.cache
def imports(path, *, inside_functions=True):
    """Dotted names that a file imports; the last part may be a member of a module."""
    nodes = [ast.parse(path.read_text())]
    names = set()
    while nodes:
        node = nodes.pop()
        names.update(imported_by(node))
        if inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes.extend(ast.iter_child_nodes(node))
    return frozenset(names)


def tops(names):
    return {name.partition(".")[0] for name in names}


def within(name, package):
    return name == package or name.startswith(f"{package}.")


def label(path):
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", sources("ppcn_jax"), ids=label)
def test_package_imports_nothing_of_the_other_half(path):
    assert not tops(imports(path, inside_functions=False)) & FOREIGN
    assert tops(imports(path)) & FOREIGN <= INSIDE_FUNCTIONS.get(label(path), set())


@pytest.mark.parametrize("path", sources("data"), ids=label)
def test_data_imports_nothing_of_the_other_half(path):
    assert not tops(imports(path)) & {"jax", "flax", "optax", "ppcn_jax", "configs"}


@pytest.mark.parametrize("path", sources("configs"), ids=label)
def test_configs_import_only_each_other(path):
    assert tops(imports(path)) <= {"ml_collections", "configs"}


def test_only_the_launcher_imports_both_halves():
    files = [*REPOSITORY.glob("*.py")]
    for top in ("ppcn_jax", "data", "configs", "docs"):
        files += sources(top)
    both = {label(path) for path in files if {"ppcn_jax", "data"} <= tops(imports(path))}
    assert both <= {"launch.py"}


def test_launcher_imports_both_halves():
    path = REPOSITORY / "launch.py"
    assert {"ppcn_jax", "data"} <= tops(imports(path))


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("losses", ("ppcn_jax.losses", "ppcn_jax.ops")),
        ("models", ("ppcn_jax.models", "ppcn_jax.ops")),
    ],
)
def test_losses_and_models_know_nothing_above(room, allowed):
    for path in sources(f"ppcn_jax/{room}"):
        own = {name for name in imports(path) if within(name, "ppcn_jax")}
        strangers = {name for name in own if not any(within(name, a) for a in allowed)}
        assert not strangers, label(path)


@functools.cache
def graph():
    """Module of the package -> modules of the package that it imports."""
    modules = {module_name(path): path for path in sources("ppcn_jax")}
    return {
        module: {
            other
            for name in imports(path)
            for other in (name, name.rpartition(".")[0])
            # A name in a package's __init__ is a reference to the package only.
            if other in modules and other not in (module, "ppcn_jax")
        }
        for module, path in modules.items()
    }


def test_floors():
    for height, floor in enumerate(FLOORS):
        above = set().union(*FLOORS[height + 1 :])
        for module, others in graph().items():
            if any(within(module, name) for name in floor):
                assert not {o for o in others if any(within(o, a) for a in above)}, module


def test_imports_have_no_cycle():
    order = list(graphlib.TopologicalSorter(graph()).static_order())
    assert order.index("ppcn_jax.steps.objective") < order.index("ppcn_jax.steps.enhancer")


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("ppcn_jax.losses", {"tensorflow", "flax", "optax", "orbax", "ml_collections"}),
        ("ppcn_jax.metrics", {"tensorflow", "flax", "optax", "orbax", "ml_collections"}),
        ("ppcn_jax.models", {"tensorflow", "optax", "orbax", "ml_collections"}),
        ("ppcn_jax.steps.enhancer", {"tensorflow", "tensorflow_datasets", "keras", "torch"}),
    ],
)
def test_import_is_light(module, absent):
    program = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert not absent & set(run.stdout.split())
