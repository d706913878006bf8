"""Draws how the cost of training falls with density, a panel for each processor, from docs/results/speed.

python benchmarks/figure.py step docs/step_time.png [FILE ...]     what `lenet_step.py --save` measured
python benchmarks/figure.py round docs/round_time.png [FILE ...]   what `imp_lenet.py --save` measured
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import results

SIDES = {  # dashes and markers tell the lines apart where colours do not
    "torch": {"label": "PyTorch", "color": "#cc5a00", "linestyle": "--", "marker": "s"},
    "flushed": {"label": "PyTorch, subnormal numbers flushed", "color": "#e59a50", "linestyle": "--", "marker": "D",
                "markerfacecolor": "white"},
    "compiled": {"label": "torch.compile", "color": "#8c4a9e", "linestyle": "-.", "marker": "v"},
    "jax": {"label": "JAX, jit", "color": "#2a7f3f", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "P"},
    "plain": {"label": "npticket, plain engine", "color": "#888888", "linestyle": ":", "marker": "^"},
    "fast": {"label": "npticket, fast engine", "color": "#0b4f9e", "linestyle": "-", "marker": "o"},
    "ours": {"label": "npticket, fast engine", "color": "#0b4f9e", "linestyle": "-", "marker": "o"},
    "steps": {"label": "npticket, its steps alone", "color": "#0b4f9e", "linestyle": ":", "marker": "."},
}  # fmt: skip


def steps(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a panel shows of a LeNet step: the last phase that was measured; None where there are no results."""
    runs = results.runs(found, "lenet_step")
    if not runs:
        return None
    rows = [row for run in runs for row in run["tables"]["steps"]]
    after = max(row["after"] for row in rows)
    rows = sorted((row for row in rows if row["after"] == after), key=lambda row: -row["density"])
    label = f"time of a step, after {after:,} steps (ms)"
    return {"rows": rows, "unit": "ms", "label": label, "machine": runs[0]["machine"]}


def rounds(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a panel shows of a round of pruning: of the longest that were measured; None where there are no results."""
    for steps, arguments in ((5000, {"steps": 5000}), (1000, {})):
        for run in results.runs(found, "imp_lenet", **arguments):
            label = f"time of a round of {steps:,} steps,\nwith its evaluations (s)"
            return {"rows": run["tables"]["rounds"], "unit": "s", "label": label, "machine": run["machine"]}
    return None


def draw(panels: Mapping[str, Mapping[str, Any]]) -> Any:
    """A panel for each processor, with a line for each side, from the dense network on the left to the sparsest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 5.2 * len(panels), 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, panel) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        percent = [100 * row["density"] for row in panel["rows"]]
        for side, style in SIDES.items():
            column = f"{side}_{panel['unit']}"
            if all(column in row for row in panel["rows"]):
                axes.plot(percent, [row[column] for row in panel["rows"]], **style, markersize=5, linewidth=1.6)
        _dress(axes, percent)
        axes.set_ylabel(panel["label"])
        versions = f"NumPy {panel['machine']['numpy']}, {panel['machine']['blas']}, PyTorch {panel['machine']['torch']}"
        axes.set_title(f"{name}\n{versions}", fontsize=9)
    figure.suptitle("LeNet-300-100, batch 60, Adam, one thread", fontsize=10)
    lines = {line.get_label(): line for axes in figure.axes for line in axes.get_lines()}
    figure.legend(lines.values(), lines.keys(), frameon=False, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _dress(axes: Any, percent: Sequence[float]) -> None:
    """Density in per cent of the weights, in equal steps for equal factors."""
    axes.set_xscale("log")
    axes.set_xlim(1.1 * max(percent), min(percent) / 1.1)
    ticks = percent[:: max(1, (len(percent) - 1) // 5)]
    axes.set_xticks(ticks, [f"{value:.1f}".removesuffix(".0") for value in ticks], fontsize=9)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("weights remaining (%)")
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("step", "round"))
    parser.add_argument("png", type=Path, help="the figure")
    parser.add_argument("files", nargs="*", type=Path, help="one for each processor; by default all there are")
    args = parser.parse_args()
    show = {"step": steps, "round": rounds}[args.what]
    shown = {name: show(found) for name, found in results.by_processor(args.files).items()}
    panels = {name: panel for name, panel in shown.items() if panel}
    if not panels:
        parser.error("nothing was measured yet: run lenet_step.py or imp_lenet.py with --save")
    draw(panels).savefig(args.png, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
