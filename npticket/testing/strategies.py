"""hypothesis strategies: parameters, masks, scores with ties, networks, optimizers, schedules, data and training runs.

`@given(tickets(), seeds)` draws many small cases, and shows the smallest of those that fail. Needs hypothesis: the
extra npticket[testing].
"""

from itertools import pairwise

import numpy as np

try:
    from hypothesis import assume
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError("npticket.testing.strategies needs hypothesis: pip install 'npticket[testing]'") from error

from npticket.backend import Dtype
from npticket.datasets import Dataset, Split
from npticket.layers import Chain, Dense, Flatten, ReLU
from npticket.nets import Net
from npticket.optimizers import SGD, Adam, AdamW, constant, linear_decay, linear_warmup, step_drops
from npticket.params import Params, Shapes
from npticket.protocols import Layer
from npticket.prune import Evidence, dense_masks, prune_layerwise, random_scores
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.testing.networks import convolutional_nets, nets, unit_nets
from npticket.tickets import rewind
from npticket.train import Setting

__all__ = [
    "convolutional_nets",
    "datasets",
    "evidence",
    "fits",
    "nets",
    "optimizers",
    "parameters",
    "pruned_nets",
    "rates",
    "schedules",
    "scored",
    "seeds",
    "thetas",
    "tickets",
    "trial_counts",
    "unit_nets",
]

seeds = st.integers(0, 2**32)
trial_counts = st.integers(1, 3)
rates = st.floats(0, 0.999)

schedules = st.sampled_from(
    [constant(0.1), step_drops(0.1, {2: 0.01, 4: 0.001}), linear_warmup(constant(0.1), 4), linear_decay(0.1, 20)]
)

