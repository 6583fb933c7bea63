"""The page that runs a network in a browser, by WebGPU on Chromium's emulated graphics processor."""

import pytest
from PIL import Image

from ppcn_jax.export.images import synthetic_photo
from ppcn_jax.export.page import find_runtime, write_page
from ppcn_jax.weights.load import load_model
from tests.browser import chromium, node_modules, served
from tests.export.test_page import SIZE, assert_as_by_the_command, download, process

pytestmark = pytest.mark.long

FLAGS = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader")
PATIENCE = 900_000  # ms; an emulated graphics processor takes seconds to compile each graph
# Changes of the page's files: (file, text, its replacement). The page prefers WebAssembly to an
# emulated graphics processor, and a small photo would be one band.
EMULATED = ("runtime.js", "adapter && !emulated", "adapter")
SMALL_BANDS = ("bands.js", "const PIXELS = 3 * 2 ** 17;", "const PIXELS = 6500;")
RUN = "return session.run("
REPORT = ("runtime.js", RUN, f"console.log(provider, file);\n{RUN}")
ASYNC = ("runtime.js", "const run = (inputs) =>", "const run = async (inputs) =>")
GRAPHS, BANDS = 4, 4  # of the small picture that is compared first, and of the photo
# In the photo's second band.
LOST = (
    "runtime.js",
    RUN,
    "if (provider === 'webgpu' && (self.runs = (self.runs ?? 0) + 1) === "
    f"{GRAPHS * BANDS + 2}) (await ort.env.webgpu.device).destroy();\n{RUN}",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(*FLAGS) as browser, served(tmp_path_factory.mktemp("empty")) as address:
        page = browser.new_page()
        page.goto(address)
        if not page.evaluate("navigator.gpu?.requestAdapter().then((adapter) => adapter !== null)"):
            pytest.skip("this Chromium has no emulated graphics processor")
        page.close()
        yield browser


@pytest.fixture
def visit(browser, tmp_path, monkeypatch):
    """Write the student's page with changes and open it; returns it and what it prints."""
    monkeypatch.setattr("ppcn_jax.export.page.check_parts", lambda *arguments: [])
    context, folder, printed = browser.new_context(), tmp_path / "page", []
    context.on("console", lambda message: printed.append(message.text))
    modules = node_modules()

    def open_page(*changes):
        write_page(load_model("student"), folder, SIZE, [], find_runtime(str(modules)))
        for name, text, replacement in changes:
            content = (folder / name).read_text(encoding="utf-8")
            assert content.count(text) == 1
            (folder / name).write_text(content.replace(text, replacement), encoding="utf-8")
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.get_by_text("works offline").wait_for()
        return page, printed

    folder.mkdir()
    with served(folder) as address:
        yield open_page
        context.close()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "street.png"
    Image.fromarray(synthetic_photo(80, 110)).save(path)
    return path


def test_a_photo_is_enhanced_in_bands_by_webgpu(visit, photo):
    page, printed = visit(EMULATED, SMALL_BANDS, REPORT)
    process(page, photo)
    assert "computed by the graphics processor" in page.locator("#status").inner_text()
    assert sum(line.startswith("webgpu") for line in printed) == 2 * GRAPHS * BANDS
    _, picture = download(page, "PNG")
    assert_as_by_the_command(picture, photo, "enhance", "student")


def test_a_lost_graphics_processor_is_replaced_by_the_processor(visit, photo):
    page, printed = visit(EMULATED, SMALL_BANDS, REPORT, ASYNC, LOST)
    stages = page.evaluate_handle(
        """() => {
            const [stages, stage] = [new Set(), document.getElementById("stage")];
            new MutationObserver(() => stages.add(stage.textContent)).observe(stage, {
                childList: true,
            });
            return stages;
        }"""
    )
    process(page, photo)
    assert "processor thread" in page.locator("#status").inner_text()
    texts = stages.evaluate("(stages) => [...stages]")
    assert any(stage.startswith("Processing without the graphics processor…") for stage in texts)
    used = [line.split()[0] for line in printed]
    assert used.count("webgpu") in (GRAPHS * BANDS + 1, GRAPHS * BANDS + 2)
    assert used[-GRAPHS * BANDS :] == ["wasm"] * GRAPHS * BANDS
    _, picture = download(page, "PNG")
    assert_as_by_the_command(picture, photo, "enhance", "student")


def test_an_emulated_graphics_processor_is_not_used(visit, photo):
    page, printed = visit(REPORT)
    process(page, photo)
    assert "processor thread" in page.locator("#status").inner_text()
    assert len(printed) == GRAPHS and all(line.startswith("wasm") for line in printed)
