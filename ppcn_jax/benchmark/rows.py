"""The form of a result: one row per measurement; rows of one task are compared with each other."""

import contextlib
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from typing import Any

from ppcn_jax.benchmark.floors import Work, least_seconds
from ppcn_jax.benchmark.peaks import Peaks
from ppcn_jax.runtime.errors import InputError

Row = dict[str, Any]
Rows = Generator[Row]

# Every row has these fields; None where there is no value.
FIELDS = (
    "task",  # what is computed
    "name",  # library or size
    "milliseconds",  # median
    "ratio",  # to the first row of the task
    "operations",  # floating-point, at least
    "bytes",  # read and written, at least
    "floor_milliseconds",  # least time for both on this machine
    "over_floor",  # milliseconds / floor_milliseconds
    "difference",  # largest, from the first row's result
    "error",  # largest, from an evaluation in float64
    "megabytes",  # of memory
    "kilobytes",  # of a file
    "note",
    "problem",  # why there is no measurement
)


def names_in(text: str, known: Collection[str], field: str) -> list[str]:
    """Names of a comma-separated list in the configuration.

    Raises:
        InputError: unknown names; it names the field.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"config.{field} names {', '.join(map(repr, unknown))}; "
            f"known names are {', '.join(known)}"
        )
    return names


def make_row(task: str, name: str, **values: Any) -> Row:
    """A row with all fields. An unknown field raises TypeError."""
    if unknown := values.keys() - set(FIELDS):
        raise TypeError(f"rows have no {sorted(unknown)}")
    return dict.fromkeys(FIELDS) | {"task": task, "name": name} | values


def timed_rows(
    task: str,
    seconds: Mapping[str, float],
    work: Work | None = None,
    columns: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Row]:
    """Rows of runners that were timed together; ratios are to the first.

    `seconds` are by name, `columns` are field -> name -> value, where names may be missing.
    """
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        others = {field: values.get(name) for field, values in (columns or {}).items()}
        if work:
            others |= work._asdict()
        yield make_row(task, name, milliseconds=1000 * value, ratio=value / first, **others)


def with_floor(row: Row, peaks: Peaks) -> Row:
    """A copy of a row with its floor, if it has a time and the work of its task."""
    if row["operations"] is None or row["milliseconds"] is None:
        return row
    floor = 1000 * least_seconds(Work(row["operations"], row["bytes"]), peaks)
    return row | {"floor_milliseconds": floor, "over_floor": row["milliseconds"] / floor}


@contextlib.contextmanager
def record_problem(problems: dict[str, str], name: str) -> Iterator[None]:
    """Store an exception as a line of text, so that other competitors still run."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the competitor's row reports it
        problems[name] = _describe(error)


def guarded(task: str, measure: Callable[[], Rows]) -> Rows:
    """Rows of a part of the benchmark; if it fails, the last one reports the error."""
    try:
        yield from measure()
    except Exception as error:  # noqa: BLE001 - other parts may work
        yield make_row(task, "", problem=_describe(error))


def _describe(error: Exception) -> str:
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}"
