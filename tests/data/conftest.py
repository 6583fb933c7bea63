"""Fixtures: a folder of pairs, and `make_source` with matching defaults."""

import os

import pytest

import data
from tests.data.sample_pictures import write_pairs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep stored frames out of the user's cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "cache"))


@pytest.fixture
def pairs(tmp_path):
    """A folder with nine pairs of 20x16 pixels, 2.jpg to 10.jpg, in `phone` and `camera`."""
    names = [f"{number}.jpg" for number in range(2, 11)]
    write_pairs(tmp_path / "phone", tmp_path / "camera", names)
    return tmp_path


@pytest.fixture
def make(tmp_path):
    """`data.make_source` with defaults that match the fixture `pairs`."""

    def make_source(**changes) -> data.Source:
        defaults = {
            "source": "pairs",
            "dir": tmp_path,
            "test_dir": "",
            "phone": "iphone",
            "input": "phone",
            "target": "camera",
            "holdout": 2,
            "validation": 0,
            "crop": 8,
            "scale": 4,
            "in_memory": True,
            "split": "train",
        }
        return data.make_source(**{**defaults, **changes})

    return make_source
