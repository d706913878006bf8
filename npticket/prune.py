"""Which weights go: scores (what is small) times scopes (among whom), with exact counts.

`prune_layerwise(magnitude(end), masks, {"fc1/W": 0.2, "out/W": 0.1})` is the rule of Frankle & Carbin 2019, section 2:
each layer loses that fraction of its survivors. Of n survivors exactly round(rate * n) go, no matter how many are tied;
among equals the first in index order go. Ranking is done per trial, on the host.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from npticket.backend import array_module, to_device, to_host
from npticket.params import Params


def dense_masks(theta: Params) -> Params:
    """Masks under which everything survives."""
    return theta.like(array_module(theta.flat).ones(theta.flat.shape, bool))


def density(masks: Params) -> np.ndarray:
    """Fraction of the weights that survive, per trial (T,): the paper's P_m. Biases are not counted."""
    alive = sum(to_host(masks[name].reshape(masks.trials, -1).sum(axis=1)) for name in masks.weights)
    return alive / sum(masks[name][0].size for name in masks.weights)


def magnitude(params: Params) -> Params:
    """Score every parameter by its absolute value."""
    return params.like(abs(params.flat))


def random_scores(params: Params, rngs: Sequence[np.random.Generator]) -> Params:
    """Score every parameter at random, by one generator per trial; pruning by it gives random masks."""
    draws = np.stack([rng.random(params.flat.shape[1]) for rng in rngs])
    return params.like(to_device(draws, array_module(params.flat)))


def prune_layerwise(scores: Params, masks: Params, rates: Mapping[str, float]) -> Params:
    """Return new masks: each parameter named in `rates` loses that fraction of its lowest-scored survivors."""
    for name, rate in rates.items():
        _check(scores, masks, [name], rate)
    pruned = masks.like(to_host(masks.flat).copy())
    for t in range(masks.trials):
        for name, rate in rates.items():
            pruned[name][t] = _drop_lowest(to_host(scores[name][t]), pruned[name][t], rate)
    return masks.like(to_device(pruned.flat, array_module(masks.flat)))


def prune_globally(scores: Params, masks: Params, rate: float, names: Iterable[str]) -> Params:
    """Return new masks: the parameters in `names`, ranked together, lose that fraction of their survivors.

    Parameters that are not named are left alone (Frankle & Carbin 2019, section 4: output layer, shortcuts).
    """
    names = list(dict.fromkeys(names))
    if not names:
        raise ValueError("global pruning needs at least one parameter name")
    _check(scores, masks, names, rate)
    pruned = masks.like(to_host(masks.flat).copy())
    for t in range(masks.trials):
        together = np.concatenate([to_host(scores[name][t]).ravel() for name in names])
        alive = np.concatenate([pruned[name][t].ravel() for name in names])
        kept = _drop_lowest(together, alive, rate)
        for name, part in zip(names, np.split(kept, np.cumsum([pruned[n][t].size for n in names])[:-1]), strict=True):
            pruned[name][t] = part.reshape(pruned[name][t].shape)
    return masks.like(to_device(pruned.flat, array_module(masks.flat)))


def _drop_lowest(scores: np.ndarray, alive: np.ndarray, rate: float) -> np.ndarray:
    """Return `alive` without its round(rate * survivors) lowest-scored entries; a stable sort settles ties."""
    survivors = np.flatnonzero(alive)
    order = np.argsort(scores.ravel()[survivors], kind="stable")
    kept = alive.copy()
    kept.ravel()[survivors[order[: round(rate * len(survivors))]]] = False
    return kept


def _check(scores: Params, masks: Params, names: Sequence[str], rate: float) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"a pruning rate is a fraction of the survivors in [0, 1), got {rate} for {', '.join(names)}")
    for name in names:
        if scores[name].shape != masks[name].shape:
            raise ValueError(f"{name}: the scores have shape {scores[name].shape}, the masks {masks[name].shape}")
        if masks[name].dtype != bool:
            raise TypeError(f"masks[{name!r}] has dtype {masks[name].dtype}, expected bool")
        if array_module(scores[name]).isnan(scores[name]).any():
            raise ValueError(f"{name} has scores that are not a number: did the training run diverge?")
