"""The progress of a long loop over images: a bar on a terminal, else a line now and then."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence

import rich.console
import rich.progress

from ppcn_jax.evaluation.sharing import Track

LINES_EVERY = 30.0  # seconds


def progress_bar(title: str, console: rich.console.Console) -> Track:
    """A progress bar for `evaluate`; without a terminal, a line every half a minute."""
    if console.is_terminal:
        return functools.partial(rich.progress.track, description=title, console=console)

    def say(text: str) -> None:
        console.print(f"{title}: {text}", soft_wrap=True, markup=False, highlight=False)

    return functools.partial(with_lines, say=say)


def with_lines(items: Sequence[int], say: Callable[[str], None]) -> Iterator[int]:
    """Yield the items; say "3 of 10 images" where half a minute has passed since the last line."""
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last >= LINES_EVERY:
            say(f"{done} of {len(items)} images")
            last = time.monotonic()
        yield item
