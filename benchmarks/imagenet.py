"""What ResNet-50 on ImageNet would take: steps, decoding and messages measured here, the rest reckoned from them.

    python benchmarks/imagenet.py [--only steps decode traffic messages cost cluster] [--save]

steps     a training step of ResNet-18 and ResNet-50 with SGD at 64 x 64 and 224 x 224, dense, on one thread, each in a
          process of its own whose peak memory the operating system tells; a step is three forward passes of
          multiplications and additions
decode    JPEG files of 500 x 375 to 224 x 224, and random-resized crops of these, by one thread
traffic   a small experiment on dask's LocalCluster: what is pickled for each worker, run and result, and what the
          client and the scheduler write into sockets
messages  the same for larger networks, reckoned: masks take a bit, weights four bytes
cost      a trial of the paper's experiment (Frankle et al. 2019: 8 rounds of 112,590 steps of 1,024 images): by the
          core that was measured; by GPUs from the operations in their data sheets, of which they reach a part that is
          assumed, or one that an H100 reached with networks for CIFAR-10 (from the committed figures of gpu.py)
cluster   all of its trials, of tickets and of reinitialised networks, by a cluster of so many workers
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import bench
import images
import numpy as np
import results

from npticket import nets
from npticket.datasets import Dataset, ResizedCrop
from npticket.datasets.decoding import Photographs
from npticket.engine import plan
from npticket.experiments import run as running
from npticket.experiments.planning import planned, trained
from npticket.experiments.training import Execution
from npticket.optimizers import SGD
from npticket.papers import PARTS
from npticket.papers.stabilizing.imagenet import RESNET_50, TINY
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.streams import Place, TrainingStep
from npticket.task import CLASSIFY
from npticket.units import multiply_adds

STEPS = ((18, 64, 16), (50, 64, 16), (18, 224, 4), (50, 224, 4), (50, 224, 8))  # depth, size, batch
ROUNDS, IMAGES = RESNET_50.rounds, RESNET_50.steps * RESNET_50.batch  # of an experiment, of a run
ASSUMED = 0.3  # part of the operations in a data sheet that training reaches: an assumption, nothing here measured it
H100 = "H100 SXM, FP32"
GPUS = {"A100, FP32": 19.5, "A100, TF32": 156.0, H100: 67.0, "H100 SXM, TF32": 495.0}  # TFLOP/s, dense
ON_H100 = {"vgg_19": 64, "resnet_18": 128}  # networks that gpu.py timed, and their minibatches
WORKERS = (1, 5, 10, 64, 512)
CORES = (1, 64, 8 * 64, 64 * 64)  # in one node, and in 1, 8 and 64 nodes of 64
DAY = 86_400


def step(depth: int, size: int, batch: int, repeats: int) -> dict[str, Any]:
    """A row about a training step, from a process that does nothing else."""
    net, place, rng = nets.imagenet_resnet(depth, input_shape=(size, size, 3)), Place(), np.random.default_rng(0)
    theta = net.init(place.rngs("init"))
    masks = dense_masks(theta)
    engine = plan(net, CLASSIFY, theta, masks, partial(SGD, lr=0.1, momentum=0.9, weight_decay=1e-4))
    x = rng.normal(size=(1, batch, size, size, 3)).astype(np.float32)
    labels = rng.integers(0, 1000, (1, batch))
    taken = [bench.timed(lambda k=k: engine.step(x, labels, TrainingStep(place, k)))[0] for k in range(1 + repeats)]
    seconds, flops = float(np.median(taken[1:])), 6 * multiply_adds(net, masks).item()
    return {"net": f"ResNet-{depth}", "pixels": f"{size} x {size}", "batch": batch, "ms": 1e3 * seconds,
            "images/s": batch / seconds, "GFLOP an image": flops / 1e9, "GFLOP/s": flops * batch / seconds / 1e9,
            "peak MiB": bench.resident("VmHWM")}  # fmt: skip


def steps(quick: bool) -> bench.Table:
    """A process for each network, size and batch."""
    forms = {"net": "", "pixels": "", "batch": "d", "ms": ",.0f", "images/s": ".2f", "GFLOP an image": ".2f",
             "GFLOP/s": ".1f", "peak MiB": ",.0f"}  # fmt: skip
    table = bench.Table("training steps, dense, one thread", forms)
    for depth, size, batch in STEPS[: 1 if quick else None]:
        table.add(**images.alone(step, depth, size, 2 if quick else batch, 1 if quick else 3))
    return table


def decode(folder: Path, quick: bool) -> bench.Table:
    """Images per second, one after the other."""
    count = 8 if quick else 200
    names = [f"{i}.jpg" for i in range(count)]
    for name, content in zip(names, images.jpegs(count, 375, 500), strict=True):
        (folder / name).write_bytes(content)
    pictures = Photographs(folder, tuple(names), (224, 224))
    table = bench.Table("JPEG files of 500 x 375", {"what": "", "images/s": ".0f"})
    seconds, decoded = bench.timed(lambda: np.stack([pictures(i) for i in range(count)]))
    table.add(**{"what": "decode to 224 x 224", "images/s": count / seconds})
    changes = ResizedCrop.draw(count, Place(), 0)
    seconds, _ = bench.timed(lambda: changes.apply(decoded[None], slice(0, count)))
    table.add(**{"what": "random-resized crop", "images/s": count / seconds})
    return table


def pickled(what: Any) -> int:
    """The bytes that dask makes of something."""
    from distributed.protocol.pickle import dumps

    return len(dumps(what))


class Counted(running.Cluster):
    """A cluster that notes how many bytes are pickled for it."""

    sizes: dict[str, list[int]]

    def __init__(self, call: Any, address: str) -> None:
        type(self).sizes = {"call": [pickled(call)], "run": [], "result": []}
        super().__init__(call, address)

    def submit(self, **arguments: object) -> Any:
        self.sizes["run"].append(pickled(arguments))
        future = super().submit(**arguments)
        future.add_done_callback(lambda done: self.sizes["result"].append(pickled(done.result())))
        return future


@contextmanager
def written() -> Iterator[list[int]]:
    """The sizes of all messages that this process, which has the client and the scheduler, writes into sockets."""
    from distributed.comm.tcp import TCP

    sizes, write = list[int](), TCP.write

    async def counting(self: Any, *arguments: Any, **options: Any) -> int:
        sizes.append(size := await write(self, *arguments, **options))
        return size

    TCP.write = counting
    try:
        yield sizes
    finally:
        TCP.write = write


def traffic(root: Path, quick: bool) -> bench.Table:
    """What goes to and from the workers of a small experiment, with its images in memory or in files."""
    from distributed import LocalCluster

    recipe = replace(TINY, name="traffic", steps=4, batch=16, trials=2, validate_every=4, rewind_step=1, evaluated=60,
                     augment=None, series=("winning_ticket",))  # fmt: skip
    forms = {"images": "", "workers": "d", "runs": "d", "call KiB": ",.1f", "a run KiB": ".1f", "a result KiB": ".1f",
             "written KiB": ",.0f"}  # fmt: skip
    table = bench.Table("messages of an experiment with ResNet-8 and 600 images of 32 x 32", forms)
    for where, workers in (("in files", 2),) if quick else (("in memory", 2), ("in memory", 4), ("in files", 4)):
        data = images.load(root, 32, None if where == "in memory" else 0)
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
            tempfile.TemporaryDirectory() as out, written() as all_,
        ):  # fmt: skip
            running.Cluster = Counted
            running.run(recipe, PARTS, Path(out) / "traffic", data, Execution(scheduler=cluster.scheduler_address))
        call, run, result = (np.mean(Counted.sizes[name]) / 2**10 for name in ("call", "run", "result"))
        table.add(images=where, workers=workers, runs=len(Counted.sizes["run"]), **{
            "call KiB": call, "a run KiB": run, "a result KiB": result, "written KiB": sum(all_) / 2**10})  # fmt: skip
    return table


def messages() -> bench.Table:
    """What a run of a ticket is given (masks, the rewind point) and gives back (masks, the next masks)."""
    forms = {"net": "", "parameters": ",d", "masks MB": ".2f", "rewind point MB": ".1f", "a run MB": ".1f",
             "a result MB": ".1f"}  # fmt: skip
    table = bench.Table("messages of larger networks, reckoned", forms)
    for net in (nets.resnet(8, 8, 20), nets.imagenet_resnet(18), nets.imagenet_resnet(50)):
        count = Params.empty(net.body.layout, 1, bool).flat.size
        masks, point = count / 8 / 1e6, 4 * count / 1e6
        table.add(net=net.name, parameters=count, **{"masks MB": masks, "rewind point MB": point,
                  "a run MB": masks + point, "a result MB": 2 * masks})  # fmt: skip
    return table


def fastest(steps: bench.Table) -> dict[str, Any]:
    """The row of the largest network and images, of whichever batch, that has most images a second."""
    most = max(row["GFLOP an image"] for row in steps.rows)
    return max((row for row in steps.rows if row["GFLOP an image"] == most), key=lambda row: row["images/s"])


def cost(step: dict[str, Any], decoded: float) -> bench.Table:
    """The paper's experiment, one trial: its rounds one after the other, each run as fast as is said."""
    forms = {"by": "", "TFLOP/s": ",.3f", "part": "", "images/s": ",.1f", "a run, days": ",.1f",
             "8 rounds, days": ",.1f", "cores that decode": ",.1f"}  # fmt: skip
    table = bench.Table("ResNet-50 on ImageNet, pruned to 21 %, one trial", forms)

    def add(by: str, tera: float, part: str, rate: float) -> None:
        days = IMAGES / rate / DAY
        table.add(by=by, part=part, **{"TFLOP/s": tera, "images/s": rate, "a run, days": days,
                  "8 rounds, days": ROUNDS * days, "cores that decode": rate / decoded})  # fmt: skip

    for cores in CORES:
        by = "a core, as measured" if cores == 1 else f"{cores:,} cores, if one run could be spread"
        add(by, cores * step["GFLOP/s"] / 1e3, "all", cores * step["images/s"])
    for by, tera in GPUS.items():
        add(by, tera, f"{ASSUMED:.0%}, assumed", ASSUMED * tera * 1e3 / step["GFLOP an image"])
    for part, words in reached():
        add(H100, GPUS[H100], words, part * GPUS[H100] * 1e3 / step["GFLOP an image"])
    return table


