"""Learning curves as SVG: each recipe's mean over its runs, with a band from minimum to maximum."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from xml.sax.saxutils import escape

Curve = Sequence[tuple[int, Sequence[float]]]  # (step, values of the runs), steps ascending

WIDTH, HEIGHT = 720, 320  # px
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 30, 40  # px, around the plot
COLORS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b83280", "#718096")
_TICKS = 5  # approximate number per axis


def draw_curves(curves: Mapping[str, Curve], title: str, axis: str = "steps") -> str:
    """Draw curves, given by name, into one plot with a legend; returns an SVG document.

    `axis` names what the first numbers of the points count.
    """
    points = [point for curve in curves.values() for point in curve]
    parts = [_text(LEFT, 18, title)]
    if points:
        values = [value for _, step_values in points for value in step_values]
        last = max(step for step, _ in points)
        ticks = list(_ticks(min(values), max(values)))

        def x(step: float) -> float:
            return LEFT + (WIDTH - LEFT - RIGHT) * step / last

        def y(value: float) -> float:
            share = (value - ticks[0]) / (ticks[-1] - ticks[0])
            return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

        for tick in ticks:
            parts.append(
                f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                + _text(LEFT - 8, y(tick) + 4, f"{tick:g}", "end")
            )
        for step in _ticks(0, last):
            if step <= last:
                parts.append(_text(x(step), HEIGHT - BOTTOM + 18, f"{step:,.0f}", "middle"))
        parts.append(_text(WIDTH - RIGHT, HEIGHT - 4, axis, "end"))
        for index, (name, curve) in enumerate(curves.items()):
            color = COLORS[index % len(COLORS)]
            upper = [f"{x(s):.1f} {y(max(v)):.1f}" for s, v in curve]
            lower = [f"{x(s):.1f} {y(min(v)):.1f}" for s, v in reversed(curve)]
            middle = [f"{x(s):.1f} {y(statistics.fmean(v)):.1f}" for s, v in curve]
            parts.append(
                f'<path d="M{"L".join(upper + lower)}Z" fill="{color}" fill-opacity="0.15"/>'
                f'<path d="M{"L".join(middle)}" fill="none" stroke="{color}" stroke-width="2"/>'
            )
            legend = HEIGHT - BOTTOM - 12 - 18 * (len(curves) - 1 - index)
            parts.append(_text(WIDTH - RIGHT - 4, legend, name, "end", color))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _ticks(low: float, high: float) -> Iterator[float]:
    """Evenly spaced round values that cover `low` to `high`."""
    rough = max(high - low, 1e-6) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    for count in range(first, max(last, first + 1) + 1):
        yield round(count * step, 10)


def _text(x: float, y: float, text: str, anchor: str = "start", color: str = "#000") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'
    )
