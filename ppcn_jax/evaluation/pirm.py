"""The scores of the PIRM 2018 challenge on perceptual enhancement on smartphones.

They weigh quality against speed, measured as the speed-up over SRCNN on 1280x720 images, of which
at most a factor of 4 counts.
"""

MOST_SPEED_UP = 4.0


def super_resolution_score(psnr: float, ms_ssim: float, speed_up: float) -> float:
    """Score of track A: 4 (PSNR - 26.5) + 100 (MS-SSIM - 0.94) + min(speed-up, 4).

    Args:
        psnr: in dB.
        ms_ssim: in [0, 1].
        speed_up: SRCNN's time over the network's.

    Returns:
        The score; higher is better.

    Reference:
        Ignatov et al., "PIRM challenge on perceptual image enhancement on smartphones: report",
        ECCV workshops 2018.
    """
    return 4 * (psnr - 26.5) + 100 * (ms_ssim - 0.94) + min(speed_up, MOST_SPEED_UP)


def enhancement_scores(psnr: float, ms_ssim: float, speed_up: float) -> dict[str, float]:
    """Scores A, B and C of track B, which weigh PSNR, MS-SSIM and speed differently.

    Args:
        psnr: in dB.
        ms_ssim: in [0, 1].
        speed_up: SRCNN's time over the network's.

    Returns:
        `{"A", "B", "C"}`; higher is better.

    Reference:
        As `super_resolution_score`.
    """
    decibels, similarity, speed = psnr - 21, ms_ssim - 0.9, min(speed_up, MOST_SPEED_UP)
    return {
        "A": 4 * decibels + 100 * similarity + 2 * speed,
        "B": decibels + 400 * similarity + 2 * speed,
        "C": 2 * decibels + 200 * similarity + 2.9 * speed,
    }
