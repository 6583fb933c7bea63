"""Process an uploaded photo, as the command does, and write what the page shows."""

import pathlib
import tempfile
import time
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

from ppcn_jax.inference.photo import Operation, check_memory, check_size, judge, process_photos
from ppcn_jax.inference.runtimes import errors_of
from ppcn_jax.photos.formats import result_format, result_name
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.photos.write import check_output, encode_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.serving.preview import make_previews

# Limit of a result; the command has no limit, and its progress can be watched.
MOST_PIXELS = 100_000_000


class Outcome(NamedTuple):
    """Files for one processed photo: two pictures for the browser and the one to download.

    `summary` states size, time and model, and `warning` what the network did to colors, or "".
    """

    before: pathlib.Path
    after: pathlib.Path
    result: pathlib.Path
    summary: str
    warning: str = ""


def process_upload(
    upload: pathlib.Path, label: str, operation: Operation, folder: pathlib.Path
) -> Outcome:
    """Process one photo as the command does, and write the files that the page shows.

    The files go to a new folder within `folder`; the result has the name that the command gives it. Raises
    InputError, which names the photo without its folder, if it cannot be processed.
    """
    failures: tuple[type[Exception], ...] = (MemoryError, OSError, *errors_of(operation.runtime))
    start = time.monotonic()
    try:
        photo, result, content = _process_file(upload, operation)
        damage = judge(photo, result, operation)
        seconds = time.monotonic() - start
        before, after = make_previews(photo, result)
        height, width = result.pixels.shape[:2]
        place = pathlib.Path(tempfile.mkdtemp(dir=folder))
        named = pathlib.Path(upload.name)
        name = result_name(named, result_format(named, None))  # camera raw becomes TIFF
        blend = f", strength {operation.strength:g}" if operation.strength < 1 else ""
        outcome = Outcome(
            before=_write(place / "previews" / "before.jpg", before),
            after=_write(place / "previews" / "after.jpg", after),
            result=_write(place / name, content),
            summary=f"{upload.name}: {width} x {height} px in {seconds:.2f} s with {label}{blend}",
            warning=f"{damage.advise('strength').capitalize()}." if damage else "",
        )
        return outcome
    except InputError as error:
        raise InputError(str(error).replace(str(upload), upload.name)) from error
    except failures as error:
        raise _failure(upload, error) from error


def preview_upload(upload: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Write a copy of a photo at screen size that every browser displays; return its path.

    Raises InputError, which names the photo without its folder, if it cannot be read.
    """
    try:
        photo = read_photo(upload)
        picture, _ = make_previews(photo, photo)
        return _write(pathlib.Path(tempfile.mkdtemp(dir=folder)) / "preview.jpg", picture)
    except InputError as error:
        raise InputError(str(error).replace(str(upload), upload.name)) from error
    except (MemoryError, OSError) as error:
        raise _failure(upload, error) from error


def pack(results: Sequence[pathlib.Path], folder: pathlib.Path) -> pathlib.Path:
    """Pack several results into a new zip file within `folder`; equal names are numbered."""
    archive = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "photos.zip"
    taken: set[str] = set()
    # The photos are compressed already.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for path in results:
            name, number = path.name, 1
            while name.lower() in taken:  # on some systems, names in capitals are the same
                number += 1
                name = f"{path.stem} ({number}){path.suffix}"
            taken.add(name.lower())
            packed.write(path, name)
    return archive


def _process_file(upload: pathlib.Path, operation: Operation) -> tuple[Photo, Photo, bytes]:
    photo = read_photo(upload)
    height, width = (operation.scale * side for side in photo.pixels.shape[:2])
    try:
        if height * width > MOST_PIXELS:
            raise InputError(
                f"would become {width:,} x {height:,} px; the limit of this page is "
                f"{MOST_PIXELS // 1_000_000} megapixels: use the command ppcn-jax"
            )
        check_output(photo, photo.format, operation.scale)
        check_size(photo.pixels)
        check_memory(photo, operation.scale)
        (result,) = process_photos([photo], operation)
        return photo, result, encode_photo(result, result.format)
    except InputError as error:
        raise InputError(f"{upload} {error}") from error


def _failure(upload: pathlib.Path, error: BaseException) -> InputError:
    reason = str(error).partition("\n")[0] or "not enough memory"
    return InputError(f"{upload.name} cannot be processed: {reason}")


def _write(path: pathlib.Path, content: bytes) -> pathlib.Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path
