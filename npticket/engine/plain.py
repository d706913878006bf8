"""The readable engine: it calls the layers, and is the oracle for every faster one."""

from npticket.backend import Array, array_module
from npticket.engine.optimizers import made
from npticket.params import Params
from npticket.protocols import Loss, MakeOptimizer, Net, State
from npticket.streams import TrainingStep


class Plain:
    """Runs a net from `start` under `masks`; `start` itself is not written."""

    def __init__(self, net: Net, loss: Loss, start: Params, masks: Params, optimizer: MakeOptimizer) -> None:
        self.net, self.loss = net, loss
        self.theta = start.copy()
        self.grads = start.like(array_module(start.flat).zeros_like(start.flat))
        self.optimizer = made(optimizer, masks)

    def prepare(self, inputs: Array) -> Array:
        return inputs

    def step(self, x: Array, targets: Array, step: TrainingStep) -> Array:
        y, backward = self.net.forward(self.theta, x, step)
        loss, dy = self.loss(y, targets)
        backward(dy, self.grads.tree, need_dx=False)
        self.optimizer.step(self.theta, self.grads)
        return loss

    def predict(self, x: Array) -> Array:
        return self.net.predict(self.theta, x)

    def read(self, out: Params) -> None:
        out.flat[...] = self.theta.flat

    def write(self, theta: Params) -> None:
        self.theta.flat[...] = theta.flat

    def state(self) -> State:
        return self.optimizer.state()

    def restore(self, state: State) -> None:
        self.optimizer.restore(state)
