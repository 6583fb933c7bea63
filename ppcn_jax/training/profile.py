"""A trace of some steps for xprof: `config.profile`."""

import pathlib
import shutil
import tempfile
from collections.abc import Callable

import jax

FOLDER = "profile"
STEP = "train"  # name of the annotation that marks a call


class Profile:
    """Traces the calls that contain some steps, and writes the trace to the workdir.

    It changes nothing that is computed. If the trace cannot be made or written, a line says so, and
    training continues.

    Args:
        workdir: gets `profile/`, with a folder for each process if there are several.
        first_step: first step to trace; 0 traces nothing.
        steps: number of steps to trace.
        start: number of steps made before; a resumed run traces those of the steps that are left.
        say: prints a line.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        *,
        first_step: int,
        steps: int,
        start: int,
        say: Callable[[str], None],
    ):
        self._first, self._last = first_step, first_step + steps - 1
        self._folder = workdir / FOLDER
        if jax.process_count() > 1:
            self._folder /= f"process{jax.process_index()}"
        self._say = say
        self._trace: tempfile.TemporaryDirectory[str] | None = None
        self._over = not first_step or start >= self._last
        if first_step and self._over and not self._folder.exists():
            say(
                f"no trace is made, because steps {first_step} to {self._last} were made before; "
                "a higher profile.first_step names later ones"
            )

    def before_call(self, step: int, settle: Callable[[], None]) -> None:
        """Begin the trace, if the next call, which ends with `step`, contains the first step.

        `settle` waits until the devices have finished all steps of earlier calls.
        """
        if self._over or self._trace or step < self._first:
            return
        settle()
        self._trace = tempfile.TemporaryDirectory(prefix="ppcn-jax-profile-")
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # tracing each call of Python would slow the host down
        try:
            jax.profiler.start_trace(self._trace.name, profiler_options=options)
        except (OSError, RuntimeError) as error:  # another trace is being made, for example
            self._give_up(error)

    def after_call(self, step: int, settle: Callable[[], None]) -> None:
        """End the trace, if the last call, which ended with `step`, contains the last step."""
        if self._trace and step >= self._last:
            settle()
            self.close()

    def close(self) -> None:
        """End a trace that has begun, and write it to the workdir."""
        if not self._trace:
            return
        try:
            jax.profiler.stop_trace()
            made = pathlib.Path(self._trace.name)
            # Copied, because the workdir may be where only Python can write.
            for file in (path for path in made.rglob("*") if path.is_file()):
                copy = self._folder / file.relative_to(made)
                copy.parent.mkdir(parents=True, exist_ok=True)
                with file.open("rb") as source, copy.open("wb") as target:
                    shutil.copyfileobj(source, target)
        except (OSError, RuntimeError) as error:
            self._give_up(error)
            return
        self._say(f"wrote a trace to {self._folder}; xprof --logdir {self._folder} shows it")
        self._end()

    def _give_up(self, error: Exception) -> None:
        self._say(f"there is no trace of steps {self._first} to {self._last}: {error}")
        self._end()

    def _end(self) -> None:
        if self._trace:
            self._trace.cleanup()
        self._trace, self._over = None, True
