"""Tables: Markdown, and console tables that keep every digit at any width."""

import io

import pytest
import rich.console

from ppcn_jax.evaluation import table3
from ppcn_jax.evaluation.tables import (
    Column,
    markdown_table,
    number,
    print_table,
    print_written,
)

SPEED = {"parameters": 1_234_567, "milliseconds": 12_345.6, "speed_up": 3.456}
SCORES = {"score_a": 14.006, "score_b": 17.25, "score_c": None}
TABLE3_ROWS = [
    {"model": "input", "psnr": 17.4123, "ms_ssim": 0.85123, **SPEED, **SCORES},
    {"model": "student_without_distillation", "psnr": 22.5, "ms_ssim": 0.92461, **SPEED, **SCORES},
]
TABLE3_CELLS = ["1,234,567", "17.412", "0.8512", "12,346", "3.46", "14.01", "17.25", "–"]


def print_table3(**console):
    columns = [column for column in table3.COLUMNS if column.title != "paper"]
    file = io.StringIO()
    print_table(rich.console.Console(file=file, **console), columns, TABLE3_ROWS)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80])
def test_a_narrow_terminal_folds_names_and_keeps_numbers(width):
    text = print_table3(width=width, force_terminal=True, color_system=None)
    lines = [line.split() for line in text.splitlines() if "1,234,567" in line]
    assert lines[0] == ["input", *TABLE3_CELLS]
    assert lines[1][2:4] == ["22.500", "0.9246"]
    assert "student_with" in text and "student_without_distillation" not in text
    assert "…" not in text
    if width == 80:
        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("width", [40, 80])
def test_a_pipe_gets_lines_as_long_as_they_need_to_be(width):
    lines = [line.split() for line in print_table3(width=width).splitlines()]
    assert ["input", *TABLE3_CELLS] in lines
    assert [cells[0] for cells in lines if "1,234,567" in cells][1] == TABLE3_ROWS[1]["model"]


def test_names_are_not_parsed_as_markup():
    file = io.StringIO()
    console = rich.console.Console(file=file)
    print_table(console, [Column("name", lambda row: row["name"])], [{"name": "[bold]x"}])
    assert "[bold]x" in file.getvalue()


def test_markdown():
    columns = [Column("name", lambda row: row["name"]), number("x", "x", ".1f")]
    rows = [{"name": "a|b", "x": 1.25}, {"name": "c", "x": None}]
    assert markdown_table(columns, rows) == (
        "| name | x |\n| --- | ---: |\n| a\\|b | 1.2 |\n| c | – |\n"
    )


def test_written_files_are_listed_in_one_line(tmp_path, capsys):
    files = [tmp_path / ("long-" * 20 + "[bold]") / name for name in ("a.json", "a.md")]
    print_written(*files)
    assert capsys.readouterr().out == f"wrote {files[0]}, {files[1]}\n"
