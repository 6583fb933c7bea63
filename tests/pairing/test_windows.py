"""Windows are judged for what they are: movement, clipping, blur, noise."""

import collections

import cv2
import numpy as np
import pytest

from ppcn_jax.pairing.windows import REASONS, judge_windows


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    texture = sum(cv2.GaussianBlur(rng.standard_normal((430, 560)), (0, 0), s) * s for s in (1, 4))
    return np.clip(120 + 35 * texture / texture.std(), 5, 250).astype(np.uint8)


def reasons(phone, camera):
    windows = judge_windows(phone, camera)
    assert set(windows.reason) <= {"", *REASONS}
    return windows, collections.Counter(windows.reason.tolist())


def corners(windows, reason):
    return {tuple(corner) for corner, why in zip(windows.corners, windows.reason, strict=True)
            if why == reason}  # fmt: skip


def test_all_windows_that_fit_in_the_frame(frame):
    windows, counts = reasons(frame, np.clip(frame * 0.8 + 20, 0, 255).astype(np.uint8))
    # 430 = 100 + 6 x 50 + 30 and 560 = 100 + 9 x 50 + 10.
    assert counts == {"": 7 * 10}
    assert windows.good.max(0).tolist() == [300, 450] and (windows.good % 50 == 0).all()
    assert windows.correlation.min() > 0.99 and windows.residual < 0.02


def test_correlation_is_the_textbook_formula(frame):
    other = np.random.default_rng(4).integers(0, 60, frame.shape, np.uint8) + frame // 2
    windows = judge_windows(frame, other)
    for index in (0, 17, 69):
        top, left = windows.corners[index]
        a, b = (f[top : top + 100, left : left + 100].ravel() for f in (frame, other))
        assert windows.correlation[index] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-4)


def test_what_moved_is_skipped(frame):
    camera = frame.copy()
    camera[100:200, 200:300] = frame[300:400, 20:120]
    windows, _ = reasons(frame, camera)
    skipped = corners(windows, "different")
    assert (100, 200) in skipped
    assert all(0 < top < 200 and 100 < left < 300 for top, left in skipped)


def test_small_shifts_are_skipped_though_they_correlate(frame):
    smooth = cv2.GaussianBlur(frame, (0, 0), 5)
    camera = smooth.copy()
    camera[:, 280:] = np.roll(smooth, 2, axis=1)[:, 280:]
    windows, counts = reasons(smooth, camera)
    assert counts["displaced"] > 20 and windows.correlation.min() > 0.9
    assert all(left > 200 for _, left in corners(windows, "displaced"))


def test_clipped_and_blurred_windows_are_skipped(frame):
    bright = frame.copy()
    bright[:100] = 255
    windows, counts = reasons(frame, bright)
    assert {top for top, _ in corners(windows, "saturated")} == {0, 50}
    coarse = cv2.GaussianBlur(frame.astype(float), (0, 0), 8)
    coarse = 128 + 30 * (coarse - coarse.mean()) / coarse.std()
    fine = cv2.GaussianBlur(np.random.default_rng(5).standard_normal(frame.shape), (0, 0), 0.8)
    sharp = np.clip(coarse + 6 * fine / fine.std(), 4, 250).astype(np.uint8)
    soft = cv2.GaussianBlur(sharp, (0, 0), 2.5)
    _, counts = reasons(sharp, soft)
    assert counts["blurred"] > 60
    # The phone's blur is what a network shall learn to undo.
    _, counts = reasons(soft, sharp)
    assert counts == {"": 70}


def test_noise_in_an_even_sky_fits_but_other_clouds_do_not():
    rng = np.random.default_rng(6)
    sky = np.tile(np.linspace(120, 124, 300), (200, 1))
    noisy = [np.rint(sky + rng.normal(0, 1.5, sky.shape)).astype(np.uint8) for _ in range(2)]
    windows, counts = reasons(*noisy)
    assert counts == {"": len(windows.reason)} and windows.correlation.max() < 0.9
    clouds = [
        np.rint(sky + 40 * cv2.GaussianBlur(rng.standard_normal(sky.shape), (0, 0), 20) * 20)
        for _ in range(2)
    ]
    _, counts = reasons(*(np.clip(c, 10, 245).astype(np.uint8) for c in clouds))
    assert counts["different"] > len(windows.reason) / 2
