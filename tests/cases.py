"""What several tests make of the cases that strategies draw."""

from dataclasses import replace

import numpy as np

from npticket.streams import streams


def paper_rates(net):
    """The paper's for dense networks: 20 % of each layer's weights, 10 % of the last one's."""
    *hidden, last = (name for name in net.body.layout if name.endswith("/W"))
    return dict.fromkeys(hidden, 0.2) | {last: 0.1}


def set_to(case, **settings):
    """The same arguments of `fit` with some settings changed."""
    return case | {"setting": replace(case["setting"], **settings)}


def of_trial(case, t):
    """The same arguments of `fit` for one of the trials alone."""
    place = case["place"].of([case["place"].trials[t]])
    return case | {"start": case["start"].trial(t), "masks": case["masks"].trial(t), "place": place}


class OnePerCentOff:
    """A layer whose gradients, for its parameters and its input, are 1 % too large."""

    def __init__(self, layer):
        self._layer, self.layout, self.init = layer, layer.layout, layer.init

    def forward(self, p, x, step=None):
        y, backward = self._layer.forward(p, x, step)
        return y, lambda dy, grad, need_dx=True: backward(1.01 * dy, grad, need_dx)


def initial(net, trials=1, seed=0):
    """Parameters of which none is 0, in float64: biases and norms, too."""
    theta, rng = net.init(streams(seed, range(trials), "init"), np.float64), np.random.default_rng(seed)
    for name in (name for name in theta if name not in theta.weights):  # in order: a set's changes from run to run
        values = rng.normal(size=theta[name].shape)
        theta[name][...] = abs(values) + 0.1 if name.endswith("running_var") else values
    return theta
