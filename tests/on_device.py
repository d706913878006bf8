"""Networks on a device, held against the plain engine on the host."""

import numpy as np
import pytest

from npticket.engine.gpu.lockstep import Gpu
from npticket.layers import BatchNorm, Chain, Conv2D, Dense, Dropout, Flatten, MaxPool, ReLU
from npticket.nets import Net
from npticket.optimizers import SGD, Adam
from npticket.prune import dense_masks, prune_layerwise, random_scores
from npticket.streams import streams
from npticket.testing import batches, check_engine
from npticket.tickets import rewind


def why_no_gpu():
    """Say why nothing can run on a GPU here, as CuPy itself finds; "" if it can.

    `backend.load` is not asked: tests that it decided to skip could not find a fault in it.
    """
    try:
        import cupy

        return "" if cupy.cuda.runtime.getDeviceCount() else "CuPy finds no GPU"
    except ImportError as error:
        return f"CuPy cannot be imported ({error})"
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no usable GPU ({error})"


# A bias in front of batch normalisation has a gradient of 0, plus rounding, which Adam would blow up without its eps.
OPTIMIZERS = [
    lambda m: Adam(m, lambda step: 0.01 / (step + 1), eps=1e-3),
    lambda m: SGD(m, lambda step: 0.1 / (step + 1), 0.9, 0.01),
]


def compare(net, start, masks, optimizer, seed, xp, steps=6, tolerance=1e-10):
    """Hold some steps on the device against the plain engine's on the host; return where they end."""
    there, given = (start.to(xp), masks.to(xp)), batches(net, start.trials, seed, steps, size=5)
    return check_engine(Gpu, net, *there, optimizer, given, tolerance=tolerance).flat.get()


def tickets(net, trials, seed):
    theta0 = net.init(streams(seed, trials, "init"), np.float64)
    for name in theta0:
        if name.endswith(("/b", "/shift")):
            theta0[name][...] = np.random.default_rng(seed).normal(size=theta0[name].shape)
    scores = random_scores(theta0, streams(seed, trials, "mask"))
    masks = prune_layerwise(scores, dense_masks(theta0), dict.fromkeys(theta0.weights, 0.5))
    return rewind(theta0, masks), masks


def convolutional():
    """All that a layer may do to a GPU: windows, batch statistics, tiles, random masks, a ReLU that stands alone."""
    layers = {"conv": Conv2D(2, 8, padding=1), "norm": BatchNorm(8, 0.3, 0.01), "relu0": ReLU()}
    layers |= {"wide": Conv2D(8, 9, padding=1), "relu2": ReLU(), "pool": MaxPool()}
    layers |= {
        "lone": ReLU(),
        "flat": Flatten(),
        "fc": Dense(36, 6),
        "relu1": ReLU(),
        "drop": Dropout(0.5),
        "out": Dense(6, 4),
    }
    return Net("small", Chain(**layers), (4, 4, 2), (4,))


given_optimizers = pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["adam", "sgd"])
