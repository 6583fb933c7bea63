"""What a release consists of: the source distribution, its citation, and the workflows that build it."""

import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path

import pytest

import ppcn_jax

REPOSITORY = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def test_the_source_distribution_is_complete(tmp_path):
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "workdirs", "*.egg-info", "build", "dist")
    shutil.copytree(REPOSITORY, source, ignore=ignored)
    build = "from setuptools import build_meta; build_meta.build_sdist('../built')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (archive,) = (tmp_path / "built").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    written = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and ".egg-info" not in path.parent.name
    }
    assert written <= names


def package_links():
    path = REPOSITORY / "docs" / "package_links.py"
    spec = importlib.util.spec_from_file_location("package_links", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_of_a_package_index_lead_to_the_repository():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    page = package_links().with_absolute_links(readme, "https://host/owner/name", "v1")
    assert (
        "![The demo: input, teacher, student, target](https://host/owner/name/raw/v1/docs" in page
    )
    assert "](https://host/owner/name/blob/v1/docs/training.md#data)" in page
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert len(targets) == len(re.findall(r"\]\(", readme)) > 20
    assert all(target.startswith("https://") for target in targets)


def test_the_index_gets_the_addresses_of_the_project():
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(package_links().with_urls(text, "https://host/owner/name", "v1"))
    urls = project["project"]["urls"]
    assert urls["Repository"] == "https://host/owner/name"
    assert urls["Changelog"] == "https://host/owner/name/blob/v1/CHANGELOG.md"


DOCKERFILE = REPOSITORY / "docs" / "docker" / "Dockerfile"


def test_the_dockerfile_has_no_faults():
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts"))
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install -e '.[test]'")
    run = subprocess.run([hadolint, DOCKERFILE], check=False, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stdout


def test_what_the_dockerfile_copies_can_be_installed(tmp_path):
    copies = re.findall(r"^COPY (.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    names = [name for line in copies for name in line.split()]
    allowed = DOCKERFILE.with_suffix(".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in names} <= set(allowed)
    for name in names:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    prepare = "from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel('.')"
    subprocess.run([sys.executable, "-c", prepare], cwd=tmp_path, check=True, capture_output=True)
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    assert f"\nVersion: {ppcn_jax.__version__}\n" in metadata.read_text(encoding="utf-8")


def test_the_citation_names_this_version():
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {ppcn_jax.__version__}\n" in citation


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_hash(path):
    uses = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", action), action
