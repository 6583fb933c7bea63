"""A chart of a benchmark as SVG: bars of time relative to the first row of each task."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from ppcn_jax.benchmark.rows import Row

WIDTH, LEFT, RIGHT = 760, 190, 60  # px: the picture, its labels, the numbers after bars
LINE, BAR, GAP = 20, 14, 14  # px: height of a row and of its bar, space between tasks
COLORS = ("#2b6cb0", "#a0aec0")  # the first row of each task, the others


def draw_chart(rows: Sequence[Row]) -> str:
    """Draw the rows that have a ratio as an SVG document; a line across a bar is its floor."""
    bars = [row for row in rows if row["ratio"] is not None]
    scale = (WIDTH - LEFT - RIGHT) / max([1.0, *(row["ratio"] for row in bars)])
    parts, y, task = [], 0, None
    for row in bars:
        if row["task"] != task:
            task, y, color = row["task"], y + GAP + LINE, COLORS[0]
            parts.append(_text(8, y - 5, task, weight="bold"))
        length = scale * row["ratio"]
        parts.append(_text(LEFT - 8, y + 12, row["name"], anchor="end"))
        parts.append(
            f'<rect x="{LEFT}" y="{y + 1}" width="{length:.1f}" height="{BAR}" fill="{color}"/>'
        )
        parts.append(_text(LEFT + length + 5, y + 12, f"{row['ratio']:.2f}"))
        if row["over_floor"]:
            x = LEFT + length / row["over_floor"]
            parts.append(
                f'<line x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + BAR + 2}" stroke="#c53030" '
                'stroke-width="2"/>'
            )
        y, color = y + LINE, COLORS[1]
    legend = "time relative to the first row of each task; red: the floor"
    parts.append(_text(LEFT, y + GAP + 10, legend, color="#555"))
    height = y + GAP + LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "", color: str = "#000"
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return (
        f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="{color}"{bold}>'
        f"{escape(text)}</text>"
    )
