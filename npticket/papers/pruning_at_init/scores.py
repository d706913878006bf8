"""SNIP, GraSP and SynFlow, which prune before training, as scores of which the lowest go.

Each scores the values `seen.end`, initial ones as a rule, under `seen.masks`, in float64. SNIP and GraSP use ten
training examples of each class, drawn at random, and batch normalisation as in training; SynFlow, which has no
examples, as in prediction.
"""

import numpy as np

from npticket.backend import Array
from npticket.papers.pruning_at_init.hessian import hessian_product
from npticket.params import Params
from npticket.protocols import Net, UnsuitedError
from npticket.prune import Evidence
from npticket.streams import Place, TrainingStep
from npticket.task import CLASSIFY, Task
from npticket.tickets import rewind

PER_CLASS = 10  # examples: with ten classes this is about the size of minibatch that SNIP's authors take
TEMPERATURE = 200  # in the code of GraSP's authors: all classes become about equally probable
ADDED = ("b", "shift", "running_mean")  # parameters that are added or subtracted


def snip(seen: Evidence) -> Params:
    """|theta dL/dtheta|: to first order, how much the loss changes if the weight goes (Lee et al. 2019, section 4).

    The paper divides by the sum over all weights, which does not change the order.
    """
    net, task = _known(seen)
    theta, (x, targets) = _values(seen), _examples(seen)
    y, backward = net.forward(theta, x, TrainingStep(Place(trials=range(theta.trials)), 0))
    _, dy = task.loss(y, targets)
    gradient = theta.like(np.zeros_like(theta.flat))
    backward(dy, gradient.tree, need_dx=False)
    return theta.like(abs(theta.flat * gradient.flat))


def grasp(seen: Evidence) -> Params:
    """theta H g: the lower, the more gradient flow there is without the weight (Wang et al. 2020, section 4).

    Gradient flow is |g|^2, g being dL/dtheta of the weights: the speed at which the loss falls at first. If the weights
    move by d, it changes by 2 d . H g. To prune a weight is to move it by -theta, which gives -2 theta H g: most where
    theta H g is lowest, below 0. The paper's own score is -theta H g, of which the highest go: these are the same.
    """
    net, task = _known(seen)
    if task.loss is not CLASSIFY.loss:
        known = "GraSP knows the second derivative of softmax cross-entropy"
        raise UnsuitedError(f"{known}, not of the loss of {task.name}")
    theta, (x, targets) = _values(seen), _examples(seen)
    nowhere, g = (theta.like(np.zeros_like(theta.flat)) for _ in range(2))
    gradient, _ = hessian_product(net, theta, nowhere, x, targets, TEMPERATURE)
    for name in theta.weights:
        g[name][...] = gradient[name] * seen.masks[name]
    _, product = hessian_product(net, theta, g, x, targets, TEMPERATURE)
    return theta.like(theta.flat * product.flat)


def synflow(seen: Evidence) -> Params:
    """theta dR/dtheta, R being the sum of outputs for an input of ones if all weights were positive.

    R is the sum over all paths through the network of the products of their weights (Tanaka et al. 2020, section 6). So
    the scores of a hidden unit's incoming weights have the same sum as those of its outgoing ones, and those of each
    layer add up to R, if no path goes around it. Biases and the like count as 0. Compute it anew after each of many
    small prunings: see `pruned_in_steps`.
    """
    net, _ = _known(seen)
    theta = _values(seen)
    theta.flat[...] = abs(theta.flat)
    for name in theta:
        if name.split("/")[-1] in ADDED:
            theta[name][...] = 0
    y, backward = net.forward(theta, np.ones((1, 1, *net.input_shape)))
    gradient = theta.like(np.zeros_like(theta.flat))
    backward(np.ones_like(y), gradient.tree, need_dx=False)
    return theta.like(theta.flat * gradient.flat)


def _values(seen: Evidence) -> Params:
    """A copy of the values that are scored, in float64, which may be written to."""
    theta = rewind(seen.end, seen.masks)
    return theta.like(theta.flat.astype(np.float64))


def _known(seen: Evidence) -> tuple[Net, Task]:
    if seen.net is None or seen.task is None:
        raise ValueError("this score needs the network and its task: Evidence needs both, as net=... and task=...")
    return seen.net, seen.task


def _examples(seen: Evidence) -> tuple[Array, Array]:
    """Inputs (T, B, ...) and classes (T, B): PER_CLASS of each class, or all if it has fewer."""
    if seen.data is None or seen.data.classes is None or len(seen.rngs) != seen.end.trials:
        raise UnsuitedError("SNIP and GraSP look at examples of each class: Evidence needs such data, and rngs to draw")
    train = seen.data.train
    of_class = [np.flatnonzero(train.targets == c) for c in range(seen.data.classes)]
    drawn = [np.concatenate([rng.permutation(these)[:PER_CLASS] for these in of_class]) for rng in seen.rngs]
    some = train.take(np.stack(drawn))
    return seen.data.floats(some.inputs, np.float64), some.targets
