"""Pair all scenes of two folders: matching, work in parallel, failures, progress."""

import concurrent.futures
import pathlib
from collections.abc import Iterator, Sequence

import cv2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ppcn_jax.pairing.match import Scene, list_photos, match_photos
from ppcn_jax.pairing.output import Output
from ppcn_jax.pairing.report import summary, write_html
from ppcn_jax.pairing.scene import BYTES_PER_PIXEL, pair_scene
from ppcn_jax.photos.read import Header, read_header
from ppcn_jax.runtime.errors import InputError, printable
from ppcn_jax.runtime.machine import core_count
from ppcn_jax.runtime.memory import available_bytes

# Errors that end one scene but not the others.
_FAILURES = (InputError, MemoryError, OSError, cv2.error)


def run_pairs(
    phone: pathlib.Path,
    camera: pathlib.Path,
    folder: pathlib.Path,
    *,
    format: str,
    by_time: bool,
    tolerance: float,
) -> tuple[int, list[str]]:
    """Pair the photos of two folders into a third; print a line for each scene.

    Scenes that an earlier run has paired, from the same files, are not paired again.

    Returns:
        The number of scenes that are paired now, and a line for each that failed.

    Raises:
        InputError: if the folders cannot be used, or no photo has a partner.
    """
    _check_folders(phone, camera, folder)
    (phone_photos, phone_notes), (camera_photos, camera_notes) = map(list_photos, (phone, camera))
    headers = _headers([*phone_photos, *camera_photos])
    matching = match_photos(
        phone_photos, camera_photos, headers, by_time=by_time, tolerance=tolerance
    )
    for note in [*phone_notes, *camera_notes, *matching.notes]:
        print(printable(note))
    output = Output(folder, format)
    output.forget_deleted()
    _note_earlier(output, matching.scenes)
    todo = [scene for scene in matching.scenes if not output.is_done(scene)]
    done = len(matching.scenes) - len(todo)
    if done:
        print(f"{done:,} of {len(matching.scenes):,} were paired before and have not changed")
    try:
        failures = _pair(todo, output, matching.doubts, _workers(todo, headers))
    finally:
        write_html(output)
    return len(matching.scenes) - len(failures), failures


def _check_folders(phone: pathlib.Path, camera: pathlib.Path, folder: pathlib.Path) -> None:
    inputs = {"PHONE": phone.resolve(), "CAMERA": camera.resolve()}
    output = folder.resolve()
    if inputs["PHONE"] == inputs["CAMERA"]:
        raise InputError(f"PHONE and CAMERA are the same folder: {phone}")
    for name, path in inputs.items():
        if output == path or path in output.parents or output in path.parents:
            raise InputError(
                f"--output {folder} and {name} lie within each other; name a folder elsewhere"
            )


def _headers(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, Header]:
    """Headers of all photos that are readable; the others fail as scenes, with the reason."""
    headers = {}
    for path in paths:
        try:
            headers[path] = read_header(path)
        except InputError:
            continue
    return headers


def _note_earlier(output: Output, scenes: Sequence[Scene]) -> None:
    names = {scene.name for scene in scenes}
    for name, record in list(output.records.items()):
        if name in names:
            continue
        if record["status"] == "used":
            print(
                printable(
                    f"{name} is from an earlier run and stays; to drop it, delete "
                    f"{output.folder / 'input' / record['file']}"
                )
            )
        else:
            output.drop(name)


def _workers(scenes: Sequence[Scene], headers: dict[pathlib.Path, Header]) -> int:
    """How many scenes to pair at a time: one a core, as far as there is memory for them."""
    largest = max(
        (
            sum(headers[path].pixels for path in (scene.phone, scene.camera) if path in headers)
            for scene in scenes
        ),
        default=0,
    )
    fitting = available_bytes() // 2 // max(1, largest * BYTES_PER_PIXEL)
    return max(1, min(core_count(), len(scenes), fitting))


def _pair(
    scenes: Sequence[Scene], output: Output, doubts: dict[str, str], workers: int
) -> list[str]:
    console = Console()
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    failures = []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(max(1, threads // workers))
    try:
        with Progress(
            TextColumn("pairing"),
            *columns,
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as progress:
            bar = progress.add_task("", total=len(scenes))
            for number, (scene, future) in enumerate(_finished(scenes, output, workers), 1):
                key = output.key(scene)
                files = {"key": key, "phone": scene.phone.name, "camera": scene.camera.name}
                try:
                    record, good = future.result()
                except _FAILURES as error:
                    reason = _reason(error)
                    record, good = {"status": "failed", "reason": reason, "warnings": []}, None
                    failures.append(f"{printable(scene.name)}: {reason}")
                if scene.name in doubts:
                    record["warnings"].append(doubts[scene.name])
                output.keep(scene.name, record | files, good)
                line = f"[{number}/{len(scenes)}] {scene.name}: {summary(record)}"
                lines = [line, *(f"    warning: {warning}" for warning in record["warnings"])]
                progress.console.print(
                    "\n".join(map(printable, lines)), markup=False, highlight=False, soft_wrap=True
                )
                progress.advance(bar)
    finally:
        cv2.setNumThreads(threads)
    return failures


def _finished(
    scenes: Sequence[Scene], output: Output, workers: int
) -> Iterator[tuple[Scene, concurrent.futures.Future]]:
    """Pair scenes in threads, which run in parallel in OpenCV and NumPy; yield them when done."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = {}
        for scene in scenes:
            output.drop(scene.name)
            futures[pool.submit(pair_scene, scene, output)] = scene
        try:
            for future in concurrent.futures.as_completed(list(futures)):
                yield futures.pop(future), future
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _reason(error: BaseException) -> str:
    if isinstance(error, InputError):
        return printable(str(error))
    if isinstance(error, OSError):
        return printable(f"{error.filename or 'the pair'} cannot be written: {error.strerror}")
    if isinstance(error, MemoryError):
        return "not enough memory"
    return printable(f"cannot be aligned: {str(error).strip().splitlines()[-1]}")
