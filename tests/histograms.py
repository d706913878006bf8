"""Histograms of tickets' weights in two worlds: all is as the paper says, or nothing is."""

from npticket.papers.lottery_ticket.weights import (
    INCOMING,
    INITIAL,
    MOVED,
    OTHERS,
    OUTGOING,
    ROUNDS,
)

# A world in which all is as the paper says, and one in which nothing is: counts by value, per recipe, layer and kind.
ONE_GROUP = {-1.25: 1, -0.75: 3, -0.25: 6, 0.25: 6, 0.75: 3, 1.25: 1}
BELOW, ABOVE = {-1.25: 9, -0.75: 5, 0.25: 1, 0.75: 2, 1.25: 3}, {-1.25: 3, -0.75: 2, 0.25: 1, 0.75: 5, 1.25: 9}
MORE_BELOW, MORE_ABOVE = {**ONE_GROUP, -0.25: 9}, {**ONE_GROUP, 0.25: 9}
FAR, NEAR = {-0.5: 1, 1.5: 9}, {-0.75: 8, 0.25: 2}
EVEN, TWO_PEAKS, MANY = {0.15: 5, 0.17: 9, 0.19: 5}, {0.02: 2, 0.19: 8, 0.2: 8}, {0.01: 9, 0.1: 1, 0.5: 1}


def world(initial, moved, others, incoming, outgoing):
    found = {(INITIAL, layer): values for layer, values in zip(("fc1/W", "fc2/W", "out/W"), initial, strict=True)}
    others = {MOVED: moved, OTHERS: others, INCOMING: incoming, OUTGOING: outgoing}
    return found | {(what, layer): values for what, values in others.items() for _, layer in found}


WORLDS = {
    "paper": {
        "lenet-mnist": world((ONE_GROUP, ABOVE, BELOW), FAR, NEAR, EVEN, TWO_PEAKS),
        "lenet-inits-sgd": world((BELOW, ABOVE, ABOVE), FAR, NEAR, EVEN, EVEN),
    },
    "uneven": {
        "lenet-mnist": world((BELOW, MORE_BELOW, MORE_ABOVE), NEAR, FAR, MANY, {**EVEN, 0.4: 3}),
        "lenet-inits-sgd": world((MORE_ABOVE, MORE_BELOW, MORE_BELOW), NEAR, FAR, MANY, MANY),
    },
}


def made_up(name, recipe, trials=3):
    """The table of such a world; there is none where it says nothing of the recipe."""
    table = []
    for (what, layer), values in WORLDS.get(name, {}).get(recipe, {}).items():
        for round in ROUNDS:
            dense = {(INITIAL, round): ONE_GROUP}.get((what, 0), values)
            rows = (dense if round == 0 else values).items()
            table += [
                {"trial": t, "round": round, "what": what, "layer": layer, "low": v - 0.25, "high": v + 0.25,
                 "count": count, "mean": v}
                for t in range(trials) for v, count in rows
            ]  # fmt: skip
    return {"weights": table} if table else {}
