"""PyTorch eager for the encoder and the detector, as one would write them: fused AdamW or Adam, its own attention.

`training(recipe's name, net, start, schedule)` begins with our parameters and returns what takes a step with a batch as
our engines are given it, (x, targets), and returns the loss before it. Nothing is pruned.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as f

from npticket.detection.loss import ALPHA, PRIOR, REACH, WIDEST
from npticket.nets import Net
from npticket.nets.detector import STRIDE
from npticket.params import Params
from sides.torch_twin import Twin

Schedule = Callable[[int], float]


class Detector:
    """The detector with Adam, channels last; its loss as npticket.detection.loss has it."""

    def __init__(self, net: Net, start: Params, schedule: Schedule) -> None:
        torch.set_num_threads(1)
        self._twin = Twin(net, start)
        self._module = self._twin.module.to(memory_format=torch.channels_last)
        self._schedule, self._steps = schedule, 0
        self._optimizer = torch.optim.Adam(self._module.parameters(), lr=schedule(0), fused=True)

    def step(self, x: np.ndarray, targets: np.ndarray) -> float:
        self._optimizer.param_groups[0]["lr"] = self._schedule(self._steps)
        self._steps += 1
        self._optimizer.zero_grad(set_to_none=True)
        y = self._module(torch.from_numpy(x[0]).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        loss = detection_loss(y, torch.from_numpy(targets[0]).to(y.dtype))
        loss.backward()
        self._optimizer.step()
        return loss.item()


def detection_loss(y: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """y (B, H', W', C + 4)   targets (B, M, 5)"""
    chosen, shows = assigned(targets, *y.shape[1:3])
    hit = shows[..., None] & (chosen[..., :1] == torch.arange(y.shape[-1] - 4))
    right = torch.where(hit, 1.0, -1.0).to(y.dtype) * (y[..., :-4] - PRIOR)
    weight = torch.where(hit, ALPHA, 1 - ALPHA).to(y.dtype)
    focal = -(weight * torch.sigmoid(-right) ** 2 * f.logsigmoid(right)).sum(-1)
    apart = torch.where(shows, 1 - giou(y[..., -4:], chosen[..., 1:] / STRIDE), 0)
    return ((focal + apart).sum((1, 2)) / shows.sum((1, 2)).clamp(min=1)).mean()


def assigned(targets: torch.Tensor, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The target that each cell is to show, (B, H', W', 5), and whether it is to show one, (B, H', W')."""
    x, y, w, h = (targets[..., 1 + i, None, None] / STRIDE for i in range(4))
    across, down = x + w / 2, y + h / 2
    column, row = torch.arange(columns), torch.arange(rows)[:, None]
    inside = (across.floor() == column) & (down.floor() == row)
    near = ((column + 0.5 - across).abs() < (w / 2).clamp(max=REACH)) & (
        (row + 0.5 - down).abs() < (h / 2).clamp(max=REACH)
    )
    mine = (inside | near) & (targets[..., 0, None, None] >= 0)
    smallest = torch.where(mine, w * h, torch.inf).argmin(1)
    chosen = targets[torch.arange(len(targets))[:, None, None], smallest]
    return chosen, mine.any(1)


def giou(z: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Generalised intersection over union of each cell's box with the wanted one, x, y, w, h in cells."""
    rows, columns = z.shape[1:3]
    cells = torch.stack(torch.meshgrid(torch.arange(columns), torch.arange(rows), indexing="xy"), -1) + 0.5
    centre, size = cells + z[..., :2], z[..., 2:].clamp(max=WIDEST).exp()
    low, high = centre - size / 2, centre + size / 2
    wanted_low, wanted_high = wanted[..., :2], wanted[..., :2] + wanted[..., 2:]
    common = (torch.minimum(high, wanted_high) - torch.maximum(low, wanted_low)).clamp(min=0).prod(-1)
    around = (torch.maximum(high, wanted_high) - torch.minimum(low, wanted_low)).prod(-1)
    union = size.prod(-1) + wanted[..., 2:].prod(-1) - common
    return common / union + union / around - 1


class Encoder:
    """The encoder with AdamW and clipping; x are words (1, B, L), 0 for padding, of which the rest is cut off.

    As one would write it, padding within is computed; with `tokens` it is not, but for attention, as in ours.
    """

    def __init__(self, net: Net, start: Params, schedule: Schedule, tokens: bool = False) -> None:
        torch.set_num_threads(1)
        self._body: Any = net.body
        self._tokens = tokens
        self._p = {}
        for name in start:
            value = start[name][0]
            value = value.T if name.endswith("/W") else value[0] if name.endswith("/b") else value
            self._p[name] = torch.tensor(np.ascontiguousarray(value), requires_grad=True)
        self._schedule, self._steps = schedule, 0
        self._optimizer = torch.optim.AdamW(self._p.values(), lr=schedule(0), weight_decay=0.01, fused=True)

    def step(self, x: np.ndarray, targets: np.ndarray) -> float:
        self._optimizer.param_groups[0]["lr"] = self._schedule(self._steps)
        self._steps += 1
        self._optimizer.zero_grad(set_to_none=True)
        words = x[0][:, : int(np.flatnonzero(x[0].any(axis=0))[-1]) + 1].astype(np.int64)
        loss = f.cross_entropy(self._forward(torch.from_numpy(words)), torch.from_numpy(targets[0].astype(np.int64)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._p.values(), 1.0)
        self._optimizer.step()
        return loss.item()

    def _forward(self, words: torch.Tensor) -> torch.Tensor:
        real, places = words != 0, torch.arange(words.numel())
        rows: Any = places[real.flatten()] if self._tokens else slice(None)
        y = f.embedding(words.flatten()[rows], self._p["words/table"])
        y = self._norm(y + self._p["positions/table"][places[rows] % words.shape[1]], "norm")
        for name in self._body.blocks:
            y = self._block(y, real, rows, name)
        share = real.to(y.dtype) / real.sum(1, keepdim=True)
        return self._linear((_placed(y, real, rows) * share[..., None]).sum(1), "out")

    def _block(self, x: torch.Tensor, real: torch.Tensor, rows: Any, name: str) -> torch.Tensor:
        heads = self._body.blocks[name].attention.heads
        q, k, v = (
            _placed(self._linear(x, f"{name}/attention/{part}"), real, rows).unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        looked = f.scaled_dot_product_attention(q, k, v, attn_mask=real[:, None, None])
        looked = looked.transpose(1, 2).flatten(2).flatten(0, 1)[rows]
        h = self._norm(x + self._linear(looked, f"{name}/attention/output"), f"{name}/attention_norm")
        fed = self._linear(f.gelu(self._linear(h, f"{name}/feed/inner")), f"{name}/feed/outer")
        return self._norm(h + fed, f"{name}/feed_norm")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return f.linear(x, self._p[f"{name}/W"], self._p[f"{name}/b"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return f.layer_norm(x, x.shape[-1:], self._p[f"{name}/scale"], self._p[f"{name}/shift"], 1e-12)


def _placed(y: torch.Tensor, real: torch.Tensor, rows: Any) -> torch.Tensor:
    """The rows of tokens (N, C) as sentences (B, L, C)."""
    if len(y) < real.numel():
        y = y.new_zeros(real.numel(), y.shape[-1]).index_copy(0, rows, y)
    return y.view(*real.shape, -1)


def training(recipe: str, *given: Any) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return what takes a step with a recipe's network; an encoder may be told to compute `tokens` alone."""
    return (Encoder if recipe.startswith("bert") else Detector)(*given).step
