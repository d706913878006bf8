"""JAX: a whole step, from the gathering of the batch to the optimizer, as one function compiled by `jit`.

Parameters and moments are donated, so that they are updated in place; images stand channels last, as ours do; XLA takes
as many threads as NPROC says, read when JAX first computes; its flags do not keep it to one. Dispatch waits for the
result, so that Python does not run beside it on a second core.
"""

import os
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from npticket import layers
from npticket.datasets import Dataset
from npticket.nets import Net
from npticket.params import Params

jax.config.update("jax_cpu_enable_async_dispatch", False)

Arrays = dict[str, jax.Array]  # by our names, without the trials axis
CHUNK = 5000  # images evaluated at a time: the best of those that evaluation.py compares


class Training:
    """One network in training; see sides/__init__.py."""

    def __init__(
        self, net: Net, start: Params, masks: Params, data: Dataset, optimizer: partial, threads: int = 1
    ) -> None:
        os.environ["NPROC"] = str(threads)
        self._data, self._floats = data, partial(_floats, scale=data.scale, dtype=start.flat.dtype)
        self._train = jnp.asarray(data.train.inputs), jnp.asarray(data.train.targets)
        theta = {name: jnp.array(start[name][0]) for name in start if name not in start.buffers}
        buffers = {name: jnp.array(start[name][0]) for name in start.buffers}
        moments = [{name: jnp.zeros_like(p) for name, p in theta.items()} for _ in range(2)]
        self._state = theta, buffers, moments, jnp.zeros((), start.flat.dtype)
        self._keep = {} if masks.flat.all() else {name: jnp.asarray(masks[name][0]) for name in masks.weights}
        move = partial({"Adam": adam, "SGD": sgd}[optimizer.func.__name__], **optimizer.keywords)
        self._step = jax.jit(partial(step, net.body, move, self._floats), donate_argnums=0)
        self._evaluate = jax.jit(partial(evaluate, net.body), static_argnames="chunk")

    def given(self, numbers: np.ndarray) -> jax.Array:
        return jnp.asarray(numbers)

    def step(self, given: jax.Array) -> jax.Array:
        self._state, loss = self._step(self._state, self._keep, *self._train, given)
        return loss.block_until_ready()

    def validate(self, chunk: int = CHUNK) -> tuple[float, float]:
        theta, buffers, *_ = self._state
        loss, correct = self._evaluate(theta | buffers, *self._validation, chunk=chunk)
        return loss.item(), correct.item() / len(self._validation[1])

    @cached_property
    def _validation(self) -> tuple[jax.Array, jax.Array]:
        split = self._data.validation
        return self._floats(split.inputs), jnp.asarray(split.targets)

    def read(self, out: Params) -> None:
        theta, buffers, *_ = self._state
        for name, values in (theta | buffers).items():
            out[name][0] = values


def step(body: Any, move: Any, floats: Any, state: Any, keep: Arrays, *batch: jax.Array) -> tuple[Any, jax.Array]:
    """Return the state after a step with the images and labels of these numbers, and the loss before it."""
    (theta, buffers, moments, taken), (images, labels, numbers) = state, batch

    def loss(theta: Arrays) -> tuple[jax.Array, Arrays]:
        running: Arrays = {}
        y = forward(body, theta | buffers, floats(images[numbers]), running)
        return cross_entropy(y, labels[numbers]), running

    (value, running), grads = jax.value_and_grad(loss, has_aux=True)(theta)
    grads |= {name: jnp.where(alive, grads[name], 0) for name, alive in keep.items()}
    moved = {name: move(p, grads[name], moments[0][name], moments[1][name], taken + 1) for name, p in theta.items()}
    theta, *moments = ({name: values[i] for name, values in moved.items()} for i in range(3))
    return (theta, running, moments, taken + 1), value


