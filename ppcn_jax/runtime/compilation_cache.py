"""Compiled programs kept on disk, so that only the first run of a configuration compiles."""

import os
import pathlib
import tempfile

import jax

from ppcn_jax.runtime.machine import processor_digest

# JAX's own variables, which it reads itself; see its documentation of the persistent cache.
FOLDER_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
SECONDS_VARIABLE = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
# Programs that compile faster are not kept. JAX's own 1 s leaves out much of a start.
SECONDS = 0.1


def keep_compiled_programs() -> str | None:
    """Let JAX keep compiled programs in the user's cache folder.

    That is `ppcn-jax/compiled` in `$XDG_CACHE_HOME` or `~/.cache`. Who has chosen a folder by
    JAX's own variable, or none by leaving it empty, keeps that choice.

    Returns:
        None, or one line that says why nothing is kept: the folder cannot be written to.
    """
    if FOLDER_VARIABLE in os.environ:
        return None
    try:
        caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        folder = pathlib.Path(caches, "ppcn-jax", "compiled", processor_digest())
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        return (
            f"compiled programs are not kept, every start compiles anew: {error}; "
            f"name a folder with {FOLDER_VARIABLE}"
        )
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    if SECONDS_VARIABLE not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    return None
