"""The documentation site: `make docs`. No page loads anything from another host."""

import re
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

import command_reference  # noqa: E402
import config_fields  # noqa: E402

import ppcn_jax  # noqa: E402

project = "ppcn-jax"
version = release = ppcn_jax.__version__
html_title = f"ppcn-jax {version}"
html_theme = "furo"
html_show_copyright = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
exclude_patterns = ["_build"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
myst_heading_anchors = 4
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give shapes and ranges
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def setup(app):
    """Write the pages that are made from code; keep formulas in docstrings; let names break."""
    app.connect("builder-inited", lambda app: config_fields.write(Path(app.srcdir)))
    app.connect("builder-inited", lambda app: command_reference.write(Path(app.srcdir)))
    app.connect("autodoc-process-docstring", _keep_formulas)
    app.connect("html-page-context", _let_names_break)


def _keep_formulas(app, what, name, obj, options, lines):
    # Paragraphs of formulas keep their lines; "|y|" is an absolute value, not a substitution.
    paragraphs = "\n".join(lines).replace("|", r"\|").split("\n\n")
    for index, paragraph in enumerate(paragraphs):
        rows = paragraph.split("\n")
        if all(re.match(r"(?!>>>)[^:].*=|\w+: ", row) for row in rows):
            paragraphs[index] = "\n".join(f"| {row}" for row in rows)
    lines[:] = "\n\n".join(paragraphs).split("\n")


def _let_names_break(app, pagename, templatename, context, doctree):
    # In tables, code may break after dots, underscores, slashes and commas between letters.
    def breakable(code):
        return re.sub(r"(?<=[A-Za-z0-9])([._/,])(?=[A-Za-z])", r"\1<wbr>", code[0])

    def cell(match):
        return re.sub(r'(?<=<span class="pre">)[^<]+', breakable, match[0])

    context["body"] = re.sub(r"<td>.*?</td>", cell, context.get("body", ""), flags=re.DOTALL)
