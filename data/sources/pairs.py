"""Pairs of full frames in two folders, matched by their file names."""

import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from data.batching.crops import gather_in_tensorflow
from data.batching.order import Order
from data.batching.source import Window
from data.errors import ALONE, DataError, Share, first_of, plural
from data.pictures.fingerprints import fingerprint
from data.pictures.folders import check_pair, hold_out
from data.pictures.frames import Frames
from data.pictures.images import checked_shape, read, read_bytes
from data.pictures.partners import SAME, check_template, known_partners, paired_names
from data.pictures.progress import check_all
from data.pictures.resize import enlarge
from data.pictures.stored_frames import file_identity
from data.sources.good_windows import FILE, GoodWindows

if TYPE_CHECKING:
    from tensorflow.data import Dataset

_CACHE_BYTES = 2 * 2**30  # decoded frames kept per source, so that a small set is decoded once


_log = logging.getLogger(__name__)


class Pairs:
    """Picture files in two folders, decoded by Pillow when needed.

    Attributes:
      names: the names of the targets, relative to their folder.
      crop: side of the training crops in pixels; None for full frames.
    """

    def __init__(
        self,
        inputs: pathlib.Path,
        targets: pathlib.Path,
        partners: Mapping[str, str],
        *,
        crop: int | None,
        scale: int = 1,
        windows: GoodWindows | None = None,
    ):
        """Set what to read, without reading a file.

        Args:
          inputs: folder of the inputs.
          targets: folder of the targets.
          partners: the input's name for each target's name.
          crop: side of the training crops in pixels; None for full frames.
          scale: inputs that are smaller than their targets by this factor are enlarged, bicubically
            by Pillow in 8 bits; 1 allows only equal sizes.
          windows: where crops may lie; None for anywhere.
        """
        self.names = list(partners)
        self.crop = crop
        self._folders = inputs, targets
        self._inputs = list(partners.values())
        self._scale, self._windows = scale, windows
        self._enlarged: dict[int, bool] = {}
        self._frames = Frames(
            self._decode, self._identity, count=len(self), crop=crop, room=_CACHE_BYTES
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

    def place(self, index: int, window: Window) -> Window:
        """Where a crop lies; see `data.batching.source.Placing`.

        A crop of an enlarged input starts on a pixel of the small one, as every photo does that is
        enlarged for use.
        """
        if self._windows is not None:
            return self._windows.place(self._inputs[index], window)
        if self._scale > 1 and self._is_enlarged(index):
            assert self.crop is not None, "a test split has no crops"
            return on_grid(window, self.crop, self._scale)
        return window

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """Fingerprints of both files and the good windows; see `data.batching.source.FromFiles`."""
        texts = [fingerprint(path, thorough=thorough) for path in self._paths(index)]
        if self._windows is not None:
            texts.append(self._windows.fingerprint(self._inputs[index]))
        return " ".join(texts)

    def check(self, share: Share = ALONE) -> None:
        """Read every file to its end; raise one `DataError` for all pairs that are unusable."""
        check_all(self._check, len(self), "Checking the pictures", share)

    def dataset(self, order: Order, start_step: int) -> "Dataset":
        """Batches, decoded and cropped in parallel; see `gather_in_tensorflow`."""
        return gather_in_tensorflow(self, order, start_step)

    def _paths(self, index: int) -> tuple[pathlib.Path, pathlib.Path]:
        inputs, targets = self._folders
        return inputs / self._inputs[index], targets / self.names[index]

    def _decode(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo, target = (read(path) for path in self._paths(index))
        self._check_sizes(index, photo.shape, target.shape)
        return enlarge(photo, self._scale) if self._enlarged[index] else photo, target

    def _identity(self, index: int) -> str:
        files = "\n".join(map(file_identity, self._paths(index)))
        # An enhancer must not find frames that were enlarged for a super-resolver.
        return files if self._scale == 1 else f"{files}\nenlarged up to {self._scale} times"

    def _check(self, index: int) -> None:
        self._check_sizes(index, *self._read_shapes(index))

    def _read_shapes(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        photo, target = (checked_shape(read_bytes(path), str(path)) for path in self._paths(index))
        return photo, target

    def _check_sizes(self, index: int, photo: tuple[int, ...], target: tuple[int, ...]) -> None:
        check_pair(str(self._paths(index)[0]), photo, target, self.crop, self._scale)
        self._enlarged[index] = photo != target
        if self._windows is not None:
            if photo != target:
                raise DataError(
                    f"{self._paths(index)[0]} is smaller than its target, but {self._windows.path} "
                    "lists windows of frames of equal size; remove the list"
                )
            self._windows.check_frame(self._inputs[index], target)

    def _is_enlarged(self, index: int) -> bool:
        if index not in self._enlarged:
            photo, target = self._read_shapes(index)
            self._enlarged[index] = photo != target
        return self._enlarged[index]


def on_grid(window: Window, crop: int, step: int) -> Window:
    """A window whose corner is uniform over the multiples of `step`, drawn with one anywhere."""

    def aligned(shape: tuple[int, ...]) -> tuple[slice, slice]:
        # In a frame in which a step is one pixel.
        height, width = (crop + (side - crop) // step for side in shape[:2])
        top, left = (step * part.start for part in window((height, width, 3)))
        return slice(top, top + crop), slice(left, left + crop)

    return aligned


def open_pairs(
    folder: pathlib.Path,
    input: str,
    target: str,
    holdout: int,
    *,
    crop: int | None,
    split: str,
    input_name: str = SAME,
    scale: int = 1,
    names: Sequence[str] | None = None,
) -> Pairs:
    """Open one split of a folder of pairs, without checking more than their names.

    In training, a list of good windows in the folder says where crops may lie. Pairs without a
    place for a crop are skipped with a warning.

    For the arguments see `data.make_source` and `Pairs`; `crop` is None for full frames.

    Raises:
      DataError: if the folders do not hold pairs, the split would be empty, or the list of good
        windows cannot be used.
    """
    check_template(input_name)
    inputs, targets = folder / input, folder / target
    if names is None:
        partners = paired_names(inputs, targets, input_name)
        used = hold_out(list(partners), holdout, split, folder=inputs)
    else:
        used = list(names)
        partners = known_partners(inputs, targets, used, input_name)
    windows = None
    path = folder / FILE
    if split == "train" and crop is not None and path.exists():
        windows = GoodWindows(path, crop)
        _check_listed([partners[name] for name in used], windows)
        room = {name: windows.has_room(partners[name]) for name in used}
        skipped = [name for name in used if not room[name]]
        if names is not None and skipped:
            raise DataError(
                f"{path} has no place for a crop in {plural(len(skipped), 'pair')} with which this "
                f"run started: {first_of(skipped)}; restore the list of that time, or use another "
                "--workdir"
            )
        _report_skipped(skipped, len(used), path, crop)
        used = [name for name in used if room[name]]
    return Pairs(
        inputs,
        targets,
        {name: partners[name] for name in used},
        crop=crop,
        scale=scale,
        windows=windows,
    )


def _check_listed(inputs: Sequence[str], windows: GoodWindows) -> None:
    unknown = [name for name in inputs if name not in windows]
    if unknown:
        raise DataError(
            f"{windows.path} lists no windows of {plural(len(unknown), 'training pair')}: "
            f"{first_of(unknown)}; make it again with ppcn-jax pair, remove these pairs, or remove "
            "the list to use crops from all parts of the frames"
        )


def _report_skipped(skipped: Sequence[str], total: int, path: pathlib.Path, crop: int) -> None:
    if len(skipped) == total:
        raise DataError(
            f"the good windows in {path} leave no place for a crop of {crop} pixels in any "
            "training pair; use a smaller crop"
        )
    if skipped:
        _log.warning(
            "%d of %s %s skipped, because the good windows in %s leave no place for a crop of %d "
            "pixels; a smaller crop may fit: %s",
            len(skipped),
            plural(total, "training pair"),
            "is" if len(skipped) == 1 else "are",
            path,
            crop,
            first_of(skipped),
        )
