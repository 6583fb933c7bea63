"""Records that become unreadable during a run: they are recorded, counted and replaced."""

import json
import logging
import pathlib
import threading
import uuid
from collections.abc import Sequence

from data.errors import DataError
from data.storage import is_remote, read_bytes

_log = logging.getLogger(__name__)


class Quarantine:
    """The records to skip, each from a certain step on, stored in a file of JSON lines.

    A row has the `name` of the record, the first `step` that skips it, and the `reason`. The file
    is read at the start. Its records stay in quarantine even if they have become readable, so that
    a resumed run gets the same batches. All processes of a run append to one file; in a bucket, each
    row is an object FILE.NUMBER.
    """

    def __init__(self, names: Sequence[str], *, share: float, path: pathlib.Path | None = None):
        """Read the file, if there is one.

        Args:
          names: names of all records.
          share: fraction of the records that may be in quarantine.
          path: the file, which need not exist; None stores nothing.

        Raises:
          DataError: if too many records are in quarantine.
        """
        self._index = {name: index for index, name in enumerate(names)}
        self._names, self._share, self._path = names, share, path
        self._since: dict[int, int] = {}
        self._lock = threading.Lock()
        self._read()
        self._check_share()

    def holds(self, sample: int, step: int) -> bool:
        """Return True if a step skips a sample; raise `DataError` if too many are skipped."""
        self._check_share()
        since = self._since.get(sample)
        return since is not None and step >= since

    def add(self, sample: int, step: int, reason: Exception) -> None:
        """Skip a sample from a step on; raise `DataError` if too many are skipped."""
        with self._lock:
            if self.holds(sample, step):
                return
            self._since[sample] = step
            if self._write({"name": self._names[sample], "step": step, "reason": str(reason)}):
                self._read()  # also the records that other processes have added
            _log.warning(
                "%s is in quarantine from step %d on, and another record takes its place; "
                "%d of %d records are in quarantine. Reason: %s",
                self._names[sample],
                step,
                len(self._since),
                len(self._names),
                reason,
            )
            self._check_share()

    def _read(self) -> None:
        for line in b"".join(map(read_bytes, self._files())).splitlines():
            try:
                row = json.loads(line)
                name, step = row["name"], int(row["step"])
            except (ValueError, KeyError, TypeError):  # a line truncated by a crash
                continue
            if name in self._index:
                sample = self._index[name]
                self._since[sample] = min(step, self._since.get(sample, step))

    def _files(self) -> list[pathlib.Path]:
        if self._path is None:
            return []
        if is_remote(self._path):
            return sorted(self._path.parent.glob(f"{self._path.name}.*"))
        return [self._path] if self._path.exists() else []

    def _write(self, row: dict[str, str | int]) -> bool:
        if self._path is None:
            return False
        line = (json.dumps(row, ensure_ascii=False) + "\n").encode(errors="surrogateescape")
        try:
            if is_remote(self._path):
                name = f"{self._path.name}.{uuid.uuid4().hex}"
                self._path.with_name(name).write_bytes(line)
                return True
            # A single append, so that processes do not mix their lines.
            with self._path.open("ab", buffering=0) as file:
                file.write(line)
        except OSError as error:
            _log.warning(
                "%s cannot be written (%s); training continues, but a resumed run will have to "
                "find the unreadable records itself",
                self._path,
                error,
            )
            return False
        return True

    def _check_share(self) -> None:
        if len(self._since) > self._share * len(self._names):
            listed, lines = "", ""
            if self._path:
                listed, lines = (
                    f" (listed in {self._path})",
                    " and remove their lines from the list",
                )
            raise DataError(
                f"{len(self._since)} of {len(self._names)} training records cannot be read"
                f"{listed}, more than the fraction of {self._share:g} that train.unreadable "
                f"allows; restore them{lines}, or allow more"
            )
