"""The page: its layout, and how an uploaded photo is processed."""

import collections
import html
import pathlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax

from ppcn_jax.inference.photo import (
    Operation,
    check_size,
    judge,
    make_operation,
    process_photos,
)
from ppcn_jax.photos.read import ALL_SUFFIXES, Photo, read_photo
from ppcn_jax.photos.write import check_output, encode_photo
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.serving.preview import make_previews
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

# Limit of a result; the command has no limit, and its progress can be watched.
MOST_PIXELS = 100_000_000
TITLE = "PPCN photo enhancement"
_ABOUT = "Drop a photo, choose a model, and drag the line between before and after."
_ERROR_STYLE = 'role="alert" style="color: var(--error-text-color)"'
_WARNING_STYLE = 'role="status" style="font-weight: bold"'
# Every hour, files older than half a day are deleted.
_DELETE = (3_600, 43_200)


class Outcome(NamedTuple):
    """Files for one processed photo: two pictures for the browser and the one to download.

    `summary` states size, time and model, and `warning` what the network did to colors, or "".
    """

    before: pathlib.Path
    after: pathlib.Path
    result: pathlib.Path
    summary: str
    warning: str = ""


def label_choices(models: Iterable[tuple[str, Model]]) -> dict[str, Operation]:
    """List the choices of the page: operations by label.

    Each model comes with a name given by the user, or "". A label is that name or the name of the
    network, with the scale of an enlargement; the file name is added where labels would be equal,
    and InputError is raised if they still are. SRCNN gets two choices: it can do both.
    """
    found = []
    for name, model in models:
        label = name or model.name.replace("_", " ")
        if model.name in ENHANCERS:
            found.append((label, model, make_operation("enhance", model)))
        if model.name in SUPER_RESOLVERS:
            operation = make_operation("upscale", model)
            found.append((f"{label} {operation.scale}x", model, operation))
    count = collections.Counter(label for label, _, _ in found)
    choices: dict[str, Operation] = {}
    for label, model, operation in found:
        if count[label] > 1:
            label = f"{label} ({pathlib.Path(model.source).name})"
        if label in choices:
            raise InputError(f"two models have the label {label}; use --model NAME=FILE")
        choices[label] = operation
    return choices


def process_upload(
    upload: pathlib.Path, label: str, operation: Operation, folder: pathlib.Path
) -> Outcome:
    """Process one photo as the command does, and write the files that the page shows.

    The files go to a new folder within `folder`. Raises InputError, which names the photo without
    its folder, if it cannot be processed.
    """
    start = time.monotonic()
    try:
        photo, result, content = _process_file(upload, operation)
        damage = judge(photo, result, operation)
        seconds = time.monotonic() - start
        before, after = make_previews(photo, result)
        height, width = result.pixels.shape[:2]
        place = pathlib.Path(tempfile.mkdtemp(dir=folder))
        suffix = label.partition(" (")[0].replace(" ", "-")
        blend = f", strength {operation.strength:g}" if operation.strength < 1 else ""
        outcome = Outcome(
            before=place / "before.jpg",
            after=place / "after.jpg",
            result=place / f"{upload.stem}-{suffix}{upload.suffix}",
            summary=f"{width} x {height} px in {seconds:.2f} s with {label}{blend}",
            warning=f"{damage.advise('strength').capitalize()}." if damage else "",
        )
        outcome.before.write_bytes(before)
        outcome.after.write_bytes(after)
        outcome.result.write_bytes(content)
        return outcome
    except InputError as error:
        raise InputError(str(error).replace(str(upload), upload.name)) from error
    except (MemoryError, jax.errors.JaxRuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0] or "not enough memory"
        raise InputError(f"{upload.name} cannot be processed: {reason}") from error


def make_page(choices: Mapping[str, Operation], folder: pathlib.Path) -> Any:
    """Build the page, `gradio.Blocks`, for the choices of `label_choices`.

    The folder for the files to show must lie in Gradio's temporary folder: Gradio serves no others.
    """
    import gradio as gr

    def run(upload: str | None, label: str, strength: float) -> tuple[Any, ...]:
        try:
            if upload is None:
                raise InputError("Drop a photo first.")
            operation = choices[label]
            if operation.scale == 1:
                operation = operation._replace(strength=strength)
            outcome = process_upload(pathlib.Path(upload), label, operation, folder)
        except InputError as error:
            return None, _paragraph(str(error), _ERROR_STYLE), gr.DownloadButton(visible=False)
        size = f"{outcome.result.stat().st_size / 1e6:.1f} MB"
        button = gr.DownloadButton(f"Download ({size})", value=str(outcome.result), visible=True)
        line = _paragraph(outcome.summary)
        if outcome.warning:
            line += _paragraph(outcome.warning, _WARNING_STYLE)
        return (str(outcome.before), str(outcome.after)), line, button

    with gr.Blocks(
        title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=_DELETE
    ) as page:
        gr.Markdown(f"# {TITLE}\n{_ABOUT}")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                upload = gr.File(label="Photo", file_types=list(ALL_SUFFIXES), height=160)
                label = gr.Radio(list(choices), value=next(iter(choices)), label="Model")
                strength = gr.Slider(
                    0, 1, 1, step=0.05, label="Strength", info="Not used for enlarging."
                )
                button = gr.Button("Enhance", variant="primary")
                line = gr.HTML()
                download = gr.DownloadButton(visible=False)
            with gr.Column(scale=3):
                slider = gr.ImageSlider(
                    show_label=False, buttons=["fullscreen"], interactive=False, max_height=720
                )
        button.click(
            run,
            [upload, label, strength],
            [slider, line, download],
            api_visibility="private",
            concurrency_limit=1,
            show_progress_on=slider,
        )
    return page


def _process_file(upload: pathlib.Path, operation: Operation) -> tuple[Photo, Photo, bytes]:
    photo = read_photo(upload)
    height, width = (operation.scale * side for side in photo.pixels.shape[:2])
    try:
        if height * width > MOST_PIXELS:
            raise InputError(
                f"would become {width:,} x {height:,} px; the limit of this page is "
                f"{MOST_PIXELS // 1_000_000} megapixels: use the command ppcn-jax"
            )
        check_output(photo, photo.format, operation.scale)
        check_size(photo)
        (result,) = process_photos([photo], operation)
        return photo, result, encode_photo(result, result.format)
    except InputError as error:
        raise InputError(f"{upload} {error}") from error


def _paragraph(text: str, attributes: str = 'role="status"') -> str:
    return f"<p {attributes}>{html.escape(text)}</p>"
