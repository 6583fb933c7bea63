"""Alignment against known geometry: fields, shifts of patches, the warp, the common area."""

import dataclasses

import cv2
import numpy as np
import pytest

from ppcn_jax.pairing.align import Alignment, align
from ppcn_jax.pairing.features import (
    Matches,
    check_geometry,
    local_scale,
    match_features,
    transform,
)
from ppcn_jax.pairing.field import fit_field, zero_field
from ppcn_jax.pairing.patches import measure_shifts
from ppcn_jax.pairing.warp import common_area, warp
from ppcn_jax.runtime.errors import InputError


@pytest.fixture(scope="module")
def picture():
    """A gray picture, uint8 [500, 640], with structure of all sizes."""
    rng = np.random.default_rng(0)
    layers = [
        cv2.GaussianBlur(rng.standard_normal((500, 640)), (0, 0), sigma) * sigma
        for sigma in (1.5, 3, 8, 30)
    ]
    total = np.sum(layers, 0)
    return np.clip(128 + 50 * total / total.std(), 0, 255).astype(np.uint8)


def view(picture, mapping, size):
    """What a camera sees whose pixel p shows the picture at mapping(p)."""
    width, height = size
    points = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(float)
    positions = mapping(points.reshape(-1, 2)).reshape(height, width, 2).astype(np.float32)
    return cv2.remap(picture, positions, None, cv2.INTER_LANCZOS4, None, cv2.BORDER_REFLECT)


def radial(points, strength, size):
    center = (np.array(size) - 1) / 2
    offsets = (points - center) / center[0]
    return center + center[0] * offsets * (1 + strength * (offsets**2).sum(1, keepdims=True))


def test_a_field_is_exact_for_what_it_can_express_and_ignores_outliers():
    rng = np.random.default_rng(1)
    points = rng.uniform(0, [639, 479], (600, 2))
    shifts = points @ np.array([[0.01, 0.002], [-0.003, 0.02]]) + [1.0, -2.0]
    field = fit_field(points, shifts, 640, 480, stiffness=0.1)
    assert np.abs(field.at(points) - shifts).max() < 1e-3
    moved = (points > [400, 300]).all(1)  # a quarter of the frame moved
    wrong = shifts + 6 * moved[:, None] * (rng.random((600, 1)) < 0.5)
    stiff = fit_field(points, wrong, 640, 480, stiffness=3.0)
    assert np.abs(stiff.at(points[~moved]) - shifts[~moved]).max() < 0.3
    xs, ys = np.arange(0, 640, 37), np.arange(0, 480, 41)
    grid = field.on_grid(xs, ys)
    assert grid.shape == (len(ys), len(xs), 2)
    np.testing.assert_allclose(grid[3, 5], field.at(np.array([[xs[5], ys[3]]]))[0], atol=1e-9)


def test_shifts_of_patches_do_not_depend_on_exposure(picture):
    shift = np.array([1.37, -0.62])
    camera = view(picture, lambda p: p - shift, (640, 500))
    darker = (255 * (camera / 255) ** 1.6 * 0.7).astype(np.uint8)
    points = np.array([[200.0, 150.0], [450.0, 300.0], [0.0, 0.0]])
    found = measure_shifts(picture, darker, points, lambda p: p)
    assert found.valid[:2].all()
    np.testing.assert_allclose(found.shifts[:2], np.tile(shift, (2, 1)), atol=0.05)
    assert (found.points[2] == 23.5).all()  # moved inward, so that the patch fits
    flat = np.full_like(picture, 90)
    assert not measure_shifts(flat, flat, points, lambda p: p).valid.any()
    noise = np.random.default_rng(2).integers(0, 255, picture.shape, np.uint8)
    assert not measure_shifts(picture, noise, points, lambda p: p).valid.any()
    assert not measure_shifts(picture[:40], camera[:40], points, lambda p: p).valid.any()


@pytest.mark.parametrize("turned", [False, True])
def test_lens_distortion_is_undone(picture, turned):
    size = 420, 320
    homography = np.array([[0.95, -0.03, 120.0], [0.02, 0.97, 90.0], [2e-5, -1e-5, 1.0]])

    def camera_mapping(points):
        return transform(homography, radial(points, -0.04, size))

    phone = view(picture, lambda p: p * 0.9 + [130, 105], size)
    camera = view(picture, camera_mapping, size)
    if turned:
        camera = np.ascontiguousarray(camera[::-1, ::-1])
    alignment = align(phone, camera)
    points = np.stack(np.meshgrid(np.arange(60, 370, 30), np.arange(60, 270, 30)), -1)
    points = points.reshape(-1, 2).astype(float)
    mapped = alignment.at(points)
    if turned:
        mapped = np.array([size[0] - 1, size[1] - 1]) - mapped
    errors = np.linalg.norm(camera_mapping(mapped) - (points * 0.9 + [130, 105]), axis=1)
    assert np.median(errors) < 0.05 and errors.max() < 0.5
    without = dataclasses.replace(alignment, field=zero_field(*size))
    plain = without.at(points)
    if turned:
        plain = np.array([size[0] - 1, size[1] - 1]) - plain
    assert np.median(np.linalg.norm(mapped - plain, axis=1)) > 0.5  # a homography is not enough


