"""Find winning tickets on CIFAR-10 (Frankle & Carbin, ICLR 2019): Conv-2, 4, 6, Resnet-18 with 20 layers, or VGG-19.

    python demos/cifar10.py --net conv2               a few rounds of short trainings: under an hour on two cores
    python demos/cifar10.py --net conv2 --quick       a minute or two, to see it run
    python demos/cifar10.py --net resnet18 --paper    the paper's setting: weeks

At a low learning rate the paper finds tickets in Resnet-18 and, nearly, in VGG-19; at a higher one with warm-up, in
both; at the usual high one, in neither. See for yourself with --setting low, warmup or high (Conv-n has one setting).
With fewer steps than in the paper, warm-up and drops of the learning rate come earlier in proportion. Needs CIFAR-10
(162 MB, downloaded if it is not on this machine). Before it starts, it says how long it will take.
"""

import argparse
import sys
from functools import partial
from itertools import count, islice

from npticket import backend, datasets
from npticket.cli.demos import Journal, arguments, run
from npticket.experiments import announcements
from npticket.experiments.parts import Experiment
from npticket.experiments.recipe import Recipe
from npticket.experiments.workers import Workers, fit_trials, threads_each
from npticket.papers import LIBRARY, PARTS
from npticket.prune import dense_masks
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.tickets import find_tickets, rewind
from npticket.train import fit

RECIPES = {
    "conv2": "conv2-cifar10",
    "conv4": "conv4-cifar10",
    "conv6": "conv6-cifar10",
    "resnet18": "resnet18-{setting}",
    "vgg19": "vgg19-{setting}",
}


def paper_of(args: argparse.Namespace) -> Recipe:
    return LIBRARY.recipes[RECIPES[args.net].format(**vars(args))]


def sizes(args: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Round 0 is the dense network; each other one prunes as much as a round of the paper."""
    paper, deep = paper_of(args), args.net in ("resnet18", "vgg19")
    return {
        "default": {"trials": 1, "rounds": 4, "steps": 3_000 if deep else 3_500},
        "quick": {"trials": 1, "rounds": 2, "steps": {"resnet18": 60, "vgg19": 20}.get(args.net, 100)},
        "paper": {"trials": paper.trials, "rounds": paper.rounds, "steps": paper.steps},
    }


def find_winning_tickets(args: argparse.Namespace, data: datasets.Dataset, journal: Journal) -> None:
    """The four steps of the paper, round after round, with a random reinitialisation as control."""
    asked, rounds, fits = Experiment(journal.recipe, PARTS), count(), {}
    net, prune = asked.net, asked.rule
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

    if args.backend == "numpy":
        print(announcements.time_needed(asked, args.jobs, args.engine, data), flush=True)
    with Workers(partial(fit, net, CLASSIFY, data=data, setting=setting), args.jobs) as workers:
        theta0 = initialise(Place(args.seed, range(args.trials)), "init")  # 1 initialise
        tickets = find_tickets(theta0, dense_masks(theta0), train=train, prune=prune)  # 3 prune, 4 reset, and again
        for round in islice(tickets, args.rounds):
            journal.note(round.index, round.masks, fits)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Winning tickets on CIFAR-10.")
    parser.add_argument("--net", choices=RECIPES, default="conv2", help="(%(default)s)")
    deep = "of resnet18 and vgg19 (%(default)s)"
    parser.add_argument("--setting", choices=("low", "warmup", "high"), default="warmup", help=deep)
    args = arguments(parser, sizes, "runs/{net}-demo", argv)
    return run(args, paper_of(args), partial(find_winning_tickets, args))


if __name__ == "__main__":
    sys.exit(main())
