"""The form of a result: one row per thing measured, in tasks that compare several."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from ppcn_jax.benchmark.floors import Peaks, Work, least_seconds

Row = dict[str, Any]
Rows = Generator[Row]

# Every row has these; None where there is no value.
FIELDS = (
    "task",  # what is done
    "name",  # with what
    "milliseconds",  # median
    "ratio",  # to the first row of the task
    "operations",  # floating-point, at least
    "bytes",  # that must move
    "floor_milliseconds",  # least time for both on this machine
    "over_floor",  # milliseconds / floor_milliseconds
    "difference",  # largest, to the first row's result
    "error",  # largest, to a float64 evaluation
    "megabytes",  # of memory
    "note",
    "problem",  # why there is no measurement
)


def make_row(task: str, name: str, **values: Any) -> Row:
    """A row with all fields.

    Args:
        task: what is done.
        name: with what.
        values: other fields that have a value.

    Returns:
        The row.

    Raises:
        TypeError: a field that rows do not have.
    """
    if unknown := values.keys() - set(FIELDS):
        raise TypeError(f"rows have no {sorted(unknown)}")
    return dict.fromkeys(FIELDS) | {"task": task, "name": name} | values


def timed_rows(
    task: str,
    seconds: Mapping[str, float],
    work: Work | None = None,
    columns: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Row]:
    """Rows of things that were timed together.

    Args:
        task: what all of them do.
        seconds: by name; the first is what the others are compared with.
        work: what the task cannot avoid.
        columns: values of further fields by the same names, for those that have any.

    Yields:
        A row for each.
    """
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        further = {field: values.get(name) for field, values in (columns or {}).items()}
        if work:
            further |= work._asdict()
        yield make_row(task, name, milliseconds=1000 * value, ratio=value / first, **further)


def with_floor(row: Row, peaks: Peaks) -> Row:
    """A row with its floor, if it has work.

    Args:
        row: whose task is known by its work.
        peaks: of the machine.

    Returns:
        A copy.
    """
    if row["operations"] is None or row["milliseconds"] is None:
        return row
    floor = 1000 * least_seconds(Work(row["operations"], row["bytes"]), peaks)
    return row | {"floor_milliseconds": floor, "over_floor": row["milliseconds"] / floor}


@contextlib.contextmanager
def reported(problems: dict[str, str], name: str) -> Iterator[None]:
    """Keep what goes wrong with one competitor from ending the others.

    Args:
        problems: gets the error under `name`.
        name: of the competitor.

    Yields:
        Nothing.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the row says it
        problems[name] = describe(error)


def describe(error: Exception) -> str:
    """An error in one line: its kind and the first line of what it says."""
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"


def guarded(task: str, measure: Callable[[], Rows]) -> Rows:
    """Rows of a part of the benchmark; if it fails, a row that says so.

    Args:
        task: what the part does, for that row.
        measure: the part.

    Yields:
        Its rows up to where it fails, if it does.
    """
    try:
        yield from measure()
    except Exception as error:  # noqa: BLE001 - other parts may work
        yield make_row(task, "", problem=describe(error))
