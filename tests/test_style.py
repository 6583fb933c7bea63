"""Rules of writing that a reader relies on, for every module of the package."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import ppcn_jax
from ppcn_jax import losses

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = [
    *sorted(
        path for top in ("ppcn_jax", "configs", "data") for path in (REPOSITORY / top).rglob("*.py")
    ),
    *sorted(REPOSITORY.glob("*.py")),
]
MODULES = ["ppcn_jax"] + [
    module.name for module in pkgutil.walk_packages(ppcn_jax.__path__, "ppcn_jax.")
]
LOSSES = [getattr(losses, name) for name in losses.__all__]


def public_members(module):
    """Public functions and classes written in a module, and the classes' public methods."""
    for name, member in vars(module).items():
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(member):
            yield name, member
        elif inspect.isclass(member):
            yield name, member
            for method_name, method in vars(member).items():
                # Some methods that a decorator adds come from elsewhere.
                written_here = getattr(method, "__module__", None) == module.__name__
                if inspect.isfunction(method) and written_here and not method_name.startswith("_"):
                    yield f"{name}.{method_name}", method


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for label, member in public_members(module):
        written = vars(member).get("__doc__") if inspect.isclass(member) else member.__doc__
        # A dataclass without one is given its signature.
        assert written and not written.startswith(f"{label}("), f"{name}.{label} has no docstring"
        first_line = written.strip().splitlines()[0]
        assert first_line.endswith((".", ":", ";")), f"{name}.{label}: {first_line!r}"


@pytest.mark.parametrize("name", MODULES)
def test_documented_arguments_exist(name):
    for label, member in public_members(importlib.import_module(name)):
        if inspect.isclass(member) or "Args:" not in member.__doc__:
            continue
        section = inspect.cleandoc(member.__doc__).split("Args:\n")[1].split("\n\n")[0]
        # Continuation lines are indented further.
        documented = [line.split(":")[0].strip() for line in section.splitlines() if line[4] != " "]
        parameters = [name for name in inspect.signature(member).parameters if name != "self"]
        assert documented == parameters, f"{name}.{label}"


@pytest.mark.parametrize("fn", LOSSES, ids=lambda fn: fn.__name__)
def test_loss_docstring_has_its_sections_in_order(fn):
    sections = ["Args:", "Returns:", "Raises:", "Reference:"]
    if not inspect.signature(fn).parameters:
        sections = ["Returns:", "Reference:"]
    lines = inspect.cleandoc(fn.__doc__).splitlines()
    assert [line for line in lines if line in sections] == sections


@pytest.mark.parametrize("fn", LOSSES, ids=lambda fn: fn.__name__)
def test_options_of_a_loss_are_keyword_only(fn):
    tensors = {"prediction", "target", "is_real", "logits"}
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.name in tensors:
            assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        else:
            assert parameter.kind is parameter.KEYWORD_ONLY, parameter.name
            assert parameter.default is not parameter.empty, parameter.name


@pytest.mark.parametrize("name", ["ppcn_jax.losses", "ppcn_jax.models"])
def test_public_names_exist_in_order(name):
    package = importlib.import_module(name)
    assert package.__all__ == sorted(package.__all__)
    assert all(hasattr(package, public) for public in package.__all__)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_module_is_short_and_named_for_its_job(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    drawers = {"utils", "util", "common", "helpers", "helper", "internal", "misc"}
    assert drawers.isdisjoint(path.relative_to(REPOSITORY).with_suffix("").parts)


PRODUCTS = {"conv_general_dilated", "dot", "dot_general", "einsum", "matmul", "tensordot", "Dense"}


def test_products_of_jax_name_their_precision():
    # Without one they round float32 on accelerators; tests/products.py reads it off programs.
    found = 0
    for path in (REPOSITORY / "ppcn_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                module, _, name = ast.unparse(node.func).rpartition(".")
                if module in ("jnp", "lax", "nn", "jax.lax", "jax.numpy") and name in PRODUCTS:
                    found += 1
                    where = f"{path.relative_to(REPOSITORY)}, line {node.lineno}: {name}"
                    assert "precision" in {keyword.arg for keyword in node.keywords}, where
    assert found > 5


# Words of the old dialect, and what to write instead.
BANNED = {
    r"\banew\b": "again",
    r"\b(is|are|was|were|be) told\b": "is reported",
    r"\btells? of\b": "reports",
    r"\bwho has\b|\bof those that\b|\bthose of which\b": "a plain relative clause",
    r"as of `": "see `",
    r"\bleft out\b": "skipped",
    r"\bkept back\b": "held out for validation",
    r"\bgoes without\b": "fallback",
    r"\btreat(s|ed|ing|ment)?\b": "process, enhance",
    r"\bopponent\b": "discriminator",
    r"\blets? go of\b": "drops",
    r"\bamid\b": "while",
    r"\bknobs?\b": "option",
}
TEXTS = [
    *SOURCES,
    *sorted((REPOSITORY / "tests").rglob("*.py")),
    *sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]),
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_words(path):
    if path == Path(__file__):
        pytest.skip("lists the words themselves")
    text = path.read_text(encoding="utf-8")
    for pattern, instead in BANNED.items():
        for found in re.finditer(pattern, text, re.IGNORECASE):
            line = text.count("\n", 0, found.start()) + 1
            raise AssertionError(f"line {line}: {found[0]!r}; say: {instead}")


@pytest.mark.parametrize(
    "path",
    [path for path in TEXTS if path.suffix == ".py"],
    ids=lambda path: path.relative_to(REPOSITORY).as_posix(),
)
def test_docstrings_begin_with_their_subject_and_names_are_not_participles(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            name = getattr(node, "name", "")
            assert not re.match(r"(Of|Who|Whether)\b", docstring), docstring.splitlines()[0]
        else:
            name = getattr(node, "id", "") or getattr(node, "arg", "")
        assert name not in ("told", "shown", "asked"), f"line {node.lineno}: {name}"


@pytest.mark.parametrize(
    "path",
    [path for path in TEXTS if path.suffix == ".md"],
    ids=lambda path: path.relative_to(REPOSITORY).as_posix(),
)
def test_lines_of_markdown_are_short(path):
    if path.name in ("command_line.md", "configuration.md"):
        pytest.skip("made by `make docs`")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        assert len(line) <= 140, f"line {number} has {len(line)} characters"
