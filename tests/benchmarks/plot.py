"""A curve as SVG, in logarithmic axes: what doubles is as far apart at the left as at the right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 45
LAST_LABEL = 20
"""Room for the half of it that stands beyond the right end of the axis."""
FONT = 'font-family="sans-serif" font-size="12"'
COLOURS = ("#1f6feb", "#cf222e", "#1a7f37", "#9a6700")

Points = Sequence[tuple[float, float]]


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _label(power: int) -> str:
    return f"{10**power:,}" if 0 <= power <= 7 else f"{10.0**power:g}"


def svg(title: str, x_name: str, y_name: str, curves: Mapping[str, Points]) -> str:
    """One line for each of `curves`."""
    points = [point for curve in curves.values() for point in curve]
    x0, x1 = _decades([x for x, _ in points])
    y0, y1 = _decades([y for _, y in points])

    def across(x: float) -> float:
        return LEFT + (math.log10(x) - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(y) - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)

    def text(x: float, y: float, words: str, more: str = "") -> str:
        return f'<text x="{x:.0f}" y="{y:.0f}" {more}>{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LAST_LABEL} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH + LAST_LABEL}" height="{HEIGHT}" fill="white"/>',
        text(LEFT, 20, title, 'font-size="15" fill="#111"'),
        text((LEFT + WIDTH) / 2, HEIGHT - 8, x_name, 'text-anchor="middle"'),
        text(
            14, (TOP + HEIGHT) / 2, y_name, f'text-anchor="middle" transform="rotate(-90 14 {(TOP + HEIGHT) / 2:.0f})"'
        ),
    ]
    for power in range(x0, x1 + 1):
        x = across(10.0**power)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(text(x, HEIGHT - BOTTOM + 16, _label(power), 'text-anchor="middle"'))
    for power in range(y0, y1 + 1):
        y = up(10.0**power)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(text(LEFT - 6, y + 4, _label(power), 'text-anchor="end"'))
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in curve]
        parts.append(text(LEFT + 150 * number, TOP - 10, name, f'fill="{colour}"'))
    return "\n".join([*parts, "</svg>\n"])
