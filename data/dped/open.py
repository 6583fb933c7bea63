"""Open DPED's own folders or their prepared copy."""

import pathlib
from collections.abc import Sequence

from data.dped.layout import PHONES, find_prepared, patch_folders, prepare_command
from data.dped.prepared import Prepared
from data.errors import DataError
from data.pictures.folders import hold_out
from data.pictures.partners import known_partners, paired_names
from data.sources.pairs import Pairs
from data.storage import refuse_remote


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
    """Open one split of a phone's patches, without checking more than their names.

    Training reads the prepared copy. Testing, and training from RAM, read DPED's own folders, or
    the copy if there are no such folders. For the arguments see `data.make_source`; `dped` may
    also be a folder that holds a prepared `dped/<phone>/<version>`, and `crop` is None for full
    patches.

    Raises:
      DataError: if the phone is unknown, there are no patches, validation leaves none for
        training, or the patches must be prepared first.
      MissingExtraError: if the prepared copy is needed and TFDS is not installed.
    """
    if phone not in PHONES:
        raise DataError(f"phone must be one of {', '.join(PHONES)}, not {phone!r}")
    inputs, targets = patch_folders(dped, phone, "train" if validation else split)
    if names is None and inputs.is_dir():
        names = list(paired_names(inputs, targets))
        if validation:
            names = hold_out(names, validation, split, folder=inputs, field="validation")
    if names is not None and inputs.is_dir() and (in_memory or crop is None):
        return Pairs(inputs, targets, known_partners(inputs, targets, names), crop=crop)
    refuse_remote(dped, "DPED's prepared copy, which is used unless in_memory=True,")
    copy = find_prepared(dped, phone)
    if copy is None and not inputs.is_dir():
        raise DataError(
            f"there is neither a folder {inputs} nor a prepared copy of it; set the data folder to "
            "DPED as it is distributed"
        )
    if copy is None:
        raise DataError(
            f"{dped / phone} must be prepared once before training; run in the repository's root:\n"
            f"    {prepare_command(dped, phone)}\n"
            "(or set in_memory=True, which decodes the patches into RAM at every start)"
        )
    prepared = Prepared(copy, crop=crop, split=split, validation=validation)
    if names is not None and list(names) != list(prepared.names):
        raise DataError(
            f"{inputs} has changed since it was prepared; prepare it again in the repository's "
            f"root: {prepare_command(dped, phone)}"
        )
    return prepared
