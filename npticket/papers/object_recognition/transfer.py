"""Tickets of a backbone that tells images apart, taken to detection (Girish et al. 2021, section 4.2, Tables 1 and 2).

The backbone's masks and its weights at the rewind point go to a detector with a new last layer. Beside them, from the
same weights and in the same minibatches: all weights; masks found on the spot, by pruning what these came to at one go,
which the paper finds no worse than round by round; and random ones of as many weights in each layer.
"""

from functools import partial

from npticket.experiments.parts import BUILT_IN, Experiment, load_data, merged
from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Measure, Runs, rewind_point
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.series import TICKET, scattered
from npticket.papers.object_recognition.recipes import CELLS_160, NEEDED
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.record import Fit
from npticket.streams import Place
from npticket.tickets import rewind
from npticket.train import fit

ROUNDS = (1, 3)  # 58.5 and 20 % of the weights
LAST = "out/"  # the layer that is new


def to_detection(recipe: Recipe) -> Runs:
    """Take masks and weights to detection, at two densities."""
    point = yield from rewind_point(recipe)
    for round in (round for round in ROUNDS if round < recipe.rounds):
        left = yield Done(TICKET, round - 1)
        yield Measure(round, carried, {"masks": left["next_masks"], **point})


def carried(at: At) -> list[Row]:
    """Return the average precision of a detector with each mask, after its training."""
    there, data = Experiment(CELLS_160, merged(BUILT_IN, NEEDED)), load_data(CELLS_160, NEEDED)
    place = Place(int(at.rngs[0].integers(2**31)))  # all start alike, and see the same minibatches
    theta0 = taken_over(at.theta0, there.net.init(place.rngs("init")))

    def trained(masks: Params) -> Fit:
        return fit(there.net, there.task, rewind(theta0, masks), masks, data, there.setting("fast"), place)

    masks = dense_masks(theta0)
    whole = trained(masks)
    for _ in range(at.round):
        masks = there.rule(whole.end, masks)
    theirs = partial(taken_over, into=dense_masks(theta0))
    fits = {"all": whole, "direct": trained(masks), "ticket": trained(theirs(at.masks)),
            "random": trained(theirs(scattered(at)))}  # fmt: skip
    return [
        {"masks": name, **{of: float(found[f"final_test_{of}"][0]) for of in ("ap", "ap50")}}
        for name, found in fits.items()
    ]


def taken_over(theirs: Params, into: Params) -> Params:
    """Return the detector's parameters, or masks, with those of the backbone, but for the last layer's."""
    found = into.copy()
    for name in found:
        if not name.startswith(LAST):
            found[name][...] = theirs[name]
    return found