def evaluate(body: Any, p: Arrays, images: jax.Array, labels: jax.Array, *, chunk: int) -> tuple[jax.Array, jax.Array]:
    """Return the loss, and how many labels are right, of so many images at a time."""
    y = jnp.concatenate([forward(body, p, images[i : i + chunk]) for i in range(0, len(images), chunk)])
    return cross_entropy(y, labels), (y.argmax(axis=1) == labels).sum()


def adam(p: Any, g: Any, m: Any, v: Any, t: Any, *, lr: float) -> tuple[Any, Any, Any]:
    """Kingma & Ba 2015, Algorithm 1; `t` counts from 1."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return p - lr * (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), m, v


def sgd(p: Any, g: Any, m: Any, v: Any, t: Any, *, lr: float, momentum: float, weight_decay: float) -> tuple:
    """With momentum; it has no second moment."""
    m = momentum * m + g + weight_decay * p
    return p - lr * m, m, v


def cross_entropy(y: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over examples."""
    return -jnp.take_along_axis(jax.nn.log_softmax(y), labels[:, None], axis=1).mean()


def forward(layer: Any, p: Arrays, x: Any, running: Arrays | None = None, prefix: str = "") -> Any:
    """Return the layer's output; in training `running` is given and gets the running statistics as they become."""
    match layer:
        case layers.Chain():
            for name, part in layer.layers.items():
                x = forward(part, p, x, running, f"{prefix}{name}/")
            return x
        case layers.Residual():
            around = x if layer.shortcut is None else forward(layer.shortcut, p, x, running, f"{prefix}shortcut/")
            return forward(layer.body, p, x, running, f"{prefix}body/") + around
        case layers.Conv2D():
            strides, pads = (layer.stride,) * 2, [(layer.padding,) * 2] * 2
            axes = ("NHWC", "HWIO", "NHWC")
            y = lax.conv_general_dilated(x, p[f"{prefix}W"], strides, pads, dimension_numbers=axes)
            return y + p[f"{prefix}b"] if "b" in layer.layout else y
        case layers.Dense():
            return x @ p[f"{prefix}W"] + p[f"{prefix}b"]
        case layers.BatchNorm():
            return _normalise(layer, p, x, running, prefix)
        case layers.MaxPool(tiles=True):
            return _squares(layer.size, x).max(axis=(2, 4))
        case layers.AveragePool():
            return _squares(layer.size, x).mean(axis=(2, 4))
        case layers.GlobalAveragePool():
            return x.mean(axis=(1, 2))
        case layers.ReLU():
            return jax.nn.relu(x)
        case layers.Flatten():
            return x.reshape(len(x), -1)
    raise TypeError(f"JAX has not been told what a {type(layer).__name__} is")


def _normalise(layer: layers.BatchNorm, p: Arrays, x: Any, running: Arrays | None, prefix: str) -> Any:
    mean, var = (p[f"{prefix}running_{what}"] for what in ("mean", "var"))
    if running is not None:
        count = x[..., 0].size
        of_batch = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        unbiased = of_batch[1] * (count / (count - 1))
        running[f"{prefix}running_mean"] = mean + layer.momentum * (of_batch[0] - mean)
        running[f"{prefix}running_var"] = var + layer.momentum * (unbiased - var)
        mean, var = of_batch
    scale = p[f"{prefix}scale"] * lax.rsqrt(var + layer.eps)
    return (x - mean) * scale + p[f"{prefix}shift"]


def _squares(size: int, x: Any) -> Any:
    """The squares that pooling looks at, (B, H / size, size, W / size, size, C): faster than reduce_window."""
    batch, height, width, channels = x.shape
    inside = x[:, : height // size * size, : width // size * size]
    return inside.reshape(batch, height // size, size, width // size, size, channels)


def _floats(images: Any, scale: float, dtype: Any) -> Any:
    """What the network is shown."""
    x = jnp.asarray(images, dtype)
    return x if jnp.issubdtype(images.dtype, jnp.floating) else x * dtype.type(scale)
