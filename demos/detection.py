"""Find winning tickets in a detector of MNIST's digits (after Girish et al., CVPR 2021), and see what they find.

    python demos/detection.py            about 3 minutes on two cores
    python demos/detection.py --quick    half a minute, to see it run
    python demos/detection.py --paper    3 trials, four times as long each: an hour

Each scene has one to four digits of different sizes; the detector, of 151,000 weights, says which digits there are and
where. Prints a row per round, the winning ticket beside its control, and draws what networks with 100, 20 and 5 % of
the weights find.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np

from npticket import backend, datasets
from npticket.cli.demos import Journal, arguments, run
from npticket.datasets.annotations import BOX, CLASS
from npticket.detection import Found, detections, overlaps, suppress
from npticket.experiments.parts import Experiment
from npticket.experiments.workers import Workers, fit_trials, threads_each
from npticket.papers import LIBRARY, PARTS
from npticket.prune import dense_masks, density
from npticket.streams import Place
from npticket.tickets import Round, find_tickets, rewind
from npticket.train import fit

SIZES = {  # round 0 is the dense network; each round prunes 41.5 %
    "default": {"trials": 1, "rounds": 7, "steps": 500},
    "quick": {"trials": 1, "rounds": 2, "steps": 60},
    "paper": {"trials": 3, "rounds": 7, "steps": 2_000},
}
DRAWN = (1, 0.2, 0.05)  # densities, about
SHOWN = 5  # scenes of the test set
SURE = 0.3  # the least score of a box that is drawn
SAME = 0.5  # intersection over union of boxes around the same digit


def find_winning_tickets(args: argparse.Namespace, data: datasets.Dataset, journal: Journal) -> None:
    """The four steps of the paper, round after round, with a random reinitialisation as control."""
    asked, rounds, fits, found = Experiment(journal.recipe, PARTS), count(), {}, list[Round]()
    net, task, prune = asked.net, asked.task, asked.rule
    setting = asked.setting(args.engine, threads_each(args.jobs))

    def initialise(place: Place, purpose: str):
        theta = net.init(place.rngs(purpose))
        return theta.to(backend.load(args.backend))

    def train(start, masks):  # 2 train: each ticket, and beside it its control
        here = Place(args.seed, range(args.trials), next(rounds))
        reinit = rewind(initialise(here, "reinit"), masks)
        both = fit_trials(workers, [(start, masks), (reinit, masks)], here, journal.progress.advance)
        fits.update(zip(journal.recipe.series, both, strict=True))
        return both[0].end

    with Workers(partial(fit, net, task, data=data, setting=setting), args.jobs) as workers:
        theta0 = initialise(Place(args.seed, range(args.trials)), "init")  # 1 initialise
        tickets = find_tickets(theta0, dense_masks(theta0), train=train, prune=prune)  # 3 prune, 4 reset, and again
        for round in islice(tickets, args.rounds):
            journal.note(round.index, round.masks, fits)
            found.append(round)
    wanted = dict.fromkeys(min(found, key=lambda one: abs(np.log(density(one.masks)[0] / d))).index for d in DRAWN)
    scenes = data.test.take(np.arange(SHOWN))
    x = backend.to_device(data.floats(scenes.inputs[None], "float32"), backend.load(args.backend))
    said = {}
    for i in wanted:
        y = backend.to_host(net.predict(found[i].end, x))
        said[f"{100 * density(found[i].masks)[0]:.0f} % of the weights"] = detections(y[0], SURE)
    draw(scenes, said, args.out / "boxes.png")


def draw(scenes: datasets.Split, said: dict[str, Sequence[Found]], path: Path) -> None:
    """Draw what each network finds in each scene, a row for each network; of several boxes around a digit, the surest.

    Boxes are green where they are right, and orange where there is another digit, or none, or too far away.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError:
        return
    figure = Figure(figsize=(2 * SHOWN, 2.1 * len(said)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(said), SHOWN, squeeze=False)
    for axes_of, (name, found) in zip(rows, said.items(), strict=True):
        axes_of[0].set_ylabel(name)
        for axes, scene, targets, one in zip(axes_of, scenes.inputs, scenes.targets, found, strict=True):
            axes.imshow(scene[..., 0], cmap="gray", extent=(0, scene.shape[1], scene.shape[0], 0))
            axes.set(xticks=[], yticks=[])
            for i in suppress(one.boxes, one.scores, SAME):
                (x, y, w, h), there = one.boxes[i], targets[targets[:, CLASS] == one.classes[i]][:, BOX]
                color = "#2ca02c" if (overlaps(one.boxes[[i]], there) >= SAME).any() else "#e69f00"
                axes.add_patch(Rectangle((x, y), w, h, fill=False, color=color, linewidth=0.5 + 1.5 * one.scores[i]))
                axes.text(x + 1, max(y, 7), f"{one.classes[i]}", color="white", fontsize=9, verticalalignment="bottom",
                          bbox={"facecolor": color, "edgecolor": "none", "pad": 1})  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})
    print(f"\nBoxes that were found, green where right, with thicker lines where surer: {path}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Winning tickets in a detector of MNIST's digits.")
    args = arguments(parser, lambda args: SIZES, "runs/detection-demo", argv)
    return run(args, LIBRARY.recipes["detection-scenes"], partial(find_winning_tickets, args))


if __name__ == "__main__":
    sys.exit(main())
