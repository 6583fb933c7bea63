"""The programs in docs/export.md, run as printed."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.export.onnx import to_onnx
from ppcn_jax.export.onnx_parts import to_onnx_parts
from ppcn_jax.export.stablehlo import to_stablehlo
from ppcn_jax.inference.enhance import enhance_levels
from ppcn_jax.weights.model import Model, make_network
from tests.browser import chromium, node_modules, served

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
PHOTO = synthetic_photo(60, 81)


@pytest.fixture(scope="module")
def student(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model("student", "paper", {}, params, "random")


@pytest.fixture
def folder(student, tmp_path):
    (tmp_path / "student.onnx").write_bytes(to_onnx(student))
    (tmp_path / "student.stablehlo").write_bytes(to_stablehlo(student))
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path


def programs(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def assert_enhanced(pixels, student):
    """A value halfway between two pixel values may be rounded either way."""
    (expected,) = enhance_levels([PHOTO], student)
    assert pixels.shape == expected.shape and expected.std() > 20
    error = np.abs(pixels.astype(int) - expected)
    assert error.max() <= 1 and np.mean(error > 0) < 0.001


def test_python(folder, student):
    with_onnx, with_stablehlo, _ = programs("python")
    check = "\nassert images.shape == result.shape; np.save('result.npy', np.asarray(result))\n"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    for program in (with_onnx, with_stablehlo + check):
        command = [sys.executable, "-W", "error", "-c", program]
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            check=False,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        assert "the photo" in done.stdout
    with Image.open(folder / "enhanced.png") as enhanced:
        assert_enhanced(np.asarray(enhanced), student)
    result = np.load(folder / "result.npy")[0]
    assert_enhanced(np.rint(255 * result).astype(np.uint8), student)


def test_python_in_bands(student, tmp_path):
    large = synthetic_photo(613, 48)  # three bands
    Image.fromarray(large).save(tmp_path / "large.png")
    for settings in ({}, {"padding": "reflect"}):
        model = dataclasses.replace(student, settings=settings)
        for path, content in to_onnx_parts(model, tmp_path / "bands.onnx").items():
            path.write_bytes(content)
        (program,) = (text for text in programs("python") if "in_bands" in text)
        assert len(program.splitlines()) <= 60
        command = [sys.executable, "-W", "error", "-c", program + "\nnp.save('result.npy', result)"]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, check=False, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr
        images = large[None].astype(np.float32) / 255
        (expected,) = np.clip(model.module.apply({"params": model.params}, images), 0, 1)
        result = np.load(tmp_path / "result.npy")
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05


def test_page_in_a_browser(folder, student):
    (folder / "node_modules").symlink_to(node_modules())
    (html,) = programs("html")
    (folder / "index.html").write_text(html, encoding="utf-8")
    with served(folder) as address, chromium() as browser:
        page = browser.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(error))
        page.goto(address, wait_until="networkidle")
        page.set_input_files("input", folder / "photo.png")
        page.wait_for_function("document.title == 'done'", timeout=60_000)
        values = page.evaluate(
            "() => { const c = document.querySelector('canvas');"
            "return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data); }"
        )
    assert not problems
    pixels = np.array(values, np.uint8).reshape(*PHOTO.shape[:2], 4)
    assert (pixels[..., 3] == 255).all()
    assert_enhanced(pixels[..., :3], student)
