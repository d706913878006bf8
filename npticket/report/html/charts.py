"""Histograms as small SVG drawings inside of the page, in its own colours; the page explains their lines."""

from collections.abc import Mapping

from npticket.report.html.markup import Markup, tag
from npticket.report.html.numbers import Bars

WIDTH, HEIGHT, FOOT = 240, 96, 14  # of a drawing, and of the part of it where the axis is
FLOOR = HEIGHT - FOOT


def histogram(drawn: Mapping[str, Bars], ticks: Mapping[float, str], said: str, title: str) -> Markup:
    """Draw histograms over each other, as high as the drawing.

    The keys of `drawn` are looks in style.CSS: "all" grey and filled, "start" blue, "end" orange and dashed. `ticks`
    are values with their texts; the first stands at the left end, the last at the right. `said` describes the drawing
    for screen readers.
    """
    low, high = min(b.edges[0] for b in drawn.values()), max(b.edges[-1] for b in drawn.values())
    top = max(float(bars.heights.max()) for bars in drawn.values()) or 1.0

    def x(value: float) -> str:
        return f"{WIDTH * (value - low) / (high - low):.1f}"

    lines = []
    for look, bars in drawn.items():
        steps = zip(bars.heights, bars.edges[1:], strict=True)
        outline = "".join(f"V{FLOOR * (1 - height / top):.1f}H{x(end)}" for height, end in steps)
        lines.append(tag("path", d=f"M{x(bars.edges[0])} {FLOOR}{outline}V{FLOOR}", class_=look))
    lines.append(tag("path", d=f"M0 {FLOOR}H{WIDTH}", class_="axis"))
    for i, (value, text) in enumerate(ticks.items()):
        anchor = "start" if i == 0 else "end" if i == len(ticks) - 1 else "middle"
        lines.append(tag("text", text, x=x(value), y=str(HEIGHT - 2), text_anchor=anchor))
    drawing = tag("svg", lines, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=said)
    return tag("figure", drawing, tag("figcaption", title), class_="chart")
