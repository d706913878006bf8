"""Pruning with ties, against a sort of pairs in plain Python."""

import numpy as np

from npticket.params import Params
from npticket.prune import prune_globally, prune_layerwise


def left(scores: list[float], alive: list[bool], rate: float) -> list[bool]:
    """The mask without the round(rate * survivors) lowest scores, of equal ones the first."""
    survivors = [i for i, lives in enumerate(alive) if lives]
    gone = set(sorted(survivors, key=lambda i: (scores[i], i))[: round(rate * len(survivors))])
    return [lives and i not in gone for i, lives in enumerate(alive)]


def prunings(count: int, seed: int = 0) -> str:
    """Prune `count` networks at random rates, layer by layer or globally, whose scores have many ties."""
    rng, off, ties = np.random.default_rng(seed), 0, 0
    for i in range(count):
        layout = {f"{name}/W": tuple(rng.integers(1, 7, 2).tolist()) for name in "abc"[: rng.integers(1, 4)]}
        masks = Params.empty(layout, int(rng.integers(1, 4)), bool)
        scores = Params.empty(layout, masks.trials, np.float32)
        masks.flat[:] = rng.random(masks.flat.shape) < rng.random()
        scores.flat[:] = rng.integers(0, rng.integers(1, 12), scores.flat.shape) * np.float32(rng.choice([0, 1e-45, 1]))
        rate, together = float(rng.choice([0, 0.5, 0.2, 0.25, rng.random() * 0.999])), i % 2 == 0
        rates = dict.fromkeys(layout, rate)
        found = prune_globally(scores, masks, rate, layout) if together else prune_layerwise(scores, masks, rates)
        for t in range(masks.trials):
            groups = [list(layout)] if together else [[name] for name in layout]
            for names in groups:
                flat = [[p[name][t].ravel() for name in names] for p in (scores, masks, found)]
                numbers, alive, there = (np.concatenate(parts).tolist() for parts in flat)
                off += there != left(numbers, alive, rate)
                lowest = sorted(n for n, lives in zip(numbers, alive, strict=True) if lives)
                cut = round(rate * len(lowest))
                ties += 0 < cut < len(lowest) and lowest[cut - 1] == lowest[cut]
    return f"prunings: {off} off, of {count:,} networks ({ties:,} cuts between equal scores)"
