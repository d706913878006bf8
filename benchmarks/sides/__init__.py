"""Who takes turns in the benchmarks: ours, and the peers, a file each with a class of one shape.

    Training(net, start, masks, data, optimizer, threads=1)     trial 0 of `start` under `masks`
    given(numbers)     the numbers of a batch's training examples (B,), as `step` wants to be given them
    step(given)        take a step with these examples; return the loss before it
    validate(chunk)    return mean loss and accuracy on the validation set; `chunk` images at a time, where one may say
    read(out)          copy the present parameters and running statistics into `out`

`optimizer` is a partial of npticket's SGD or Adam, whose arguments have the names that PyTorch gave them. The number of
threads is one for all sides of a process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from itertools import cycle, islice
from typing import Any

import numpy as np

from npticket.datasets import Dataset
from npticket.engine import ENGINES
from npticket.nets import Net
from npticket.params import Params
from sides import ours

PEERS = {  # by the name that tables and figures know them by: the file
    "torch": "torch_eager", "flushed": "torch_flushed", "compiled": "torch_compiled", "nchw": "torch_nchw",
    "jax": "jax_jit",
}  # fmt: skip
OURS = ("npticket", "sides")  # packages whose faults are no reason to do without a peer
Makers = Mapping[str, Callable[..., Any]]


def installed(names: Iterable[str]) -> Makers:
    """Return what makes each of these peers, and say which cannot be had here.

    A fault in our own code, such as a name that is gone, is raised: else a peer would vanish from tests and tables.
    """
    found = {}
    for name in names:
        try:
            found[name] = import_module(f"sides.{PEERS[name]}").Training
        except ImportError as error:
            if (error.name or "").partition(".")[0] in OURS:
                raise
            print(f"without {name}: {error}")
    return found


def trainings(
    peers: Makers,
    net: Net,
    start: Params,
    masks: Params,
    data: Dataset,
    optimizer: Any,
    threads: int = 1,
    engines: Sequence[str] = ENGINES,
) -> dict[str, Any]:
    """Return our engines' trainings and the peers', by name."""
    given = net, start, masks, data, optimizer, threads
    return {engine: ours.Training(*given, engine) for engine in engines} | {
        n: make(*given) for n, make in peers.items()
    }


def turn(training: Any, order: Sequence[np.ndarray], block: int, validate: bool = False) -> Callable[..., None]:
    """Return a function that takes the next `block` steps, or as many as it is told, with the batches of `order`.

    It may validate after them.
    """
    at = cycle([training.given(numbers) for numbers in order])

    def steps(count: int = block) -> None:
        for given in islice(at, count):
            training.step(given)
        if validate:
            training.validate()

    return steps
