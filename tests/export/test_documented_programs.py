"""The programs in docs/export.md, run as printed."""

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.export.onnx import to_onnx
from ppcn_jax.export.stablehlo import to_stablehlo
from ppcn_jax.inference.enhance import enhance_levels
from ppcn_jax.weights.model import Model, make_network

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
PHOTO = synthetic_photo(60, 81)


@pytest.fixture(scope="module")
def student(random_params):
    module = make_network("student")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model("student", "paper", module, params, "random")


@pytest.fixture
def folder(student, tmp_path):
    (tmp_path / "student.onnx").write_bytes(to_onnx(student))
    (tmp_path / "student.stablehlo").write_bytes(to_stablehlo(student))
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path


def programs(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def assert_enhanced(pixels, student):
    """A value halfway between two pixel values may be rounded either way."""
    (expected,) = enhance_levels([PHOTO], student)
    assert pixels.shape == expected.shape and expected.std() > 20
    error = np.abs(pixels.astype(int) - expected)
    assert error.max() <= 1 and np.mean(error > 0) < 0.001


def test_python(folder, student):
    with_onnx, with_stablehlo = programs("python")
    check = "\nassert images.shape == result.shape; np.save('result.npy', np.asarray(result))\n"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    for program in (with_onnx, with_stablehlo + check):
        command = [sys.executable, "-W", "error", "-c", program]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "the photo" in done.stdout
    with Image.open(folder / "enhanced.png") as enhanced:
        assert_enhanced(np.asarray(enhanced), student)
    result = np.load(folder / "result.npy")[0]
    assert_enhanced(np.rint(255 * result).astype(np.uint8), student)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


@contextlib.contextmanager
def served(folder):
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_page_in_a_browser(folder, student):
    modules = os.environ.get("PPCN_NODE_MODULES")
    if not modules:
        pytest.skip(
            "run `npm install onnxruntime-web` and set PPCN_NODE_MODULES to its node_modules"
        )
    playwright = pytest.importorskip("playwright.sync_api")
    found = os.environ.get("PPCN_CHROMIUM") or shutil.which("chromium")
    # Chromium's sandbox does not work for root.
    flags = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    (folder / "node_modules").symlink_to(Path(modules).resolve())
    (html,) = programs("html")
    (folder / "index.html").write_text(html)
    with served(folder) as address, playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=flags)
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
        browser.close()
    assert not problems
    pixels = np.array(values, np.uint8).reshape(*PHOTO.shape[:2], 4)
    assert (pixels[..., 3] == 255).all()
    assert_enhanced(pixels[..., :3], student)
