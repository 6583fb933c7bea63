"""What a process of launch.py does before its task."""

from absl import logging

from ppcn_jax.runtime.compilation_cache import keep_compiled_programs
from ppcn_jax.runtime.malloc import keep_freed_memory
from ppcn_jax.runtime.processes import join_processes


def start_process(
    coordinator: str | None, count: int | None, index: int | None, *, detect: bool, silence: float
) -> None:
    """Prepare the compilation cache and the memory, and join the other processes of the run.

    For the arguments see `join_processes`.
    """
    if problem := keep_compiled_programs():
        logging.warning(problem)
    keep_freed_memory()
    join_processes(coordinator, count, index, detect=detect, silence=silence)