# Every optimizer, with everything that could move a pruned weight.
optimizers = st.sampled_from(
    [
        lambda masks: SGD(masks, lr=0.1),
        lambda masks: SGD(masks, lr=0.1, momentum=0.9),
        lambda masks: SGD(masks, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda masks: Adam(masks, lr=0.01),
        lambda masks: AdamW(masks, lr=0.01, weight_decay=0.1),
    ]
)


@st.composite
def thetas(draw: st.DrawFn, dtype: Dtype = np.float64) -> tuple[Net, Params]:
    """Initial parameters of a small network, for one to three trials, with biases that are not 0."""
    net, seed = draw(nets()), draw(seeds)
    theta = net.init(streams(seed, range(draw(trial_counts)), "init"), dtype)
    for name in theta:
        if name.endswith("/b"):
            theta[name][...] = np.random.default_rng(seed).normal(size=theta[name].shape)
    return net, theta


@st.composite
def tickets(draw: st.DrawFn, dtype: Dtype = np.float64) -> tuple[Net, Params, Params]:
    """A small network, its theta0, and random masks of any density."""
    net, theta0 = draw(thetas(dtype))
    scores = random_scores(theta0, streams(draw(seeds), range(theta0.trials), "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), {name: draw(rates) for name in theta0.weights})
    return net, theta0, masks


@st.composite
def pruned_nets(draw: st.DrawFn, most_trials: int = 3) -> tuple[Net, Params, Params]:
    """(net, start, masks): up to two hidden layers of up to 20 units, some inputs and units cut off, any biases.

    In float64. The outputs depend on the inputs in at least one trial.
    """
    seed, hidden = draw(seeds), draw(st.lists(st.integers(1, 20), max_size=2))
    trials = range(draw(st.integers(1, most_trials)))
    layers: dict[str, Layer] = {"flatten": Flatten()}
    for i, (inputs, outputs) in enumerate(pairwise([12, *hidden, 3])):
        layers[f"fc{i}"] = Dense(inputs, outputs)
        if i < len(hidden):
            layers[f"relu{i}"] = ReLU()
    net = Net("pruned", Chain(**layers), (3, 4), (3,))
    rng, theta0 = np.random.default_rng(seed), net.init(streams(seed, trials, "init"), np.float64)
    for name in theta0:
        if name.endswith("/b"):
            theta0[name][...] = rng.choice([-0.3, 0, 0, 0.3], theta0[name].shape)
    scores = random_scores(theta0, streams(seed, trials, "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), {name: draw(st.floats(0, 0.9)) for name in theta0.weights})
    for name in theta0.weights:
        for mask in masks[name]:
            mask[rng.random(len(mask)) < 0.15] = False  # rows: units without a way out
            mask[:, rng.random(mask.shape[1]) < 0.15] = False  # columns: without a way in
    start = rewind(theta0, masks)
    logits, _ = net.forward(start, rng.random((1, 20, 3, 4)))
    assume((logits != logits[:, :1]).any())
    return net, start, masks


@st.composite
def scored(draw: st.DrawFn) -> tuple[Params, Params]:
    """(scores, masks): scores with many ties, masks of any density, of one to three parameters."""
    shapes = draw(
        st.dictionaries(
            st.sampled_from(["a/W", "b/W", "c/W"]), st.tuples(st.integers(1, 4), st.integers(1, 5)), min_size=1
        )
    )
    scores = Params.empty(shapes, draw(trial_counts), np.float64)
    rng = np.random.default_rng(draw(seeds))
    scores.flat[...] = rng.integers(0, draw(st.sampled_from([1, 3, 1000])), scores.flat.shape)
    masks = scores.like(rng.random(scores.flat.shape) < draw(st.floats(0, 1)))
    return scores, masks


@st.composite
def parameters(draw: st.DrawFn, dtype: Dtype = np.float64) -> tuple[Params, Params]:
    """(theta0, masks): parameters with weights, biases and running statistics that belong to no network."""
    inputs, outputs, seed = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(seeds)
    shapes: Shapes = {
        "fc/W": (inputs, outputs),
        "fc/b": (1, outputs),
        "norm/running_mean": (outputs,),
        "out/W": (outputs, 2),
    }
    theta0, rng = Params.empty(shapes, draw(trial_counts), dtype), np.random.default_rng(seed)
    theta0.flat[...] = rng.normal(size=theta0.flat.shape)
    masks = dense_masks(theta0)
    for name in masks.weights:
        masks[name][...] = rng.random(masks[name].shape) < draw(st.floats(0, 1))
    return theta0, masks


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    """All that a score may look at, as after training a small network; some weights end with equal values."""
    net, theta0, masks = draw(tickets())
    start, seed = rewind(theta0, masks), draw(seeds)
    rng, trials = np.random.default_rng(seed), range(theta0.trials)
    moved = start.flat + rng.choice([-0.5, 0, 0, 0.5], start.flat.shape) * draw(st.sampled_from([1, 1e-3]))
    end = rewind(theta0.like(np.where(rng.random(moved.shape) < 0.3, rng.choice([-1, 1], moved.shape), moved)), masks)
    return Evidence(end, masks, start, theta0, net, CLASSIFY, draw(datasets()), streams(seed, trials, "score"))


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Random images of 2 x 3 pixels with labels that depend on them: 37 / 11 / 13 examples."""
    rng = np.random.default_rng(draw(seeds))

    def split(n: int) -> Split:
        images = rng.integers(0, 256, (n, 2, 3), dtype=np.uint8)
        return Split(images, (images[:, 0].argmax(axis=1)).astype(np.uint8))

    return Dataset("random", split(37), split(11), split(13), classes=3, source="a test")


@st.composite
def fits(draw: st.DrawFn, dtype: Dtype = np.float64) -> dict[str, object]:
    """Everything that `fit` needs, as keyword arguments, with masks already applied."""
    net, theta0, masks = draw(tickets(dtype))
    setting = Setting(
        draw(optimizers),
        steps=draw(st.integers(1, 12)),
        batch=draw(st.integers(1, 37)),
        validate_every=draw(st.integers(1, 5)),
    )
    return {
        "net": net,
        "task": CLASSIFY,
        "start": rewind(theta0, masks),
        "masks": masks,
        "data": draw(datasets()),
        "setting": setting,
        "place": Place(draw(seeds), range(theta0.trials), draw(st.integers(0, 3))),
    }
