"""Find winning tickets in VGG-19 on CIFAR-10 (Frankle & Carbin, ICLR 2019, section 4, Figure 7).

    python demos/vgg19_cifar10.py            a few rounds of short trainings: half a day on two cores
    python demos/vgg19_cifar10.py --quick    minutes, to see it run
    python demos/vgg19_cifar10.py --paper    the paper's setting: a year

The paper finds tickets at the usual high learning rate with warm-up, none without it, and at a low one subnetworks that
come close: see for yourself with --setting warmup, high or low. With fewer than 112,480 steps, warm-up and drops of
the learning rate come earlier in proportion. Needs CIFAR-10 (162 MB, downloaded if it is not on this machine).
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

BATCH = 64
VALIDATE_EVERY = 500
LEARNING_RATES = {"low": 0.01, "warmup": 0.1, "high": 0.1}
PAPER = {"low": recipes.VGG_19_LOW, "warmup": recipes.VGG_19_WARMUP, "high": recipes.VGG_19_HIGH}
RATE = 0.2  # of all convolutions' survivors together, per round

SIZES = {
    "default": {"trials": 1, "rounds": 4, "steps": 3_000},
    "quick": {"trials": 1, "rounds": 2, "steps": 20},
    "paper": {"trials": 5, "rounds": 31, "steps": 112_480},  # down to 0.1 %
}


def schedule(setting: str, steps: int) -> Schedule:
    """A tenth from half of the steps on, a hundredth from three quarters; warm-up over 10,000 of 112,480, if any."""
    lr = LEARNING_RATES[setting]
    drops = step_drops(lr, {steps // 2: lr / 10, steps * 3 // 4: lr / 100})
    return linear_warmup(drops, max(1, steps * 10_000 // 112_480)) if setting == "warmup" else drops


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
    parser = argparse.ArgumentParser(description="Winning tickets in VGG-19 on CIFAR-10.")
    parser.add_argument("--setting", choices=LEARNING_RATES, default="warmup", help="learning rate (%(default)s)")
    args = demo.parse(parser, lambda args: SIZES, "runs/vgg19-demo-{setting}", argv)
    paper = PAPER[args.setting]
    return demo.run(args, paper, nets.vgg_19(), datasets.cifar10, find_winning_tickets)


if __name__ == "__main__":
    sys.exit(main())
