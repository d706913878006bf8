"""The controls of the paper, each a few lines: what is trained, besides the winning ticket, to know why it wins.

Every control turns a ticket (theta0, masks) of a round, or what a finished run left, into another (start, masks).
`rngs` has one generator per trial.
"""

from collections.abc import Sequence

import numpy as np

from npticket.nets import Net
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.tickets import rewind

Start = tuple[Params, Params]  # where a training run starts, and its masks
Rngs = Sequence[np.random.Generator]


def random_reinit(net: Net, theta0: Params, masks: Params, rngs: Rngs) -> Start:
    """The ticket's structure with new values from the initial distribution (section 1)."""
    return rewind(net.init(rngs, theta0.flat.dtype), masks), masks


def random_mask(net: Net, theta0: Params, masks: Params, rngs: Rngs) -> Start:
    """As many weights in each layer as the ticket has, anywhere, with new values (Figure 1, appendix E)."""
    scattered = masks.copy()
    for t, rng in enumerate(rngs):
        for name in net.rates:
            scattered[name][t] = rng.permutation(masks[name][t].ravel()).reshape(masks[name][t].shape)
    return rewind(net.init(rngs, theta0.flat.dtype), scattered), scattered


def shuffled(net: Net, theta0: Params, masks: Params, rngs: Rngs) -> Start:
    """The survivors' initial values, exchanged at random among the survivors of each layer."""
    return _replace_survivors(net, theta0, masks, rngs, lambda rng, values: rng.permutation(values))


def survivor_reinit(net: Net, theta0: Params, masks: Params, rngs: Rngs) -> Start:
    """New values for each layer, drawn from its survivors' own initial values with replacement (appendix F.3)."""
    return _replace_survivors(net, theta0, masks, rngs, lambda rng, values: rng.choice(values, len(values)))


def noisy(net: Net, theta0: Params, masks: Params, rngs: Rngs, sigmas: float) -> Start:
    """The ticket with Gaussian noise of `sigmas` standard deviations of its layer's initial values (appendix F.7)."""
    disturbed = theta0.copy()
    for t, rng in enumerate(rngs):
        for name in net.rates:
            values = theta0[name][t]
            disturbed[name][t] += (sigmas * values.std() * rng.standard_normal(values.shape)).astype(values.dtype)
    return rewind(disturbed, masks), masks


def pruned_at_init(net: Net, theta0: Params, round: int) -> Start:
    """Magnitude pruning before any training (appendix F.4), down to the size that a ticket has in that round."""
    masks = prune_rounds(net, theta0, dense_masks(theta0), round)
    return rewind(theta0, masks), masks


def one_shot(net: Net, theta0: Params, dense_end: Params, round: int) -> Start:
    """The trained dense network pruned at one go to the size that a ticket has in that round, and reset (Figure 4c)."""
    masks = prune_rounds(net, dense_end, dense_masks(theta0), round)
    return rewind(theta0, masks), masks


def one_shot_reinit(net: Net, theta0: Params, dense_end: Params, round: int, rngs: Rngs) -> Start:
    """The structure found by one-shot pruning with new values."""
    return random_reinit(net, theta0, one_shot(net, theta0, dense_end, round)[1], rngs)


def fine_tuned(net: Net, end: Params, masks: Params) -> Start:
    """Prune and go on from the trained values (Han et al. 2015), never resetting: `end` is the round before's."""
    pruned = net.prune(end, masks)
    return rewind(end, pruned), pruned


def continued(theta0: Params, masks: Params) -> Start:
    """A ticket whose masks come from fine-tuning, round after round, and which is reset only now (appendix B)."""
    return rewind(theta0, masks), masks


def prune_rounds(net: Net, params: Params, masks: Params, rounds: int) -> Params:
    """Prune the same parameters so many times without training between: at one go, to exactly a ticket's count."""
    for _ in range(rounds):
        masks = net.prune(params, masks)
    return masks


def _replace_survivors(net: Net, theta0: Params, masks: Params, rngs: Rngs, draw) -> Start:
    start = rewind(theta0, masks)
    for t, rng in enumerate(rngs):
        for name in net.rates:
            mask = masks[name][t]
            start[name][t][mask] = draw(rng, theta0[name][t][mask])
    return start, masks
