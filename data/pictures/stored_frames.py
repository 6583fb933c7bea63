"""Decoded frames on disk, in a cache folder that all runs and processes of a user share."""

import contextlib
import hashlib
import logging
import os
import pathlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import PIL

from data.pictures.tiles import DamagedError, Window, file_size, read_window, write_tiles
from data.storage import is_remote, size_and_time

_LEFT_FREE = 4 * 2**30  # bytes of the disk that are never used
_PARTIAL = ".partial"
_ABANDONED = 3600  # s; a partial file of this age belongs to a process that was killed

_log = logging.getLogger(__name__)


class StoredFrames:
    """Files of decoded frames, named by a hash of what they were decoded from.

    They are complete or absent. A damaged one is reported and counts as absent. A line says where
    files are written and how large they will be, or why no more are written.
    """

    def __init__(self, identity: Callable[[int], str], count: int):
        """Set what `identity` maps an index to, see `Frames`, and the number of indices."""
        self._identity, self._count = identity, count
        self._paths: dict[int, pathlib.Path | None] = {}
        self._lock = threading.Lock()
        self._announced = self._stopped = False

    def shape(self, index: int) -> tuple[int, ...] | None:
        """The shape of the frames of an index; None if they are not stored."""
        shapes = []

        def nothing(shape: tuple[int, ...]) -> tuple[slice, slice]:
            shapes.append(shape)
            return slice(0), slice(0)

        return None if self.read(index, nothing) is None else shapes[0]

    def read(self, index: int, window: Window) -> tuple[np.ndarray, ...] | None:
        """The same window of all frames of an index; None if they are not stored."""
        path = self._path(index)
        if path is None:
            return None
        try:
            return read_window(path, window)
        except OSError:  # there is no such file, usually
            return None
        except DamagedError as error:
            _log.warning("%s; the picture is decoded again", error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None

    def write(self, index: int, frames: tuple[np.ndarray, ...]) -> None:
        """Store the frames of an index, unless the disk is nearly full or cannot be written."""
        path = self._path(index)
        if path is None or self._stopped:
            return
        partial = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reserve(path.parent, file_size(frames))
            file, name = tempfile.mkstemp(_PARTIAL, dir=path.parent)
            os.close(file)
            partial = pathlib.Path(name)
            write_tiles(partial, frames)
            with _shared(path):
                partial.replace(path)
        except OSError as error:
            self._stop(path.parent, error)
        finally:
            if partial is not None:
                partial.unlink(missing_ok=True)

    def _path(self, index: int) -> pathlib.Path | None:
        """The file of an index, which need not exist; None if there can be none."""
        if index not in self._paths:
            try:
                # Versions of Pillow may decode a picture to different pixels.
                identity = f"{PIL.__version__}\n{self._identity(index)}"
                digest = hashlib.sha256(os.fsencode(identity)).hexdigest()[:32]
                self._paths[index] = _folder() / digest
            except (OSError, RuntimeError):  # the picture has vanished; a user without a home
                self._paths[index] = None
        return self._paths[index]

    def _reserve(self, folder: pathlib.Path, size: int) -> None:
        """Raise `OSError` if a file of this size does not fit; announce the first one."""
        with self._lock:
            free = shutil.disk_usage(folder).free - _LEFT_FREE
            if size > free:
                raise OSError(f"less than {_LEFT_FREE / 1e9:.1f} GB of the disk would stay free")
            if not self._announced:
                self._announced = True
                _remove_abandoned(folder)
                _log.warning(
                    "decoded pictures are stored in %s (up to %.1f GB), so that each is decoded "
                    "once; the folder can be deleted at any time",
                    folder,
                    min(size * self._count, free) / 1e9,
                )

    def _stop(self, folder: pathlib.Path, error: OSError) -> None:
        with self._lock:
            if not self._stopped:
                self._stopped = True
                _log.warning(
                    "no more decoded pictures are stored in %s (%s); those that are not there are "
                    "decoded for every crop. XDG_CACHE_HOME=DIR names another place",
                    folder,
                    error,
                )


@contextlib.contextmanager
def _shared(path: pathlib.Path) -> Iterator[None]:
    """A context in which a file that exists need not be replaced: its content is the same.

    Windows refuses to replace a file that another process reads.
    """
    try:
        yield
    except PermissionError:
        if not path.is_file():
            raise


def file_identity(path: pathlib.Path) -> str:
    """A text that changes with the place, size and time of a file; raises `OSError`."""
    size, time = size_and_time(path)
    return f"{path if is_remote(path) else path.resolve()}\n{size} {time}"


def _folder() -> pathlib.Path:
    caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(caches, "ppcn-jax", "frames")


def _remove_abandoned(folder: pathlib.Path) -> None:
    for partial in folder.glob(f"*{_PARTIAL}"):
        with contextlib.suppress(OSError):  # another process removed it
            if time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink()
