"""Networks in lock-step on a GPU: the layers, with one kernel where their own code would launch many.

A product of arrays (T, ...) copies what is not contiguous, and views into parameters (T, P) are not: here the
parameters of all trials stand layer by layer instead, so that each layer's are one block.
"""

from npticket.backend import Array, array_module
from npticket.engine.gpu.layers import fused_layers
from npticket.engine.gpu.loss import cross_entropy
from npticket.engine.gpu.optimizers import fused
from npticket.engine.whole import Whole
from npticket.layers import predict
from npticket.loss import softmax_cross_entropy
from npticket.optimizers import moving
from npticket.params import Params, Tree
from npticket.protocols import Loss, MakeOptimizer, Net
from npticket.streams import TrainingStep


class Gpu:
    """Runs T nets from `start` under `masks` in one batched step; `start` itself is not written.

    What is pruned must start at 0, and is not touched. Once built, nothing here waits for the device. An optimizer for
    which there is no kernel steps the network as it is, trial by trial.
    """

    def __init__(self, net: Net, loss: Loss, start: Params, masks: Params, optimizer: MakeOptimizer) -> None:
        xp = array_module(start.flat, masks.flat)
        self._body = fused_layers(net.body)
        self._loss = cross_entropy if loss is softmax_cross_entropy else loss
        self._theta, self._grads = ByLayer(start), ByLayer(start.like(xp.zeros_like(start.flat)))
        kernels = fused(optimizer(masks), ByLayer(moving(masks)).flat)
        self._optimizer = Unfused(optimizer, start, masks) if kernels is None else kernels

    def see(self, inputs: Array) -> Array:
        return inputs

    def step(self, x: Array, targets: Array, step: TrainingStep) -> Array:
        y, backward = self._body.forward(self._theta.tree, x, step)
        loss, dy = self._loss(y, targets)
        backward(dy, self._grads.tree, need_dx=False)
        self._optimizer.step(self._theta, self._grads)
        return loss

    def predict(self, x: Array) -> Array:
        return predict(self._body, self._theta.tree, x)

    def read(self, out: Params) -> None:
        self._theta.read(out)


class ByLayer:
    """A copy of Params in which each parameter of all trials is one block: views (T, ...) into flat (1, T P)."""

    def __init__(self, params: Params) -> None:
        shapes = {name: (params.trials, *shape) for name, shape in params.shapes.items()}
        parts = [params[name].reshape(1, -1) for name in params]
        self._blocks = Params(shapes, array_module(params.flat).concatenate(parts, axis=1))
        self.flat = self._blocks.flat
        self.tree = _first(self._blocks.tree)

    def read(self, out: Params) -> None:
        """Copy all parameters into `out`, where they stand trial by trial."""
        for name in out:
            out[name][...] = self._blocks[name][0]

    def write(self, params: Params) -> None:
        """Take over all parameters."""
        for name in params:
            self._blocks[name][0][...] = params[name]


class Unfused:
    """Steps the network under its true names and shapes, for want of a kernel."""

    def __init__(self, optimizer: MakeOptimizer, start: Params, masks: Params) -> None:
        self._theta, self._grads = start.copy(), start.copy()
        self._optimizer = Whole(optimizer, masks)

    def step(self, theta: ByLayer, grads: ByLayer) -> None:
        theta.read(self._theta)  # the layers have moved its running statistics
        grads.read(self._grads)
        self._optimizer.step(self._theta, self._grads)
        theta.write(self._theta)


def _first(tree: Tree) -> dict[str, Array]:
    return {name: _first(part) if isinstance(part, dict) else part[0] for name, part in tree.items()}
