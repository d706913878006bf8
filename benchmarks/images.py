"""Images in files against images in memory: how many a second, and how much memory, of 100,000 small JPEG files.

    python benchmarks/images.py [--files 100000] [--size 64] [--save]

Files are made in a temporary folder (some 0.3 GB): 64 x 64 pixels of smooth colours and noise, 20 classes, a tenth of
them for testing. Each row is a process of its own, whose peak memory is what the operating system says of it:

nothing   only imports, and the files are counted
decode    every file is read and decoded and thrown away, by 1 and 2 threads
files     an epoch of minibatches of 64 in random order, decoded ahead by 1 and 2 threads, as training takes them
memory    all are decoded once and kept, and then the same epoch

`images/s` of the last two has the epoch alone; `loading s` is the look at all files before it, by all cores.
"""

import io
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench
import numpy as np
import results

from npticket import datasets
from npticket.datasets import Dataset, Lazy, epoch_order, rows_of
from npticket.datasets.decoding import Photographs
from npticket.streams import Place

CLASSES, BATCH, DIFFERENT = 20, 64, 500  # so many different images: the rest are copies
COLUMNS = {"case": "", "threads": "d", "files": ",d", "loading s": ".1f", "images/s": ",.0f", "peak MiB": ",.0f",
           "pixels MiB": ",.0f"}  # fmt: skip
CASES = (("nothing", 1), ("decode", 1), ("decode", 2), ("files", 1), ("files", 2), ("memory", 2))


def make(root: Path, files: int, height: int, width: int) -> None:
    """Write JPEG files of this size by class, nine in ten for training."""
    contents = list(jpegs(min(files, DIFFERENT), height, width))
    for number in range(files):
        folder = root / ("val" if number % 10 == 9 else "train") / f"n{number // 10 % CLASSES:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:06}.JPEG").write_bytes(contents[number % len(contents)])


def jpegs(count: int, height: int, width: int) -> Iterator[bytes]:
    """Yield JPEG files that compress about as photographs do: blots of colour, and some noise."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for _ in range(count):
        blots = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((width, height))
        noisy = np.asarray(blots) + rng.normal(0, 6, (height, width, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file := io.BytesIO(), "JPEG", quality=85)
        yield file.getvalue()


def load(root: Path, size: int, keep: int | None) -> Dataset:
    return datasets.images(root.parent, path=root.name, size=[size, size], keep=keep)


def epoch(data: Dataset) -> int:
    """Take the minibatches of an epoch, as training does; return how many images."""
    order = epoch_order(len(data.train), BATCH, Place(), 0)
    taken = rows_of(data.train.inputs, (order[:, k] for k in range(order.shape[1])))
    return sum(batch.shape[1] for batch in taken)


def decoded(root: Path, size: int, threads: int) -> int:
    """Decode all training files and keep nothing."""
    pictures = Photographs(root, tuple(map(str, sorted((root / "train").rglob("*.JPEG")))), (size, size))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: [pictures(i).shape for i in part],
                      (range(i, len(pictures.files), threads) for i in range(threads))))  # fmt: skip
    return len(pictures.files)


def measured(case: str, threads: int, root: Path, size: int) -> dict[str, Any]:
    """One row, in a process of its own."""
    row: dict[str, Any] = {"case": case, "threads": threads}
    if case == "nothing":
        row["files"] = sum(1 for _ in root.rglob("*.JPEG"))
    elif case == "decode":
        seconds, row["files"] = bench.timed(lambda: decoded(root, size, threads))
        row["images/s"] = row["files"] / seconds
    else:
        row["loading s"], data = bench.timed(lambda: load(root, size, 0 if case == "files" else None))
        for split in (data.train, data.validation, data.test):
            if isinstance(split.inputs, Lazy):
                split.inputs.threads = threads
        seconds, count = bench.timed(lambda: epoch(data))
        row |= {"files": count, "images/s": count / seconds}
        row["pixels MiB"] = sum(np.prod(s.inputs.shape) for s in (data.train, data.validation, data.test)) / 2**20
    return row | {"peak MiB": bench.resident("VmHWM")}


def alone(call: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Make a call in a new process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def main() -> None:
    parser = bench.parser(__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64, help="of the images in pixels")
    args = bench.parse(parser)
    files = 600 if args.quick else args.files
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "synthetic"
        make(root, files, args.size, args.size)
        table = bench.Table(f"{files:,} files on {results.processor()}", COLUMNS)
        for case, threads in CASES:
            table.add(**alone(measured, case, threads, root, args.size))
        make(root.with_name("some"), 600, args.size, args.size)  # for all that is said of data beside results
        some = replace(load(root.with_name("some"), args.size, None), caveat=f"{files:,} synthetic files")
    results.save(args, some, {"images": table})


if __name__ == "__main__":
    main()
