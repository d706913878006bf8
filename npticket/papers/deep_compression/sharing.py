"""Weight sharing (Han, Mao & Dally 2016, section 3): k-means in each layer, and training of the shared values.

Weights share a value if they are equal when training begins, and share it ever after. The gradient of a shared value is
the sum of those of its weights (section 3).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from npticket.optimizers import Schedule, constant
from npticket.optimizers.schedules import rate_at
from npticket.params import Params
from npticket.protocols import State

Start = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]  # sorted values (N,), k -> centroids (k,)


def linear(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k centroids at equal distances from the lowest value to the highest."""
    return np.linspace(values[0], values[-1], k)


def density(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k centroids with equally many values between each two: quantiles at equal distances."""
    return values[((np.arange(k) + 0.5) * len(values) / k).astype(int)]


def forgy(values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return k of the values, drawn at random (Forgy's start)."""
    return np.sort(rng.choice(values, k, replace=False))


STARTS: dict[str, Start] = {"linear": linear, "density": density, "random": forgy}


def k_means(values: np.ndarray, centroids: np.ndarray, most: int = 300) -> np.ndarray:
    """Return the centroids (k,) that Lloyd's algorithm finds for values (N,) from `centroids` (k,), which must ascend.

    In one dimension a cluster is an interval of the sorted values, from halfway to the centroid below to halfway to the
    one above. A centroid without values stays where it is. It ends when no centroid moves, or after `most` steps.
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
    """Return for each value (N,) the nearest of the ascending `centroids` (k,), the upper of two equally near."""
    return centroids[np.searchsorted(_halfway(centroids), values, side="right")]


def _halfway(centroids: np.ndarray) -> np.ndarray:
    return (centroids[1:] + centroids[:-1]) / 2


def share(
    theta: Params, masks: Params, bits: Mapping[str, int], rngs: Sequence[np.random.Generator], start: Start = linear
) -> Params:
    """Return parameters whose survivors, in each layer named in `bits`, have at most 2^bits different values, never 0.

    In a layer with pruned weights it is one value less, as one code stands for 0 (a filler): with 1 bit all survivors
    are equal.
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

    As gradients add up, a value that n weights share moves n times as far as the mean of its weights would by SGD. So
    the learning rate of a layer is `lr` divided by its largest n. Weights that share a value at the first step do so
    ever after.
    """

    elementwise, decays = False, True  # a weight moves with its value even if its own gradient is 0

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
            rate = rate_at(self.schedule, self.steps) / np.bincount(groups).max()
            p[places] -= (rate * np.bincount(groups, g[places])).astype(p.dtype)[groups]
        self.steps += 1

    def state(self) -> State:
        """Return "steps" (T,), and "groups" (T, P): see `tied`."""
        return {"steps": np.full(self._masks.trials, self.steps), "groups": self._groups}

    def restore(self, state: State) -> None:
        """Go on where the optimizer was that gave this state."""
        self.steps, self._groups = int(state["steps"][0]), state["groups"].copy()


def tied(theta: Params, masks: Params) -> np.ndarray:
    """Return the number of each parameter's shared value (T, P), from 1 on in each layer; 0 for what must not move.

    Equal weights of a layer share a value; each other parameter, as a bias, has its own.
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
    """Yield for each trial and parameter: its name, the trial, which of its elements move (M,), and their groups."""
    for t in range(groups.trials):
        for name in groups:
            flat = groups[name][t].ravel()
            if (places := np.flatnonzero(flat)).size:
                yield name, t, places, flat[places] - 1
