"""The folders of DPED and of its prepared copy."""

import hashlib
import os
import pathlib
import shlex
import sys

from data.storage import is_remote

PHONES = {"iphone": "iPhone 3GS", "blackberry": "BlackBerry Passport", "sony": "Sony Xperia Z"}
VERSION = "1.0.0"
INFO_FILE = "dataset_info.json"  # written last: a copy that has it is complete

_PATCHES = {"train": "training_data", "test": "test_data/patches"}


def patch_folders(dped: pathlib.Path, phone: str, split: str) -> tuple[pathlib.Path, pathlib.Path]:
    """The folders (phone, camera) of the patches as DPED is distributed; they need not exist."""
    patches = dped / phone / _PATCHES[split]
    return patches / phone, patches / "canon"


def prepared_root(dped: pathlib.Path) -> pathlib.Path:
    """The TFDS data folder for a DPED folder; it need not exist.

    It is a subfolder of `$TFDS_DATA_DIR` or `~/tensorflow_datasets`. Each DPED folder has its own,
    so that the copies of two folders do not mix.
    """
    source = dped if is_remote(dped) else dped.resolve()
    key = hashlib.sha256(os.fsencode(source)).hexdigest()[:12]
    root = pathlib.Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    return root / f"{source.name}-{key}"


def prepared_folder(root: pathlib.Path, phone: str) -> pathlib.Path:
    """The folder of a phone's prepared patches in a TFDS data folder; it need not exist."""
    return root / "dped" / phone / VERSION


def find_prepared(dped: pathlib.Path, phone: str) -> pathlib.Path | None:
    """The prepared copy of a phone's patches, or None if there is none.

    `dped` is the DPED folder, or a folder that itself holds `dped/<phone>/<version>`.
    """
    copies = [prepared_folder(root, phone) for root in (dped, prepared_root(dped))]
    return next((copy for copy in copies if (copy / INFO_FILE).is_file()), None)


def prepare_command(dped: pathlib.Path, phone: str) -> str:
    """The shell command that prepares a phone's patches, to be run in the repository's root."""
    module = [sys.executable, "-m", "data.dped.prepare"]
    return shlex.join([*module, f"--dir={dped.resolve()}", f"--phone={phone}"])
