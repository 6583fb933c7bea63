"""Pairs of full frames in two folders, under the same file names."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from data.batching.crops import gather_in_tensorflow
from data.batching.order import Order
from data.errors import DataError
from data.pictures.cache import Cache
from data.pictures.checks import check_pair
from data.pictures.folders import paired_names
from data.pictures.images import checked_shape, read, read_bytes
from data.pictures.progress import parallel

if TYPE_CHECKING:
    import tensorflow as tf

_CACHE_BYTES = 2 * 2**30  # decoded frames kept per source; the first that come stay


class Pairs:
    """Picture files in two folders, decoded by Pillow when needed.

    The first frames to be decoded, up to 2 GiB of them, stay in RAM, so that a small set is
    decoded only once.

    Attributes:
      names: the file names.
      crop: side of the training crops in pixels; None for whole frames.
    """

    def __init__(
        self,
        inputs: pathlib.Path,
        targets: pathlib.Path,
        names: Sequence[str],
        *,
        crop: int | None,
    ):
        """Remember where the pairs are.

        Args:
          inputs: folder of the input pictures.
          targets: folder of their targets.
          names: the file names, the same in both.
          crop: side of the training crops in pixels; None for a test split.
        """
        self.names = names
        self.crop = crop
        self._folders = inputs, targets
        self._cache = Cache[tuple[np.ndarray, np.ndarray]](_CACHE_BYTES)

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Decode a pair.

        Args:
          index: which.

        Returns:
          (input, target), uint8 [H, W, 3].

        Raises:
          DataError: if the pair cannot be used.
        """
        pair = self._cache.get(index)
        if pair is None:
            input_path, target_path = self._paths(index)
            pair = read(input_path), read(target_path)
            check_pair(str(input_path), pair[0].shape, pair[1].shape, self.crop)
            self._cache.keep(index, pair, sum(frame.nbytes for frame in pair))
        return pair

    def check(self) -> None:
        """Read every file to its end.

        Raises:
          DataError: for the first pair that cannot be used.
        """
        parallel(self._check, range(len(self)), "Checking the pictures")

    def dataset(self, order: Order, start_step: int) -> "tf.data.Dataset":
        """Endless batches, decoded and cropped in parallel.

        Args:
          order: the order over the pairs.
          start_step: the step of the first batch.

        Returns:
          Dictionaries as `data.crops.gather` returns.
        """
        return gather_in_tensorflow(self, order, start_step)

    def _paths(self, index: int) -> tuple[pathlib.Path, pathlib.Path]:
        inputs, targets = self._folders
        return inputs / self.names[index], targets / self.names[index]

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
    """Open one split of a folder of pairs.

    Args:
      folder: what holds both subfolders.
      input: subfolder of the input pictures.
      target: subfolder of the target pictures.
      holdout: how many pairs are the test split: the last ones, because neighboring frames of a
        shoot are near-duplicates and a random part would leak.
      crop: side of the training crops in pixels; None for whole frames.
      split: "train" or "test".
      names: those of the split, where they are known; None lists the folders.

    Returns:
      The pairs, not yet checked beyond their names.

    Raises:
      DataError: if the folders do not hold pairs, or the split would be empty.
    """
    inputs, targets = folder / input, folder / target
    if names is not None:
        return Pairs(inputs, targets, names, crop=crop)
    names = paired_names(inputs, targets)
    if not 0 <= holdout < len(names):
        raise DataError(
            f"{inputs} holds {len(names)} pairs, so holdout={holdout} leaves none to train on; "
            f"choose a holdout from 0 to {len(names) - 1}"
        )
    if split == "test" and holdout == 0:
        raise DataError(f"holdout=0 leaves no pair of {inputs} to test on; set it to 1 or more")
    border = len(names) - holdout
    return Pairs(inputs, targets, names[:border] if split == "train" else names[border:], crop=crop)
