"""The page: its choices and its layout."""

import collections
import html
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ppcn_jax.inference.photo import Operation, make_operation
from ppcn_jax.photos.formats import searched_suffixes
from ppcn_jax.runtime.errors import InputError
from ppcn_jax.serving.comparison import STYLE, comparison, picture
from ppcn_jax.serving.upload import Outcome, pack, preview_upload, process_upload
from ppcn_jax.weights.model import ENHANCERS, SUPER_RESOLVERS, Model

TITLE = "PPCN photo enhancement"
_ABOUT = "Drop photos, choose a model, and drag the line between before and after."
_ERROR_STYLE = 'role="alert" style="color: var(--error-text-color)"'
_WARNING_STYLE = 'role="status" style="font-weight: bold"'
# Every hour, files older than half a day are deleted.
_DELETE = (3_600, 43_200)
_PREVIEWS = 3  # of several uploads, only the first ones are shown before they are processed
# What the included networks do, in words.
_USES = {
    "student": "better light, color and contrast; fast",
    "teacher": "the same by a larger network: fewer wrong hues, slower",
}
# On a narrow screen, the result is below the controls.
_SCROLL = """async () => {
  await new Promise(done => setTimeout(done, 200));  // the page is rendered
  const result = document.querySelector(".ppcn-compare");
  const pictures = [...(result?.querySelectorAll("img") ?? [])];
  await Promise.all(pictures.map(picture => picture.decode().catch(() => {})));
  result?.scrollIntoView({block: "nearest"});
}"""


def label_choices(
    models: Iterable[tuple[str, Model]], runtime: str = "auto"
) -> dict[str, Operation]:
    """List the choices of the page: operations by label.

    Each model comes with a name given by the user, or "". A label is that name or the name of the
    network, with the scale of an enlargement; the file name is added where labels would be equal,
    and InputError is raised if they still are. SRCNN gets two choices: it can do both.
    """
    found = []
    for name, model in models:
        label = name or model.name.replace("_", " ")
        if model.name in ENHANCERS:
            found.append((label, model, make_operation("enhance", model, runtime=runtime)))
        if model.name in SUPER_RESOLVERS:
            operation = make_operation("upscale", model, runtime=runtime)
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


def describe(label: str, operation: Operation) -> str:
    """A label with what the model is for, in one line."""
    if operation.scale > 1:
        return f"{label}: {operation.scale} times as wide and high"
    return f"{label}: {_USES.get(label, 'better light, color and contrast')}"


def make_page(choices: Mapping[str, Operation], folder: pathlib.Path) -> Any:
    """Build the page, `gradio.Blocks`, for the choices of `label_choices`.

    The folder for the files to show must lie in Gradio's temporary folder: Gradio serves no others.
    """
    import gradio as gr

    def show(uploads: list[str] | None) -> tuple[str, str, Any]:
        """What is seen after an upload: the photos, and no results."""
        pictures, lines = [], []
        for upload in map(pathlib.Path, (uploads or [])[:_PREVIEWS]):
            try:
                pictures.append(picture(upload.name, preview_upload(upload, folder)))
            except InputError as error:
                lines.append(_paragraph(str(error), _ERROR_STYLE))
        return _pictures(pictures), "".join(lines), gr.DownloadButton(visible=False)

    def run(uploads: list[str] | None, label: str, strength: float) -> Iterator[tuple]:
        """Process one photo after another; what is done so far is shown."""
        if not uploads:
            yield "", _paragraph("Drop a photo first.", _ERROR_STYLE), gr.DownloadButton()
            return
        operation = choices[label]
        if operation.scale == 1:
            operation = operation._replace(strength=strength)
        outcomes: list[Outcome] = []
        lines, pictures = [], []
        for upload in map(pathlib.Path, uploads):
            try:
                outcome = process_upload(upload, label, operation, folder)
            except InputError as error:
                lines.append(_paragraph(str(error), _ERROR_STYLE))
            else:
                outcomes.append(outcome)
                lines.append(_paragraph(outcome.summary))
                if outcome.warning:
                    lines.append(_paragraph(outcome.warning, _WARNING_STYLE))
                pair = outcome.before, outcome.after
                pictures.append(comparison(upload.name, *pair, operation.labels))
            yield _pictures(pictures), "".join(lines), gr.DownloadButton(visible=False)
        if outcomes:
            yield _pictures(pictures), "".join(lines), _download(outcomes, folder)

    with gr.Blocks(
        title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=_DELETE
    ) as page:
        gr.Markdown(f"# {TITLE}\n{_ABOUT}")
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                upload = gr.File(
                    label="Photos",
                    file_types=list(searched_suffixes()),
                    file_count="multiple",
                    height=160,
                )
                described = [(describe(label, choices[label]), label) for label in choices]
                label = gr.Radio(described, value=next(iter(choices)), label="Model")
                strength = gr.Slider(
                    0, 1, 1, step=0.05, label="Strength", info="Not used for enlarging."
                )
                button = gr.Button("Enhance", variant="primary")
                line = gr.HTML()
                download = gr.DownloadButton(visible=False)
            with gr.Column(scale=3):
                pictures = gr.HTML()
        outputs = [pictures, line, download]
        upload.change(show, upload, outputs, api_visibility="private", show_progress="hidden")
        button.click(
            run,
            [upload, label, strength],
            outputs,
            api_visibility="private",
            concurrency_limit=1,
            show_progress_on=pictures,
        ).then(None, js=_SCROLL)
    return page


def _pictures(parts: Sequence[str]) -> str:
    return STYLE + "".join(parts) if parts else ""


def _download(outcomes: Sequence[Outcome], folder: pathlib.Path) -> Any:
    import gradio as gr

    results = [outcome.result for outcome in outcomes]
    file = results[0] if len(results) == 1 else pack(results, folder)
    size = f"{file.stat().st_size / 1e6:.1f} MB"
    return gr.DownloadButton(f"Download ({size})", value=str(file), visible=True)


def _paragraph(text: str, attributes: str = 'role="status"') -> str:
    return f"<p {attributes}>{html.escape(text)}</p>"
