"""DIV2K's high-resolution photos, as TensorFlow Datasets prepares them."""

import os
import pathlib
import shlex
import sys

import numpy as np

from data.errors import DataError, require
from data.pictures.images import decode
from data.pictures.stored_frames import file_identity
from data.storage import refuse_remote

# All configurations hold the same high-resolution photos. Their low-resolution images are not
# used: the loader makes its own.
_CONFIG = "bicubic_x4"
_SPLITS = {"train": "train", "test": "validation"}
_INFO_FILE = "dataset_info.json"


class Div2k:
    """One split of a prepared copy, decoded by Pillow when needed.

    Attributes:
      names: names of the photos, which are numbered within the split.
    """

    def __init__(self, dir: str | os.PathLike[str], split: str):
        """Open the copy.

        Args:
          dir: a TFDS data folder; "" for TFDS's default, $TFDS_DATA_DIR or ~/tensorflow_datasets.
          split: "train" (800 photos) or "test" (DIV2K's 100 validation photos).

        Raises:
          DataError: if there is no copy, or its format does not allow random access; the message
            has the command that makes one.
          MissingExtraError: if TFDS is not installed.
        """
        refuse_remote(dir, "a prepared DIV2K")
        tfds = require("tensorflow_datasets", "data")
        root = pathlib.Path(dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
        root = root.expanduser()
        copies = sorted((root / "div2k").glob(f"*/*/{_INFO_FILE}"))
        copies.sort(key=lambda path: path.parts[-3] != _CONFIG)
        if not copies:
            raise DataError(f"there is no prepared DIV2K in {root}; {_advice(root)}")
        undecoded = {"lr": tfds.decode.SkipDecoding(), "hr": tfds.decode.SkipDecoding()}
        builder = tfds.builder_from_directory(os.fspath(copies[0].parent))
        try:
            self._examples = builder.as_data_source(_SPLITS[split], decoders=undecoded)
        except NotImplementedError as error:
            raise DataError(
                f"{copies[0].parent} is in a format that does not allow random access; remove it "
                f"and {_advice(root)}"
            ) from error
        self._info = copies[0]
        self.names = [f"DIV2K {_SPLITS[split]} {i}" for i in range(len(self._examples))]

    def __getitem__(self, index: int) -> np.ndarray:
        """Decode a photo: uint8 [H, W, 3]; raises `DataError` if it is damaged."""
        name = self.names[index]
        try:
            encoded = self._examples[index]["hr"]
        except Exception as error:  # a checksum of ArrayRecord, the file system, or parsing
            raise DataError(f"{name} cannot be read ({error})") from error
        return decode(encoded, name)

    def identity(self, index: int) -> str:
        """A text that changes with the photo: its place in the prepared copy; raises `OSError`."""
        return f"{file_identity(self._info)}\n{self.names[index]}"

    def fingerprint(self, index: int, *, thorough: bool) -> str:
        """Unknown: DIV2K is the same everywhere."""
        return ""


def _advice(root: pathlib.Path) -> str:
    program = (
        "import tensorflow_datasets as tfds; "
        f"tfds.builder('div2k/{_CONFIG}', data_dir={os.fspath(root.absolute())!r}, "
        "file_format='array_record').download_and_prepare()"
    )
    command = shlex.join([sys.executable, "-c", program])
    return f"download and prepare it (about 8 GB, once) with:\n    {command}"
