"""Choose between DPED's own folders and their prepared copy."""

import pathlib
from collections.abc import Sequence

from data.dped.layout import PHONES, find_prepared, patch_folders, prepare_command
from data.dped.prepared import Prepared
from data.errors import DataError
from data.pictures.folders import paired_names
from data.sources.pairs import Pairs


def open_dped(
    dped: pathlib.Path,
    phone: str,
    *,
    crop: int | None,
    in_memory: bool,
    split: str,
    validation: int = 0,
    names: Sequence[str] | None = None,
) -> Pairs | Prepared:
    """Open one split of a phone's patches.

    Training reads the prepared copy. Testing, and training from RAM, read DPED's folders, and the
    copy only where there are no such folders.

    Args:
      dped: the DPED folder, or a folder that holds a prepared `dped/<phone>/<version>`.
      phone: "iphone", "blackberry" or "sony".
      crop: side of the training crops in pixels; None for whole patches.
      in_memory: whether the patches will be decoded into RAM.
      split: "train" or "test".
      validation: so many of the training patches, the last in natural order of their names, are
        kept from training and are the test split instead of DPED's own.
      names: those of the split, where they are known; None lists the folders.

    Returns:
      The pairs, not yet checked beyond their names.

    Raises:
      DataError: for an unknown phone, if there are no patches, if validation leaves none, or if
        they must be prepared first.
      MissingExtraError: if the prepared copy is needed and TFDS is absent.
    """
    if phone not in PHONES:
        raise DataError(f"phone must be one of {', '.join(PHONES)}, not {phone!r}")
    part = slice(None)
    if validation:
        part = slice(None, -validation) if split == "train" else slice(-validation, None)
        split = "train"
    inputs, targets = patch_folders(dped, phone, split)
    if names is None and inputs.is_dir():
        names = paired_names(inputs, targets)
        if validation >= len(names):
            raise DataError(
                f"{inputs} holds {len(names)} patches, so validation={validation} leaves none to "
                f"train on; choose a validation from 0 to {len(names) - 1}"
            )
        names = names[part]
    if names is not None and inputs.is_dir() and (in_memory or crop is None):
        return Pairs(inputs, targets, names, crop=crop)
    copy = find_prepared(dped, phone)
    if copy is None:
        raise _not_prepared(dped, phone, inputs)
    prepared = Prepared(copy, crop=crop, split=split, part=part)
    if names is not None and list(names) != list(prepared.names):
        raise DataError(
            f"{inputs} has changed since it was prepared; prepare it again, from the "
            f"repository's root: {prepare_command(dped, phone)}"
        )
    return prepared


def _not_prepared(dped: pathlib.Path, phone: str, inputs: pathlib.Path) -> DataError:
    if not inputs.is_dir():
        return DataError(
            f"there is neither a folder {inputs} nor a prepared copy of it; "
            "point the data folder at DPED as it is distributed"
        )
    return DataError(
        f"{dped / phone} must be prepared once before training; run, from the repository's root:\n"
        f"    {prepare_command(dped, phone)}\n"
        "(or set in_memory=True to decode the patches into memory at every start)"
    )
