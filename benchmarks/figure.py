"""Draws a LeNet step's time against density, ours and PyTorch's, from what lenet_step.py measured.

python benchmarks/lenet_step.py --json step.json
python benchmarks/figure.py step.json docs/step_time.png
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SIDES = {  # dashes and markers tell the lines apart where colours do not
    "torch_ms": {"label": "PyTorch, masked gradients", "color": "#cc5a00", "linestyle": "--", "marker": "s"},
    "plain_ms": {"label": "npticket, plain engine", "color": "#888888", "linestyle": ":", "marker": "^"},
    "fast_ms": {"label": "npticket, fast engine", "color": "#0b4f9e", "linestyle": "-", "marker": "o"},
}


def draw(rows: Sequence[Mapping[str, float]], machine: Mapping[str, Any]) -> Any:
    """A line for each side, from the dense network on the left to the sparsest on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    percent = [100 * row["density"] for row in rows]
    for side, style in SIDES.items():
        if all(side in row for row in rows):
            axes.plot(percent, [row[side] for row in rows], **style, markersize=5, linewidth=1.6)
    axes.set_xscale("log")
    axes.set_xlim(1.1 * max(percent), min(percent) / 1.1)
    axes.set_xticks(percent, [f"{value:.1f}".removesuffix(".0") for value in percent])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("weights remaining (%)")
    axes.set_ylabel("time of a training step (ms)")
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    versions = f"NumPy {machine['numpy']}, {machine['blas']}, PyTorch {machine['torch']}"
    axes.set_title(f"LeNet-300-100, batch 60, Adam, one thread of an {machine['cpu']}\n{versions}", fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", type=Path, help="what lenet_step.py wrote")
    parser.add_argument("png", type=Path, help="the figure")
    args = parser.parse_args()
    found = json.loads(args.json.read_text())
    draw(found["tables"]["steps"], found["machine"]).savefig(args.png, dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main()
