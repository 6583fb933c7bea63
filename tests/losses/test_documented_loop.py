"""The programs in docs/own_loop.md, run as printed, one after another, on four virtual devices."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from ppcn_jax.models.vgg import kernel_shapes
from tests.processes import COMPILATION

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_loop.md"


def test_the_programs_train(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"mean": np.full(3, 120.0), "std": np.full(3, 60.0)}
    for name, shape in kernel_shapes(19).items():
        spread = np.sqrt(2 / np.prod(shape[:3]))
        arrays[f"{name}/kernel"] = rng.normal(0, spread, shape).astype(np.float32)
        arrays[f"{name}/bias"] = np.zeros(shape[-1], np.float32)
    np.savez(tmp_path / "vgg19.npz", **arrays)
    for name in "abc":
        camera = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
        for folder, photo in (("camera", camera), ("phone", (camera * 0.7).astype(np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(photo).save(tmp_path / folder / f"{name}.png")
    programs = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    flags = "--xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(programs)],
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"{COMPILATION} {flags}"},
        check=False,
        capture_output=True,
        timeout=300,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    values = [float(line) for line in done.stdout.splitlines()]
    before, after = values[5:7]  # PSNR, dB
    assert 10 < before < after < 40
    *trainings, difference = values[:5] + values[7:]
    assert len(trainings) == 4 * 5
    for first in range(0, 20, 5):
        assert trainings[first + 4] < trainings[first]
    assert difference < 1e-5
