"""The names of the records that a run began with, kept in its workdir.

What a batch holds depends on their number and order: a run that goes on must not list its folders
anew, where files may have vanished or come.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

from data.errors import DataError

FILE = "records.json"


def read_names(workdir: pathlib.Path) -> dict[str, list[str]]:
    """The names by split; empty in a workdir where no training has begun.

    Raises:
      DataError: if the file is not what `write_names` writes.
    """
    path = workdir / FILE
    if not path.exists():
        return {}
    try:
        names = json.loads(path.read_bytes())
        if set(names) == {"train", "test"} and all(names.values()):
            return names
    except (ValueError, TypeError, AttributeError):
        pass
    raise DataError(
        f"{path} is damaged; remove it if the data have not changed since the run began"
    )


def write_names(workdir: pathlib.Path, names: Mapping[str, Sequence[str]]) -> None:
    """Keep the names by split, unless that has been done.

    Args:
      workdir: of the run.
      names: of "train" and "test".
    """
    path = workdir / FILE
    if path.exists():
        return
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    beside.write_text(json.dumps({split: list(of) for split, of in names.items()}, indent=0))
    beside.replace(path)
