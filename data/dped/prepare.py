"""Prepare DPED for training: `python -m data.dped.prepare --dir=DIR [--phone=iphone]`.

Run it once, from the repository's root. It checks every pair and writes them as TFDS's own
ArrayRecord files, which can be read in any order. Several thousand pairs take some seconds.
Interrupted or failed, it leaves no copy, and running it again starts anew.
"""

import argparse
import pathlib
import shutil
import sys
from collections.abc import Sequence

from data.dped.builder import builder_class
from data.dped.layout import INFO_FILE, PHONES, prepared_folder, prepared_root
from data.errors import DataError
from data.extras import require


def prepare(dped: pathlib.Path, phone: str) -> pathlib.Path:
    """Write the prepared copy of a phone's patches, in place of an older one.

    Args:
      dped: the DPED folder.
      phone: "iphone", "blackberry" or "sony".

    Returns:
      The folder of the copy.

    Raises:
      DataError: for the first pair that cannot be used.
      MissingExtraError: if TFDS is absent.
    """
    tfds = require("tensorflow_datasets", "data")
    if not dped.is_dir():
        raise DataError(f"there is no folder {dped}; unpack DPED there or correct --dir")
    tfds.disable_progress_bar()  # ours knows the total
    _remove(prepared_folder(prepared_root(dped), phone))
    builder = builder_class()(config=phone, data_dir=prepared_root(dped))
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=dped.resolve()),
        file_format="array_record",
    )
    return pathlib.Path(builder.data_dir)


def _remove(copy: pathlib.Path) -> None:
    if copy.exists():
        (copy / INFO_FILE).unlink(missing_ok=True)  # first: without it, no remnant is taken whole
        shutil.rmtree(copy)


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line, prepare, and say where the copy is."""
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
