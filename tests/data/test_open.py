"""Open a source by name, and import the package without optional packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import data

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "imagenet"}, "'dped', 'pairs', .*'div2k' or 'synthetic', not 'imagenet'"),
        ({"source": "dped", "phone": "nokia"}, "iphone, blackberry, sony, not 'nokia'"),
        ({"split": "validation"}, "'train' or 'test', not 'validation'"),
        ({"crop": 0}, "at least 1 pixel, not 0"),
    ],
)
def test_unknown_choices(make, changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize("split", ["train", "test"])
def test_sources_follow_the_protocol(pairs, make, split):
    for source in ("pairs", "synthetic"):
        assert isinstance(make(source=source, split=split), data.Source)


BARE = """
import importlib, pkgutil, sys
for name in "tensorflow tensorflow_datasets array_record skimage sklearn jax ppcn_jax configs".split():
    sys.modules[name] = None
import data
for module in pkgutil.walk_packages(data.__path__, "data."):
    importlib.import_module(module.name)
options = dict(
    test_dir="", phone="iphone", input="phone", target="camera", holdout=2, validation=0, crop=8, scale=4)
def train(source, in_memory):
    opened = data.make_source(
        source=source, dir=sys.argv[1], in_memory=in_memory, split="train", **options)
    next(data.batches(opened, seed=0, batch_size=2))
train("pairs", True)
train("high_resolution", True)
for source in ("pairs", "photos", "high_resolution", "div2k"):
    try:
        train(source, False)
    except ModuleNotFoundError as error:
        print(error)
"""


def test_bare_installation(pairs):
    """All modules import without extras, `in_memory` needs none, and errors name the missing one."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", BARE, os.fspath(pairs)],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    pairs_, photos, high_resolution, div2k = result.stdout.splitlines()
    for tensorflow in (pairs_, high_resolution):
        assert "pip install '.[data]' in a clone of the repository" in tensorflow
        assert "in_memory=True" in tensorflow
    assert "pip install '.[data]'" in div2k
    assert "pip install '.[demo]'" in photos


def test_import_is_light():
    heavy = "{'tensorflow', 'tensorflow_datasets', 'jax', 'skimage', 'sklearn'}"
    code = f"import sys, data; sys.exit(sorted({heavy} & set(sys.modules)) or 0)"
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
