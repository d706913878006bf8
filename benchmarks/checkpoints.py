"""What checkpoints cost a training run of the dense LeNet-300-100: Adam, batch 60, on one thread.

    python benchmarks/checkpoints.py [--steps 3000] [--count 20] [--folder .]

A run is timed that makes `count` checkpoints in a file in `folder`, whose disk matters, and asks after each step
whether it is time for one. `share` is what that costs a run with the package's interval, of its whole time.
"""

import math
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bench
import numpy as np
import results

from npticket import datasets, nets
from npticket.checkpoint import Snapshot
from npticket.experiments.checkpoints import EVERY, SHARE, File
from npticket.experiments.series import Key
from npticket.optimizers import Adam
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import Place, streams
from npticket.task import CLASSIFY
from npticket.train import Setting, fit


class Timed(File):
    """Notes how long it took to ask, and to make a checkpoint, which it does after each `apart` steps."""

    def __init__(self, folder: Path, apart: int, start: Params, masks: Params, place: Place) -> None:
        super().__init__(folder, {"runs": [Key("winning_ticket", 0, 0)]}, 0.0, start, masks, place)
        self.asked, self.made, self._apart = list[float](), list[float](), apart

    def save(self, take: Callable[[], Snapshot]) -> None:
        is_time = (len(self.asked) + len(self.made)) % self._apart == self._apart - 1
        self._next = 0.0 if is_time else math.inf
        began = time.perf_counter()
        super().save(take)
        (self.made if is_time else self.asked).append(time.perf_counter() - began)


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--folder", default=".")
    args = bench.parse(parser)
    if args.quick:
        args.steps, args.count = 60, 3
    data, net = datasets.mnist(), nets.lenet_300_100()
    theta0 = net.init(streams(0, [0], "init"))
    opened: list[Timed] = []

    def open_checkpoint(folder: Path, start: Params, masks: Params, place: Place) -> Timed:
        opened.append(Timed(folder / "run", args.steps // (args.count + 1), start, masks, place))
        return opened[0]

    table = bench.Table(
        "checkpoints of LeNet-300-100", {"MB": ".1f", "checkpoint_ms": ".1f", "asking_us": ".2f", "share": ".3%"}
    )
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        checkpoints = partial(open_checkpoint, Path(folder))
        setting = Setting(partial(Adam, lr=bench.LR), args.steps, validate_every=args.steps, checkpoints=checkpoints)
        began = time.perf_counter()
        fit(net, CLASSIFY, theta0, dense_masks(theta0), data, setting)
        seconds = time.perf_counter() - began
        (path,) = Path(folder).glob("run/*.npz")
        size = path.stat().st_size
    made, asked = np.median(opened[0].made), np.median(opened[0].asked)
    step = (seconds - sum(opened[0].made)) / args.steps
    share = made / (made + max(EVERY, SHARE * made)) + asked / step
    table.add(MB=size / 1e6, checkpoint_ms=1e3 * made, asking_us=1e6 * asked, step_ms=1e3 * step, share=share)
    results.save(args, data, {"checkpoints": table})


if __name__ == "__main__":
    main()
