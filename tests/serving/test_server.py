"""The local page in a browser: PPCN_CHROMIUM, one on PATH, or Playwright's own."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from ppcn_jax import command
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.serving import server as serve
from ppcn_jax.weights.model import Model, make_network
from ppcn_jax.weights.safetensors_file import write_native
from tests.browser import chromium

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# The upload limit is lowered so that a small file exceeds it.
MOST_BYTES = 300_000
PROGRAM = f"""
from ppcn_jax import command
from ppcn_jax.serving import server as serve
serve.MOST_BYTES = {MOST_BYTES}
command.main()
"""
PATIENCE = 120  # seconds; only a busy machine needs many of them


@pytest.fixture(scope="module")
def models(random_params, tmp_path_factory):
    """Write random models; return the paths by network."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name in ("student", "super_resolver"):
        module = make_network(name)
        params = random_params(module, jnp.zeros((1, 16, 16, 3)))
        paths[name] = folder / f"{name}.safetensors"
        write_native(paths[name], Model(name, "paper", {}, params, str(paths[name])))
    return paths


@pytest.fixture(scope="module")
def address(models, tmp_path_factory):
    """Serve a page and yield its address; check in the end that no files are left."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "temporary").mkdir()
    (folder / "secret.png").write_text("in the working directory", encoding="utf-8")
    words = [word for path in models.values() for word in ("--model", path)]
    output = (folder / "output").open("w+", encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "serve", "--port", "0", *words],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary"), "PYTHONPATH": str(REPOSITORY)},
        stdout=output,
        stderr=output,
    )
    try:
        yield wait_for_address(server, pathlib.Path(output.name))
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 130
    finally:
        server.kill()
        server.wait()
        output.close()
    assert (folder / "output").read_text(encoding="utf-8").count("\n") == 1, (
        folder / "output"
    ).read_text(encoding="utf-8")
    assert not list((folder / "temporary").iterdir())
    assert sorted(path.name for path in folder.iterdir()) == ["output", "secret.png", "temporary"]


def wait_for_address(server, output):
    end = time.monotonic() + PATIENCE
    while not (
        found := re.search(
            r" at (http://127\.0\.0\.1:\d+); press Ctrl-C", output.read_text(encoding="utf-8")
        )
    ):
        assert server.poll() is None and time.monotonic() < end, output.read_text(encoding="utf-8")
        time.sleep(0.1)
    return found[1]


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    """Open the page; check in the end that all requests went to the server."""
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    requests = []
    page.on("request", lambda request: requests.append(urllib.parse.urlsplit(request.url)))
    page.goto(address)
    page.get_by_role("button", name="Enhance").wait_for()
    yield page
    page.close()
    assert requests
    server = urllib.parse.urlsplit(address).netloc
    assert {url.netloc for url in requests if url.scheme not in ("data", "blob")} == {server}


def drop(page, path):
    if page.get_by_label("Clear").count():
        page.get_by_label("Clear").click()
    page.locator("input[type=file]").set_input_files(path)
    for one in path if isinstance(path, list) else [path]:
        page.locator(".file-preview").get_by_text(one.stem, exact=True).wait_for()


def enhance(page, model):
    page.get_by_label(re.compile(rf"\b{model}: ")).check()
    page.get_by_role("button", name="Enhance").click()


def write_photo(path, form, **options):
    pixels = np.random.default_rng(1).integers(0, 256, (32, 48, 3), np.uint8)
    Image.fromarray(pixels).save(path, form, **options)


@pytest.mark.parametrize(
    ("network", "label", "size"),
    [
        ("student", "student", "photo.jpg: 32 x 48 px in "),
        ("super_resolver", "super resolver 4x", "photo.jpg: 128 x 192 px in "),
    ],
)
def test_the_download_is_what_the_command_writes(
    page, models, tmp_path, monkeypatch, network, label, size
):
    fields = Image.Exif()
    fields[0x0112], fields[0x010F] = 6, "Camera"
    write_photo(tmp_path / "photo.jpg", "jpeg", exif=fields.tobytes(), quality=83)
    drop(page, tmp_path / "photo.jpg")
    enhance(page, label)
    line = page.get_by_role("status").filter(has_text=f" s with {label}")
    line.wait_for()
    assert line.inner_text().startswith(size)
    pictures = page.locator(".ppcn-compare img")
    page.wait_for_function("[...document.querySelectorAll('.ppcn-compare img')].length == 2")
    page.wait_for_function(
        "[...document.querySelectorAll('.ppcn-compare img')].every(i => i.complete)"
    )
    widths = pictures.evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths == 2 * [int(size.split()[1])]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download (").click()
    assert download.value.suggested_filename == "photo.jpg"
    use = "enhance" if network == "student" else "upscale"
    monkeypatch.chdir(tmp_path)
    command.main([use, "photo.jpg", "--output", "out", "--model", str(models[network])])
    written = (tmp_path / "out" / "photo.jpg").read_bytes()
    assert pathlib.Path(download.value.path()).read_bytes() == written
    with Image.open(tmp_path / "out" / "photo.jpg") as image:
        assert image.getexif()[0x010F] == "Camera"


def test_the_page_works_after_errors(page, tmp_path):
    enhance(page, "student")
    page.get_by_role("alert").filter(has_text="Drop a photo first.").wait_for()
    (tmp_path / "text <b>.png").write_text("no picture", encoding="utf-8")
    drop(page, tmp_path / "text <b>.png")
    enhance(page, "student")
    page.get_by_role("alert").filter(has_text=" is not a readable JPEG, PNG, ").wait_for()
    assert "Traceback" not in page.content()
    assert page.get_by_role("button", name="Download (").count() == 0
    write_photo(tmp_path / "photo.webp", "webp", lossless=True)
    drop(page, tmp_path / "photo.webp")
    enhance(page, "student")
    page.get_by_role("status").filter(has_text="48 x 32 px in ").wait_for()
    page.get_by_role("button", name="Download (").wait_for()
    assert page.get_by_role("alert").count() == 0


def test_a_preview_and_a_line_that_the_keyboard_moves(page, tmp_path):
    write_photo(tmp_path / "photo.png", "png")
    drop(page, tmp_path / "photo.png")
    page.get_by_alt_text("photo.png, before").wait_for()
    assert page.get_by_role("slider", name="line between").count() == 0
    enhance(page, "student")
    line = page.get_by_role("slider", name="photo.png: line between before and after")
    line.wait_for()
    line.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert line.input_value() == "53"
    cut = "line => getComputedStyle(line.parentElement).getPropertyValue('--cut')"
    assert line.evaluate(cut).strip() == "53%"
    assert page.get_by_text("before", exact=True).is_visible()
    assert page.get_by_text("after", exact=True).is_visible()


def test_several_photos_come_as_one_file(page, tmp_path):
    names = ["a.png", "b.png", "broken.png"]
    for name in names[:2]:
        write_photo(tmp_path / name, "png")
    (tmp_path / "broken.png").write_text("no picture", encoding="utf-8")
    drop(page, [tmp_path / name for name in names])
    enhance(page, "student")
    button = page.get_by_role("button", name="Download (")
    button.wait_for()
    assert page.locator(".ppcn-compare").count() == 2
    assert "broken.png" in page.get_by_role("alert").inner_text()
    with page.expect_download() as download:
        button.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == names[:2]


def test_the_result_is_in_view_on_a_phone(browser, address, tmp_path):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(address)
    write_photo(tmp_path / "photo.png", "png")
    drop(page, tmp_path / "photo.png")
    enhance(page, "student")
    page.get_by_role("slider", name="line between before").wait_for()
    page.wait_for_function(
        """() => {
          const box = document.querySelector(".ppcn-compare").getBoundingClientRect();
          return box.top >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
        }"""
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("notes.txt", 1, "Invalid file type: notes.txt. Only .jpg, "),
        ("large.png", MOST_BYTES + 1, "exceed the maximum allowed size"),
    ],
)
def test_a_rejected_upload_is_reported(page, tmp_path, name, size, message):
    (tmp_path / name).write_bytes(bytes(size))
    page.locator("input[type=file]").set_input_files(tmp_path / name)
    page.get_by_text(message).wait_for()
    write_photo(tmp_path / "photo.png", "png")
    drop(page, tmp_path / "photo.png")
    enhance(page, "student")
    page.get_by_role("status").filter(has_text="48 x 32 px in ").wait_for()


def status_of(address, path, body=None, headers=None):
    """Send a request; return the status of the response."""
    request = urllib.request.Request(f"{address}{path}", body, headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_other_files_are_not_served(address, models, tmp_path):
    assert status_of(address, "/") == 200
    for path in (models["student"], pathlib.Path(__file__), "secret.png", tmp_path):
        assert status_of(address, f"/gradio_api/file={urllib.parse.quote(str(path))}") == 403, path
    for path in ("../secret.png", "../../etc/passwd", "/etc/passwd", "%2e%2e/secret.png"):
        for route in ("/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/"):
            assert status_of(address, f"{route}{path}") in (403, 404), route + path


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/info"])
def test_other_hosts_and_origins_are_refused(address, path):
    port = urllib.parse.urlsplit(address).port
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        assert status_of(address, path, headers={"Host": host}) == 200
    own = {"Origin": f"http://localhost:{port}"}
    assert status_of(address, path, headers=own) == 200
    for refused in (
        {"Host": "evil"},
        {"Host": f"evil.example:{port}"},
        {"Host": "localhost.evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://localhost.evil.example:{port}"},
    ):
        request = urllib.request.Request(f"{address}{path}", headers=refused)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(request, timeout=PATIENCE)
        assert caught.value.code == 400
        assert not [name for name in caught.value.headers if name.lower().startswith("access-")]
        caught.value.close()


def test_on_all_addresses_the_names_of_this_computer_are_trusted():
    assert serve.trusted_hosts("127.0.0.1", "127.0.0.1") == ["127.0.0.1", "[::1]", "localhost"]
    assert "mine.example" in serve.trusted_hosts("127.0.0.1", "mine.example")
    everywhere = serve.trusted_hosts("0.0.0.0", "0.0.0.0")
    assert socket.gethostname().lower() in everywhere and "127.0.0.1" in everywhere
    assert "evil.example" not in everywhere


def test_the_server_enforces_the_upload_limit(address):
    def upload(size):
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        return status_of(
            address, "/gradio_api/upload", head + bytes(size) + b"\r\n--x--\r\n", headers
        )

    assert upload(MOST_BYTES) == 200
    assert upload(MOST_BYTES + 1) == 413


def run(*words):
    """Run the command; return its last line or exit status."""
    with pytest.raises(SystemExit) as end:
        command.main(["serve", *map(str, words)])
    return end.value.code


@pytest.fixture
def no_page(monkeypatch):
    def fail(*_):
        raise AssertionError("a page was built")

    monkeypatch.setattr(serve, "make_page", fail)


@pytest.mark.usefixtures("no_page")
def test_models_are_checked_before_the_page_is_built(models, tmp_path):
    absent = run("--port", 0, "--model", f"mine={tmp_path}/absent.safetensors")
    assert "absent.safetensors cannot be read" in absent
    twice = run("--port", 0, "--model", models["student"], "--model", models["student"])
    assert "two models have the label student (student.safetensors)" in twice


def test_included_networks_are_offered_by_default(monkeypatch):
    offered = []

    def make_page(choices, _):
        offered.extend(choices)
        raise InputError("enough")

    monkeypatch.setattr(serve, "make_page", make_page)
    assert run("--port", 0) == "ppcn-jax serve: enough"
    assert offered == ["student", "teacher", "super resolver 4x"]


@pytest.mark.usefixtures("no_page")
def test_an_address_that_cannot_be_used(models):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = run("--port", port, "--model", "absent.safetensors")
    assert message == (f"ppcn-jax serve: port {port} of 127.0.0.1 is in use; choose another --port")
    message = run("--host", "no host", "--port", 0, "--model", "absent.safetensors")
    assert message.startswith("ppcn-jax serve: cannot listen on --host no host, --port 0: ")


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_an_invalid_port_is_a_usage_error(capsys, port):
    assert run("--port", port) == 2
    assert "argument --port: " in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda _: None)
    message = run("--port", 0, "--model", "absent.safetensors")
    assert message == (
        "ppcn-jax serve: the page needs gradio: run pip install '.[web]' in a clone of the "
        "repository"
    )


def test_models_can_be_given_names(models, monkeypatch):
    arguments = {}

    def keep(models, **address):
        arguments.update(address, models=[(name, model.name) for name, model in models])

    monkeypatch.setattr(serve, "serve", keep)
    monkeypatch.chdir(models["student"].parent)
    words = ["my own=student.safetensors", "super_resolver.safetensors", "./student.safetensors"]
    command.main(["serve", *[word for model in words for word in ("--model", model)]])
    assert arguments == {
        "models": [("my own", "student"), ("", "super_resolver"), ("", "student")],
        "host": "127.0.0.1",
        "port": 7860,
        "runtime": "auto",
    }


def test_a_path_may_contain_an_equals_sign():
    assert command._named("runs/rate=0.1") == ("", "runs/rate=0.1")


@pytest.mark.parametrize(
    ("host", "note"), [("127.0.0.1", ""), ("0.0.0.0", ", open to other computers")]
)
def test_an_address_open_to_other_computers_is_pointed_out(host, note):
    with serve._listen(host, 0) as listener:
        port = listener.getsockname()[1]
        assert serve._address(host, listener) == f"http://{host}:{port}{note}"
