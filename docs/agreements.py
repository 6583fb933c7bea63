"""The page docs/api/other_libraries.md: what gives the same value as our losses and metrics.

    pip install '.[agreement]'
    python docs/agreements.py

evaluates every call of `ppcn_jax/benchmark/counterparts.py` beside ours, keeps the differences and
versions in docs/numbers/agreements.json and writes the page. It ends with an error if a call does
not give what the list says.
"""

import functools
import importlib
import importlib.metadata
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ppcn_jax import losses, metrics
from ppcn_jax.benchmark.counterparts import (
    ALONE,
    DIFFERENT,
    LIBRARIES,
    SAME,
    function_of,
    is_installed,
)
from ppcn_jax.export.images import synthetic_photo

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "api" / "other_libraries.md"
KEPT = DOCS / "numbers" / "agreements.json"
# Relative to the largest value. Between the two, a number is neither the same nor another.
EQUAL, UNEQUAL = 2e-4, 5e-4


class Cell(NamedTuple):
    """A call of another library beside one of this package."""

    ours: str
    library: str
    theirs: str
    reason: str = ""  # why the numbers differ, "" if they are the same

    @property
    def sign(self) -> str:
        """= for the same number, ≠ for another one."""
        return "≠" if self.reason else "="

    @property
    def key(self) -> str:
        """The name of this cell in the kept numbers."""
        return f"{self.ours} {self.sign} {self.theirs}"


CELLS = [
    *(Cell(ours, *call) for ours, calls in SAME.items() for call in calls.items()),
    *(
        Cell(ours, library, theirs, reason)
        for ours, calls in DIFFERENT.items()
        for library, (theirs, reason) in calls.items()
    ),
]


def difference(cell: Cell) -> float:
    """Largest difference of the two numbers, relative to the largest of them.

    Raises ValueError if the cell does not hold: the shapes or numbers differ though they should be
    the same, or the numbers are the same though they should differ.
    """
    ours, theirs = _evaluate_ours(cell.ours), _evaluate(cell)
    if ours.shape != theirs.shape and not cell.reason:
        raise ValueError(f"{cell.key}: shapes {ours.shape} and {theirs.shape}")
    found = float(np.abs(ours - theirs).max() / max(np.abs(ours).max(), np.abs(theirs).max()))
    if not (found > UNEQUAL if cell.reason else found < EQUAL):
        raise ValueError(f"{cell.key}: they differ by {found:.1e}")
    return found


