"""The page that runs a network in a browser: its folder, the command, and the page itself."""

import dataclasses
import io
import json
import re
import tomllib
import urllib.parse
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from PIL import Image

from ppcn_jax import command
from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.export.page import RUNTIME, RUNTIME_ON_DEMAND, find_runtime, write_page
from ppcn_jax.inference.photo import make_operation, process_photos
from ppcn_jax.photos.color_space import color_space
from ppcn_jax.photos.read import read_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.weights.load import load_model
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.safetensors_file import write_native
from tests.browser import chromium, node_modules, served

OWN_FILES = Path(__file__).resolve().parents[2] / "ppcn_jax" / "export" / "page_files"
SIZE = (48, 64)
PATIENCE = 60_000  # ms; only a busy machine needs many of them
ORIENTATION, MAKE, EXIF, COLOR_SPACE, WIDTH, HEIGHT = 0x112, 0x10F, 0x8769, 0xA001, 0xA002, 0xA003


@pytest.fixture(scope="module")
def student(random_params):
    module = make_network("student", {"padding": "reflect"})
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    return Model("student", "paper", {"padding": "reflect"}, params, "random", {"license": "CC0"})


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """A folder `node_modules` with the names of ONNX Runtime Web's files."""
    package = tmp_path_factory.mktemp("modules") / "onnxruntime-web"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.30.0"}', encoding="utf-8")
    for name in (*RUNTIME, *RUNTIME_ON_DEMAND):
        (package / "dist" / name).write_text(name, encoding="utf-8")
    return package.parent


