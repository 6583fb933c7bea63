"""Prepare DPED for training: `python -m data.dped.prepare --dir=DIR [--phone=iphone]`.

Run it once, in the repository's root. It checks every pair and writes all pairs to TFDS's
ArrayRecord files, which can be read in any order. Several thousand pairs take some seconds. If it
fails or is interrupted, it leaves no copy and can be run again.
"""

import argparse
import contextlib
import io
import pathlib
import shutil
import sys
from collections.abc import Sequence

from data.dped.builder import builder_class
from data.dped.layout import INFO_FILE, PHONES, prepared_folder, prepared_root
from data.errors import DataError, require


def prepare(dped: pathlib.Path, phone: str) -> pathlib.Path:
    """Write the prepared copy of a phone's patches, replace an older one, and return its folder.

    Raises:
      DataError: for all pairs that cannot be used, together.
      MissingExtraError: if TFDS is not installed.
    """
    tfds = require("tensorflow_datasets", "data")
    if not dped.is_dir():
        raise DataError(f"there is no folder {dped}; unpack DPED there or correct --dir")
    copy = prepared_folder(prepared_root(dped), phone)
    print(f"Writing the prepared patches to {copy}", flush=True)
    if copy.exists():
        (copy / INFO_FILE).unlink(missing_ok=True)  # first: without it, the rest is no valid copy
        shutil.rmtree(copy)
    tfds.disable_progress_bar()  # the builder shows one that knows the total
    builder = builder_class()(config=phone, data_dir=prepared_root(dped))
    with contextlib.redirect_stdout(io.StringIO()):  # it would print that it downloads
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(manual_dir=dped.resolve()),
            file_format="array_record",
        )
    return copy


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m data.dped.prepare", description=__doc__)
    parser.add_argument("--dir", required=True, type=pathlib.Path, help="the DPED folder")
    parser.add_argument("--phone", default="iphone", choices=PHONES)
    flags = parser.parse_args(argv)
    try:
        print(f"Prepared {prepare(flags.dir.expanduser(), flags.phone)}")
    except DataError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
