"""PyTorch with the loss compiled, from the gathering of the batch on, and with it the backward pass.

The optimizer stays PyTorch's fused one: compiled with the rest it was slower, and so were the other modes of compiling.
"""

import os
import shutil
from typing import Any

import torch

from sides import torch_eager

if shutil.which(os.environ.get("CXX", "g++")) is None:
    raise ImportError("torch.compile needs a C++ compiler: g++, or the one that CXX names")


class Training(torch_eager.Training):
    """One network in training; see sides/__init__.py."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        torch.compiler.reset()  # what was compiled for other networks counts against a limit
        self.loss = torch.compile(self.loss, dynamic=False, fullgraph=True)
