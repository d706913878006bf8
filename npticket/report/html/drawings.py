"""Figures as SVG inside of the page: the papers' figures, and how layers are pruned over rounds. Needs matplotlib."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from npticket.experiments.outcome import Outcome, Point
from npticket.report import canvas
from npticket.report.canvas import Pen, Picture
from npticket.report.figures import NOTE, Drawn
from npticket.report.finishing import compose, plain_style
from npticket.report.html.markup import Markup, tag

ID = re.compile(r"(<[a-zA-Z][^>]*?) id=\"([^\"]*)\"")
READABLE = 0.65  # a figure is not made smaller than this share of its size; a narrow screen scrolls
SPACE = re.compile(r" xmlns(?::\w+)?=\"[^\"]*\"")


class Layers(NamedTuple):
    """One round by layer: the fraction of weights left (T,), and what two trials share, divided by chance (pairs,)."""

    round: int
    left: Mapping[str, np.ndarray]
    shared: Mapping[str, np.ndarray]


def figures(drawn: Iterable[Drawn], prefix: str) -> Iterator[Markup]:
    """Yield figures as elements of a page. Their ids begin with `prefix`, which must differ from call to call.

    ImportError without matplotlib.
    """
    with plain_style():
        for one in drawn:
            words = one.picture.stem.replace("_", " ")
            drawing = tag("div", _svg(one, f"{prefix}-{one.picture.stem}"), role="img", aria_label=words)
            yield tag("figure", drawing, class_="drawing", tabindex="0")


def _svg(one: Drawn, salt: str) -> Markup:
    """The figure as SVG, the same for the same data; texts stay texts, and ids that nothing refers to are removed."""
    file, nothing = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with plain_style(hashsalt=salt, fonttype="none"):
        figure = compose(*one)
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    text = file.getvalue()
    least = f'<svg style="min-width:{READABLE * 72 * figure.get_figwidth():.0f}pt"'
    text = SPACE.sub("", text[text.index("<svg") :]).replace("<svg", least, 1)
    used = set(re.findall(r"(?:href=\"#|url\(#)([\w-]+)", text))
    return Markup(ID.sub(lambda found: found[0] if found[2] in used else found[1], text))


def by_layer(outcome: Outcome, points: Sequence[Point], rounds: Sequence[Layers]) -> Iterator[Drawn]:
    """Draw the fraction of each layer that survives and, for several trials, how much they share against chance."""
    density = {point.round: 100 * point.density for point in points}
    panels = [("weights of the layer that survive (%)", [(one.round, one.left) for one in rounds], 100.0)]
    if any(pairs.size for one in rounds for pairs in one.shared.values()):
        text = "survivors that two trials share,\nas a multiple of what chance would give"
        panels.append((text, [(one.round, one.shared) for one in rounds], 1.0))
    figure, axes_of = canvas.panels(len(panels))
    for axes, (text, found, scale) in zip(axes_of, panels, strict=True):
        for i, name in enumerate(rounds[0].left):
            there = [(density[number], scale * of[name]) for number, of in found if of[name].size and of[name].any()]
            if there:
                pen = Pen.nth(name, i)
                pen.draw(axes, [x for x, _ in there], [values for _, values in there], 0.15)
        axes.set_ylabel(text)
        canvas.weights_remaining(axes, [points])
    axes_of[0].set_yscale("log")
    axes_of[0].yaxis.set_major_formatter("{x:g}")
    for axes in axes_of[1:]:
        axes.set_ylim(bottom=0)
        axes.axhline(1, color="0.55", linewidth=0.8, zorder=0)
    yield Drawn(Picture("layers", figure), outcome.title, f"{outcome.note}; {NOTE}")
