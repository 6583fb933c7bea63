"""Weights & Biases: one run there for each workdir, and errors before work starts."""

import importlib.util
import json
import sys
import time
import types

import numpy as np
import pytest

from ppcn_jax.runtime.errors import InputError
from ppcn_jax.training import loop
from ppcn_jax.training.enhancer import check_files
from ppcn_jax.training.wandb_run import RECORD, WandbRun, check_wandb
from tests.tiny_runs import rows, run


def test_a_missing_package_is_reported_before_data_is_opened(averaged, tmp_path, monkeypatch):
    config = averaged[0].copy_and_resolve_references()
    config.log.wandb = "photos"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"config\.log\.wandb=photos needs the package wandb: run"):
        check_files(config, tmp_path / "run")
    assert not list(tmp_path.iterdir())
    check_wandb("")  # needs nothing


def test_without_a_network_everything_is_kept_in_the_workdir(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    image = np.zeros((6, 9, 3), np.uint8)
    for step in (5, 6):  # the second resumes the first
        writer = WandbRun("photos", tmp_path, {"train": {"boundaries": (1, 2)}})
        writer.scalars(step, {"train/total": 1.5, "train/ssim": float("nan")})
        writer.picture(step, "test", image)
        writer.close()
    identity = json.loads((tmp_path / RECORD).read_text(encoding="utf-8"))["photos"]
    files = list((tmp_path / "wandb").glob(f"offline-run-*/run-{identity}.wandb"))
    assert len(files) == 2
    for file in files:
        # The package's own process writes the rest of the file a moment after the run has ended.
        deadline = time.monotonic() + 60
        while b"train/total" not in file.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert b"train/total" in file.read_bytes() and b"boundaries" in file.read_bytes()
        assert list(file.parent.rglob("*.png"))


@pytest.fixture
def package(monkeypatch):
    """A replacement of the package that remembers how runs are opened."""
    package = types.ModuleType("wandb")
    package.Error = type("Error", (Exception,), {})
    package.Settings = dict
    package.opened = []

    def init(**arguments):
        package.opened.append(arguments)
        return types.SimpleNamespace(define_metric=lambda *names, **options: None)

    package.init, package.Image = init, lambda image: image
    monkeypatch.setitem(sys.modules, "wandb", package)
    return package


def test_a_workdir_is_one_run_of_a_project(package, tmp_path):
    for project in ("a", "a", "b", "a"):
        WandbRun(project, tmp_path, {})
    first, second, other, third = [each["id"] for each in package.opened]
    assert first == second == third != other
    assert {each["resume"] for each in package.opened} == {"allow"}


def test_a_run_that_cannot_be_opened_is_one_line(package, tmp_path):
    def init(**arguments):
        raise package.Error("No API key configured.\nUse `wandb login` to log in.")

    package.init = init
    line = r"config\.log\.wandb=a: No API key configured\. Use `wandb login` to log in\. Leave"
    with pytest.raises(InputError, match=line):
        WandbRun("a", tmp_path, {})
    assert not list(tmp_path.iterdir())


class Kept:
    """A writer that keeps what it gets."""

    def __init__(self, *arguments):
        self.arguments = arguments
        self.values, self.pictures, self.closed = [], [], False

    def scalars(self, step, values):
        self.values.append((step, dict(values)))

    def picture(self, step, name, image):
        self.pictures.append((step, name, image.dtype))

    def close(self):
        self.closed = True


class Broken(Kept):
    """A writer that fails at the second row."""

    def scalars(self, step, values):
        super().scalars(step, values)
        if len(self.values) == 2:
            raise ConnectionError("no network")


def test_all_writers_get_rows_pictures_and_times(averaged, tmp_path, monkeypatch, caplog):
    config, workdir, _ = averaged
    config = config.copy_and_resolve_references()
    config.log.wandb = "photos"
    made = []

    def open_run(*arguments):
        made.append(Kept(*arguments))
        return made[-1]

    monkeypatch.setattr(loop, "WandbRun", open_run)
    own, broken = Kept(), Broken()
    run(config, tmp_path, writers=[broken, own])
    (kept,) = made
    assert kept.arguments == ("photos", tmp_path, config.to_dict())
    assert kept.closed and own.closed
    recorded = [
        (
            row["step"],
            {f"{row['split']}/{name}": row[name] for name in row.keys() - {"step", "split"}},
        )
        for row in rows(tmp_path, "train", "time", "test")
    ]
    assert kept.values == own.values == recorded
    assert any("time/steps" in values for _, values in kept.values)  # goodput
    assert kept.pictures == own.pictures == [(3, "test", np.uint8), (6, "test", np.uint8)]
    assert len(broken.values) == 2 and not broken.closed
    assert (
        "Broken gets no more rows and pictures, but training continues: no network" in caplog.text
    )
    assert rows(tmp_path) == rows(workdir)
