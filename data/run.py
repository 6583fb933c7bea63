"""The data of one training run, which stay the same when the run is resumed.

The batches depend on the number and the order of the records. A run therefore stores the names of
its records in its workdir and does not list the folders when it is resumed, because files may have
been added or removed in the meantime.
"""

import json
import os
import pathlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np

from data.batching.loaders import batches, sample_names
from data.batching.quarantine import Quarantine
from data.errors import DataError
from data.open import make_source

RECORDS = "records.json"
QUARANTINE = "quarantine.jsonl"


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
    ):
        """Open both splits.

        The first start of a run checks every record. When the run is resumed, training records
        that are damaged or missing go into quarantine as soon as they are read.

        Args:
          fields: arguments of `make_source`, except `split` and `names`.
          workdir: folder of the run; nothing is written to it before the first batch.
          seed: see `batches`.
          batch_size: see `batches`.
          unreadable: fraction of the training records that may be in quarantine.
          process_index: see `batches`; process 0 writes the names of the records.
          process_count: see `batches`.
          local_devices: see `batches`.

        Raises:
          DataError: if the data cannot be used.
        """
        known = _read_names(workdir)
        self._train, self.test = (
            make_source(**fields, split=split, names=known.get(split))
            for split in ("train", "test")
        )
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

    def batches(self, start_step: int) -> Generator[dict[str, np.ndarray]]:
        """The batches of this process from a step on; see `data.batches`."""
        if self._processes["process_index"] == 0:
            _write_names(self._workdir, {"train": self._train.names, "test": self.test.names})
        return batches(self._train, start_step=start_step, **self._order, **self._processes)

    def samples(self, step: int) -> list[str]:
        """Names of the samples in the global batch of a step."""
        return sample_names(self._train, step, **self._order)


def _read_names(workdir: pathlib.Path) -> dict[str, list[str]]:
    """Names of the records by split; empty if no training has started in the workdir."""
    path = workdir / RECORDS
    if not path.exists():
        return {}
    try:
        names = json.loads(path.read_bytes())
        if set(names) == {"train", "test"} and all(names.values()):
            return names
    except (ValueError, TypeError, AttributeError):
        pass
    raise DataError(
        f"{path} is damaged; remove it if the data have not changed since the run started"
    )


def _write_names(workdir: pathlib.Path, names: Mapping[str, Sequence[str]]) -> None:
    path = workdir / RECORDS
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps({split: list(of) for split, of in names.items()}, indent=0))
    partial.replace(path)
