"""Find winning tickets in a pre-trained encoder, MiniLM-L3, fine-tuned to tell six kinds of questions apart (TREC).

    python demos/bert_trec.py            a third of the fine-tuning, down to half of the weights: some ten minutes
    python demos/bert_trec.py --quick    minutes, to see it run
    python demos/bert_trec.py --paper    all of it: hours

Survivors are reset to what pre-training left (Chen et al. 2020), which is theta0. The control has the same masks over
the same weights, shuffled within each matrix. Also draws words.png, which shows how much each word matters to the whole
encoder and to its ticket. Needs minilm/ and text/trec/ in the folder of --data, or NPTICKET_DATA's, or in the cache.
"""

import argparse
import sys
from dataclasses import replace
from functools import partial
from itertools import count, islice

import numpy as np

from npticket import backend, datasets
from npticket.cli.demos import Journal, arguments, run
from npticket.datasets.texts import spelled
from npticket.experiments import announcements
from npticket.experiments.parts import Experiment
from npticket.experiments.workers import Workers, fit_trials, threads_each
from npticket.layers.attention import softmax
from npticket.nets import Net
from npticket.papers import LIBRARY, PARTS
from npticket.papers.bert_tickets.series import SHUFFLED
from npticket.papers.lottery_ticket.series import TICKET
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.tickets import find_tickets, rewind
from npticket.train import fit

SIZES = {  # round 0 is the dense network; each prunes a tenth of the original weights
    "default": {"trials": 1, "rounds": 6, "steps": 154},
    "quick": {"trials": 1, "rounds": 2, "steps": 10},
    "paper": {"trials": 3, "rounds": 10, "steps": 462},
}
ASKED = "an abbreviation", "a description", "a thing", "a person or group", "a place", "a number"  # by class
LOOKED_AT, DRAWN = 64, 4  # questions of the test set


def find_winning_tickets(args: argparse.Namespace, data: datasets.Dataset, journal: Journal) -> None:
    """The four steps of the paper, round after round, with shuffled weights as control."""
    asked, rounds, fits = Experiment(journal.recipe, PARTS), count(), {}
    net, prune, setting = asked.net, asked.rule, asked.setting(args.engine, threads_each(args.jobs))

    def shuffled(place: Place):
        values = theta0.to(np).copy()
        for t, rng in enumerate(place.rngs("shuffled")):
            for name in prune.scope.names(values):
                rng.shuffle(values[name][t].reshape(-1))
        return values.to(device)

    def train(start, masks):  # 2 train: each ticket, and beside it its control
        here = Place(args.seed, range(args.trials), next(rounds))
        pairs = [(start, masks), (rewind(shuffled(here), masks), masks)]
        both = fit_trials(workers, pairs, here, journal.progress.advance)
        fits.update(zip(journal.recipe.series, both, strict=True))
        return both[0].end

    if args.backend == "numpy":
        print(announcements.time_needed(asked, args.jobs, args.engine, data), flush=True)
    device, ends = backend.load(args.backend), list[Params]()
    with Workers(partial(fit, net, CLASSIFY, data=data, setting=setting), args.jobs) as workers:
        theta0 = net.init(Place(args.seed, range(args.trials)).rngs("init")).to(device)  # 1 initialise: pre-trained
        tickets = find_tickets(theta0, dense_masks(theta0), train=train, prune=prune)  # 3 prune, 4 reset, and again
        for round in islice(tickets, args.rounds):
            journal.note(round.index, round.masks, fits)
            ends = [*ends[:1], round.end.to(np)]
    draw_words(net, {"whole encoder": ends[0], f"ticket, {density(round.masks)[0]:.0%}": ends[-1]}, data, args)


def matters(net: Net, theta: Params, question: np.ndarray, kind: int) -> np.ndarray:
    """How far the probability of the right kind falls if one of a question's pieces is left out, in the first trial."""
    pieces = question[question != 0]
    shown = np.zeros((1, len(pieces) - 1, len(question)), question.dtype)  # the whole question, then without a piece
    shown[0, 0, : len(pieces)] = pieces
    for i in range(1, len(pieces) - 1):
        shown[0, i, : len(pieces) - 1] = np.delete(pieces, i)
    right = softmax(net.predict(theta.trial(0), shown)[0])[:, kind]
    return right[0] - right[1:]


def draw_words(net: Net, ends: dict[str, Params], data: datasets.Dataset, args: argparse.Namespace) -> None:
    """Of some questions, draw those whose words matter most differently to the whole encoder and to its ticket."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    some = data.test.take(np.arange(min(LOOKED_AT, len(data.test))))
    found = [[matters(net, end, *one) for end in ends.values()] for one in zip(some.inputs, some.targets, strict=True)]
    differing = np.argsort([-abs(whole - ticket).max(initial=0) for whole, ticket in found], kind="stable")
    figure = Figure(figsize=(9, 2 * DRAWN), layout="constrained")
    figure.supylabel("points of probability that the right kind loses without a piece of the question", fontsize=9)
    for axes, i in zip(figure.subplots(DRAWN, sharey=True), differing, strict=False):
        pieces = spelled("trec", some.inputs[i][some.inputs[i] != 0][1:-1], args.data)
        for n, (who, values) in enumerate(zip(ends, found[i], strict=True)):
            axes.bar(np.arange(len(pieces)) + 0.4 * n, 100 * values, 0.4, color=("0.5", "#0072b2")[n], label=who)
        axes.set_xticks(np.arange(len(pieces)) + 0.2, pieces)
        axes.set_title(f"asks for {ASKED[some.targets[i]]}", fontsize=9)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, title=net.name)
    figure.savefig(args.out / "words.png")
    print(f"Words that matter: {args.out / 'words.png'}")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Winning tickets in a pre-trained encoder on TREC.")
    args = arguments(parser, lambda args: SIZES, "runs/bert-demo", argv)
    recipe = replace(LIBRARY.recipes["bert-trec"], series=(TICKET, SHUFFLED))
    return run(args, recipe, partial(find_winning_tickets, args))


if __name__ == "__main__":
    sys.exit(main())
