"""Store compiled programs on disk, so that only the first run of a configuration compiles."""

import os
import pathlib
import tempfile

import jax

from ppcn_jax.runtime.machine import processor_digest

# Variables that JAX reads itself; see its documentation of the persistent compilation cache.
FOLDER_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
SECONDS_VARIABLE = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
# Programs that compile faster are not stored. JAX's default, 1 s, skips too many of a run's.
SECONDS = 0.1


def keep_compiled_programs() -> str | None:
    """Let JAX store compiled programs in the user's cache folder.

    That is `ppcn-jax/compiled` in `$XDG_CACHE_HOME` or `~/.cache`. If JAX_COMPILATION_CACHE_DIR is
    set, even to "", it is respected.

    Returns:
        None, or one line that says why nothing is stored.
    """
    if FOLDER_VARIABLE in os.environ:
        return None
    try:
        caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        # Machines share homes, but programs for one processor may crash on another, and JAX's keys
        # do not distinguish processors.
        folder = pathlib.Path(caches, "ppcn-jax", "compiled", processor_digest())
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:  # RuntimeError: a user without a home
        return (
            f"compiled programs cannot be stored, so that every start compiles: {error}; name "
            f"another folder with {FOLDER_VARIABLE}"
        )
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    if SECONDS_VARIABLE not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    return None