@pytest.fixture(scope="module")
def page(student, modules, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "page"
    write_page(student, path, SIZE, [], find_runtime(str(modules)))
    return path


@pytest.fixture
def unchecked(monkeypatch):
    """Pages are written without the comparison with JAX, which takes seconds."""
    monkeypatch.setattr("ppcn_jax.export.page.check_parts", lambda *arguments: [])


def lists(page):
    """What the service worker keeps."""
    text = (page / "files.js").read_text(encoding="utf-8")
    return {name: json.loads(value) for name, value in re.findall(r"self\.(\w+) = ([^;]+);", text)}


def test_the_service_worker_keeps_every_file(page):
    files = {path.relative_to(page).as_posix() for path in page.rglob("*") if path.is_file()}
    listed = lists(page)
    # Browsers keep the service worker and what it imports themselves.
    assert {*listed["FILES"], *listed["ON_DEMAND"]} == files - {"service_worker.js", "files.js"}
    assert {f"ort/{name}" for name in RUNTIME} <= set(listed["FILES"])
    assert {path.name for path in OWN_FILES.iterdir()} <= files
    own = [page / name for name in files if not name.startswith("ort/")]
    assert sum(path.stat().st_size for path in own) < 1_500_000


def test_the_plan_names_the_graphs_and_their_inputs(page):
    plan = json.loads((page / "page.json").read_text(encoding="utf-8"))
    assert (plan["use"], plan["scale"], plan["border"], plan["reach"]) == ("enhance", 1, 10, 10)
    assert plan["license"] == "CC0" and "CC0" in (page / "LICENSE.txt").read_text(encoding="utf-8")
    known = {"images"}
    for part in (*plan["passes"], plan["result"]):
        path = page / part["file"]
        assert path.stat().st_size == part["bytes"]
        graph = onnx.load(path).graph
        assert {value.name for value in graph.input} <= known
        known |= {f"{part.get('statistic')}/{kind}" for kind in ("mean", "variance")}
    assert [output.name for output in graph.output] == ["result"]


def test_the_version_is_that_of_the_content(student, page, modules, tmp_path, unchecked):
    def version_of(model, name):
        write_page(model, tmp_path / name, SIZE, [], find_runtime(str(modules)))
        return lists(tmp_path / name)["VERSION"]

    assert version_of(student, "again") == lists(page)["VERSION"]
    other = dataclasses.replace(student, source="another")
    assert version_of(other, "other") != lists(page)["VERSION"]


def test_the_profile_is_srgb(page):
    assert color_space((page / "srgb.icc").read_bytes()) is None


def test_files_refer_to_files_and_elements_that_exist():
    html = (OWN_FILES / "index.html").read_text(encoding="utf-8")
    made = {"page.json", "files.js", "srgb.icc", "LICENSE.txt", "ort/"}
    known = made | {path.name for path in OWN_FILES.iterdir()}
    ids = set(re.findall(r'\bid="([^"]+)"', html))
    named = set(re.findall(r'(?:src|href)="([^"]+)"', html))
    used = set(re.findall(r'(?:for|aria-labelledby)="([^"]+)"', html))
    reference = r'(?:from "\./|new URL\("|fetch\("|importScripts\("|register\(")([^"]+)"'
    for path in OWN_FILES.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300
        named |= set(re.findall(reference, text))
        used |= set(re.findall(r'element\("([^"]+)"\)', text))
    assert {"page.js", "worker.js", "srgb.icc", "files.js", "ort/"} <= named <= known
    assert {"file", "cancel", "save"} <= used <= ids


def test_no_file_names_another_host():
    # Names of formats look like addresses.
    names = {"http://www.w3.org/2000/svg", "http://ns.adobe.com/xap/1.0/"}
    for path in OWN_FILES.iterdir():
        found = re.findall(r"https?://[^\s\"'\\)]+|[\"'(]//\w[^\s\"']*", path.read_text("utf-8"))
        assert set(found) <= names, path.name


def test_the_wheel_has_the_files():
    project = OWN_FILES.parents[2] / "pyproject.toml"
    tools = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert "ppcn_jax.export.page_files" in tools["packages"]
    patterns = tools["package-data"]["ppcn_jax.export.page_files"]
    found = {path for pattern in patterns for path in OWN_FILES.glob(pattern)}
    assert found == set(OWN_FILES.iterdir())


def test_networks_without_statistics_are_refused(random_params, modules, tmp_path):
    module = make_network("srcnn")
    params = random_params(module, jnp.zeros((1, 16, 16, 3)))
    model = Model("srcnn", "paper", {}, params, "random")
    with pytest.raises(InputError, match="statistics of the image, and a srcnn uses none"):
        write_page(model, tmp_path / "page", SIZE, [], find_runtime(str(modules)))
    assert not (tmp_path / "page").exists()


@pytest.fixture
def run(student, tmp_path, monkeypatch, capsys):
    """Run the command in a folder with weights; returns exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PPCN_NODE_MODULES", raising=False)
    monkeypatch.setattr("ppcn_jax.export.command.DEFAULT_SIZE", SIZE)
    write_native(tmp_path / "w.safetensors", student)

    def run_command(*arguments):
        status = 0
        try:
            command.main(["export", "w.safetensors", *arguments])
        except SystemExit as end:
            status = 1 if isinstance(end.code, str) else end.code
            if isinstance(end.code, str):
                print(end.code, file=command.sys.stderr)
        written = capsys.readouterr()
        return status, written.out, written.err

    return run_command


def test_the_command(run, modules, tmp_path, monkeypatch):
    monkeypatch.setenv("PPCN_NODE_MODULES", str(modules))
    (tmp_path / "page").mkdir()
    status, out, err = run("page", "--format", "page")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "open it: python -m http.server --directory page"
    assert "64x48 against JAX: largest difference" in out
    (tmp_path / "page" / "stale.js").write_text("", encoding="utf-8")
    status, _, err = run("page", "--format", "page")
    assert status == 1 and "page already exists; --overwrite replaces it" in err
    monkeypatch.setattr("ppcn_jax.export.page.check_parts", lambda *arguments: [])
    assert run("page", "--format", "page", "--overwrite")[0] == 0
    assert not (tmp_path / "page" / "stale.js").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["p", "--format", "page"],
            "ONNX Runtime Web, which is not in node_modules: run `npm inst",
        ),
        (["p", "--format", "page", "--node-modules", "old"], "old/onnxruntime-web lacks dist/ort"),
        (["notes.txt", "--format", "page"], "notes.txt is a file; a page is a folder"),
        (["old", "--format", "page"], "old has files that are no page"),
        (["notes.txt/p", "--format", "page"], "not a writable folder"),
        (["p", "--format", "page", "--precision", "int8"], "page is float32 of any size"),
        (["p", "--format", "page", "--statistics", "separate"], "is for ONNX"),
        (["p.onnx", "--node-modules", "old"], "--node-modules is for pages"),
        (["p"], "or a folder with --format page"),
    ],
)
def test_refused_before_anything_is_written(run, tmp_path, arguments, message):
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    old = tmp_path / "old" / "onnxruntime-web"
    old.mkdir(parents=True)
    (old / "package.json").write_text('{"version": "1.10.0"}', encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    status, out, err = run(*arguments)
    assert status == 1 and message in err and err.count("\n") == 1 and not out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, tmp_path, unchecked):
    """Write the page of a network and open it; checks in the end that no other host was asked."""
    modules, requests, problems = node_modules(), [], []
    context = browser.new_context(viewport={"width": 390, "height": 844})
    context.on("request", lambda request: requests.append(urllib.parse.urlsplit(request.url)))

    def open_page(name):
        write_page(load_model(name), tmp_path / "page", SIZE, [], find_runtime(str(modules)))
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.get_by_text("works offline").wait_for()
        return page

    (tmp_path / "page").mkdir()
    with served(tmp_path / "page") as address:
        yield open_page
        context.close()
    assert not problems
    server = urllib.parse.urlsplit(address).netloc
    assert {url.netloc for url in requests if url.scheme != "blob"} == {server}


def process(page, path):
    page.set_input_files("#file", path)
    page.locator("#outcome:not([hidden]), #problem:not([hidden])").first.wait_for()
    assert page.locator("#problem").inner_text() == ""


def download(page, kind):
    page.select_option("#type", label=kind)
    with page.expect_download() as started:
        page.click("#save")
    content = Path(started.value.path()).read_bytes()
    return started.value.suggested_filename, Image.open(io.BytesIO(content))


def assert_as_by_the_command(picture, path, use, name, strength=1.0):
    operation = make_operation(use, load_model(name), strength)
    (expected,) = process_photos([read_photo(path)], operation)
    pixels, alpha = np.split(np.asarray(picture.convert("RGBA")), [3], axis=2)
    assert (alpha == 255).all()
    assert pixels.shape == expected.pixels.shape and expected.pixels.std() > 20
    error = np.abs(pixels.astype(int) - expected.pixels)
    assert error.max() <= 1 and np.mean(error > 0) < 0.001


def test_a_photo_is_enhanced_in_a_browser(visit, tmp_path):
    fields = Image.Exif()
    fields[MAKE], fields[ORIENTATION] = "A camera", 6
    fields.get_ifd(EXIF).update({COLOR_SPACE: 65535, WIDTH: 110, HEIGHT: 80})
    path = tmp_path / "street.jpg"
    Image.fromarray(synthetic_photo(80, 110)).save(path, exif=fields, quality=95)
    page = visit("student")
    page.set_input_files("#file", path)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Canceled.").wait_for()
    process(page, path)
    name, picture = download(page, "PNG")
    assert name == "street_enhanced.png" and "srgb" in picture.info
    assert_as_by_the_command(picture, path, "enhance", "student")

    name, picture = download(page, "JPEG")
    assert name == "street_enhanced.jpg" and picture.size == (80, 110)
    assert color_space(picture.info["icc_profile"]) is None
    found = picture.getexif()
    assert (found[MAKE], found[ORIENTATION]) == ("A camera", 1)
    assert dict(found.get_ifd(EXIF)) == {COLOR_SPACE: 1, WIDTH: 80, HEIGHT: 110}

    line = page.get_by_role("slider", name="Line between before and after")
    line.press("End")
    assert "--cut: 100%" in page.locator(".pictures").get_attribute("style")
    page.get_by_role("slider", name="Strength").fill("50")
    _, picture = download(page, "PNG")
    assert_as_by_the_command(picture, path, "enhance", "student", 0.5)
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    text = tmp_path / "text.png"
    text.write_text("no photo", encoding="utf-8")
    page.set_input_files("#file", text)
    page.get_by_text("This browser cannot open text.png").wait_for()
    page.context.set_offline(True)
    page.reload()
    page.get_by_role("heading", name="Enhance a photo").wait_for()


def test_a_gray_photo_is_enlarged_in_a_browser(visit, tmp_path):
    path = tmp_path / "gray.png"
    Image.fromarray(synthetic_photo(41, 50)[..., 1]).save(path)
    page = visit("super_resolver")
    process(page, path)
    name, picture = download(page, "PNG")
    assert name == "gray_large.png"
    assert_as_by_the_command(picture, path, "upscale", "super_resolver")
