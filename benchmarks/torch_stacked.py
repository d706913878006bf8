"""PyTorch's ways of training many small networks on one device: the peers of gpu.py.

Eager, compiled, and captured in a CUDA graph for one network; vmap over stacked networks for several.
"""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import torch
from sides.torch_twin import Twin
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from npticket import nets
from npticket.streams import streams

Made = tuple[Callable[[], Any], Callable[[], Any]]  # a step, and what waits until the device is done
LR = {"lenet_300_100": 1.2e-3, "conv_2": 2e-4, "conv_6": 3e-4}
EXAMPLES = 50_000  # of random data, about as many as ours has; what they show does not matter to the time


def peers(name: str, batch: int, shape: tuple[int, ...], tf32: bool) -> Mapping[str, Callable[[int], Made | None]]:
    """Return by name what makes a peer for T networks, or None where it has none."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True  # the sizes never change, so it may look for the fastest way
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = torch.randint(0, 256, (EXAMPLES, *shape), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 10, (EXAMPLES,), device=device)
    given = name, batch, images, labels
    found: dict[str, Callable[[int], Made | None]] = {"eager": lambda t: _alone(*given) if t == 1 else None}
    if device.type == "cuda":
        found["graph"] = lambda t: _graph(*given) if t == 1 else None
    if name == "lenet_300_100":
        if device.type == "cuda":
            found["compiled"] = lambda t: _alone(*given, compiled=True) if t == 1 else None
        found["vmap"] = lambda t: _stacked(*given, t)
    return found


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _module(name: str, trial: int, device: torch.device) -> torch.nn.Module:
    net = getattr(nets, name)()
    module = Twin(net, net.init(streams(0, [trial], "init"))).module.to(device)
    return module.to(memory_format=torch.channels_last) if name != "lenet_300_100" else module


def _optimizer(name: str, parameters: Any, **options: Any) -> torch.optim.Optimizer:
    if name not in LR:
        return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True)
    return torch.optim.Adam(parameters, lr=LR[name], fused=True, **options)


def _floats(images: torch.Tensor) -> torch.Tensor:
    """What a network is shown of bytes (..., B, H, W) or (B, H, W, C)."""
    x = images * (1 / 255)
    return x.permute(0, 3, 1, 2) if x.ndim == 4 and x.shape[-1] == 3 else x.flatten(-2)


def _alone(name: str, batch: int, images: torch.Tensor, labels: torch.Tensor, compiled: bool = False) -> Made:
    module = _module(name, 0, images.device)
    optimizer = _optimizer(name, module.parameters())
    orders = torch.randint(0, EXAMPLES, (100, batch), device=images.device)
    forward = torch.compile(module) if compiled else module
    at = count()

    def step() -> torch.Tensor:
        index = orders[next(at) % 100]
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(forward(_floats(images.index_select(0, index))), labels.index_select(0, index))
        loss.backward()
        optimizer.step()
        return loss

    return step, _wait


def _graph(name: str, batch: int, images: torch.Tensor, labels: torch.Tensor) -> Made:
    """The whole step, gathering included, as one CUDA graph; only the numbers of the examples change."""
    module = _module(name, 0, images.device)
    optimizer = _optimizer(name, module.parameters(), capturable=True)
    orders = torch.randint(0, EXAMPLES, (100, batch), device=images.device)
    index = orders[0].clone()

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(module(_floats(images.index_select(0, index))), labels.index_select(0, index)).backward()
        optimizer.step()

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    at = count()

    def step() -> None:
        index.copy_(orders[next(at) % 100])
        graph.replay()

    return step, _wait


def _stacked(name: str, batch: int, images: torch.Tensor, labels: torch.Tensor, trials: int) -> Made:
    """`trials` networks as one, by vmap over their stacked parameters."""
    modules = [_module(name, trial, images.device) for trial in range(trials)]
    parameters, buffers = stack_module_state(modules)
    optimizer = _optimizer(name, list(parameters.values()))
    orders = torch.randint(0, EXAMPLES, (100, trials, batch), device=images.device)
    skeleton, at = modules[0], count()
    forward = vmap(lambda p, b, x: functional_call(skeleton, (p, b), (x,)))

    def step() -> torch.Tensor:
        index = orders[next(at) % 100].flatten()
        x = _floats(images.index_select(0, index)).unflatten(0, (trials, batch))
        optimizer.zero_grad(set_to_none=True)
        logits = forward(parameters, buffers, x)
        # Each network's mean, added up: no network's gradient depends on another.
        loss = cross_entropy(logits.flatten(0, 1), labels.index_select(0, index), reduction="sum") / batch
        loss.backward()
        optimizer.step()
        return loss

    return step, _wait
