"""What a weight is worth before it was trained: SNIP, GraSP and SynFlow, as scores of which the lowest go.

Each judges `seen.end` under `seen.masks`, in float64: initial values, or any others. SNIP and GraSP look at ten
training examples of each class, drawn at random. Batch normalisation is that of training for these two; for SynFlow,
which has no examples, that of prediction.
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

PER_CLASS = 10  # examples: with ten classes about the minibatch that SNIP's authors take
TEMPERATURE = 200  # in the code of GraSP's authors: all classes become about equally probable
ADDED = ("b", "shift", "running_mean")  # parameters that are added or subtracted


def snip(seen: Evidence) -> Params:
    """|theta dL/dtheta|: to first order, how much the loss changes if the weight goes (Lee et al. 2019, section 4).

    They divide by the sum over all weights, which changes no order.
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

    Gradient flow is |g|^2, g being dL/dtheta of the weights: so fast does the loss fall at first. Where the weights
    move by d, it changes by 2 d . H g. A weight that goes moves by -theta, which gives -2 theta H g. That is largest
    where theta H g is lowest, below 0. The paper's own score is -theta H g; there the highest go, which are the same.
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

    R adds up the products of weights along all paths through the network (Tanaka et al. 2020, section 6). So the
    scores of what comes into a hidden unit add up to those of what goes out, and those of each layer to R, if there are
    no other ways around it. Biases and the like count as 0. To be asked again after each of many small steps: see
    `pruned_in_steps`.
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
    """What is judged, in float64: it may be written to."""
    theta = rewind(seen.end, seen.masks)
    return theta.like(theta.flat.astype(np.float64))


def _known(seen: Evidence) -> tuple[Net, Task]:
    if seen.net is None or seen.task is None:
        raise ValueError("what a weight does is a matter of its network and task: Evidence needs both")
    return seen.net, seen.task


def _examples(seen: Evidence) -> tuple[Array, Array]:
    """Inputs (T, B, ...) and classes (T, B), the same number of each class, if there are so many."""
    if seen.data is None or seen.data.classes is None or len(seen.rngs) != seen.end.trials:
        raise UnsuitedError("SNIP and GraSP look at examples of each class: Evidence needs such data, and rngs to draw")
    train = seen.data.train
    of_class = [np.flatnonzero(train.targets == c) for c in range(seen.data.classes)]
    drawn = [np.concatenate([rng.permutation(these)[:PER_CLASS] for these in of_class]) for rng in seen.rngs]
    some = train.take(np.stack(drawn))
    return seen.data.floats(some.inputs, np.float64), some.targets
