"""The page: what is on it, and what happens to a photo that is dropped there."""

import collections
import dataclasses
import html
import pathlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from ppcn_jax.inference.photo import Treatment, check_size, make_treatment, treat
from ppcn_jax.photos.read import SUFFIXES, Photo, read_photo
from ppcn_jax.photos.write import check_output, encode_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.serving.preview import make_previews
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

# Of a result; more is work for the command, which can be watched and stopped.
MOST_PIXELS = 100_000_000
TITLE = "PPCN photo enhancement"
_ABOUT = "Drop a photo, choose a model, and drag the line between before and after."
_REFUSAL = 'role="alert" style="color: var(--error-text-color)"'
# Files older than half a day go; looked for every hour.
_DELETE = (3_600, 43_200)


@dataclasses.dataclass(frozen=True)
class Shown:
    """What the page shows of one photo.

    Attributes:
        before: a picture for the browser.
        after: the same.
        result: the file to download.
        line: size, time and model.
    """

    before: pathlib.Path
    after: pathlib.Path
    result: pathlib.Path
    line: str


def label_choices(models: Iterable[tuple[str, Model]]) -> dict[str, Treatment]:
    """What can be chosen on the page.

    Args:
        models: each with the name that the user gave it, or "".

    Returns:
        Treatments by label: the given name or that of the network, with the scale of an
        enlargement, and with the file where labels would be equal. SRCNN can do both.

    Raises:
        InputError: two would still have one label.
    """
    found = []
    for name, model in models:
        label = name or model.name.replace("_", " ")
        if model.name in ENHANCERS:
            found.append((label, model, make_treatment("enhance", model)))
        if model.name in SUPER_RESOLVERS:
            treatment = make_treatment("upscale", model)
            found.append((f"{label} {treatment.scale}x", model, treatment))
    count = collections.Counter(label for label, _, _ in found)
    choices: dict[str, Treatment] = {}
    for label, model, treatment in found:
        if count[label] > 1:
            label = f"{label} ({pathlib.Path(model.source).name})"
        if label in choices:
            raise InputError(f"two models would be called {label}: use --model NAME=FILE")
        choices[label] = treatment
    return choices


def show(upload: pathlib.Path, label: str, treatment: Treatment, folder: pathlib.Path) -> Shown:
    """Treat one photo as the command does, and write what the page needs.

    Args:
        upload: the photo.
        label: of the treatment.
        treatment: what to do.
        folder: for the files; each photo gets a folder of its own in it.

    Returns:
        Where they are.

    Raises:
        InputError: the photo is refused; the message names it without its folder.
    """
    start = time.monotonic()
    try:
        photo, result, content = _treat_file(upload, treatment)
        seconds = time.monotonic() - start
        before, after = make_previews(photo, result)
        height, width = result.levels.shape[:2]
        place = pathlib.Path(tempfile.mkdtemp(dir=folder))
        shown = Shown(
            before=place / "before.jpg",
            after=place / "after.jpg",
            result=place / f"{upload.stem}-{_in_a_name(label)}{upload.suffix}",
            line=f"{width} x {height} px in {seconds:.2f} s with {label}",
        )
        shown.before.write_bytes(before)
        shown.after.write_bytes(after)
        shown.result.write_bytes(content)
        return shown
    except InputError as error:
        raise InputError(str(error).replace(str(upload), upload.name)) from error
    except (MemoryError, jax.errors.JaxRuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0] or "not enough memory"
        raise InputError(f"{upload.name} cannot be processed: {reason}") from error


def make_page(choices: Mapping[str, Treatment], folder: pathlib.Path) -> Any:
    """Lay the page out.

    Args:
        choices: of `label_choices`, at least one.
        folder: for the files that the page shows, below Gradio's own, which alone it serves.

    Returns:
        `gradio.Blocks`.
    """
    import gradio as gr

    def run(upload: str | None, label: str) -> tuple[Any, ...]:
        try:
            if upload is None:
                raise InputError("Drop a photo first.")
            shown = show(pathlib.Path(upload), label, choices[label], folder)
        except InputError as error:
            return None, _paragraph(str(error), _REFUSAL), gr.DownloadButton(visible=False)
        size = f"{shown.result.stat().st_size / 1e6:.1f} MB"
        button = gr.DownloadButton(f"Download ({size})", value=str(shown.result), visible=True)
        return (str(shown.before), str(shown.after)), _paragraph(shown.line), button

    suffixes = [suffix for format in SUFFIXES.values() for suffix in format]
    with gr.Blocks(
        title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=_DELETE
    ) as page:
        gr.Markdown(f"# {TITLE}\n{_ABOUT}")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                upload = gr.File(label="Photo", file_types=suffixes, height=160)
                label = gr.Radio(list(choices), value=next(iter(choices)), label="Model")
                button = gr.Button("Enhance", variant="primary")
                line = gr.HTML()
                download = gr.DownloadButton(visible=False)
            with gr.Column(scale=3):
                slider = gr.ImageSlider(
                    show_label=False, buttons=["fullscreen"], interactive=False, max_height=720
                )
        button.click(
            run,
            [upload, label],
            [slider, line, download],
            api_visibility="private",
            concurrency_limit=1,
            show_progress_on=slider,
        )
    return page


def _treat_file(upload: pathlib.Path, treatment: Treatment) -> tuple[Photo, Photo, bytes]:
    photo = read_photo(upload)
    height, width = (treatment.scale * side for side in photo.levels.shape[:2])
    try:
        if height * width > MOST_PIXELS:
            raise InputError(
                f"would become {width:,} x {height:,} px; this page makes at most "
                f"{MOST_PIXELS // 1_000_000} megapixels, the command ppcn-jax more"
            )
        check_output(photo, photo.format, treatment.scale)
        check_size(photo)
        (result,) = treat([photo], treatment)
        return photo, result, encode_photo(result, result.format)
    except InputError as error:
        raise InputError(f"{upload} {error}") from error


def _in_a_name(label: str) -> str:
    return label.partition(" (")[0].replace(" ", "-")


def _paragraph(text: str, attributes: str = 'role="status"') -> str:
    return f"<p {attributes}>{html.escape(text)}</p>"