def test_frames_that_do_not_fit(picture):
    picture = picture[:250, :320]
    other = np.random.default_rng(5).integers(0, 255, (60, 80), np.uint8)
    other = cv2.resize(other, (320, 250), interpolation=cv2.INTER_CUBIC)
    with pytest.raises(InputError, match="features of the two photos match .*another subject"):
        match_features(picture, other)
    with pytest.raises(InputError, match="camera's photo has only 0 features: too dark, blurred"):
        match_features(picture, np.full((300, 400), 7, np.uint8))
    with pytest.raises(InputError, match="another subject"):
        match_features(picture, np.ascontiguousarray(picture[:, ::-1]))  # a mirror image
    part = np.full_like(picture, 60)
    part[:70, :70] = picture[:70, :70]
    with pytest.raises(InputError, match="only in a small part|features of the two photos match"):
        match_features(picture, part)


def test_impossible_geometry_is_rejected(picture):
    points = np.random.default_rng(0).uniform(0, 500, (50, 2))
    all_fit = np.ones(50, bool)
    for homography, message in (
        (np.diag([-1.0, 1.0, 1.0]), "mirror image"),
        (np.diag([0.2, 1.0, 1.0]), "distorted"),
        (np.diag([20.0, 20.0, 1.0]), "distorted"),
        (np.array([[1.0, 0, 0], [0, 1, 0], [-0.004, 0, 1]]), "distorted"),  # through the horizon
    ):
        with pytest.raises(InputError, match=message):
            check_geometry(Matches(homography, points, points, all_fit), (500, 500))
    kept = check_geometry(Matches(-np.eye(3), points, points, all_fit), (500, 500))
    assert (kept.homography == np.eye(3)).all()


def translation(x, y, size, scale=1.0):
    homography = np.array([[scale, 0.0, x], [0.0, scale, y], [0.0, 0.0, 1.0]])
    return Alignment(homography, zero_field(*size), inliers=100, scale=scale)


def test_a_whole_shift_copies_pixels(picture):
    color = np.stack([picture, picture[::-1], 255 - picture], -1)
    result = warp(color, translation(20, 30, (400, 300)), (5, 6, 300, 200))
    assert (result == color[36:230, 25:320]).all()


def test_shrinking_does_not_alias():
    # Stripes above the phone's Nyquist frequency, below the camera's: they turn into even gray.
    stripes = np.broadcast_to(
        (127.5 + 120 * np.sin(2 * np.pi * 0.45 * np.arange(1200)))[None, :, None], (900, 1200, 3)
    )
    camera = np.rint(stripes).astype(np.uint8)
    result = warp(camera, translation(30, 30, (500, 400), 2.0), (0, 0, 500, 400))
    assert result.std() < 4
    # A slow wave passes: 40 px of the phone a period.
    slow = np.broadcast_to(
        (127.5 + 100 * np.sin(2 * np.pi * np.arange(1200) / 80))[None, :, None], (900, 1200, 3)
    )
    result = warp(
        np.rint(slow).astype(np.uint8), translation(0, 0, (500, 400), 2.0), (20, 20, 480, 380)
    )
    expected = 127.5 + 100 * np.sin(2 * np.pi * np.arange(20, 480) / 40)
    assert np.abs(result[..., 0] - expected).max() < 2
    assert local_scale(translation(0, 0, (500, 400), 2.0).homography, np.zeros((1, 2)))[0] == 2


def test_common_area():
    full = translation(100, 80, (400, 300))
    assert common_area(full, (300, 400), (900, 900)) == (0, 0, 400, 300)
    left, top, right, bottom = common_area(
        translation(-50, -20, (400, 300)), (300, 400), (200, 250)
    )
    assert 50 < left < 60 and 20 < top < 30 and 290 < right < 300 and 210 < bottom < 220
    assert common_area(translation(5000, 0, (400, 300)), (300, 400), (300, 400)) is None
    # A turned frame: the box is upright and all of it is seen.
    turned = translation(0, 0, (400, 300))
    cos, sin = np.cos(0.3), np.sin(0.3)
    homography = np.array([[cos, -sin, 60.0], [sin, cos, -60.0], [0, 0, 1]])
    turned = dataclasses.replace(turned, homography=homography)
    box = common_area(turned, (300, 400), (300, 400))
    corners = np.array([[x, y] for x in box[::2] for y in box[1::2]], float)
    seen = turned.at(corners)
    assert (seen > 0).all() and (seen < [399, 299]).all()
    assert (box[2] - box[0]) * (box[3] - box[1]) > 0.3 * 400 * 300