def reached() -> Iterator[tuple[float, str]]:
    """The parts of an H100's operations a second that one network reached there, and eight."""
    tables = results.by_processor()["nvidia-h100-80gb-hbm3"]["gpu"]["tables"]
    for name, batch in ON_H100.items():
        net = getattr(nets, name)()
        flops = 6 * multiply_adds(net, dense_masks(net.init(Place().rngs("init")))).item() * batch
        for trials, networks in ((1, "one"), (8, "eight")):
            rate = next(row["ours"] for row in tables[name] if row["trials"] == trials)  # networks x steps a second
            part = rate * flops / 1e12 / GPUS[H100]
            yield part, f"{part:.1%}, as {networks} {net.name}"


def cluster(step: dict[str, Any]) -> bench.Table:
    """The whole experiment: rounds of a trial follow one another, and all else may run side by side, a run a worker."""
    runs = len(trained(planned(RESNET_50, PARTS.series)))
    forms = {"workers": ",d", "runs": "d", "one after the other": ",d", "days, a core each": ",.0f",
             "days, an H100 each": ",.1f"}  # fmt: skip
    table = bench.Table(f"ResNet-50 on ImageNet: {RESNET_50.trials} trials of {', '.join(RESNET_50.series)}", forms)
    rates = step["images/s"], ASSUMED * GPUS[H100] * 1e3 / step["GFLOP an image"]
    for workers in WORKERS:
        turns = max(-(-runs // workers), ROUNDS)
        core, gpu = (turns * IMAGES / rate / DAY for rate in rates)
        table.add(workers=workers, runs=runs, **{"one after the other": turns, "days, a core each": core,
                  "days, an H100 each": gpu})  # fmt: skip
    return table


def main() -> None:
    tables = ("steps", "decode", "traffic", "messages", "cost", "cluster")
    parser = bench.parser(__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=tables, default=tables, help="cost and cluster need steps and decode"
    )
    args = bench.parse(parser)
    made: dict[str, bench.Table] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "some"
        images.make(root, 600, 32, 32)
        data: Dataset = replace(images.load(root, 32, None), caveat="synthetic images")
        makers = {"steps": lambda: steps(args.quick), "decode": lambda: decode(Path(folder), args.quick),
                  "traffic": lambda: traffic(root, args.quick), "messages": messages,
                  "cost": lambda: cost(fastest(made["steps"]), made["decode"].rows[0]["images/s"]),
                  "cluster": lambda: cluster(fastest(made["steps"]))}  # fmt: skip
        for name in (name for name in tables if name in args.only):
            made[name] = makers[name]()
    results.save(args, data, made)


if __name__ == "__main__":
    main()
