"""The documentation site: it builds without a warning, and needs no other host."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import chromium

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"

pytest.importorskip("sphinx", reason="pip install '.[docs]'")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    built = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    done = subprocess.run([*build, DOCS, built], check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return built


def test_every_page_is_in_the_site(site):
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert all((site / page).exists() for page in pages)
    menu = (site / "index.html").read_text(encoding="utf-8")
    for page in pages - {Path("index.html")}:
        assert f'href="{page.as_posix()}"' in menu, f"{page} is in no toctree of docs/index.md"


def test_pages_load_nothing_from_other_hosts(site):
    loads = re.compile(
        r"""<(?:script|img|source|iframe)[^>]+src=["']?(?:https?:)?//[^>]*>"""
        r"""|<link[^>]+rel=["']?(?:stylesheet|preload|icon)[^>]+href=["']?(?:https?:)?//[^>]*>"""
        r"""|url\(["']?(?:https?:)?//|@import"""
    )
    texts = [path for end in ("*.html", "*.css") for path in site.rglob(end)]
    assert len(texts) > 10
    for path in texts:
        found = loads.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found[0]}"


def test_every_field_of_training_has_a_meaning(site):
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    training = page.split("\n## ")[1]
    rows = re.findall(r"^\| `(.+?)` \| .* \| (.*) \|$", training, re.MULTILINE)
    assert len(rows) > 60
    assert not [field for field, meaning in rows if not meaning.strip()]


def test_pages_fit_a_phone(site):
    with chromium() as browser:
        phone = browser.new_page(viewport={"width": 390, "height": 800})
        for page in ("index", "enhancing", "training", "configuration", "api/losses"):
            phone.goto((site / f"{page}.html").as_uri())
            assert phone.evaluate("document.documentElement.scrollWidth") == 390, page
            pictures = phone.evaluate("[...document.images].map(image => image.naturalWidth)")
            assert all(pictures), page
        phone.goto((site / "configuration.html").as_uri())
        widths = phone.evaluate(
            "[...document.querySelectorAll('.table-wrapper')].map(t => [t.scrollWidth, t.clientWidth])"
        )
        assert len(widths) > 5
        # Exactly with the fonts of Debian; others are a little wider.
        assert all(content <= 1.2 * visible for content, visible in widths), widths
