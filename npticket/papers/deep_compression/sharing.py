"""Weight sharing (Han, Mao & Dally 2016, section 3): k-means in each layer, and training of the values that are left.

Weights share a value if they are the same number; which do is settled before training. The gradient of a shared value
is the sum of those of its weights (section 3).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from npticket.optimizers import Schedule, constant
from npticket.params import Params
from npticket.protocols import State

Start = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]  # of sorted values (N,), k of them to begin with


def linear(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """As far from each other, from the lowest value to the highest."""
    return np.linspace(values[0], values[-1], k)


def density(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """With as many values between each two: the inverse of the cumulative distribution at equal distances."""
    return values[((np.arange(k) + 0.5) * len(values) / k).astype(int)]


def forgy(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Some of the values, at random."""
    return np.sort(rng.choice(values, k, replace=False))


STARTS: dict[str, Start] = {"linear": linear, "density": density, "random": forgy}


def k_means(values: np.ndarray, centroids: np.ndarray, most: int = 300) -> np.ndarray:
    """Return the centroids (k,) that Lloyd's algorithm finds for values (N,) from `centroids` (k,), rising.

    In one dimension clusters are stretches of the sorted values, whose ends lie halfway between centroids. A centroid
    without values stays where it is. It ends when nothing moves, or after the `most` steps.
    """
    values = np.sort(values.astype(np.float64))
    sums, centroids = np.append(0, np.cumsum(values)), centroids.astype(np.float64)
    for _ in range(most):
        ends = np.concatenate([[0], np.searchsorted(values, _halfway(centroids)), [len(values)]])
        counts = np.diff(ends)
        moved = np.where(counts > 0, np.diff(sums[ends]) / np.maximum(counts, 1), centroids)
        if (moved == centroids).all():
            break
        centroids = moved
    return centroids


def nearest(values: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return of each value (N,) the centroid that is nearest, the upper one of two; `centroids` (k,) rise."""
    return centroids[np.searchsorted(_halfway(centroids), values, side="right")]


def _halfway(centroids: np.ndarray) -> np.ndarray:
    return (centroids[1:] + centroids[:-1]) / 2


def share(
    theta: Params, masks: Params, bits: Mapping[str, int], rngs: Sequence[np.random.Generator], start: Start = linear
) -> Params:
    """Return parameters whose survivors, in each layer named in `bits`, have at most 2^bits values, never 0.

    Where weights were pruned it is one less, as one code stands for 0: with 1 bit all survivors are the same.
    """
    shared = theta.copy()
    for t, rng in enumerate(rngs):
        for name, width in bits.items():
            alive = masks[name][t]
            values = theta[name][t][alive]
            k = min((1 << width) - (not alive.all()), len(values))
            if k:
                centroids = k_means(values, start(np.sort(values.astype(np.float64)), k, rng))
                found = nearest(values, centroids).astype(theta.flat.dtype)
                shared[name][t][alive] = np.where(found == 0, np.finfo(theta.flat.dtype).tiny, found)
    return shared


class SharedSGD:
    """c <- c - lr sum of dL/dw over the weights w of a layer that share c.     Biases move by their own gradients.

    Along its own direction a value that n weights share goes n times as far as SGD would take it. So the rate of a
    layer is `lr` divided by its largest n: there it is SGD's. What shares a value at the first step does so ever after.
    """

    elementwise, decays = False, True  # what shares a value moves with it, with a gradient of its own or not

    def __init__(self, masks: Params, lr: float | Schedule) -> None:
        self.schedule = lr if callable(lr) else constant(lr)
        self.steps, self._masks = 0, masks
        self._groups: np.ndarray | None = None
        self._members: list[tuple[str, int, np.ndarray, np.ndarray]] = []

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place."""
        if self._groups is None:
            self._groups = tied(theta, self._masks)
        self._members = self._members or list(_members(theta.like(self._groups)))
        for name, t, places, groups in self._members:
            p, g = theta[name][t].reshape(-1), grads[name][t].reshape(-1)
            rate = self.schedule(self.steps) / np.bincount(groups).max()
            p[places] -= (rate * np.bincount(groups, g[places])).astype(p.dtype)[groups]
        self.steps += 1

    def state(self) -> State:
        """Return "steps" (T,), and "groups" (T, P): see `tied`."""
        return {"steps": np.full(self._masks.trials, self.steps), "groups": self._groups}

    def restore(self, state: State) -> None:
        """Go on where the optimizer was that gave this state."""
        self.steps, self._groups = int(state["steps"][0]), state["groups"].copy()


def tied(theta: Params, masks: Params) -> np.ndarray:
    """Return the number, from 1 on in each layer, of the value that a parameter shares, (T, P); 0 where none moves.

    Weights of a layer that are the same share a value; of biases and the like each has its own.
    """
    groups = theta.like(np.zeros(theta.flat.shape, int))
    for t in range(theta.trials):
        for name in theta:
            if name not in theta.buffers:
                alive = masks[name][t]
                group = np.arange(alive.sum())
                if name in theta.weights:
                    group = np.unique(theta[name][t][alive], return_inverse=True)[1]
                groups[name][t][alive] = 1 + group
    return groups.flat


def _members(groups: Params) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Each array that moves, of each trial: its name, the trial, which of its elements move (M,), and their groups."""
    for t in range(groups.trials):
        for name in groups:
            flat = groups[name][t].ravel()
            if (places := np.flatnonzero(flat)).size:
                yield name, t, places, flat[places] - 1
