"""Measures of the stages of the compression: bytes of files that are written and read back, and test errors."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from npticket.experiments.recipe import Recipe
from npticket.experiments.series import At
from npticket.experiments.tables import Row
from npticket.export import read_compressed, read_ticket, write_compressed, write_ticket
from npticket.export.compressed import Size
from npticket.export.huffman import fixed_lengths, huffman_lengths
from npticket.export.sealed import Lengths
from npticket.papers.deep_compression.sharing import STARTS, SharedSGD, share
from npticket.papers.lottery_ticket.measures import headline
from npticket.params import Params
from npticket.reading import Json
from npticket.streams import Place
from npticket.tickets import rewind
from npticket.train import Setting, fit

DENSE, PRUNED, CLUSTERED, QUANTISED, CODED = "dense", "pruned", "clustered", "quantised", "huffman"  # the stages
ALL, FILE = "all layers", "file"  # rows about all layers with weights, and about the whole file with all else in it
GAP_BITS, MOST_BITS = 5, 8
LR = 0.1  # learning rate of shared values: see SharedSGD


def compressed(at: At, recipe: Recipe) -> list[Row]:
    """Return rows for each stage: for each layer with weights, for ALL, and for the FILE.

    Columns are the numbers of weights, of those kept, and of entries (those kept, and fillers); mean bits of an entry's
    value and of its gap; bytes; and the network's error, a fraction, which is the same in all rows of a stage.
    """
    values = rewind(at.end, at.masks)
    clustered = share(values, at.masks, widths(values), at.rngs)
    trained = _trained(at, recipe, clustered, recipe.steps // 10, _place(at))
    sizes = {name: Size(size, size, size, 32 * size, 0, 0) for name, size in _weights(values).items()}
    rows = list(_rows(DENSE, sizes, values.flat.nbytes, 1 - headline(at, at.given["dense"])))
    for stage, theta, lengths_of in (
        (PRUNED, values, fixed_lengths), (CLUSTERED, clustered, fixed_lengths),
        (QUANTISED, trained, fixed_lengths), (CODED, trained, huffman_lengths),
    ):  # fmt: skip
        sizes, bytes = _written(at, theta, lengths_of)
        rows += _rows(stage, sizes, bytes, 1 - headline(at, theta))
    return rows


def ablation(at: At, recipe: Recipe, starts: Sequence[str]) -> list[Row]:
    """Return a row for each start of k-means and each number of bits: errors before and after training, and bytes."""
    values, place, rows = rewind(at.end, at.masks), _place(at), list[Row]()
    for start in starts:
        for bits in range(1, MOST_BITS + 1):
            clustered = share(values, at.masks, dict.fromkeys(values.weights, bits), at.rngs, STARTS[start])
            trained = _trained(at, recipe, clustered, recipe.steps // 30, place)
            sizes, _ = _written(at, trained, huffman_lengths)
            total = sum(size.bytes for size in sizes.values())
            errors = {"before": 1 - headline(at, clustered), "error": 1 - headline(at, trained)}
            rows.append({"start": start, "bits": bits, "bytes": total} | errors)
    return rows


def ticket_file(at: At, recipe: Recipe) -> list[Row]:
    """Return one row: the bytes of a ticket as seed and mask, the mask's entropy in bytes, and whether it came back.

    The entropy is that of random masks with as many survivors in each layer: no code takes less unless masks have
    structure.
    """
    start, (seed, trial) = rewind(at.theta0, at.masks), (recipe.seed, at.trial)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ticket"
        write_ticket(path, at.net, seed, trial, at.masks)
        back, size = read_ticket(path, at.net), path.stat().st_size
    exact = back.start.flat.tobytes() == start.flat.tobytes() and bool((back.masks.flat == at.masks.flat).all())
    entropy = sum(_entropy(at.masks[name]) for name in at.masks.weights) / 8
    kept, weights = (sum(int(at.masks[name].sum()) for name in at.masks.weights), sum(_weights(start).values()))
    return [{"weights": weights, "kept": kept, "bytes": size, "entropy": entropy, "exact": int(exact)}]


def widths(theta: Params) -> dict[str, int]:
    """Return the paper's bits by layer: 8 in convolutions, 5 in dense layers after them, else 6 (Tables 2 to 5)."""
    is_conv = {name: theta[name].ndim > 3 for name in theta.weights}
    return {name: 8 if conv else 5 if any(is_conv.values()) else 6 for name, conv in is_conv.items()}


def _trained(at: At, recipe: Recipe, theta: Params, steps: int, place: Place) -> Params:
    """Train shared values for so many steps, at least one; a faster engine would not help this optimizer."""
    steps = max(1, steps)
    setting = Setting(partial(SharedSGD, lr=LR), steps, recipe.batch, validate_every=steps, engine="plain")
    return fit(at.net, at.task, theta, at.masks, at.data, setting, place).end


def _place(at: At) -> Place:
    """A place by which each trial has its own minibatches, and all networks in one measure have the same."""
    return Place(seed=int(at.rngs[0].integers(1 << 32)))


def _written(at: At, theta: Params, lengths_of: Lengths) -> tuple[dict[str, Size], int]:
    """Write a file, check that it can be read back, and return the sizes of its layers and of the file in bytes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "compressed"
        write_compressed(path, at.net, theta, at.masks, GAP_BITS, lengths_of)
        back, size = read_compressed(path, at.net), path.stat().st_size
    if back.theta.flat.tobytes() != theta.flat.tobytes():
        raise RuntimeError(f"a compressed {at.net.name} did not come back from its file as it was written")
    return back.sizes, size


def _rows(stage: str, sizes: dict[str, Size], bytes: int, error: float) -> Iterator[Row]:
    total = Size(*np.sum([list(vars(size).values()) for size in sizes.values()], axis=0).tolist())
    for layer, size in {**sizes, ALL: total, FILE: total}.items():
        entries = max(size.entries, 1)
        numbers: dict[str, Json] = {"weights": size.weights, "kept": size.kept, "entries": size.entries}
        bits = {"value_bits": size.value_bits / entries, "gap_bits": size.gap_bits / entries}
        taken = float(bytes if layer == FILE else size.bytes)
        yield {"stage": stage, "layer": layer} | numbers | bits | {"bytes": taken, "error": error}


def _weights(theta: Params) -> dict[str, int]:
    return {name: theta[name][0].size for name in theta.weights}


def _entropy(mask: np.ndarray) -> float:
    """The entropy in bits of a random mask with as many survivors."""
    p = mask.mean()
    return float(-mask.size * sum(q * np.log2(q) for q in (p, 1 - p) if q))
