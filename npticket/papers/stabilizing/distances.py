"""Two distances between the ends of training runs, which show why rewinding is needed (Frankle et al. 2019, Figure 3).

A subnetwork is stable to pruning if, trained alone, it ends near the values that its weights have at the end of the
dense network's training, from the same step with the same minibatches. It is stable to data order if it ends near the
same values with other minibatches. For data order, two copies are compared, as in the paper on linear mode
connectivity.
"""

from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At, Done, Measure, Run, Runs, Series, rewind_point
from npticket.experiments.tables import Row
from npticket.papers.lottery_ticket.measures import apart, rounds_near
from npticket.papers.lottery_ticket.series import ticket
from npticket.tickets import rewind

DENSITIES = (0.512, 0.168, 0.107, 0.022)  # at some of these there are two copies
COPY, RANDOM = "ticket_order_1", "mask_order_1"
ORDER = {COPY: "ticket_path", RANDOM: "mask_path"}  # tables with the distance between two copies
PRUNING = "pruning_distance"  # the table with the distance to the dense network


def _rounds(recipe: Recipe) -> list[int]:
    return [round for round in rounds_near(recipe, DENSITIES) if round]


def dense_in_order(recipe: Recipe) -> Runs:
    """Train the dense network with the minibatches of each round's first copies, as these differ by round."""
    point = yield from rewind_point(recipe)
    for round in _rounds(recipe):
        yield Run(round, ticket, point, first_step=recipe.rewind_step, order=1)


def pruning_distances(recipe: Recipe) -> Runs:
    """Measure how far subnetworks, trained alone, end from the values of their weights in the dense network."""
    for round in _rounds(recipe):
        dense = yield Done("dense_in_order", round)
        one, other = (yield Done(COPY, round)), (yield Done(RANDOM, round))
        given = {"masks": one["masks"], COPY: one["end"], RANDOM: other["end"], "random_masks": other["masks"]}
        yield Measure(round, stability, {**given, "dense": dense["end"]})


def stability(at: At) -> list[Row]:
    """Return a row for the ticket and one for the random subnetwork: distance (L2) and angle (degrees) to the dense."""
    masks = {COPY: at.masks, RANDOM: at.given["random_masks"]}
    found = {name: apart(at.given[name], rewind(at.given["dense"], of)) for name, of in masks.items()}
    return [{"of": name, "distance": distance, "angle": angle} for name, (distance, angle) in found.items()]


OWN = {name: Series(runs) for name, runs in {"dense_in_order": dense_in_order, PRUNING: pruning_distances}.items()}
# Both papers on stability need two copies, so these series are of linear_mode, taken by name as any part of a recipe.
SERIES = (COPY, "ticket_order_2", RANDOM, "mask_order_2", *ORDER.values(), *OWN)
