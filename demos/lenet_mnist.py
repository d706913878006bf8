"""Find winning tickets in LeNet-300-100 on MNIST, by iterative magnitude pruning (Frankle & Carbin, ICLR 2019).

    python demos/lenet_mnist.py            2 to 3 minutes on two cores
    python demos/lenet_mnist.py --quick    20 seconds, to see it run
    python demos/lenet_mnist.py --paper    the paper's setting: hours

Prints one row per round, the winning ticket beside its control, and writes results.csv, curves.csv and a figure.
"""

import argparse
import sys
from functools import partial

import demo

from npticket import datasets, recipes
from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets import Net
from npticket.optimizers import Adam
from npticket.prune import dense_masks, magnitude, prune_layerwise
from npticket.tickets import rewind
from npticket.train import fit
from npticket.workers import Workers

LEARNING_RATE = 1.2e-3  # of Adam
BATCH = 60
VALIDATE_EVERY = 100
PRUNING_RATES = {"fc1/W": 0.2, "fc2/W": 0.2, "out/W": 0.1}  # of the survivors, per round

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
    classes=10,
    rates=PRUNING_RATES,
)

SIZES = {  # round 0 is the dense network; round r has about 0.8^r of the weights
    "default": {"trials": 2, "rounds": 12, "steps": 5_000},
    "quick": {"trials": 2, "rounds": 5, "steps": 1_000},
    "paper": {"trials": 5, "rounds": 29, "steps": 50_000},  # down to 0.2 %
}


def find_winning_tickets(run: demo.Demo) -> None:
    """The four steps of the paper, round after round, with the random reinitialisation as control."""
    train = partial(
        fit,
        LENET,
        data=run.data,
        optimizer=partial(Adam, lr=LEARNING_RATE),
        steps=run.args.steps,
        batch=BATCH,
        validate_every=VALIDATE_EVERY,
        seed=run.args.seed,
        engine=run.args.engine,
    )
    run.print_header()
    with Workers(train, run.args.jobs, run.progress.advance) as workers:
        theta0 = run.initialise("init")  # 1. initialise
        masks = dense_masks(theta0)
        earlier = None  # the round before, whose control may still be under way
        for round in range(run.args.rounds):
            ticket = workers.start(rewind(theta0, masks), masks, round)  # 4. reset, and 2. train
            reinit = workers.start(rewind(run.initialise("reinit", round), masks), masks, round)  # the control
            if earlier:
                run.note_round(*earlier)  # it was started before this round, so it is the first to be done
            earlier = (round, masks, ticket, reinit)
            masks = prune_layerwise(magnitude(ticket.result().end), masks, PRUNING_RATES)  # 3. prune
        run.note_round(*earlier)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Winning tickets in LeNet-300-100 on MNIST.")
    args = demo.parse(parser, lambda args: SIZES, "runs/lenet-demo", argv)
    return demo.run(args, recipes.LENET, LENET, datasets.mnist, find_winning_tickets)


if __name__ == "__main__":
    sys.exit(main())
