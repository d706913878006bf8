"""torchvision's names of the parameters of residual networks, translated into those of our networks for ImageNet."""

import re
from collections.abc import Mapping

from npticket.backend import Array

RULES = (  # the first that fits is applied; <2> is the number of a block, which they count from 0 and we from 1
    (r"^layer(\d)\.(\d+)\.downsample\.0\.", r"stage\1_block<\2>.sum.shortcut.conv."),
    (r"^layer(\d)\.(\d+)\.downsample\.1\.", r"stage\1_block<\2>.sum.shortcut.norm."),
    (r"^layer(\d)\.(\d+)\.bn(\d)\.", r"stage\1_block<\2>.sum.body.norm\3."),
    (r"^layer(\d)\.(\d+)\.", r"stage\1_block<\2>.sum.body."),
    (r"^conv1\.", "conv."), (r"^bn1\.", "norm."), (r"^fc\.", "out."),
)  # fmt: skip


def from_torchvision(state: Mapping[str, Array]) -> dict[str, Array]:
    """Return the state dict of a torchvision ResNet by the names that `from_state_dict` expects.

    For nets.imagenet_resnet of the same depth: from_state_dict(net, from_torchvision(module.state_dict())). Names that
    it does not know stay as they are.
    """
    return {_named(name): array for name, array in state.items()}


def _named(name: str) -> str:
    for pattern, ours in RULES:
        name, count = re.subn(pattern, ours, name)
        if count:
            break
    return re.sub(r"<(\d+)>", lambda block: str(int(block[1]) + 1), name)
