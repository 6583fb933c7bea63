"""The commands that README.md and docs/ print: their names and fields exist, and photos are enhanced."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def commands(page):
    """The shell commands in the code blocks of a page, with continued lines joined."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^(?: {4,}.*\n)+", text, re.MULTILINE)
    blocks += re.findall(r"^```(?:\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [command for block in blocks for command in commands_in(block)]


def commands_in(block):
    lines = block.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s+#.*", "", line.strip()) for line in lines]


def launches():
    for page in PAGES:
        for command in commands(page):
            if match := re.search(r"\blaunch\.py\b(.*)", command):
                yield pytest.param(match[1], id=f"{page.name}:{match[1][:60]}")


@pytest.mark.parametrize("arguments", list(launches()))
def test_configurations_have_the_fields_that_commands_set(arguments):
    name, _, variant = re.search(r"--config=configs/(\w+)\.py(:?)(\w*)", arguments).groups()
    get_config = importlib.import_module(f"configs.{name}").get_config
    config = get_config(variant) if variant else get_config()
    for field in re.findall(r"--config\.([\w.]+)=", arguments):
        group = config
        for part in field.split("."):
            assert part in group, f"{field} is no field of configs/{name}.py"
            group = group[part]


def test_photos_are_enhanced_and_enlarged_as_the_readme_says(tmp_path):
    section = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("## I have a photo")[1]
    block = re.search(r"(?: {4}.*\n)+", section)[0]
    uses = [line for line in commands_in(block) if line.startswith("ppcn-jax")]
    assert len(uses) == 2
    photo = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.jpg")
    for command in uses:
        arguments = shlex.split(command)[1:]
        subprocess.run(
            [sys.executable, "-m", "ppcn_jax", *arguments], cwd=tmp_path, check=True, timeout=300
        )
    for folder, shape in (("better", (30, 40, 3)), ("large", (120, 160, 3))):
        with Image.open(tmp_path / folder / "photo.jpg") as result:
            assert np.asarray(result).shape == shape
