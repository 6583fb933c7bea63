"""Pairs together with further ones that are made of good photos, in the look of the pairs."""

import logging
import pathlib
from collections.abc import Sequence

import numpy as np

from data.batching.source import OnDisk, Source
from data.errors import ALONE, DataError, Share, plural
from data.sources.look import Look
from data.sources.made_pairs import MadePairs
from data.sources.mixture import Mixture, MixtureOnDisk
from data.sources.photo_folder import PhotoFolder, photo_names

_MOST_FITTED = 500  # pairs, evenly spaced; more do not change the look
_MARK = "photo "  # before the names of photos, to tell them from those of pairs

_log = logging.getLogger(__name__)


def names_of_pairs(names: Sequence[str], *, mixed: bool) -> Sequence[str]:
    """Those names of a run's records that belong to pairs, each once.

    Raises:
      DataError: if some belong to photos, but the source is not `mixed` now.
    """
    pairs = [name for name in names if not name.startswith(_MARK)]
    if not mixed and len(pairs) < len(names):
        raise DataError("this run started with photos: set photos to their folder")
    return list(dict.fromkeys(pairs)) if mixed else names


def with_photos(
    pairs: Source,
    folder: pathlib.Path,
    share: float,
    names: Sequence[str] | None,
    check_share: Share = ALONE,
    *,
    extremes: float = 0.0,
) -> Mixture:
    """Mix a training source of pairs with pairs that are made of the photos in a folder.

    Args:
      pairs: the training source, to which the look is fitted.
      folder: searched with its subfolders.
      share: that of the photos in all crops, between 0 and 1.
      names: names of the mixture's records when the run that is now resumed started; see
        `data.make_source`. None lists the folder and decodes all photos once.
      check_share: this process's share of these checks.
      extremes: share of extreme crops among those of photos; see `MadePairs`.

    Raises:
      DataError: if a share is out of range, there are no photos, or some cannot be used.
    """
    if not 0 < share < 1:
        raise DataError(f"photo_share must be between 0 and 1, not {share}")
    if not 0 <= extremes <= 1:
        raise DataError(f"photo_extremes must be from 0 to 1, not {extremes}")
    assert pairs.crop is not None, "a test split has no crops"
    if names is None:
        used = photo_names(folder)
    else:
        marked = (name for name in names if name.startswith(_MARK))
        used = [name.removeprefix(_MARK) for name in dict.fromkeys(marked)]
        if not used:
            raise DataError("this run started without photos: clear photos, or use a new workdir")
    made = MadePairs(
        PhotoFolder(folder, used), _fit(pairs).degrade, crop=pairs.crop, extremes=extremes
    )
    made.names = [_MARK + name for name in used]
    if names is None:
        made.check(check_share)
    kind = MixtureOnDisk if isinstance(pairs, OnDisk) else Mixture
    return kind(pairs, made, share=share)


def _fit(pairs: Source) -> Look:
    every = max(len(pairs) // _MOST_FITTED, 1)

    def read(index: int) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            return pairs[index]
        except DataError:  # reported when a batch needs it
            return None

    fitted = range(0, len(pairs), every)
    readable = [pair for index in fitted if (pair := read(index)) is not None]
    if not readable:
        raise DataError("none of the training pairs can be read; restore them")
    if missing := len(fitted) - len(readable):
        _log.warning(
            "%s cannot be read, so that the look of the pairs is fitted to the other %d: "
            "photos are degraded a little differently than before",
            plural(missing, "pair"),
            len(readable),
        )
    return Look(readable)
