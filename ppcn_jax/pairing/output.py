"""The folder of pairs: its layout, what is already done, and what is written to it."""

import hashlib
import json
import pathlib
from typing import Any

import numpy as np

from ppcn_jax.pairing.match import Scene
from ppcn_jax.pairing.windows import STRIDE, WINDOW
from ppcn_jax.photos.formats import SUFFIXES
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.write import encode_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.runtime.files import make_output_folder, write_bytes, write_json

# Increase it when the same photos give other pairs: earlier results are then made again.
_VERSION = 1
# The default level of PNG takes three times as long and saves 2 %.
_OPTIONS = {"png": {"compress_level": 3}, "jpeg": {}}
_MADE_BY = "ppcn-jax pair"

Record = dict[str, Any]


class Output:
    """A folder with `input/`, `target/`, `report/`, `windows.json`, `report.json`, `report.html`.

    Attributes:
        folder: its path.
        format: "png" or "jpeg", of the pairs.
        records: what is known about each scene, by name, as in `report.json`.
        windows: (top, left) of the good windows of each pair, by file name.
    """

    def __init__(self, folder: pathlib.Path, format: str):
        """Open or create the folder; InputError if it cannot be written or holds other files."""
        self.folder = folder
        self.format = format
        self.records: dict[str, Record] = {}
        self.windows: dict[str, list[list[int]]] = {}
        make_output_folder(folder)
        if (folder / "report.json").is_file():
            self._read()
        elif any(folder.iterdir()):
            raise InputError(
                f"--output {folder} holds files that {_MADE_BY} did not write; name an empty or "
                "new folder"
            )
        self.save()

    def key(self, scene: Scene) -> str:
        """Digest of everything that a scene's result depends on."""
        facts: list[Any] = [_VERSION, self.format]
        for path in (scene.phone, scene.camera):
            status = path.stat()
            facts += [path.name, status.st_size, status.st_mtime_ns]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def is_done(self, scene: Scene) -> bool:
        """Return True if a scene was paired with the same photos and settings, and is complete."""
        record = self.records.get(scene.name)
        return (
            record is not None
            and record["status"] == "used"
            and record["key"] == self.key(scene)
            and self._is_complete(record)
        )

    def write_pair(
        self, name: str, phone: np.ndarray, camera: np.ndarray, icc: bytes, overview: np.ndarray
    ) -> str:
        """Write both frames, uint8 `[H, W, 3]`, and the report's picture; return the file name."""
        file = name + SUFFIXES[self.format][0]
        for part, pixels in (("input", phone), ("target", camera)):
            photo = Photo(pixels, None, False, self.format, icc=icc, options=_OPTIONS[self.format])
            write_bytes(self.folder / part / file, encode_photo(photo, self.format))
        picture = encode_photo(Photo(overview, None, False, "pair", icc=icc), "jpeg", 85)
        write_bytes(self.folder / "report" / f"{name}.jpg", picture)
        return file

    def drop(self, name: str) -> None:
        """Forget what an earlier run found out about a scene, and delete its files."""
        record = self.records.pop(name, None)
        if record is None:
            return
        files = []
        if record["status"] == "used":
            self.windows.pop(record["file"], None)
            files = self._files(record)
        self.save()  # first, so that the lists never name a file that is gone
        for path in files:
            path.unlink(missing_ok=True)

    def keep(self, name: str, record: Record, good: np.ndarray | None = None) -> None:
        """Keep the result of a scene; `good` are the corners of a pair's windows."""
        self.records[name] = record
        if good is not None:
            self.windows[record["file"]] = good.tolist()
        self.save()

    def forget_deleted(self) -> None:
        """Forget the scenes whose files are no longer there."""
        for name, record in list(self.records.items()):
            if record["status"] == "used" and not self._is_complete(record):
                self.drop(name)

    def save(self) -> None:
        """Write both JSON files; the report last, which says what is done."""
        windows = {
            "window": WINDOW,
            "stride": STRIDE,
            "pairs": dict(sorted(self.windows.items())),
        }
        write_bytes(self.folder / "windows.json", (json.dumps(windows) + "\n").encode())
        report = {"made_by": _MADE_BY, "scenes": dict(sorted(self.records.items()))}
        write_json(self.folder / "report.json", report)

    def _read(self) -> None:
        try:
            report = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
            if report["made_by"] != _MADE_BY:
                raise ValueError("written by another program")
            self.records = dict(report["scenes"])
            self.windows = dict(
                json.loads((self.folder / "windows.json").read_text(encoding="utf-8"))["pairs"]
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{self.folder}/report.json or windows.json cannot be used ({error}); name another "
                "--output"
            ) from error

    def _files(self, record: Record) -> list[pathlib.Path]:
        stem = pathlib.Path(record["file"]).stem
        return [
            self.folder / "input" / record["file"],
            self.folder / "target" / record["file"],
            self.folder / "report" / f"{stem}.jpg",
        ]

    def _is_complete(self, record: Record) -> bool:
        files = self._files(record)
        return record["file"] in self.windows and all(path.is_file() for path in files)
