"""First guess of how two frames lie on each other: features, and a homography between them."""

from typing import NamedTuple

import cv2
import numpy as np

from ppcn_jax.runtime.errors import InputError

# Features are found at this longest side: their positions are only a first guess, and SIFT takes
# 200 bytes of memory per pixel.
FEATURE_SIDE = 1000
_MOST_FEATURES = 6000
_CONTRAST = 0.02  # half of SIFT's default: flat and dark photos have few features
_RATIO = 0.8  # of the distances to the best and the second best match (Lowe)
_TOLERANCE = 4.0  # px at FEATURE_SIDE, which allows for lens distortion
# Photos of different scenes were seen to give at most 12, by chance (132 pairs).
LEAST_INLIERS = 30
_LEAST_SPREAD = 0.05  # of the frame's area, between the inliers
_SCALES = (1 / 8, 8)
_LEAST_ROUNDNESS = 1 / 3  # of a square after the homography


class Matches(NamedTuple):
    """Features of the phone's frame that look like one of the camera's.

    Attributes:
        homography: `[3, 3]`, from the phone's px to the camera's; its denominator is positive at
            the inliers.
        phone: positions `[n, 2]` in the phone's frame.
        camera: those in the camera's frame.
        inliers: bool `[n]`; True where the homography fits.
    """

    homography: np.ndarray
    phone: np.ndarray
    camera: np.ndarray
    inliers: np.ndarray


def match_features(phone: np.ndarray, camera: np.ndarray) -> Matches:
    """Match two gray frames, uint8 `[H, W]`.

    Raises InputError if too few features fit one homography, or if no two cameras could see it.
    """
    (phone_points, phone_descriptors), (camera_points, camera_descriptors) = map(
        _features, (phone, camera)
    )
    for points, whose in ((phone_points, "phone"), (camera_points, "camera")):
        if len(points) < LEAST_INLIERS:
            raise InputError(
                f"the {whose}'s photo has only {len(points)} features: too dark, blurred or flat"
            )
    pairs = _ratio_test(phone_descriptors, camera_descriptors)
    phone_points, camera_points = phone_points[pairs[:, 0]], camera_points[pairs[:, 1]]
    if len(pairs) < LEAST_INLIERS:
        raise _too_few(len(pairs))
    homography, mask = cv2.findHomography(
        phone_points, camera_points, cv2.USAC_MAGSAC, tolerance(camera.shape), None, 20_000, 0.9999
    )
    inliers = mask.ravel() > 0 if homography is not None else np.zeros(len(pairs), bool)
    if inliers.sum() < LEAST_INLIERS:
        raise _too_few(int(inliers.sum()))
    matches = Matches(homography, phone_points, camera_points, inliers)
    return check_geometry(matches, phone.shape)


def check_geometry(matches: Matches, shape: tuple[int, ...]) -> Matches:
    """Raise InputError if two cameras beside each other cannot see this in a frame of `shape`.

    Returns the matches with a homography whose denominator is positive at the inliers.
    """
    height, width = shape[:2]
    points = matches.phone[matches.inliers]
    hull = cv2.convexHull(points.astype(np.float32))
    if cv2.contourArea(hull) < _LEAST_SPREAD * height * width:
        raise InputError(
            "the photos match only in a small part of the phone's frame: another subject, or too "
            "much movement between the two"
        )
    # Where the features are, not in the corners: those may lie beyond the horizon of a good match.
    depths = _depths(matches.homography, points)
    scales = local_scale(matches.homography, points)
    if (scales < 0).all():
        raise InputError("one photo is a mirror image of the other; switch mirroring off")
    singular = np.linalg.svd(_jacobians(matches.homography, points), compute_uv=False)
    possible = (
        (depths * depths[0] > 0)
        & (scales > _SCALES[0])
        & (scales < _SCALES[1])
        & (singular[:, 1] > _LEAST_ROUNDNESS * singular[:, 0])
    )
    if not possible.all():
        raise InputError(
            "the match between the photos is distorted beyond what two cameras beside each other "
            "see: another subject, or taken from positions too far apart"
        )
    return matches._replace(homography=matches.homography * np.sign(depths[0]))


def tolerance(shape: tuple[int, ...]) -> float:
    """How far in px a feature may lie from where it should in a frame of `shape`."""
    return _TOLERANCE * max(1.0, max(shape) / FEATURE_SIDE)


def transform(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a homography to points `[..., 2]`."""
    mapped = points @ homography[:, :2].T + homography[:, 2]
    return mapped[..., :2] / mapped[..., 2:]


def local_scale(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Px of the camera per px of the phone at points `[n, 2]`; negative where it mirrors."""
    determinants = np.linalg.det(_jacobians(homography, points))
    return np.sign(determinants) * np.sqrt(np.abs(determinants))


def _features(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    factor = FEATURE_SIDE / max(gray.shape)
    if factor < 1:
        size = (round(gray.shape[1] * factor), round(gray.shape[0] * factor))
        small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
    else:
        small = gray
    detector = cv2.SIFT.create(nfeatures=_MOST_FEATURES, contrastThreshold=_CONTRAST)
    found, descriptors = detector.detectAndCompute(small, None)
    points = np.array([point.pt for point in found], float).reshape(-1, 2)
    scales = np.array([gray.shape[1] / small.shape[1], gray.shape[0] / small.shape[0]])
    return (points + 0.5) * scales - 0.5, descriptors


def _ratio_test(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Indices `[n, 2]` of distinct matches; each feature of the right is used once."""
    best: dict[int, tuple[float, int]] = {}
    for first, second in cv2.BFMatcher(cv2.NORM_L2).knnMatch(left, right, 2):
        if first.distance < _RATIO * second.distance:
            candidate = (first.distance, first.queryIdx)
            best[first.trainIdx] = min(best.get(first.trainIdx, candidate), candidate)
    return np.array([(q, t) for t, (_, q) in sorted(best.items())], int).reshape(-1, 2)


def _too_few(count: int) -> InputError:
    return InputError(
        f"only {count} features of the two photos match ({LEAST_INLIERS} are needed): another "
        "subject, or too much movement between the two"
    )


def _depths(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ homography[2, :2] + homography[2, 2]


def _jacobians(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    mapped = transform(homography, points)
    numerator = homography[:2, :2] - mapped[:, :, None] * homography[2, :2]
    return numerator / _depths(homography, points)[:, None, None]
