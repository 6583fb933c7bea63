"""The notebooks in docs/notebooks: their commands and checks hold; as a whole they run on few steps."""

import importlib
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="pip install '.[test]'")
pytest.importorskip("matplotlib", reason="pip install '.[notebooks]'")

import matplotlib.pyplot as plt
import nbformat
from nbclient import NotebookClient

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "docs" / "notebooks"
# What a test changes, in a cell after the one that is tagged "parameters".
TINY_RUN = [
    *("train.steps=2", "train.boundaries=(1,)", "train.batch_size=1", "data.crop=32"),
    *("evaluate.every=2", "checkpoint.every=2", "log.every=1"),
    *("objective.contextual.weight=0.0", "objective.texture.weight=0.0"),
]
TINY = {
    "own_loss": "STEPS, CROP, BATCH = 2, 32, 1",
    "train_and_distil": "import os\n"
    "WORKDIRS = pathlib.Path(os.environ['PPCN_NOTEBOOK'])\n"
    f"FIELDS = dict.fromkeys(FIELDS, {[f'--config.{field}' for field in TINY_RUN]})",
}


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == TINY.keys()


@pytest.mark.parametrize("name", TINY)
def test_notebooks_are_valid_and_show_results_without_errors_and_local_paths(name):
    notebook = read(name)
    nbformat.validate(notebook)
    kinds = {output.output_type for cell in code(notebook) for output in cell.outputs}
    assert "error" not in kinds and {"display_data", "stream"} <= kinds
    images = [
        output
        for cell in code(notebook)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(images) >= 3
    for cell in notebook.cells:
        for text in (cell.source, *(output.get("text", "") for output in cell.get("outputs", []))):
            assert not re.search(r"/(home|root|tmp|work|Users)/", text), text
    assert [cell for cell in code(notebook) if cell.metadata.get("tags") == ["parameters"]]


def test_configurations_have_the_fields_of_the_tiny_runs():
    for variant in ("teacher", "student"):
        config = importlib.import_module("configs.demo").get_config(variant)
        for field in TINY_RUN:
            group = config
            for part in field.partition("=")[0].split("."):
                group = group[part]


def test_the_loss_of_the_notebook_passes_its_own_checks(monkeypatch):
    plt.switch_backend("agg")
    monkeypatch.chdir(FOLDER)
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which the notebook adds the repository
    cells = [cell.source for cell in code(read("own_loss"))]
    last = next(number for number, source in enumerate(cells) if "isfinite(gradient" in source)
    names = {}
    for source in cells[: last + 1]:
        exec(source, names)
    assert names["hue"](names["noise"], names["noise"]).shape == (1,)
    assert len(set(names["values"])) > 5
    plt.close("all")


@pytest.mark.long
@pytest.mark.parametrize("name", TINY)
def test_notebooks_run_on_few_steps(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PPCN_NOTEBOOK", str(tmp_path))
    monkeypatch.setenv("XLA_FLAGS", "")  # one device
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = read(name)
    (place,) = (
        number
        for number, cell in enumerate(notebook.cells)
        if cell.metadata.get("tags") == ["parameters"]
    )
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(TINY[name]))
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    assert all(cell.execution_count for cell in code(notebook))
