"""The reference page of configuration fields, made from the files in configs/."""

import ast
import importlib
import io
import textwrap
import tokenize
from pathlib import Path
from typing import Any

import ml_collections

# Page order; the fields of a later file that are the same in the first one are not repeated.
_FILES = {
    "teacher": "Training an enhancer",
    "student": "Training the student",
    "super_resolution": "Training a super-resolver",
    "your_camera": "Tuning on your own camera",
    "evaluate": "Scoring trained networks",
    "photo_faults": "Faults in whole photos",
    "table1": "Table 1",
    "table3": "Table 3",
    "comparison": "Comparing runs",
    "benchmark": "Benchmark",
    "accelerator": "One GPU or TPU",
}
_REPOSITORY = Path(__file__).parent.parent


def write(folder: Path) -> None:
    """Write `configuration.md` into the folder, if its text has changed."""
    page, text = folder / "configuration.md", make_page()
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def make_page() -> str:
    """The page as Markdown: a table for each file in configs/."""
    parts = [
        "# Configuration fields\n",
        _INTRODUCTION,
    ]
    shared = dict(fields("teacher"))
    notes = comments("teacher")
    for name, title in _FILES.items():
        notes = {**notes, **comments(name)}
        rows = [
            f"| `{field}` | {type(value).__name__}, {_code(value)} | {notes.get(field, '')} |"
            for field, value in fields(name)
            if (name == "teacher" or shared.get(field) != value) and ".data." not in field
        ]
        same = "" if name == "teacher" or len(rows) == len(fields(name)) else _SAME
        parts += [
            f"## {title}\n",
            f"`--config=configs/{name}.py`. {same}\n",
            "| field | type, default | meaning |\n|---|---|---|",
            *rows,
            "",
        ]
    return "\n".join(parts)


_INTRODUCTION = """\
Every field can be set on the command line: `--config.train.steps=1000`. A field that a file does not
have is an error. Sections and equations are the paper's.
"""
_SAME = "Fields that are not listed are those of `configs/teacher.py`."


def fields(name: str) -> list[tuple[str, Any]]:
    """The fields of a file's default variant with their values, in the file's order."""
    config = importlib.import_module(f"configs.{name}").get_config()

    def flatten(group: ml_collections.ConfigDict, prefix: str) -> list[tuple[str, Any]]:
        found = []
        for key in group:
            value = group[key]
            if isinstance(value, ml_collections.ConfigDict):
                found += flatten(value, f"{prefix}{key}.")
            else:
                found.append((f"{prefix}{key}", value))
        return found

    return flatten(config, "")


def comments(name: str) -> dict[str, str]:
    """What the file's comments say about its fields: beside an assignment, or above it."""
    source = (_REPOSITORY / "configs" / f"{name}.py").read_text(encoding="utf-8")
    beside, above = _comments_by_line(source)
    (get_config,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "get_config"
    )
    found: dict[str, str] = {}
    for node in ast.walk(get_config):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = ast.unparse(node.targets[0])
            note = beside.get(node.end_lineno or 0) or above.get(node.lineno - 1, "")
            if target.startswith("config.") and note:
                field = target.removeprefix("config.")
                if isinstance(node.value, ast.Dict):  # a group of fields in one line
                    keys = [ast.literal_eval(key) for key in node.value.keys if key]
                    found.update({f"{field}.{key}": note for key in keys})
                else:
                    found[field] = note
    return {field: note.replace("|", "\\|") for field, note in found.items()}


def _comments_by_line(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Comments beside code by line, and blocks of comment lines by their last line."""
    beside: dict[int, str] = {}
    above: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, text = token.start[0], token.string.removeprefix("#").strip()
            if token.line.strip().startswith("#"):
                above[line] = textwrap.dedent(f"{above.pop(line - 1, '')} {text}").strip()
            else:
                beside[line] = text
    return beside, above


def _code(value: Any) -> str:
    return f"`{value!r}`" if value != "" else "empty"
