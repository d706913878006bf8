"""Where a run of a series stands, on networks without data, and what is counted there."""

from cases import paper_rates

from npticket.experiments.series import At
from npticket.nets import lenet_300_100
from npticket.prune import Layerwise, Rule, dense_masks, magnitude
from npticket.streams import streams
from npticket.task import CLASSIFY


def rngs(theta, seed=0):
    return streams(seed, range(theta.trials), "control")


def at(net, theta0, masks=None, end=None, round=0, seed=0):
    """Where a run of any series stands, for all trials at once."""
    rule = Rule(magnitude, Layerwise(paper_rates(net)))
    masks = dense_masks(theta0) if masks is None else masks
    given = {} if end is None else {"end": end}
    return At(net, CLASSIFY, None, rule, round, theta0, masks, given, rngs(theta0, seed), theta0)


def counts(masks):
    return {name: masks[name].reshape(masks.trials, -1).sum(axis=1).tolist() for name in masks.weights}


def wide():
    """A small dense network and its initial values, of two trials."""
    net = lenet_300_100(hidden=(20, 10))
    return net, net.init(streams(1, range(2), "init"))
