"""Open a source of pairs by name."""

import os
from collections.abc import Sequence

from data.batching.source import OnDisk, Source
from data.dped.open import open_dped
from data.errors import ALONE, DataError, Share
from data.sources.demo_photos import open_demo_photos
from data.sources.div2k import Div2k
from data.sources.high_resolution import PhotosOnDisk, open_high_resolution
from data.sources.in_memory import InMemory
from data.sources.pairs import open_pairs
from data.sources.photo_folder import photo_split
from data.sources.synthetic import Synthetic
from data.sources.with_photos import names_of_pairs, with_photos
from data.storage import to_path


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
    input_name: str = "{}",
    photos: str | os.PathLike[str] = "",
    photo_share: float = 0.5,
    photo_extremes: float = 0.0,
    enlarge: bool = False,
    names: Sequence[str] | None = None,
    check_share: Share = ALONE,
) -> Source:
    """Open one split of a source of pairs and check all of its records.

    Args:
      source: "dped", "pairs", "photos", "high_resolution", "div2k" or "synthetic".
      dir: the data folder ("dped", "pairs"), on a local disk or in a bucket (`gs://...`); a folder with photos in it or in its subfolders
        ("high_resolution"); TFDS's data folder, "" for its default ("div2k").
      test_dir: a folder of photos for the test split ("high_resolution", "div2k"); "" uses the
        last `holdout` photos of `dir`, or DIV2K's validation photos.
      phone: "iphone", "blackberry" or "sony" ("dped").
      input: subfolder of the input pictures ("pairs").
      target: subfolder of the target pictures ("pairs").
      holdout: number of pairs or photos in the test split, the last in natural order of their
        names ("pairs", and "high_resolution" without a `test_dir`).
      validation: holds out the last N training pairs, in natural order of their names, as the
        test split instead of DPED's own; 0 uses DPED's own ("dped").
      crop: side in pixels of the training crops, and of the pictures of "synthetic".
      scale: factor by which the low-resolution images are smaller ("high_resolution", "div2k", and
        "pairs" with `enlarge`).
      in_memory: decode all records once into RAM, without TensorFlow ("photos" and "synthetic"
        always do).
      split: "train" or "test".
      input_name: names of the input pictures without suffix, with "{}" for those of their targets:
        "{}x4" for 1x4.png beside 1.jpg ("pairs").
      photos: a folder of good photos, also in its subfolders, of which further training pairs are
        made by the look that is fitted to the training pairs ("dped", "pairs"); "" for none.
      photo_share: share of the crops of such pairs, between 0 and 1.
      photo_extremes: share of extreme ones among these crops, 0 to 1; see `MadePairs`.
      enlarge: the data are for a super-resolver, so that inputs that are smaller than their targets
        by exactly `scale` are enlarged; otherwise they are refused ("pairs").
      names: names of the split's records when the run that is now resumed started. No others are
        used, and an unusable training record raises when it is read. None lists the folders and
        checks all records.
      check_share: this process's share of these checks. All processes must open the same source.

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
    folder = to_path(dir)
    check = names is None or split == "test"
    crop_or_full = crop if split == "train" else None
    mixed = bool(photos) and split == "train"
    if photos and source not in ("dped", "pairs"):
        raise DataError(
            f"photos adds to the sources 'dped' and 'pairs', not to {source!r}: clear it"
        )
    recorded = names
    if names is not None and split == "train":
        names = names_of_pairs(names, mixed=mixed)
    on_disk: OnDisk
    match source:
        case "dped":
            on_disk = open_dped(
                folder,
                phone,
                crop=crop_or_full,
                in_memory=in_memory,
                split=split,
                validation=validation,
                names=names,
            )
        case "pairs":
            on_disk = open_pairs(
                folder,
                input,
                target,
                holdout,
                crop=crop_or_full,
                split=split,
                input_name=input_name,
                scale=scale if enlarge else 1,
                names=names,
            )
        case "photos":
            return open_demo_photos(crop=crop_or_full, split=split)
        case "high_resolution" | "div2k":
            originals: PhotosOnDisk
            test_folder = to_path(test_dir) if test_dir else None
            if source == "div2k" and (split == "train" or test_folder is None):
                originals = Div2k(dir, split)
            elif source == "high_resolution" and not dir:
                raise DataError("dir is empty: set it to the folder of the high-resolution photos")
            else:
                originals = photo_split(folder, test_folder, holdout, split, names)
            return open_high_resolution(
                originals,
                crop=crop_or_full,
                scale=scale,
                in_memory=in_memory,
                check=check,
                check_share=check_share,
            )
        case "synthetic":
            return Synthetic(size=crop, split=split)
        case _:
            raise DataError(
                "source must be 'dped', 'pairs', 'photos', 'high_resolution', 'div2k' or "
                f"'synthetic', not {source!r}"
            )
    pairs: Source = on_disk
    if in_memory:
        pairs = InMemory(on_disk, tolerant=not check)
    elif check:
        on_disk.check(check_share)
    if not mixed:
        return pairs
    return with_photos(
        pairs, to_path(photos), photo_share, recorded, check_share, extremes=photo_extremes
    )


def listed_names(
    *,
    source: str,
    dir: str | os.PathLike[str],
    test_dir: str | os.PathLike[str],
    input: str,
    target: str,
    holdout: int,
    crop: int,
    split: str,
    input_name: str = "{}",
    **_: object,
) -> Sequence[str]:
    """Names of the records that a new run would use; see `make_source` for the arguments.

    They are listed without opening a file; [] for sources that do not list folders.

    Raises:
      DataError: if the folders cannot be used.
    """
    folder = to_path(dir)
    if source == "pairs":
        pairs = open_pairs(
            folder, input, target, holdout, crop=crop, split=split, input_name=input_name
        )
        return pairs.names
    if source == "high_resolution":
        test_folder = to_path(test_dir) if test_dir else None
        return photo_split(folder, test_folder, holdout, split).names
    return []
