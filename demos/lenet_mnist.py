"""Find winning tickets in LeNet-300-100 on MNIST, by iterative magnitude pruning (Frankle & Carbin, ICLR 2019).

    python demos/lenet_mnist.py            2 to 3 minutes on two cores
    python demos/lenet_mnist.py --quick    15 seconds, to see it run
    python demos/lenet_mnist.py --paper    the paper's setting: hours

Prints one row per round, the winning ticket beside its control, and writes results.csv, curves.csv and figures.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from itertools import count, islice

from npticket import backend, datasets
from npticket.cli.demos import Journal, arguments, run
from npticket.experiments.recipe import Part
from npticket.experiments.workers import Workers, fit_trials
from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets import Net
from npticket.optimizers import Adam
from npticket.papers import LIBRARY
from npticket.prune import Layerwise, Rule, dense_masks, magnitude
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.tickets import find_tickets, rewind
from npticket.train import Setting, fit

LENET = Net(
    name="LeNet-300-100",
    body=Chain(
        flatten=Flatten(),
        fc1=Dense(784, 300),
        relu1=ReLU(),
        fc2=Dense(300, 100),
        relu2=ReLU(),
        out=Dense(100, 10),
    ),
    input_shape=(28, 28),
    output_shape=(10,),
)
PRUNING_RATES = {"fc*/W": 0.2, "out/W": 0.1}  # of the survivors, per round
LEARNING_RATE = 1.2e-3  # of Adam

SIZES = {  # round 0 is the dense network; round r has about 0.8^r of the weights
    "default": {"trials": 2, "rounds": 12, "steps": 6_000},
    "quick": {"trials": 2, "rounds": 5, "steps": 500},
    "paper": {"trials": 5, "rounds": 29, "steps": 50_000},  # down to 0.2 %
}


def find_winning_tickets(args: argparse.Namespace, data: datasets.Dataset, journal: Journal) -> None:
    """The four steps of the paper, round after round, with a random reinitialisation as control."""
    recipe = journal.recipe
    setting = Setting(
        partial(Adam, lr=LEARNING_RATE), args.steps, recipe.batch, recipe.validate_every, engine=args.engine
    )
    place, rounds, fits = Place(args.seed, range(args.trials)), count(), {}

    def initialise(place: Place, purpose: str):
        theta = LENET.init(place.rngs(purpose))
        return theta.to(backend.load(args.backend))

    def train(start, masks):  # 2 train: each ticket, and beside it its control
        here = Place(args.seed, range(args.trials), next(rounds))
        reinit = rewind(initialise(here, "reinit"), masks)
        both = fit_trials(workers, [(start, masks), (reinit, masks)], here, journal.progress.advance)
        fits.update(zip(recipe.series, both, strict=True))
        return both[0].end

    prune = Rule(magnitude, Layerwise(PRUNING_RATES))  # 3 prune the smallest weights
    with Workers(partial(fit, LENET, CLASSIFY, data=data, setting=setting), args.jobs) as workers:
        theta0 = initialise(place, "init")  # 1 initialise
        tickets = find_tickets(theta0, dense_masks(theta0), train=train, prune=prune)  # 4 reset, and again
        for round in islice(tickets, args.rounds):
            journal.note(round.index, round.masks, fits)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Winning tickets in LeNet-300-100 on MNIST.")
    args = arguments(parser, lambda args: SIZES, "runs/lenet-demo", argv)
    adam, pruning = Part("adam", lr=LEARNING_RATE), Part("magnitude", rates=PRUNING_RATES)
    recipe = replace(LIBRARY.recipes["lenet-mnist"], optimizer=adam, prune=pruning)  # for recipe.json
    return run(args, recipe, partial(find_winning_tickets, args))


if __name__ == "__main__":
    sys.exit(main())
