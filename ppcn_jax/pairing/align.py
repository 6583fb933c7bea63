"""Align the camera's frame with the phone's to a fraction of a pixel.

A point p of the phone's frame lies at H(p + d(p)) in the camera's: H is a homography, and d a
smooth field for what a homography cannot express. The field is first fitted to the features, then
to shifts that are measured on small patches, from coarse to fine.
"""

import dataclasses
from typing import NamedTuple

import cv2
import numpy as np

from ppcn_jax.pairing.features import Matches, local_scale, match_features, tolerance, transform
from ppcn_jax.pairing.field import Field, fit_field, fit_lens
from ppcn_jax.pairing.patches import measure_shifts

# Longest sides of the levels in px; the last one is the frame's own, if it is smaller.
_LEVELS = (1000, 2000, 4000, 8000)
# The field is stiff at first, so that moving objects do not pull it along before they stand out.
_STIFFNESS = (3.0, 0.3, 0.05)
_GROWTH = 10  # rounds, at most, until no more features fit
_GRID = 24  # patches along the longer side
_LEAST_PATCHES = 12  # a level with fewer keeps the field of the one before


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Where each point of the phone's frame lies in the camera's.

    Attributes:
        homography: `[3, 3]`, from the phone's px to the camera's.
        field: displacements in the phone's px, added before the homography.
        inliers: number of features that fit, after lens distortion.
        scale: px of the camera per px of the phone, the median over the features.
    """

    homography: np.ndarray
    field: Field
    inliers: int
    scale: float

    def grid(self, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
        """Camera positions of all combinations of `xs` [W] and `ys` [H]: `[H, W, 2]`, x first."""
        points = self.field.on_grid(xs, ys)
        points[..., 0] += xs
        points[..., 1] += ys[:, None]
        return transform(self.homography, points)

    def in_front(self, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
        """Bool `[H, W]`: False beyond the horizon of the homography, where positions mean nothing.

        The homography's denominator is positive where the features are.
        """
        return (
            self.homography[2, 0] * xs + self.homography[2, 1] * ys[:, None]
            > -(self.homography[2, 2])
        )

    def at(self, points: np.ndarray) -> np.ndarray:
        """Camera positions of points `[n, 2]`."""
        return transform(self.homography, points + self.field.at(points))


def align(phone: np.ndarray, camera: np.ndarray) -> Alignment:
    """Align two gray frames, uint8 `[H, W]`; raises InputError if they do not show one scene."""
    matches = match_features(phone, camera)
    height, width = phone.shape
    scales = local_scale(matches.homography, matches.phone[matches.inliers])
    field, inliers = _grow(matches, phone.shape)
    alignment = Alignment(matches.homography, field, inliers, float(np.median(scales)))
    longest = max(width, height)
    for side in [side for side in _LEVELS if side < longest] + [longest]:
        level = make_level(phone, camera, alignment, side / longest)
        for stiffness in _STIFFNESS:
            points, shifts = level.measure(alignment, patch_grid(width, height, _GRID))
            if len(points) < _LEAST_PATCHES:
                break
            displacements = alignment.field.at(points) + shifts
            field = fit_field(points, displacements, width, height, stiffness)
            alignment = dataclasses.replace(alignment, field=field)
    return alignment


class Level(NamedTuple):
    """Both frames at one scale.

    Attributes:
        phone: uint8 `[h, w]`.
        camera: uint8, with about as many px per object as the phone's.
        phone_factor: px of the phone's level per px of its frame, (x, y).
        camera_factor: px of the camera's level per px of its frame.
    """

    phone: np.ndarray
    camera: np.ndarray
    phone_factor: np.ndarray
    camera_factor: np.ndarray

    def measure(self, alignment: Alignment, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measure how far the alignment is off at points `[n, 2]` of the phone's frame.

        Returns the points where that was possible, and the shifts there, in px of that frame.
        """
        found = measure_shifts(
            self.phone,
            self.camera,
            _scaled(points, self.phone_factor),
            lambda level_points: _scaled(
                alignment.at(_scaled(level_points, 1 / self.phone_factor)), self.camera_factor
            ),
        )
        centers = _scaled(found.points, 1 / self.phone_factor)
        return centers[found.valid], found.shifts[found.valid] / self.phone_factor


def make_level(phone: np.ndarray, camera: np.ndarray, alignment: Alignment, factor: float) -> Level:
    """Shrink both frames, the phone's by `factor`, and the camera's to the same scale."""
    small = _shrink(phone, factor)
    # Finer detail of the camera would only alias.
    small_camera = _shrink(camera, factor / alignment.scale)
    return Level(small, small_camera, _factors(small, phone), _factors(small_camera, camera))


def patch_grid(width: int, height: int, count: int) -> np.ndarray:
    """Centers `[n, 2]` of a regular grid over a frame, `count` along the longer side."""
    spacing = max(width, height) / count
    columns, rows = (max(1, round(side / spacing)) for side in (width, height))
    xs = (np.arange(columns) + 0.5) * width / columns - 0.5
    ys = (np.arange(rows) + 0.5) * height / rows - 0.5
    return np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2)


def _grow(matches: Matches, shape: tuple[int, ...]) -> tuple[Field, int]:
    """Fit lens distortion to the features, from those that fit the homography outward.

    Returns the field and the number of features that fit it.
    """
    height, width = shape
    back = transform(np.linalg.inv(matches.homography), matches.camera) - matches.phone
    fits = matches.inliers
    for _ in range(_GROWTH):
        field = fit_lens(matches.phone[fits], back[fits], width, height)
        errors = np.linalg.norm(back - field.at(matches.phone), axis=1)
        before, fits = fits.sum(), errors < tolerance(shape)
        if fits.sum() <= before:
            break
    return field, int(fits.sum())


def _shrink(image: np.ndarray, factor: float) -> np.ndarray:
    if factor >= 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _factors(small: np.ndarray, frame: np.ndarray) -> np.ndarray:
    return np.array([small.shape[1] / frame.shape[1], small.shape[0] / frame.shape[0]])


def _scaled(points: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Positions of points after resizing a frame; px have their centers at integers."""
    return (points + 0.5) * factor - 0.5