@functools.cache
def inputs() -> dict[str, np.ndarray]:
    """The arrays that the expressions name, in the layout of this package."""
    rng = np.random.default_rng(0)

    def pair(*corners: tuple[int, int], height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        photo = 0.3 + synthetic_photo(480, 480) / 255 * 0.4
        target = np.stack([photo[y : y + height, x : x + width] for y, x in corners])
        target += rng.uniform(-0.1, 0.1, target.shape)
        # Contrast and noise that differ between channels, and noise that grows to the right.
        spread = np.linspace(0.02, 0.2, width)[:, None] * np.array([1.0, 0.5, 0.5])
        noise = rng.uniform(-spread, spread, target.shape)
        noise[1:] /= 2
        prediction = 0.5 + (target - 0.5) * np.array([0.3, 0.7, 1.0]) + noise
        return prediction.astype(np.float32), target.astype(np.float32)

    y, t = pair((0, 0), (200, 150), height=192, width=208)
    y2, t2 = pair((3, 5), height=389, width=405)
    f, g = rng.normal(0, 1, (2, 2, 12, 14, 16)).astype(np.float32)
    z = np.array([[2.0], [-0.5], [-3.0], [0.1]], np.float32)
    real = np.array([1.0, 0.0, 1.0, 0.0], np.float32)
    return {"y": y, "t": t, "y2": y2, "t2": t2, "f": f, "g": g, "z": z, "real": real}


@functools.cache
def _evaluate_ours(expression: str) -> np.ndarray:
    names = {name: jnp.asarray(array) for name, array in inputs().items()}
    return np.asarray(eval(expression, {"losses": losses, "metrics": metrics, "jnp": jnp} | names))


def _evaluate(cell: Cell) -> np.ndarray:
    alias, module, arrays = LIBRARIES[cell.library]
    names: dict[str, Any] = {alias: importlib.import_module(module)}
    if arrays == "numpy":
        # One image after the other; what has no batch of images is used as it is.
        images = [{k: v[i] for k, v in inputs().items() if i < len(v)} for i in range(2)]
        count = 1 if "y2" in cell.theirs else 2
        return np.stack([np.asarray(eval(cell.theirs, names | each)) for each in images[:count]])
    return np.asarray(eval(cell.theirs, names | _converted(arrays)))


@functools.cache
def _converted(arrays: str) -> dict[str, Any]:
    if arrays == "torch":
        import torch

        channels_first = {
            name: np.moveaxis(array, -1, 1) if array.ndim == 4 else array
            for name, array in inputs().items()
        }
        return {name: torch.from_numpy(array.copy()) for name, array in channels_first.items()}
    if arrays == "tensorflow":
        import tensorflow as tf

        return {name: tf.constant(array) for name, array in inputs().items()}
    return {name: jnp.asarray(array) for name, array in inputs().items()}


def uses_pytorch(cell: Cell) -> bool:
    """Tell if a cell belongs to `differences_in_pytorch`."""
    return LIBRARIES[cell.library].arrays == "torch"


def differences_in_pytorch() -> dict[str, float | str]:
    """Differences, or what is wrong, of the cells of PyTorch's libraries that are installed.

    In a process of their own: PyTorch's Triton and TensorFlow crash in one.
    """
    command = [sys.executable, __file__, "pytorch"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return json.loads(done.stdout.splitlines()[-1])


def _checked(cell: Cell) -> float | str:
    try:
        return difference(cell)
    except ValueError as error:
        return str(error)


def measure() -> dict[str, Any]:
    """The differences of all cells, and the versions that gave them."""
    in_pytorch = differences_in_pytorch()
    found = {c.key: in_pytorch[c.key] if uses_pytorch(c) else _checked(c) for c in CELLS}
    if problems := [value for value in found.values() if isinstance(value, str)]:
        raise ValueError("\n".join(problems))
    modules = {"JAX": "jax", "NumPy": "numpy"} | {k: v.module for k, v in LIBRARIES.items()}
    packages = importlib.metadata.packages_distributions()
    versions = {
        name: importlib.metadata.version(packages[module.partition(".")[0]][0])
        for name, module in modules.items()
    }
    return {"versions": versions, "differences": found}


def make_page(kept: dict[str, Any]) -> str:
    """The page as Markdown, with the differences that were seen."""
    functions = sorted({function_of(cell.ours) for cell in CELLS})
    sections = "\n".join(_section(function, kept["differences"]) for function in functions)
    return _INTRODUCTION.format(
        overview=_overview(functions),
        versions=_filled(", ".join(f"{k} {v}" for k, v in kept["versions"].items()) + "."),
        imports=_filled(", ".join(f"`{each}`" for each in _imports()) + "."),
        alone=_filled(", ".join(f"`{function_of(each)}`" for each in ALONE) + "."),
        sections=sections,
    )


_INTRODUCTION = """# The same value in other libraries

Which call of another library gives the same number as a loss or metric of this package, which gives another one, and why.
One command evaluates all calls of this page beside ours and writes the page:

    pip install '.[agreement]'
    python docs/agreements.py

**=** a call gives the same number; **≠** only another number. Both are explained below.

{overview}
No library of these has, or none without fetching weights:
{alone}

## The calls

`y` and `t` are a prediction and its target, images in [0, 1] of 208x192; `y2` and `t2` are of 405x389. `f` and `g` are
features, `z` logits `[4, 1]`, and `real` is 1 for real images, else 0. Images are `[N, H, W, C]` for this package,
TensorFlow, dm_pix and Optax, and `[N, C, H, W]` for the libraries of PyTorch. scikit-image, SciPy and POT get one image
`[H, W, C]` at a time.

The names:
{imports}

In parentheses: the largest difference of all values, relative to the largest value, as last seen. All but SciPy and
scikit-image compute in float32. Numbers count as the same if they differ by less than 2e-4. Seen with
{versions}

{sections}"""


def _imports() -> list[str]:
    return [
        f"import {module}" if alias == module else f"{alias} = {module}"
        for alias, module, _ in LIBRARIES.values()
    ]


def _overview(functions: list[str]) -> str:
    """A table: functions by libraries."""
    lines = [f"| |{'|'.join(LIBRARIES)}|", f"|---|{':---:|' * len(LIBRARIES)}"]
    for function in functions:
        cells = [cell for cell in CELLS if function_of(cell.ours) == function]
        marks = []
        for library in LIBRARIES:
            signs = {cell.sign for cell in cells if cell.library == library}
            marks.append("=" if "=" in signs else "".join(signs))
        lines.append(f"| [{function}](#{function.replace('.', '')}) |{'|'.join(marks)}|")
    return "\n".join(lines) + "\n"


def _section(function: str, differences: dict[str, float]) -> str:
    text = f"### {function}\n"
    cells = [cell for cell in CELLS if function_of(cell.ours) == function]
    for ours in dict.fromkeys(cell.ours for cell in cells):
        for sign in "=≠":
            group = [cell for cell in cells if (cell.ours, cell.sign) == (ours, sign)]
            if group:
                lines = "\n".join(_lines(cell, differences[cell.key]) for cell in group)
                text += f"\n`{ours}` {sign}\n\n```text\n{lines}\n```\n"
    return text


def _lines(cell: Cell, found: float) -> str:
    reason = f": {cell.reason}" if cell.reason else ""
    return (
        f"# {cell.library}{reason} ({found:.0e})\n{_filled(cell.theirs, subsequent_indent='    ')}"
    )


def _filled(text: str, **settings: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False, **settings)


def _print_differences_in_pytorch() -> None:
    import torch

    torch.set_num_threads(1)  # its threads wait for each other where others compute
    found: dict[str, float | str] = {}
    for cell in CELLS:
        if uses_pytorch(cell) and is_installed(cell.library):
            found[cell.key] = _checked(cell)
    print(json.dumps(found))


def main() -> None:
    """Evaluate all cells and write the page and its numbers."""
    if sys.argv[1:] == ["pytorch"]:
        _print_differences_in_pytorch()
        return
    missing = [library for library in LIBRARIES if not is_installed(library)]
    if missing:
        sys.exit(f"agreements: not installed: {', '.join(missing)}; pip install '.[agreement]'")
    try:
        kept = measure()
    except ValueError as error:
        sys.exit(f"agreements: {error}")
    KEPT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(make_page(kept), encoding="utf-8")
    print(f"wrote {PAGE} and {KEPT}")


if __name__ == "__main__":
    main()
