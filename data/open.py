"""Open a source of pairs by name."""

import os
import pathlib
from collections.abc import Sequence

from data.batching.source import Source
from data.dped.open import open_dped
from data.errors import DataError
from data.sources.demo_photos import Photos
from data.sources.div2k import Div2k
from data.sources.high_resolution import Photos as UndecodedPhotos
from data.sources.high_resolution import open_high_resolution
from data.sources.in_memory import InMemory
from data.sources.pairs import open_pairs
from data.sources.photo_folder import PhotoFolder, photo_names, photo_split
from data.sources.synthetic import Synthetic


def make_source(
    *,
    source: str,
    dir: str | os.PathLike[str],
    test_dir: str | os.PathLike[str],
    phone: str,
    input: str,
    target: str,
    holdout: int,
    validation: int,
    crop: int,
    scale: int,
    in_memory: bool,
    split: str,
    names: Sequence[str] | None = None,
) -> Source:
    """Open a source of pairs and check all of it.

    Args:
      source: "dped", "pairs", "photos", "high_resolution", "div2k" or "synthetic".
      dir: the data folder ("dped", "pairs"); for "high_resolution", photos anywhere below it; for
        "div2k", TFDS's data folder, "" for its own.
      test_dir: photos anywhere below it are the test split ("high_resolution", "div2k"); "" takes
        the last `holdout` photos of `dir`, or DIV2K's validation photos.
      phone: "iphone", "blackberry" or "sony" ("dped").
      input: subfolder of the input pictures ("pairs").
      target: subfolder of the target pictures ("pairs").
      holdout: how many at the end, in natural order of the names, are the test split ("pairs",
        "high_resolution" without a `test_dir`).
      validation: so many training patches, the last in natural order of the names, are kept from
        training and are the test split instead of DPED's own ("dped").
      crop: side in pixels of the training crops, and of the "synthetic" pictures.
      scale: how much smaller the low-resolution images are ("high_resolution", "div2k").
      in_memory: decode everything once into RAM; needs no TensorFlow ("photos" and "synthetic"
        always do).
      split: "train" or "test".
      names: of the split's records when a run began that now goes on: folders are not listed
        anew, and training records that cannot be used raise when they are asked for. None lists
        and checks.

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
    check = names is None or split == "test"
    crop_or_whole = crop if split == "train" else None
    match source:
        case "dped":
            on_disk = open_dped(
                folder,
                phone,
                crop=crop_or_whole,
                in_memory=in_memory,
                split=split,
                validation=validation,
                names=names,
            )
        case "pairs":
            on_disk = open_pairs(
                folder, input, target, holdout, crop=crop_or_whole, split=split, names=names
            )
        case "photos":
            return Photos(crop=crop_or_whole, split=split)
        case "high_resolution" | "div2k":
            photos = _undecoded_photos(source, dir, test_dir, holdout, split, names)
            return open_high_resolution(
                photos, crop=crop_or_whole, scale=scale, in_memory=in_memory, check=check
            )
        case "synthetic":
            return Synthetic(size=crop, split=split)
        case _:
            raise DataError(
                "source must be 'dped', 'pairs', 'photos', 'high_resolution', 'div2k' or "
                f"'synthetic', not {source!r}"
            )
    if in_memory:
        return InMemory(on_disk, tolerant=not check)
    if check:
        on_disk.check()
    return on_disk


def _undecoded_photos(
    source: str,
    dir: str | os.PathLike[str],
    test_dir: str | os.PathLike[str],
    holdout: int,
    split: str,
    names: Sequence[str] | None,
) -> UndecodedPhotos:
    test_folder = pathlib.Path(test_dir).expanduser() if test_dir else None
    if source == "div2k":
        if test_folder and split == "test":
            known = photo_names(test_folder) if names is None else names
            return PhotoFolder(test_folder, known)
        return Div2k(dir, split)
    if not dir:
        raise DataError("dir is empty: name the folder of the high-resolution photos")
    return photo_split(pathlib.Path(dir).expanduser(), test_folder, holdout, split, names)
