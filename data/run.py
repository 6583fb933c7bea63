"""The data of one training run, which stay the same when the run is resumed.

The batches depend on the number and the order of the records. A run therefore stores the names of
its records in its workdir and uses these when it is resumed, because files may have been added or
removed in the meantime. It also stores fingerprints of their files, by which other pictures under
the same names are noticed.
"""

import json
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import numpy as np

from data.batching.loaders import batches, sample_names
from data.batching.quarantine import Quarantine
from data.batching.source import FromFiles, Source
from data.errors import ALONE, DataError, Share, plural
from data.open import listed_names, make_source
from data.pictures.memory import share_memory
from data.storage import is_remote, read_bytes

RECORDS = "records.json"
FINGERPRINTS = "fingerprints.json"
QUARANTINE = "quarantine.jsonl"

# About so many fingerprints of a split, evenly spread, include the first bytes of the files.
_THOROUGH = 100
# Changed records that are decoded at most, to distinguish other pictures from damaged ones.
_DECODED = 100

_log = logging.getLogger(__name__)


class TrainingData:
    """Both splits of a source, with the records with which the run in a workdir started.

    Attributes:
      test: the test split, read one full image at a time.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        workdir: pathlib.Path,
        *,
        seed: int,
        batch_size: int,
        unreadable: float,
        process_index: int = 0,
        process_count: int = 1,
        local_devices: int = 1,
        processes_here: int = 1,
        exchange: Callable[[str], list[str]] = ALONE.exchange,
    ):
        """Open both splits.

        The first start of a run checks every record, each in one of the processes. When the run is
        resumed, training records that are damaged or missing go into quarantine as soon as they are
        read.

        Args:
          fields: arguments of `make_source`, except `split` and `names`.
          workdir: folder of the run; nothing is written to it before the first batch.
          seed: see `batches`.
          batch_size: see `batches`.
          unreadable: fraction of the training records that may be in quarantine.
          process_index: see `batches`; process 0 writes what is known of the records, and reports
            how many were added.
          process_count: see `batches`.
          local_devices: see `batches`.
          processes_here: number of processes on this machine, which share its memory.
          exchange: see `Share`.

        Raises:
          DataError: if the data cannot be used, or are not those with which the run started.
        """
        known = _read_splits(workdir / RECORDS)
        share_memory(processes_here)
        share = Share(process_index, process_count, exchange)
        self._train, self.test = (
            make_source(**fields, split=split, names=known.get(split), check_share=share)
            for split in ("train", "test")
        )
        self._splits: dict[str, Source] = {"train": self._train, "test": self.test}
        self._fingerprints = {split: _fingerprints(of) for split, of in self._splits.items()}
        quarantine = Quarantine(self._train.names, share=unreadable, path=workdir / QUARANTINE)
        self._order: dict[str, Any] = {
            "seed": seed,
            "batch_size": batch_size,
            "quarantine": quarantine,
        }
        self._processes: dict[str, Any] = {
            "process_index": process_index,
            "process_count": process_count,
            "local_devices": local_devices,
        }
        self._workdir = workdir
        if known:
            self._check_fingerprints(quarantine, fields["dir"])
            if process_index == 0:
                _report_added(fields, known)

    def batches(self, start_step: int) -> Generator[dict[str, np.ndarray]]:
        """The batches of this process from a step on; see `data.batches`."""
        if self._processes["process_index"] == 0:
            names = {split: source.names for split, source in self._splits.items()}
            _write_splits(self._workdir / RECORDS, names)
            _write_splits(self._workdir / FINGERPRINTS, self._fingerprints)
        return batches(self._train, start_step=start_step, **self._order, **self._processes)

    def _check_fingerprints(self, quarantine: Quarantine, folder: object) -> None:
        """Raise `DataError` if records are other pictures than when the run started.

        A record that is missing or damaged is left to the quarantine.
        """
        path = self._workdir / FINGERPRINTS
        for split, before in _read_splits(path).items():
            source = self._splits[split]
            pairs = enumerate(zip(before, self._fingerprints[split], strict=False))
            changed = [index for index, (old, new) in pairs if old and new and old != new]
            if split == "train":
                changed = [index for index in changed if not quarantine.holds(index, sys.maxsize)]
            first = next((i for i in changed[:_DECODED] if _is_readable(source, i)), None)
            if first is not None:
                raise DataError(
                    f"{len(changed)} of {plural(len(source), split + ' record')} in {folder} are "
                    f"other files than when the run in {self._workdir} started, or have other good "
                    f"windows, for example {source.names[first]}: name the folder of that run, "
                    "restore the files, or use another --workdir. If their pixels are the same, "
                    f"remove {path}"
                )

    def samples(self, step: int) -> list[str]:
        """Names of the samples in the global batch of a step."""
        return sample_names(self._train, step, **self._order)


def _fingerprints(source: Source) -> list[str]:
    """Fingerprints of all records of a source, "" for those that are unknown."""
    if not isinstance(source, FromFiles):
        return []
    count = len(source)
    every = max(count // _THOROUGH, 1)
    fingerprints = []
    for index in range(count):
        try:
            fingerprints.append(source.fingerprint(index, thorough=index % every == 0))
        except OSError:  # reading the record will find that it is missing
            fingerprints.append("")
    return fingerprints


def _is_readable(source: Source, index: int) -> bool:
    try:
        source[index]
    except DataError:
        return False
    return True


def _report_added(fields: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> None:
    try:
        listed = {name for split in known for name in listed_names(**fields, split=split)}
    except DataError:  # a pair has lost one of its files, for example
        return
    if added := len(listed.difference(*known.values())):
        _log.warning(
            "%s added to %s since this run started %s not used; a run in a new --workdir uses them",
            plural(added, "record"),
            fields["dir"],
            "is" if added == 1 else "are",
        )


def _read_splits(path: pathlib.Path) -> dict[str, list[str]]:
    """Lists of texts by split; empty if no training has started in the workdir."""
    if not path.exists():
        return {}
    try:
        lists = json.loads(read_bytes(path))
        if set(lists) == {"train", "test"} and (path.name != RECORDS or all(lists.values())):
            return lists
    except (ValueError, TypeError, AttributeError):
        pass
    raise DataError(
        f"{path} is damaged; remove it if the data have not changed since the run started"
    )


def _write_splits(path: pathlib.Path, lists: Mapping[str, Sequence[str]]) -> None:
    if path.exists():
        return
    text = json.dumps({split: list(of) for split, of in lists.items()}, indent=0)
    if is_remote(path):  # an object appears when it is complete
        path.write_text(text, encoding="utf-8")
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
