"""The reference page of the command lines, made from the parsers themselves."""

import argparse
from pathlib import Path

from absl import flags

from ppcn_jax import command
from ppcn_jax.configuration.flags import define_flags

_WIDTH = 100
_INTRODUCTION = """# Command line

The texts that `--help` prints. What a command ends with: [exit statuses](exit_statuses.md). `python -m ppcn_jax` is the
same as `ppcn-jax`.
"""
_LAUNCH = """## launch.py

Run it in a clone of the repository: `python launch.py --config=configs/NAME.py --workdir=DIR`. `--config.FIELD=VALUE`
overrides a [field of the configuration](configuration.md).

| flag | default | meaning |
|---|---|---|
"""


def write(folder: Path) -> None:
    """Write `command_line.md` into the folder, if its text has changed."""
    page, text = folder / "command_line.md", make_page()
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def make_page() -> str:
    """The page as Markdown: every subcommand of `ppcn-jax`, and the flags of launch.py."""
    _, subcommands = command._parser()
    parts = [_INTRODUCTION]
    for name, subcommand in subcommands.choices.items():
        subcommand.formatter_class = _formatter
        parts.append(f"## ppcn-jax {name}\n\n```text\n{subcommand.format_help()}```\n")
    others = set(flags.FLAGS)
    values = define_flags()
    rows = [
        f"| `--{name}` | {_code(values[name].default)} | {values[name].help} |\n"
        for name in sorted(set(values) - others)
    ]
    return "\n".join([*parts, _LAUNCH + "".join(rows)])


def _code(default: object) -> str:
    return "" if default is None else f"`{default}`"


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, width=_WIDTH)
