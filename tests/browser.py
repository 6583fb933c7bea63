"""A headless browser, and folders that it can open, for tests of pages."""

import contextlib
import functools
import http.server
import os
import pathlib
import shutil
import threading

import pytest

_NO_BROWSER = (
    "no browser: install Chromium, name one in PPCN_CHROMIUM, or let Playwright fetch its own "
    "by `playwright install chromium`"
)


@contextlib.contextmanager
def chromium(*flags):
    """Playwright's browser with these flags; the test is skipped if there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason=_NO_BROWSER)
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("PPCN_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    # Chromium has no sandbox for root.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    flags = [*flags, *["--no-sandbox"] * root]
    with playwright.sync_playwright() as driver:
        if not found and not pathlib.Path(driver.chromium.executable_path).is_file():
            pytest.skip(_NO_BROWSER)
        browser = driver.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


def node_modules():
    """The folder that has ONNX Runtime Web; the test is skipped if there is none."""
    modules = os.environ.get("PPCN_NODE_MODULES")
    if not modules:
        pytest.skip(
            "run `npm install onnxruntime-web` and set PPCN_NODE_MODULES to its node_modules"
        )
    return pathlib.Path(modules).resolve()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *arguments):
        pass


@contextlib.contextmanager
def served(folder):
    """The address of a web server for a folder."""
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
