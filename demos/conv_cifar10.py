"""Find winning tickets in Conv-2, Conv-4 or Conv-6 on CIFAR-10 (Frankle & Carbin, ICLR 2019, section 3).

    python demos/conv_cifar10.py --net conv2            a few rounds of short trainings: under an hour on two cores
    python demos/conv_cifar10.py --net conv2 --quick    minutes, to see it run
    python demos/conv_cifar10.py --net conv2 --paper    the paper's setting: days

Needs CIFAR-10 (162 MB, downloaded if it is not on this machine). Says how long it will take before it starts. Prints
one row per round, the winning ticket beside its control, and writes results.csv, curves.csv and a figure.
"""

import argparse
import sys
from functools import partial

import demo

from npticket import datasets, nets, recipes
from npticket.optimizers import Adam
from npticket.prune import dense_masks, magnitude, prune_layerwise
from npticket.tickets import rewind
from npticket.train import fit
from npticket.workers import Workers

BATCH = 60
VALIDATE_EVERY = 100
NETS = {"conv2": nets.conv_2, "conv4": nets.conv_4, "conv6": nets.conv_6}
LEARNING_RATES = {"conv2": 2e-4, "conv4": 3e-4, "conv6": 3e-4}  # of Adam
PAPER = {"conv2": recipes.CONV_2, "conv4": recipes.CONV_4, "conv6": recipes.CONV_6}


def sizes(args: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Round 0 is the dense network; then convolutions lose 10 % (Conv-6: 15 %) per round, dense layers 20 %."""
    return {
        "default": {"trials": 1, "rounds": 4, "steps": 3_500},
        "quick": {"trials": 1, "rounds": 2, "steps": 100},
        "paper": {"trials": 5, "rounds": 22, "steps": PAPER[args.net].steps},  # down to 1 % (Conv-2) or 2 %
    }


def find_winning_tickets(run: demo.Demo) -> None:
    """The four steps of the paper, round after round, with the random reinitialisation as control."""
    net = run.net
    optimizer = partial(Adam, lr=LEARNING_RATES[run.args.net])
    train = partial(
        fit,
        net,
        data=run.data,
        optimizer=optimizer,
        steps=run.args.steps,
        batch=BATCH,
        validate_every=VALIDATE_EVERY,
        seed=run.args.seed,
        engine=run.args.engine,
    )
    print(f"This will take {run.estimate(optimizer, BATCH, VALIDATE_EVERY)} with {run.args.jobs} processes.")
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
            masks = prune_layerwise(magnitude(ticket.result().end), masks, net.rates)  # 3. prune
        run.note_round(*earlier)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Winning tickets in Conv-2, Conv-4 or Conv-6 on CIFAR-10.")
    parser.add_argument("--net", choices=sorted(NETS), default="conv2", help="(%(default)s)")
    args = demo.parse(parser, sizes, "runs/{net}-demo", argv)
    return demo.run(args, PAPER[args.net], NETS[args.net](), datasets.cifar10, find_winning_tickets)


if __name__ == "__main__":
    sys.exit(main())
