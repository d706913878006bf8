"""Tickets of a backbone, found by classification, used for detection (Girish et al. 2021, section 4.2, Tables 1, 2).

A trained ticket, masks and weights, becomes part of a detector with a new last layer. It is compared, with the same
minibatches, with three others: the whole trained backbone; the trained backbone under masks found by one-shot pruning
of that first detector after its training ("direct"; the paper finds this better than iterative pruning); and under
random masks with as many weights in each layer as the ticket.
"""

from functools import partial

from npticket.experiments.parts import BUILT_IN, Experiment, load_data, merged
from npticket.experiments.planning import require
from npticket.experiments.recipe import Recipe, scaled
from npticket.experiments.series import At, Done, Measure, Runs
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.draws import scattered
from npticket.papers.lottery_ticket.series import TICKET
from npticket.papers.object_recognition.recipes import CELLS_160, NEEDED, TRANSFER
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.record import Fit
from npticket.streams import Place
from npticket.tickets import rewind
from npticket.train import fit

ROUNDS = (1, 3)  # 58.5 and 20 % of the weights
LAST = "out/"  # the layer that is new
MASKS = "all", "direct", "ticket", "random"


def to_detection(recipe: Recipe) -> Runs:
    """Measure detectors with trained backbones, at two densities; they take fewer steps if the backbones do."""
    require(recipe, net=("detector_backbone",))
    cells = scaled(CELLS_160, max(1, CELLS_160.steps * recipe.steps // TRANSFER.steps))
    whole = (yield Done(TICKET, 0))["end"]
    for round in (round for round in ROUNDS if round < recipe.rounds):
        left = yield Done(TICKET, round)
        given = {"whole": whole, "masks": left["masks"], "end": left["end"]}
        yield Measure(round, partial(carried, recipe=cells), given, [cells] * len(MASKS))


def carried(at: At, recipe: Recipe) -> list[Row]:
    """Return a row for each kind of mask: the average precision of a detector after its training by a recipe."""
    there, data = Experiment(recipe, merged(BUILT_IN, NEEDED)), load_data(recipe, NEEDED)
    place = Place(int(at.rngs[0].integers(2**31)))  # all start alike, and see the same minibatches
    new = there.net.init(place.rngs("init"))
    whole_backbone, ticket = taken_over(at.given["whole"], new), taken_over(at.end, new)

    def trained(masks: Params, theta: Params = whole_backbone) -> Fit:
        return fit(there.net, there.task, rewind(theta, masks), masks, data, there.setting(at.engine), place)

    masks = dense_masks(new)
    whole = trained(masks)
    for _ in range(at.round):
        masks = there.rule(whole.end, masks)
    theirs = partial(taken_over, into=dense_masks(new))
    fits = whole, trained(masks), trained(theirs(at.masks), ticket), trained(theirs(scattered(at)))
    return [
        {"masks": name, **{of: float(found[f"final_test_{of}"][0]) for of in ("ap", "ap50")}}
        for name, found in zip(MASKS, fits, strict=True)
    ]


def taken_over(theirs: Params, into: Params) -> Params:
    """Return parameters, or masks, of a detector: `theirs`, of the backbone, except for the last layer from `into`."""
    found = into.copy()
    for name in found:
        if not name.startswith(LAST):
            found[name][...] = theirs[name]
    return found
