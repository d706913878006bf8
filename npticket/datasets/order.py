"""The order of minibatches: a fresh permutation of the training set every epoch, as a function of the seed."""

import numpy as np

from npticket.streams import Place


def epoch_order(n: int, batch: int, place: Place, epoch: int) -> np.ndarray:
    """Return the example numbers of one epoch's minibatches (T, n // batch, batch), each trial in its own order.

    All batches are full: the n % batch examples left over at the end of an epoch wait for the next one's shuffle.
    """
    count = n // batch
    orders = [rng.permutation(n)[: count * batch] for rng in place.rngs("order", epoch)]
    return np.stack(orders).reshape(len(orders), count, batch)
