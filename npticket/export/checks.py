"""The check of what is exported: one trial's parameters of a network, with masks that suit them."""

import numpy as np

from npticket.params import Params, check_masks
from npticket.protocols import Net


def check_weights_only(masks: Params) -> None:
    """Raise ValueError if masks prune other parameters than weights, which not every kind of file can tell."""
    if pruned := [name for name in masks if name not in masks.weights and not masks[name].all()]:
        raise ValueError(f"only weights can be pruned, and masks prune {', '.join(pruned)}")


def check_ticket(net: Net, theta: Params, masks: Params) -> None:
    """Raise ValueError or TypeError, saying what to do, unless theta and masks are one trial of the network, finite."""
    if list(theta.shapes.items()) != list(net.body.layout.items()):
        raise ValueError(f"the parameters are not those of {net.name}: export them with the network they belong to")
    if theta.trials != 1:
        raise ValueError(f"one trial is exported at a time, got {theta.trials}: use theta.trial(t) and masks.trial(t)")
    check_masks(theta, masks)
    if not np.isfinite(theta.flat).all():
        raise ValueError("there are parameters that are not finite: did the training run diverge?")
