"""Open a source of pairs by name."""

import os
import pathlib

from data.dped.open import open_dped
from data.errors import DataError
from data.in_memory import InMemory
from data.pairs import open_pairs
from data.photos import Photos
from data.protocols import Source
from data.synthetic import Synthetic


def make_source(
    *,
    source: str,
    dir: str | os.PathLike[str],
    phone: str,
    input: str,
    target: str,
    holdout: int,
    crop: int,
    in_memory: bool,
    split: str,
) -> Source:
    """Open a source of pairs and check all of it.

    Args:
      source: "dped", "pairs", "photos" or "synthetic".
      dir: the data folder ("dped", "pairs").
      phone: "iphone", "blackberry" or "sony" ("dped").
      input: subfolder of the input pictures ("pairs").
      target: subfolder of the target pictures ("pairs").
      holdout: how many pairs at the end, in natural order of the names, are the test split
        ("pairs").
      crop: side in pixels of the training crops, and of the "synthetic" pictures.
      in_memory: decode everything once into RAM; needs no TensorFlow ("dped", "pairs"; the
        others always do).
      split: "train" or "test".

    Returns:
      The source.

    Raises:
      DataError: for an unknown source, phone or split, a crop below 1, or data that cannot be used.
      MissingExtraError: if the source needs an extra that is not installed.
    """
    if split not in ("train", "test"):
        raise DataError(f"split must be 'train' or 'test', not {split!r}")
    if crop < 1:
        raise DataError(f"crop must be at least 1 pixel, not {crop}")
    folder = pathlib.Path(dir).expanduser()
    crop_or_whole = crop if split == "train" else None
    match source:
        case "dped":
            on_disk = open_dped(folder, phone, crop=crop_or_whole, in_memory=in_memory, split=split)
        case "pairs":
            on_disk = open_pairs(folder, input, target, holdout, crop=crop_or_whole, split=split)
        case "photos":
            return Photos(crop=crop_or_whole, split=split)
        case "synthetic":
            return Synthetic(size=crop, split=split)
        case _:
            raise DataError(
                f"source must be 'dped', 'pairs', 'photos' or 'synthetic', not {source!r}"
            )
    if in_memory:
        return InMemory(on_disk)
    on_disk.check()
    return on_disk
