"""All the data of one training run, also when it goes on after a break."""

import functools
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from data.batching.loaders import batches, sample_names
from data.batching.quarantine import Quarantine
from data.names import read_names, write_names
from data.open import make_source

QUARANTINE = "quarantine.jsonl"


class TrainingData:
    """Both splits of a source, as the run in a workdir has begun with them.

    Attributes:
      test: the test split, one whole image at a time.
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
        """Open both splits. At a run's first start all records are checked; later on, those of the
        training split that have broken or vanished go into quarantine when they are met.

        Args:
          fields: arguments of `make_source`, all but `split` and `names`.
          workdir: of the run; nothing is written to it before the first batch.
          seed: as of `batches`.
          batch_size: as of `batches`.
          unreadable: share of the training records that may be in quarantine.
          process_index: as of `batches`; the first process writes the records' names.
          process_count: as of `batches`.
          local_devices: as of `batches`.

        Raises:
          DataError: for data that cannot be used.
        """
        known = read_names(workdir)
        self._train, self.test = (
            make_source(**fields, split=split, names=known.get(split))
            for split in ("train", "test")
        )
        path = workdir / QUARANTINE
        quarantine = Quarantine(self._train.names, share=unreadable, path=path)
        order: dict[str, Any] = {
            "seed": seed,
            "batch_size": batch_size,
            "quarantine": quarantine,
        }
        self._batches = functools.partial(
            batches,
            self._train,
            **order,
            process_index=process_index,
            process_count=process_count,
            local_devices=local_devices,
        )
        self._samples = functools.partial(sample_names, self._train, **order)
        self._workdir, self._writes = workdir, process_index == 0

    def batches(self, start_step: int) -> Iterator[dict[str, np.ndarray]]:
        """Batches of this process from a step on; as the function of that name."""
        if self._writes:
            names = {"train": self._train.names, "test": self.test.names}
            write_names(self._workdir, names)
        return self._batches(start_step=start_step)

    def samples(self, step: int) -> list[str]:
        """Names of the samples in the global batch of a step."""
        return self._samples(step)
