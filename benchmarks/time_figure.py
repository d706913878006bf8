"""Draws how accurate a network is against the time it takes: python benchmarks/time_figure.py docs/structured_time.png

Accuracies at the end of training are those of winning tickets in docs/results: of single weights and of whole units; a
network without its dead units is as accurate as with them. Times are what `structured.py --save` measured of networks
with as many weights, on one processor. PyTorch's dense network is the upright line.
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import results

from npticket.experiments.outcome import read_outcome
from npticket.papers import LIBRARY
from npticket.papers.lottery_ticket.series import TICKET

PUBLISHED = results.ROOT / "docs" / "results"
NETS = {  # where tickets of units, and where those of single weights are
    "lenet": ("LeNet-300-100 on MNIST", "filters_lenet/filters-lenet", "filters_lenet/filters-lenet-weights"),
    "conv_2": ("Conv-2 on CIFAR-10", "filters_conv2/filters-conv2", "filters_conv2/filters-conv2-weights"),
    "resnet_8": (
        "ResNet-8 of width 8 on CIFAR-10",
        "filters_resnet8/filters-resnet8",
        "filters_resnet8/filters-resnet8-weights",
    ),
}
KINDS = {  # dashes and markers tell the lines apart where colours do not
    "weights": {"label": "single weights pruned", "color": "#0b4f9e", "linestyle": "-", "marker": "o"},
    "units": {"label": "whole units pruned, masked", "color": "#cc5a00", "linestyle": "--", "marker": "s"},
    "shrunk": {"label": "whole units cut out", "color": "#2a7f3f", "linestyle": "-.", "marker": "^"},
}
NEAR = 0.1  # of a density, by which measured times may lie beside an experiment's rounds
Line = list[tuple[float, float]]  # microseconds, percent


def accuracies(folder: Path) -> dict[float, float]:
    """Mean test accuracy of tickets at the end of training, in percent, by density."""
    by_density: dict[float, list[float]] = {}
    for row in read_outcome(folder, LIBRARY.parts).results:
        if row["series"] == TICKET:
            by_density.setdefault(round(row["density"], 4), []).append(100 * row["final_test_acc"])
    return {density: sum(each) / len(each) for density, each in by_density.items()}


def lines(rows: Sequence[Mapping[str, Any]], of: Mapping[str, Mapping[float, float]]) -> dict[str, Line]:
    """For each kind of network (time, accuracy), the dense one first; `of` has accuracies by kind and density."""
    dense = [row["microseconds"] for row in rows if row["kind"] == "dense"]
    found = {}
    for kind, known in of.items():
        line = [(sum(dense) / len(dense), known[max(known)])]
        for row in sorted((row for row in rows if row["kind"] == kind), key=lambda row: -row["density"]):
            nearest = min(known, key=lambda density: abs(density - row["density"]))
            if abs(nearest - row["density"]) < NEAR * row["density"]:
                line.append((row["microseconds"], known[nearest]))
        found[kind] = line
    return found


def panels(run: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """What is timed, and the rows that say how long it took."""
    for table, what in (("steps", "a training step"), ("predictions", "a prediction")):
        rows = run["tables"][table]
        for batch in sorted({row["batch"] for row in rows}):
            yield f"{what}, batch {batch:,}", [row for row in rows if row["batch"] == batch]


def by_net(runs: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The runs of `structured.py` by the network that each timed."""
    return {run["tables"]["steps"][0]["net"]: run for run in runs}


def draw(runs: Mapping[str, Mapping[str, Any]], of: Mapping[str, Mapping[str, Mapping[float, float]]]) -> Any:
    """A row of panels for each network: a training step, and predictions of several batches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    across = {net: list(panels(runs[net])) for net in of}
    columns = max(map(len, across.values()))
    figure = Figure(figsize=(1 + 3.3 * columns, 0.8 + 3.2 * len(across)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(across), columns, squeeze=False)
    for row_of_axes, (net, each) in zip(grid, across.items(), strict=True):
        for axes, (title, rows) in zip(row_of_axes, each, strict=True):
            for kind, line in lines(rows, of[net]).items():
                axes.plot(*zip(*line, strict=True), **KINDS[kind], markersize=5, linewidth=1.4)
            torch = [row["microseconds"] for row in rows if row["kind"] == "torch"]
            if torch:
                axes.axvline(sum(torch) / len(torch), color="0.45", linewidth=1, linestyle=":", label="PyTorch, dense")
            axes.set(xscale="log", xlabel="microseconds", title=f"{NETS[net][0]}\n{title}")
            axes.title.set_fontsize(9)
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.minorticks_off()
            axes.grid(color="0.92", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
        row_of_axes[0].set_ylabel("test accuracy at the end (%)")
    drawn = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(drawn.values(), drawn.keys(), frameon=False, loc="outside lower center", ncols=4, fontsize=9)
    machine = runs[next(iter(of))]["machine"]
    made = f"One thread of {machine['cpu']}, {machine['blas']}, PyTorch {machine['torch']}"
    figure.suptitle(f"{made}\nEach line begins at 100 % of the weights", fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("png", type=Path, help="the figure")
    parser.add_argument("file", nargs="?", type=Path, help="of one processor; by default the first that has times")
    args = parser.parse_args()
    files = results.by_processor([args.file] if args.file else []).values()
    measured = next(filter(None, (by_net(results.runs(found, "structured")) for found in files)), {})
    of = {}
    for net, (_, units, weights) in NETS.items():
        if net in measured and all((PUBLISHED / name / "recipe.json").exists() for name in (units, weights)):
            of_units = accuracies(PUBLISHED / units)
            of[net] = {"weights": accuracies(PUBLISHED / weights), "units": of_units, "shrunk": of_units}
    if not of:
        parser.error("nothing to draw yet: run structured.py with --save, and publish the experiments that it names")
    draw(measured, of).savefig(args.png, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
