"""Make one pair: from two photo files to aligned frames, their windows and their record."""

import pathlib

import cv2
import numpy as np

from ppcn_jax.pairing.align import align
from ppcn_jax.pairing.match import Scene
from ppcn_jax.pairing.output import Output, Record
from ppcn_jax.pairing.report import checkerboard
from ppcn_jax.pairing.warp import common_area, warp
from ppcn_jax.pairing.windows import LEAST_CORRELATION, REASONS, WINDOW, Windows, judge_windows
from ppcn_jax.photos.color_profiles import convert_colors, profile_name, same_colors
from ppcn_jax.photos.exif import is_uncalibrated
from ppcn_jax.photos.levels import to_uint8
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.read import read_photo
from ppcn_jax.runtime.errors import InputError

# Memory per pixel of both photos together; photos of 12 megapixels were measured.
BYTES_PER_PIXEL = 20

_LEAST_AREA = 0.5  # of the phone's frame; a smaller common area is reported
_LEAST_GOOD = 0.5  # of the windows
_BLOWN, _MOST_BLOWN = 252, 0.05  # gray level and share of the pixels
_DARK, _BRIGHT = 35, 220  # mean gray levels of photos that are exposed wrongly
_MOST_APART = 60  # gray levels between the means
_LEAST_SHARPNESS = 0.65  # median detail of the camera's photo relative to the phone's


def pair_scene(scene: Scene, output: Output) -> tuple[Record, np.ndarray]:
    """Align the photos of a scene and write the pair.

    Returns:
        The record for the report, and (top, left) of the good windows, `[n, 2]`.

    Raises:
        InputError: if the photos cannot be read or do not fit.
    """
    warnings: list[str] = []
    phone, camera = (_read(path, warnings) for path in (scene.phone, scene.camera))
    gray = _gray(phone.pixels)
    alignment = align(gray, _gray(camera.pixels))
    box = common_area(alignment, gray.shape, camera.pixels.shape[:2])
    if box is None or min(box[2] - box[0], box[3] - box[1]) < WINDOW:
        seen = f"{box[2] - box[0]} x {box[3] - box[1]} px" if box else "nothing"
        raise InputError(f"both photos together see {seen}; at least {WINDOW} px a side are needed")
    left, top, right, bottom = box
    share = (right - left) * (bottom - top) / gray.size
    if share < _LEAST_AREA:
        warnings.append(f"the camera sees only {share:.0%} of the phone's photo")
    target = warp(camera.pixels, alignment, box)
    target = _convert(target, camera, phone, warnings)
    cropped = np.ascontiguousarray(phone.pixels[top:bottom, left:right])
    icc = phone.icc
    del phone, camera  # decoded photos are large
    grays = _gray(cropped), _gray(target)
    windows = judge_windows(*grays)
    good = windows.good
    counts = {reason: int((windows.reason == reason).sum()) for reason in REASONS}
    if not len(good):
        raise InputError(
            f"none of {len(windows.reason)} windows fits ({_counted(counts)}): another subject, or "
            "too much movement between the two"
        )
    warnings += _judge(*grays, windows)
    file = output.write_pair(scene.name, cropped, target, icc, checkerboard(cropped, target))
    record = {
        "status": "used",
        "file": file,
        "phone": scene.phone.name,
        "camera": scene.camera.name,
        "size": [right - left, bottom - top],
        "crop": [left, top, right, bottom],
        "camera_px_per_phone_px": round(alignment.scale, 4),
        "inliers": alignment.inliers,
        "median_residual_px": None if windows.residual is None else round(windows.residual, 3),
        "windows": len(windows.reason),
        "good_windows": len(good),
        "good_share": round(len(good) / len(windows.reason), 4),
        "correlated_share": round(float((windows.correlation > LEAST_CORRELATION).mean()), 4),
        "skipped_windows": counts,
        "warnings": warnings,
    }
    return record, good


def _read(path: pathlib.Path, warnings: list[str]) -> Photo:
    photo = read_photo(path)
    if photo.alpha is not None and photo.alpha.min() < np.iinfo(photo.alpha.dtype).max:
        raise InputError(f"{path} has transparent parts; a photo as taken is needed")
    warnings.extend(f"{path.name} is read without {note}" for note in photo.notes)
    if photo.gray:
        warnings.append(f"{path.name} is grayscale")
    if photo.pixels.dtype != np.uint8:
        warnings.append(f"{path.name}: 16 bits were rounded to 8")
    if not photo.icc and is_uncalibrated(photo.block):
        warnings.append(
            f"{path.name} has no color profile, and its EXIF says that it is not sRGB, but not what "
            "it is: its colors were taken for sRGB"
        )
    return Photo(to_uint8(photo.pixels), None, False, photo.format, icc=photo.icc)


def _gray(pixels: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def _convert(target: np.ndarray, camera: Photo, phone: Photo, warnings: list[str]) -> np.ndarray:
    """Convert to the phone's color profile, which photos have when they are enhanced."""
    if same_colors(camera.icc, phone.icc):
        return target
    names = profile_name(camera.icc), profile_name(phone.icc)
    try:
        converted = convert_colors(target, camera.icc, phone.icc)
    except InputError as error:
        warnings.append(f"the color profiles differ, and the target's colors may be off: {error}")
        return target
    warnings.append(f"the camera's colors were converted from {names[0]} to the phone's {names[1]}")
    return converted


def _judge(phone: np.ndarray, camera: np.ndarray, windows: Windows) -> list[str]:
    """Warn about exposure, sharpness and windows that do not fit."""
    found = []
    means = []
    for frame, whose in ((phone, "phone"), (camera, "camera")):
        means.append(float(frame.mean()))
        blown = float((frame >= _BLOWN).mean())
        if blown > _MOST_BLOWN:
            found.append(f"the {whose}'s photo is overexposed: {blown:.0%} of it is white")
        elif means[-1] > _BRIGHT:
            found.append(f"the {whose}'s photo is very bright: mean gray level {means[-1]:.0f}")
        if means[-1] < _DARK:
            found.append(f"the {whose}'s photo is very dark: mean gray level {means[-1]:.0f}")
    if abs(means[0] - means[1]) > _MOST_APART:
        found.append(
            f"the exposures differ: mean gray level {means[0]:.0f} of the phone, {means[1]:.0f} of "
            "the camera"
        )
    sharpness = float(np.median(windows.sharpness))
    if sharpness < _LEAST_SHARPNESS:
        found.append(
            f"the camera's photo has {sharpness:.0%} of the phone's detail: out of focus or shaken?"
        )
    share = len(windows.good) / len(windows.reason)
    if share < _LEAST_GOOD:
        found.append(f"only {share:.0%} of the windows fit: movement, parallax or noise")
    return found


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items() if count)
