"""Figures with all that stands around their panels: title, note, grid and legend; and their files."""

import math
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from npticket.files import writing
from npticket.report.canvas import AT_MOST, CUT_SHORT, Picture

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

ANONYMOUS = {"png": {"Software": None}, "svg": {"Date": None, "Creator": "npticket"}}  # no time, no version


def compose(picture: Picture, title: str, note: str) -> "Figure":
    """Add title, note, grid and one legend to a figure, make it as high as these need, and return it."""
    figure, entries = picture.figure, dict[str, "Artist"]()
    marked = {text.get_gid() for axes in figure.axes for text in axes.texts}
    note = "; ".join([note, *(said for said in (CUT_SHORT, AT_MOST) if said in marked)])
    spots = [axes.get_subplotspec() for axes in figure.axes]
    grid_rows = max((spot.get_gridspec().nrows for spot in spots if spot), default=1)
    for axes, spot in zip(figure.axes, spots, strict=True):
        if spot and spot.is_first_col() and not axes.get_ylabel():
            axes.set_ylabel(figure.axes[0].get_ylabel())  # a row further down says it again
        if not axes.images:
            axes.grid(axis="y", color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(text, handle)
        axes.title.set_parse_math(False)  # a $ in a name is not mathematics
    lines = [line for text in (title, note) for line in _wrapped(text, round(12 * figure.get_figwidth()))]
    figure.suptitle("\n".join(lines), fontsize=10, parse_math=False)
    around = len(lines) + (_add_legend(figure, entries, picture.legend) if entries else 0)
    figure.set_figheight(3.8 * grid_rows + 0.18 * around)  # the panels keep theirs
    return figure


def _add_legend(figure: "Figure", entries: dict[str, "Artist"], title: str) -> int:
    """Add a legend below the panels; return how many lines it takes."""
    columns = max(1, figure.get_figwidth() // (0.8 + 0.075 * max(map(len, entries))))  # inches that an entry takes
    rows = math.ceil(len(entries) / columns)
    shown = figure.legend(list(entries.values()), list(entries), loc="outside lower center", frameon=False, fontsize=9,
                  ncols=math.ceil(len(entries) / rows), title=title, handlelength=3.2)  # fmt: skip
    for words in (*shown.get_texts(), shown.get_title()):
        words.set_parse_math(False)
    return rows + bool(title)


def plain_style(**settings: str) -> AbstractContextManager:
    """Draw in matplotlib's own style, whatever the user's matplotlibrc says, but for settings of SVG."""
    from matplotlib import style

    return style.context(["default", {f"svg.{name}": value for name, value in settings.items()}])


def finish(
    picture: Picture, title: str, note: str, folder: Path, formats: Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Compose a figure and write it in these `formats`: the same data give the same bytes."""
    paths = [folder / f"{picture.stem}.{form}" for form in formats]
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack, plain_style(hashsalt="npticket"):
        figure = compose(picture, title, note)
        files = [stack.enter_context(writing(path)) for path in paths]  # the last gets its name first: the SVG
        for form, file in zip(formats, files, strict=True):
            figure.savefig(file, format=form, dpi=150, metadata=ANONYMOUS[form])
    return paths


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` characters, after semicolons where that is possible."""
    lines = [""]
    for phrase in text.replace("; ", ";; ").split("; "):
        joined = f"{lines[-1]} {phrase}".strip()
        lines[-1:] = [joined] if len(joined) <= width or not lines[-1] else [lines[-1], phrase]
    return [part for line in lines for part in textwrap.wrap(line, width)]
