"""Find winning tickets in Resnet-18, the 20-layer one, on CIFAR-10 (Frankle & Carbin, ICLR 2019, section 4, Figure 8).

    python demos/resnet18_cifar10.py            a few rounds of short trainings: hours on two cores
    python demos/resnet18_cifar10.py --quick    minutes, to see it run
    python demos/resnet18_cifar10.py --paper    the paper's setting: weeks

The paper finds tickets at a low learning rate, or at a higher one with warm-up, and none at the usual high one: see
for yourself with --setting low, warmup or high. With fewer than 30,000 steps, warm-up and drops of the learning rate
come earlier in proportion. Needs CIFAR-10 (162 MB, downloaded if it is not on this machine).
"""

import argparse
import sys
from functools import partial

import demo

from npticket import datasets, nets, recipes
from npticket.optimizers import SGD, Schedule, linear_warmup, step_drops
from npticket.prune import dense_masks, magnitude, prune_globally
from npticket.tickets import rewind
from npticket.train import fit
from npticket.workers import Workers

BATCH = 128
VALIDATE_EVERY = 500
LEARNING_RATES = {"low": 0.01, "warmup": 0.03, "high": 0.1}
PAPER = {"low": recipes.RESNET_18_LOW, "warmup": recipes.RESNET_18_WARMUP, "high": recipes.RESNET_18_HIGH}
RATE = 0.2  # of all convolutions' survivors together, per round

SIZES = {
    "default": {"trials": 1, "rounds": 4, "steps": 3_000},
    "quick": {"trials": 1, "rounds": 2, "steps": 60},
    "paper": {"trials": 5, "rounds": 21, "steps": 30_000},  # down to 2 %
}


def schedule(setting: str, steps: int) -> Schedule:
    """A tenth from 20,000 and a hundredth from 25,000 of 30,000 steps on; warm-up, if any, over the first 20,000."""
    lr = LEARNING_RATES[setting]
    drops = step_drops(lr, {steps * 20 // 30: lr / 10, steps * 25 // 30: lr / 100})
    return linear_warmup(drops, max(1, steps * 20 // 30)) if setting == "warmup" else drops


def find_winning_tickets(run: demo.Demo) -> None:
    """The four steps of the paper, round after round, with the random reinitialisation as control."""
    net = run.net
    lr = schedule(run.args.setting, run.args.steps)
    optimizer = partial(SGD, lr=lr, momentum=0.9, weight_decay=1e-4)
    train = partial(
        fit,
        net,
        data=run.data,
        optimizer=optimizer,
        steps=run.args.steps,
        batch=BATCH,
        validate_every=VALIDATE_EVERY,
        test_at=run.recipe.test_at,
        augment=datasets.FlipAndCrop.draw,
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
            masks = prune_globally(magnitude(ticket.result().end), masks, RATE, net.rates)  # 3. prune
        run.note_round(*earlier)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Winning tickets in Resnet-18 on CIFAR-10.")
    parser.add_argument("--setting", choices=LEARNING_RATES, default="warmup", help="learning rate (%(default)s)")
    args = demo.parse(parser, lambda args: SIZES, "runs/resnet18-demo-{setting}", argv)
    paper = PAPER[args.setting]
    return demo.run(args, paper, nets.resnet_18(), datasets.cifar10, find_winning_tickets)


if __name__ == "__main__":
    sys.exit(main())
