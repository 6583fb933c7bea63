"""Formats whose plug-ins are packages of their own can be written before any was read."""

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from ppcn_jax.photos.photo import Photo
from ppcn_jax.photos.write import encode_photo
pixels = np.zeros((16, 20, 3), np.uint8)
print(len(encode_photo(Photo(pixels, None, False, "png"), {form!r})))
"""


@pytest.mark.parametrize(
    ("form", "package"), [("heic", "pillow_heif"), ("jxl", "pillow_jxl"), ("avif", "PIL")]
)
def test_the_first_photo_is_written(form, package):
    pytest.importorskip(package)
    command = [sys.executable, "-c", PROGRAM.format(form=form)]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50
