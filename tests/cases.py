"""What several tests make of the cases that strategies draw."""

from dataclasses import replace


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
