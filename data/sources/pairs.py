"""Pairs of full frames in two folders, under the same file names."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from data.batching.crops import gather_in_tensorflow
from data.batching.order import Order
from data.batching.source import Window
from data.pictures.fingerprints import fingerprint
from data.pictures.folders import check_pair, hold_out, paired_names
from data.pictures.frames import Frames
from data.pictures.images import checked_shape, read, read_bytes
from data.pictures.progress import parallel
from data.pictures.stored_frames import file_identity

if TYPE_CHECKING:
    from tensorflow.data import Dataset

_CACHE_BYTES = 2 * 2**30  # decoded frames kept per source, so that a small set is decoded once


class Pairs:
    """Picture files in two folders, decoded by Pillow when needed.

    Attributes:
      names: the file names.
      crop: side of the training crops in pixels; None for full frames.
    """

    def __init__(
        self,
        inputs: pathlib.Path,
        targets: pathlib.Path,
        names: Sequence[str],
        *,
        crop: int | None,
    ):
        """Set the folders of inputs and targets and the file names, without reading a file."""
        self.names = names
        self.crop = crop
        self._folders = inputs, targets
        self._frames = Frames(
            self._decode, self._identity, count=len(names), crop=crop, room=_CACHE_BYTES
        )

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Decode a pair: (input, target), uint8 [H, W, 3]; raises `DataError` if it is unusable."""
        photo, target = self._frames[index]
        return photo, target

    def cut(self, index: int, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Crops of a pair, without decoding it again; see `data.batching.source.Cutting`."""
        photo, target = self._frames.cut(index, window)
        return photo, target

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """Fingerprints of both files; see `data.batching.source.FromFiles`."""
        return " ".join(fingerprint(path, thorough=thorough) for path in self._paths(index))

    def check(self) -> None:
        """Read every file to its end; raise one `DataError` for all pairs that are unusable."""
        parallel(self._check, range(len(self)), "Checking the pictures")

    def dataset(self, order: Order, start_step: int) -> "Dataset":
        """Batches, decoded and cropped in parallel; see `gather_in_tensorflow`."""
        return gather_in_tensorflow(self, order, start_step)

    def _paths(self, index: int) -> tuple[pathlib.Path, pathlib.Path]:
        inputs, targets = self._folders
        return inputs / self.names[index], targets / self.names[index]

    def _decode(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        input_path, target_path = self._paths(index)
        pair = read(input_path), read(target_path)
        check_pair(str(input_path), pair[0].shape, pair[1].shape, self.crop)
        return pair

    def _identity(self, index: int) -> str:
        return "\n".join(map(file_identity, self._paths(index)))

    def _check(self, index: int) -> None:
        paths = self._paths(index)
        photo, target = (checked_shape(read_bytes(path), str(path)) for path in paths)
        check_pair(str(paths[0]), photo, target, self.crop)


def open_pairs(
    folder: pathlib.Path,
    input: str,
    target: str,
    holdout: int,
    *,
    crop: int | None,
    split: str,
    names: Sequence[str] | None = None,
) -> Pairs:
    """Open one split of a folder of pairs, without checking more than their names.

    For the arguments see `data.make_source`; `crop` is None for full frames.

    Raises:
      DataError: if the folders do not hold pairs, or the split would be empty.
    """
    inputs, targets = folder / input, folder / target
    if names is None:
        names = hold_out(paired_names(inputs, targets), holdout, split, folder=inputs)
    return Pairs(inputs, targets, names, crop=crop)
