"""Make the pictures of the included enhancers: enhanced.jpg and gallery.jpg, in this folder.

    pip install '.[demo]'
    python docs/pictures.py DPED_FULL CITY100/iphonex PUBLIC_DOMAIN

The folders hold complete frames of DPED's iPhone (0.jpg, 1.jpg, ...), City100's photos of the phone
(001.jpg, ...) and the public-domain photos that are named below.
"""

import pathlib
import sys

import numpy as np
import skimage.data
from PIL import Image

import ppcn_jax
from ppcn_jax.photos.levels import to_float
from ppcn_jax.photos.strips import strip

HERE = pathlib.Path(__file__).parent
FRAMES, PHONE = (0, 7, 14, 21), (11, 36, 61, 86)
PUBLIC_DOMAIN = (
    "jad-limcaco-183877",
    "kait-herzog-8242",
    "nasa-89127",
    "sean-afnan-244576",
    # The hardest ones that are known: a starry sky, and the moon.
    "jared-evans-119758",
    "jake-hills-36605",
)


def reduced(photo: Image.Image, width: int) -> np.ndarray:
    """A photo as float `[H, width, 3]` in [0, 1], reduced before it is enhanced."""
    height = round(photo.height * width / photo.width)
    resized = photo.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    return to_float(np.asarray(resized))


def save(name: str, picture: np.ndarray) -> None:
    """Write a picture beside this file."""
    Image.fromarray(picture).save(HERE / name, quality=88)


def main() -> None:
    """Make both pictures."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    frames, phone, public = map(pathlib.Path, sys.argv[1:])
    three = {
        "City100, 3 (iPhone X)": Image.open(phone / "003.jpg"),
        "City100, 21 (iPhone X)": Image.open(phone / "021.jpg"),
        "scikit-image's cat": Image.fromarray(skimage.data.chelsea()),
    }
    rows = []
    for photo in three.values():
        before = reduced(photo, 416)
        rows.append([before, *(ppcn_jax.enhance(before, name) for name in ("student", "teacher"))])
    save("enhanced.jpg", strip(rows, ["input", "student", "teacher"], list(three)))

    paths = [frames / f"{number}.jpg" for number in FRAMES]
    paths += [phone / f"{number:03}.jpg" for number in PHONE]
    paths += [public / f"{name}.jpg" for name in PUBLIC_DOMAIN]
    photos = [reduced(Image.open(path), 380) for path in paths]
    images = [image for photo in photos for image in (photo, ppcn_jax.enhance(photo))]
    rows = [images[first : first + 4] for first in range(0, len(images), 4)]
    save("gallery.jpg", strip(rows, ["before", "after"] * 2))


if __name__ == "__main__":
    main()
