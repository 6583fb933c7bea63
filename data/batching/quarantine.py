"""Records that cannot be read any more while a run trains on: named, counted and replaced."""

import json
import logging
import os
import pathlib
import threading
from collections.abc import Sequence

from data.errors import DataError

_log = logging.getLogger(__name__)


class Quarantine:
    """What not to read, from which step on; kept in a file of JSON lines.

    A row has the record's `name`, the first `step` that did without it, and the `reason`. The file
    is read at the start: what is in it stays out, also if it becomes readable again, so that a
    resumed run sees the same batches. All processes of a run append to one file.
    """

    def __init__(self, names: Sequence[str], *, share: float, path: pathlib.Path | None = None):
        """Read what is known.

        Args:
          names: of all records.
          share: of the records that may be in quarantine; one more raises.
          path: of the file, which need not exist; None keeps nothing.

        Raises:
          DataError: if the file already holds too many.
        """
        self._index = {name: index for index, name in enumerate(names)}
        self._names, self._share, self._path = names, share, path
        self._since: dict[int, int] = {}
        self._lock = threading.Lock()
        self._read()
        self._check_share()

    def holds(self, sample: int, step: int) -> bool:
        """Whether the record of an index is out at a step; raises `DataError` if too many are."""
        self._check_share()
        since = self._since.get(sample)
        return since is not None and step >= since

    def add(self, sample: int, step: int, reason: Exception) -> None:
        """Put a record in.

        Args:
          sample: its index.
          step: the first that does without it.
          reason: why it cannot be read.

        Raises:
          DataError: if that makes too many.
        """
        with self._lock:
            if self.holds(sample, step):
                return
            self._since[sample] = step
            if self._write({"name": self._names[sample], "step": step, "reason": str(reason)}):
                self._read()  # also what other processes have found
            _log.warning(
                "%s is in quarantine from step %d on and replaced by another record; %d of %d are. %s",
                self._names[sample],
                step,
                len(self._since),
                len(self._names),
                reason,
            )
            self._check_share()

    def _read(self) -> None:
        if self._path is None or not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines():
            try:
                row = json.loads(line)
                name, step = row["name"], int(row["step"])
            except (ValueError, KeyError, TypeError):  # a line cut short by a crash
                continue
            if name in self._index:
                sample = self._index[name]
                self._since[sample] = min(step, self._since.get(sample, step))

    def _write(self, row: dict[str, str | int]) -> bool:
        if self._path is None:
            return False
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode(errors="surrogateescape")
        try:
            # One write to the end of the file, so that processes do not mix their lines.
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            _log.warning("%s cannot be written (%s); training goes on", self._path, error)
            return False
        return True

    def _check_share(self) -> None:
        if len(self._since) > self._share * len(self._names):
            where = f", named in {self._path}" if self._path else ""
            raise DataError(
                f"{len(self._since)} of {len(self._names)} training records cannot be read{where}, "
                f"more than the share of {self._share:g} that train.unreadable allows; "
                "restore them and remove their lines from the file, or allow more"
            )
