"""Before and after as HTML: two pictures and a line between them that is dragged."""

import html
import pathlib
import urllib.parse

# Where Gradio serves the files of its temporary folder.
_FILES = "gradio_api/file="

STYLE = """<style>
.ppcn-compare { position: relative; margin: 0 0 1rem; width: fit-content; max-width: 100%; }
.ppcn-compare img { display: block; max-width: 100%; max-height: 80vh; margin: 0; }
.ppcn-compare img + img { position: absolute; inset: 0; width: 100%; height: 100%;
  clip-path: inset(0 calc(100% - var(--cut)) 0 0); }
.ppcn-compare::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--cut);
  width: 2px; margin-left: -1px; background: white; box-shadow: 0 0 3px black; }
.ppcn-compare span { position: absolute; top: 8px; padding: 2px 8px; border-radius: 4px;
  background: rgb(0 0 0 / 70%); color: white !important; font-size: 14px; }
.ppcn-compare span:first-of-type { left: 8px; }
.ppcn-compare span:last-of-type { right: 8px; }
.ppcn-compare input { position: absolute; inset: 0; z-index: 1; width: 100%; height: 100%;
  margin: 0; opacity: 0; cursor: ew-resize; touch-action: pan-y; }
.ppcn-compare:focus-within { outline: 3px solid #2563eb; outline-offset: 2px; }
</style>"""


def comparison(
    name: str, before: pathlib.Path, after: pathlib.Path, labels: tuple[str, str]
) -> str:
    """Two pictures of one size, with a slider that the keyboard moves as well."""
    old, new = map(html.escape, labels)
    name = html.escape(name)
    # The second picture lies on the first, cut off at the line.
    return (
        '<div class="ppcn-compare" style="--cut: 50%">'
        f'<img src="{_address(after)}" alt="{name}, {new}">'
        f'<img src="{_address(before)}" alt="{name}, {old}">'
        f"<span>{old}</span><span>{new}</span>"
        f'<input type="range" min="0" max="100" value="50" aria-label="{name}: line between {old} '
        f"and {new}\" oninput=\"this.parentElement.style.setProperty('--cut', this.value + '%')\">"
        "</div>"
    )


def picture(name: str, path: pathlib.Path) -> str:
    """One picture, before anything is done to it."""
    alt = f"{html.escape(name)}, before"
    return f'<div class="ppcn-compare"><img src="{_address(path)}" alt="{alt}"></div>'


def _address(path: pathlib.Path) -> str:
    return html.escape(_FILES + urllib.parse.quote(path.as_posix()))
