"""The laws of pruning rules, for any score and any scope."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np

from npticket.backend import to_host
from npticket.params import Params
from npticket.prune import Evidence, Globally, Layerwise, Rule, Scope, rates_by_name
from npticket.testing.laws import require, require_same, where

Groups = Sequence[tuple[np.ndarray, float]]  # what is ranked together in a trial's flat array, bool (P,), and its rate


def check_rule(rule: Rule, seen: Evidence, groups: Groups | None = None) -> None:
    """Check that a rule, and so its score and its scope, keeps the laws; call it with what `strategies.evidence` draws.

    The laws: scores are numbers, laid out as the parameters are; masks only shrink; only weights that the scope names
    are pruned; what is given is not written to, and the new masks have memory of their own; doing it again gives the
    same; trial t among others is pruned as trial t alone. And in each of `groups` exactly round(rate x survivors) are
    pruned, the lowest first, and the first among equals, as by `prune_one_by_one`. The groups of Layerwise and Globally
    are known; for another scope that ranks single weights, give them; for one that ranks something else, as ByUnits,
    there are none. Raises AssertionError naming law, parameter and trial.
    """
    masks, copies = seen.masks, deepcopy(seen)
    found = rule.judge(deepcopy(seen))
    given = deepcopy(seen)
    scores = rule.score(given)
    again = rule.scope(scores, given.masks)
    _check_untouched(given, copies, again)
    _check_scores(scores, masks, rule.scope)
    require_same("the same goes again", again, found)
    touched = rule.scope.names(masks)
    for name in masks:
        for t in range(masks.trials):
            before, after = to_host(masks[name][t]), to_host(found[name][t])
            require("masks only shrink", before | ~after, where(name, t), before=before, after=after)
            spared = (before == after) | (name in touched and name in masks.weights)
            require("only weights that the scope names go", spared, where(name, t), before=before, after=after)
    for t in range(masks.trials):
        alone = rule.judge(_of_trial(deepcopy(seen), t))
        require_same("trial t among others is trial t alone", found.trial(t), alone, f"of trial {t} among others")
    groups = _known_groups(rule.scope, masks) if groups is None else groups
    for t in range(masks.trials):
        expected = masks.trial(t).copy()
        for inside, rate in groups:
            alive = to_host(masks.flat[t])[inside]
            expected.flat[0][inside] = prune_one_by_one(to_host(scores.flat[t])[inside], alive, rate)
        law = "exactly round(rate x survivors) go, the lowest, the first among equals"
        for name in touched if groups else ():
            shown = {"scores": scores[name][t], "before": masks[name][t], "after": found[name][t]}
            require(law, to_host(found[name][t]) == expected[name][0], where(name, t), **shown)


def prune_one_by_one(scores: np.ndarray, alive: np.ndarray, rate: float) -> np.ndarray:
    """Return the new mask after removing the lowest survivor, the first among equals, again and again. Vectors (N,).

    It is slow, and so plain that other ways to prune can be compared with it.
    """
    alive = alive.copy()
    for _ in range(round(rate * int(alive.sum()))):
        lowest = min((i for i in range(len(scores)) if alive[i]), key=lambda i: (scores[i], i))
        alive[lowest] = False
    return alive


def positions(params: Params, names: Iterable[str]) -> np.ndarray:
    """Return where the parameters in `names` stand in a trial's flat array, bool (P,), to make `groups` from."""
    inside = params.like(np.zeros((1, params.flat.shape[1]), bool))
    for name in names:
        inside[name][...] = True
    return inside.flat[0]


def _known_groups(scope: Scope, params: Params) -> Groups:
    if not isinstance(scope, Layerwise) or type(scope) not in (Layerwise, Globally):  # a derived one may do otherwise
        return []
    rates = rates_by_name(scope.rates, params)
    if type(scope) is Layerwise:
        return [(positions(params, [name]), rate) for name, rate in rates.items()]
    return [(positions(params, rates), max(rates.values()))] if rates else []


def _check_untouched(given: Evidence, copies: Evidence, found: Params) -> None:
    for what in ("end", "masks", "start", "theta0"):
        if getattr(copies, what) is not None:
            require_same(f"a rule does not write to {what}", getattr(given, what), getattr(copies, what))
    shared = np.shares_memory(to_host(found.flat), to_host(given.masks.flat))
    require("new masks have memory of their own", not shared, "masks")


def _check_scores(scores: Params, masks: Params, scope: Scope) -> None:
    said = f"scores of shape {scores.flat.shape} for {', '.join(scores)}"
    laid_out = list(scores.shapes.items()) == list(masks.shapes.items()) and scores.trials == masks.trials
    require("scores are laid out as the parameters are", laid_out, said)
    for name in scope.names(masks):
        for t in range(masks.trials):
            numbers = ~np.isnan(to_host(scores[name][t]))
            require("scores are numbers", numbers, where(name, t), scores=scores[name][t])


def _of_trial(seen: Evidence, t: int) -> Evidence:
    """The evidence of trial t alone."""
    parts = {what: getattr(seen, what) for what in ("end", "masks", "start", "theta0")}
    one = {what: part.trial(t) for what, part in parts.items() if part is not None}
    return replace(seen, **one, rngs=seen.rngs[t : t + 1])
