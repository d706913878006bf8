"""The same network in PyTorch, with the same weights: the peer of the benchmarks, never a dependency of npticket."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from npticket import layers
from npticket.nets import Net
from npticket.params import Params


class Twin:
    """Trial 0 of `net` as a torch module; `pairs` lists (name, torch parameter, its axes in terms of ours)."""

    def __init__(self, net: Net, theta: Params) -> None:
        self.pairs: list[tuple[str, nn.Parameter, tuple[int, ...]]] = []
        self._norms: list[tuple[str, nn.BatchNorm2d]] = []
        self._shapes = net.body.layout
        self.dtype = torch.float64 if theta.flat.dtype == np.float64 else torch.float32
        self.module = self._build(net.body, "").to(self.dtype)
        with torch.no_grad():
            for name, parameter, axes in self.pairs:
                ours = theta[name][0]
                parameter.data = torch.from_numpy(ours.transpose(axes).reshape(parameter.shape).copy())

    def values(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the name and the present value of each parameter and running statistic, in our layout."""
        for name, parameter, axes in self.pairs:
            ours = parameter.detach().numpy()
            yield name, ours.transpose(np.argsort(axes)) if ours.ndim == len(axes) else ours.reshape(self._shapes[name])
        for prefix, norm in self._norms:
            for name in ("running_mean", "running_var"):
                yield prefix + name, getattr(norm, name).numpy()

    def gradient(self, name: str) -> np.ndarray:
        """The gradient of our parameter `name`, in our layout."""
        parameter, axes = next((p, a) for n, p, a in self.pairs if n == name)
        gradient = parameter.grad.numpy()
        return gradient.transpose(np.argsort(axes)) if gradient.ndim == len(axes) else gradient

    def _build(self, layer: layers.Layer, prefix: str) -> nn.Module:
        match layer:
            case layers.Chain():
                return nn.Sequential(*(self._build(part, f"{prefix}{name}/") for name, part in layer.layers.items()))
            case layers.Residual():
                around = nn.Identity() if layer.shortcut is None else self._build(layer.shortcut, f"{prefix}shortcut/")
                return _Sum(self._build(layer.body, f"{prefix}body/"), around)
            case layers.Conv2D():
                kernel, _, channels, filters = layer.layout["W"]
                bias = "b" in layer.layout
                module = nn.Conv2d(channels, filters, kernel, layer.stride, layer.padding, bias=bias)
                self.pairs.append((f"{prefix}W", module.weight, (3, 2, 0, 1)))
                if bias:
                    self.pairs.append((f"{prefix}b", module.bias, (0, 1, 2, 3)))
                return module
            case layers.Dense():
                module = nn.Linear(*layer.layout["W"])
                self.pairs += [(f"{prefix}W", module.weight, (1, 0)), (f"{prefix}b", module.bias, (0, 1))]
                return module
            case layers.BatchNorm():
                module = nn.BatchNorm2d(layer.layout["scale"][0], layer.eps, layer.momentum)
                self.pairs += [(f"{prefix}scale", module.weight, (0,)), (f"{prefix}shift", module.bias, (0,))]
                self._norms.append((prefix, module))
                return module
            case layers.MaxPool():
                return nn.MaxPool2d(layer.size, layer.stride, layer.padding)
            case layers.AveragePool():
                return nn.AvgPool2d(layer.size)
            case layers.GlobalAveragePool():
                return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
            case layers.ReLU():
                return nn.ReLU()
            case layers.Flatten():
                return _FlattenChannelsLast()
        raise TypeError(f"no twin for {type(layer).__name__}")


class _Sum(nn.Module):
    def __init__(self, body: nn.Module, around: nn.Module) -> None:
        super().__init__()
        self.body, self.around = body, around

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + self.around(x)


class _FlattenChannelsLast(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x.flatten(1)
