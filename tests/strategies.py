"""Hypothesis strategies: small networks, parameters, masks, scores and datasets."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from npticket.datasets import Dataset, Split
from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    ReLU,
    Residual,
)
from npticket.nets import Net, resnet
from npticket.optimizers import SGD, Adam
from npticket.params import Params
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.tickets import rewind
from npticket.train import Setting

seeds = st.integers(0, 2**32)
trial_counts = st.integers(1, 3)
rates = st.floats(0, 0.999)

# Every optimizer, with everything that could move a pruned weight.
optimizers = st.sampled_from(
    [
        lambda masks: SGD(masks, lr=0.1),
        lambda masks: SGD(masks, lr=0.1, momentum=0.9),
        lambda masks: SGD(masks, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda masks: Adam(masks, lr=0.01),
    ]
)


@st.composite
def nets(draw):
    """A dense network for images of 2 x 3 pixels with one or two hidden layers."""
    hidden = draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))
    widths = [6, *hidden, 3]
    layers = {"flatten": Flatten()}
    for i, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        layers[f"fc{i}"] = Dense(inputs, outputs)
        if i <= len(hidden):
            layers[f"relu{i}"] = ReLU()
    return Net("small", Chain(**layers), (2, 3), (3,))


def paper_rates(net):
    """The paper's for dense networks: 20 % of each layer's weights, 10 % of the last one's."""
    *hidden, last = (name for name in net.body.layout if name.endswith("/W"))
    return dict.fromkeys(hidden, 0.2) | {last: 0.1}


@st.composite
def thetas(draw, dtype=np.float64):
    """Initial parameters of a small network, for one to three trials, with biases that are not 0."""
    net, seed = draw(nets()), draw(seeds)
    theta = net.init(streams(seed, range(draw(trial_counts)), "init"), dtype)
    for name in theta:
        if name.endswith("/b"):
            theta[name][...] = np.random.default_rng(seed).normal(size=theta[name].shape)
    return net, theta


@st.composite
def tickets(draw, dtype=np.float64):
    """A small network, its theta0, and random masks of any density."""
    net, theta0 = draw(thetas(dtype))
    scores = random_scores(theta0, streams(draw(seeds), range(theta0.trials), "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), {name: draw(rates) for name in theta0.weights})
    return net, theta0, masks


@st.composite
def pruned_nets(draw, most_trials=3):
    """(net, start, masks): none to two hidden layers of up to 20 units, with inputs and units cut off, any biases.

    In float64. What comes out depends on what goes in, in at least one trial.
    """
    seed, hidden = draw(seeds), draw(st.lists(st.integers(1, 20), max_size=2))
    trials = range(draw(st.integers(1, most_trials)))
    layers = {"flatten": Flatten()}
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
def convolutions(draw, channels, filters, stride=1):
    """A convolution, batch normalisation or not, a ReLU or not."""
    size = draw(st.integers(1, 3))
    padding = draw(st.integers((size - 1) // 2, size - 1))
    layers = {"conv": Conv2D(channels, filters, size, stride, padding, bias=draw(st.booleans()))}
    if draw(st.booleans()):
        layers["norm"] = BatchNorm(filters)
    if draw(st.booleans()):
        layers["relu"] = ReLU()
    return Chain(**layers)


@st.composite
def convolutional_nets(draw):
    """Some convolutions, strided ones too, perhaps in a residual block, pools that leave pixels over, dense layers."""
    height, width = draw(st.tuples(st.integers(5, 7), st.integers(5, 7)))
    first, filters = draw(convolutions(2, 3, draw(st.integers(1, 2)))), draw(st.integers(1, 4))
    layers = {"first": first}
    if draw(st.booleans()):
        layers["block"] = Residual(Chain(conv=Conv2D(3, 3, padding=1), norm=BatchNorm(3)))
        layers["around"] = Residual(
            Conv2D(3, 3, padding=1, stride=2), draw(st.sampled_from([Conv2D(3, 3, 1, 2), Chain(c=Conv2D(3, 3, 1, 2))]))
        )
        layers["relu"] = ReLU()
    layers["second"] = draw(convolutions(3, filters))
    layers["pool"] = draw(st.sampled_from([MaxPool(2), MaxPool(1), AveragePool(2), ReLU()]))
    layers["global"] = GlobalAveragePool()
    layers |= {"fc": Dense(filters, 5), "fc_relu": ReLU(), "out": Dense(5, 4)}
    net = Net("random", Chain(**layers), (height, width, 2), (4,))
    try:
        maps, _ = Chain(**dict(list(layers.items())[:-4])).forward(
            net.init(streams(0, [0], "init")).tree, np.zeros((1, 1, height, width, 2), np.float32)
        )
    except ValueError:
        assume(False)  # a map became smaller than a window
    assume(maps.size)  # or than a square
    return net


@st.composite
def scored(draw):
    """Scores with many ties, and masks, over one or two named parameters: (scores, masks)."""
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
def datasets(draw):
    """Random images of 2 x 3 pixels with labels that depend on them: 37 / 11 / 13 examples."""
    rng = np.random.default_rng(draw(seeds))

    def split(n):
        images = rng.integers(0, 256, (n, 2, 3), dtype=np.uint8)
        return Split(images, (images[:, 0].argmax(axis=1)).astype(np.uint8))

    return Dataset("random", split(37), split(11), split(13), classes=3, source="a test")


@st.composite
def fits(draw, dtype=np.float64):
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


def set_to(case, **settings):
    """The same arguments of `fit` with some settings changed."""
    return case | {"setting": replace(case["setting"], **settings)}


def of_trial(case, t):
    """The same arguments of `fit` for one of the trials alone."""
    place = case["place"].of([case["place"].trials[t]])
    return case | {"start": case["start"].trial(t), "masks": case["masks"].trial(t), "place": place}


@st.composite
def unit_nets(draw):
    """Dense networks, convolutions with biases, pools and a flattened map, or residual ones with norms; few units."""
    width, kind = draw(st.integers(1, 4)), draw(st.sampled_from(["dense", "conv", "residual"]))
    if kind == "dense":
        return draw(nets())
    if kind == "residual":
        net = resnet(draw(st.sampled_from([8, 14])), width, classes=3)
        return Net("small residual", net.body, (8, 8, 3), (3,))
    pad = draw(st.integers(0, 1))
    side = (6 + 2 * pad - 2) // 2  # 3 x 3 and then 1 x 1 windows on 6 x 6 pixels, pooled
    body = Chain(
        conv1=Conv2D(2, width, padding=pad), relu1=ReLU(), conv2=Conv2D(width, width + 1, kernel=1),
        norm=BatchNorm(width + 1), relu2=ReLU(), pool=draw(st.sampled_from([MaxPool(2), AveragePool(2)])),
        flatten=Flatten(), fc=Dense(side * side * (width + 1), 4), relu3=ReLU(), out=Dense(4, 3),
    )  # fmt: skip
    return Net("small conv", body, (6, 6, 2), (3,))
