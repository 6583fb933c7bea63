"""Where compiled programs are stored, and that training works where they cannot be."""

import os

import jax
import pytest

from ppcn_jax.runtime.compilation_cache import (
    FOLDER_VARIABLE,
    SECONDS_VARIABLE,
    keep_compiled_programs,
)

NAMES = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def configured(monkeypatch):
    """The settings that JAX would have got; none is applied, and no variable is set."""
    for variable in (FOLDER_VARIABLE, SECONDS_VARIABLE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    settings = {}
    monkeypatch.setattr(jax.config, "update", settings.__setitem__)
    return settings


def test_jax_has_the_settings():
    assert all(hasattr(jax.config, name) for name in NAMES)


def test_programs_are_kept_in_the_users_cache(configured, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    assert keep_compiled_programs() is None
    assert configured.keys() == set(NAMES)
    folder = configured["jax_compilation_cache_dir"]
    assert os.path.isdir(folder) and os.listdir(folder) == []
    assert folder.startswith(f"{tmp_path}/.cache/ppcn-jax/compiled/")


def test_the_cache_folder_can_be_elsewhere(configured, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "caches"))
    assert keep_compiled_programs() is None
    assert configured["jax_compilation_cache_dir"].startswith(f"{tmp_path}/caches/ppcn-jax/")


@pytest.mark.parametrize("value", ["", "mine"])
def test_a_folder_that_the_user_chose_is_kept(configured, monkeypatch, tmp_path, value):
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv(FOLDER_VARIABLE, value)
    assert keep_compiled_programs() is None
    assert not configured and not os.listdir(tmp_path)


def test_a_duration_that_the_user_chose_is_kept(configured, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv(SECONDS_VARIABLE, "5")
    assert keep_compiled_programs() is None
    assert configured.keys() == {"jax_compilation_cache_dir"}


def test_a_folder_that_cannot_be_created_is_reported_in_one_line(configured, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path / "file"))
    problem = keep_compiled_programs()
    assert "cannot be stored" in problem and FOLDER_VARIABLE in problem and "\n" not in problem
    assert not configured
