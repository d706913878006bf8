"""Gradients clipped by their norm over the whole network, before another optimizer takes its step."""

from npticket.backend import array_module
from npticket.optimizers.adam import AdamW
from npticket.optimizers.schedules import Schedule
from npticket.params import Params
from npticket.protocols import Optimizer, State, does_decay, is_resumable


class Clipped:
    """g <- g min(1, norm / |g|), |g| over all parameters of a trial, and then the step of `optimizer`.

    Pascanu et al. 2013, Algorithm 1. A parameter's move depends on all gradients, so it is not elementwise. Gradients
    of pruned weights would count in |g|: they must be 0, as engines make them. ValueError unless norm > 0.
    """

    elementwise = False

    def __init__(self, optimizer: Optimizer, norm: float) -> None:
        if not norm > 0:
            raise ValueError(f"the norm that gradients are clipped to is above 0, got {norm}")
        self.optimizer, self.norm = optimizer, float(norm)

    @property
    def decays(self) -> bool:
        return does_decay(self.optimizer)

    @property
    def resumable(self) -> bool:
        return is_resumable(self.optimizer)

    def step(self, theta: Params, grads: Params) -> None:
        """Update theta.flat in place; grads.flat is overwritten."""
        xp = array_module(theta.flat, grads.flat)
        norms = xp.sqrt(xp.stack([xp.dot(each, each) for each in grads.flat]))
        grads.flat[...] *= (self.norm / xp.maximum(norms, self.norm))[:, None]
        self.optimizer.step(theta, grads)

    def state(self) -> State:
        return self.optimizer.state()

    def restore(self, state: State) -> None:
        self.optimizer.restore(state)


def clipped_adamw(masks: Params, lr: float | Schedule, weight_decay: float = 0.01, norm: float = 1.0) -> Clipped:
    """Return AdamW with clipped gradients, with which transformers are usually fine-tuned."""
    return Clipped(AdamW(masks, lr, weight_decay), norm)
