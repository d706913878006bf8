"""Breaks what npticket is given, on purpose, and counts what comes of it, a line each.

    python benchmarks/torture.py kills --count 200        SIGKILL at any moment, and on from there
    python benchmarks/torture.py faults --count 2000      calls that fail to write
    python benchmarks/torture.py copies --count 2000      files copied, of another experiment, or with bits flipped
    python benchmarks/torture.py readers --count 20000    files of every kind, damaged at random, and given to be read
    python benchmarks/torture.py prunings --count 10000   ties
    python benchmarks/torture.py all                      all of these

What is read is the right value, refused in a sentence, or (where nothing says what was there before) another value that
could be one. Anything else is a traceback, and the line says how many there were, and what was the first.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import resource
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
from tortures.copies import copies
from tortures.exchanged import Reader, exchanged
from tortures.faults import faults
from tortures.kills import kills
from tortures.prunings import prunings

from npticket import cli, nets
from npticket.datasets import DataError, packed
from npticket.datasets.download import read_caveat
from npticket.datasets.mnist import read_idx
from npticket.experiments.checks import check
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.json_files import read_json
from npticket.experiments.parts import Experiment
from npticket.experiments.planning import planned
from npticket.experiments.recipe import Part, Recipe, from_json
from npticket.experiments.series import Key
from npticket.experiments.store import Store
from npticket.experiments.tables import WHO, curves_measured, result_columns
from npticket.export import load_sparse, to_sparse
from npticket.papers import PARTS
from npticket.params import Params
from npticket.prune import dense_masks, density
from npticket.reading import UnreadableError
from npticket.streams import streams
from npticket.task import CLASSIFY

DRAWS = find_spec("matplotlib") is not None
REFUSALS = (DataError, StoreError, RecipeError, UnreadableError)
RECIPE = Recipe(
    name="lenet-mnist", source="Figure 1", net=Part("lenet_300_100", hidden=[3, 2]), data=Part("mnist"), batch=4,
    optimizer=Part("sgd", lr=0.1, momentum=0.9, weight_decay=1e-4), prune=Part("magnitude", rates={"*/W": 0.2}),
    schedule=Part("step_drops", drops=[[20, 0.01], [25, 0.001]], warmup=5), steps=30, rounds=3, trials=2,
    series=("winning_ticket", "random_reinit", "dense_2"), test_at=(10, 30), train_at=(29,), validate_every=10,
)  # fmt: skip
NASTY = (
    "NaN", "-1", "1e400", "9" * 400, "1e999999", "null", "true", "[]", "{}", '""', "[" * 5000, '{"a":' * 3000, "\x00",
    "\ufeff", "\x1b[31m", "\u202e", "\ud800", "..", "../../x", "$\\frac{1{$", "| a |\n<!-- end -->", "²", "x" * 200_000,
    "0", "1000000000", "0.5", '"', ",", "\n", "\r", "'", "\\", "2147483648", "18446744073709551616", "-0.0", "inf",
)  # fmt: skip


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to three damages: bits flipped, cut off, longer, parts replaced, repeated, or lost."""
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(0, len(content) + 1)), int(rng.integers(1, 40))
        before, part, after = content[:at], content[at : at + length], content[at + length :]
        nasty = NASTY[rng.integers(len(NASTY))].encode("utf-8", "surrogatepass")
        kinds = (
            lambda: before + bytes([part[0] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :] if part else content,
            lambda: before, lambda: content + rng.bytes(length), lambda: before + rng.bytes(length) + after,
            lambda: before + part + part + after, lambda: before + after, lambda: before + nasty + after,
            lambda: before + nasty + content[at:], lambda: rng.bytes(length),
            lambda: before + int(rng.integers(2**32)).to_bytes(4, "big") + content[at + 4 :],
        )  # fmt: skip
        content = kinds[rng.integers(len(kinds))]()
    return content


def damaged_inside(suffix: str, content: bytes, rng: np.random.Generator) -> bytes:
    """The content with damage behind what tells it: a value of JSON, a cell of a table, what is compressed."""
    nasty = NASTY[rng.integers(len(NASTY))]
    if suffix == ".json":
        return json.dumps(damaged_value(json.loads(content), rng)).encode()
    if suffix == ".csv":
        rows = [line.split(",") for line in content.decode().splitlines()]
        row = rows[rng.integers(len(rows))]
        row[rng.integers(len(row))] = nasty
        return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")
    if suffix == ".gz":
        return gzip.compress(damaged(gzip.decompress(content), rng))
    if suffix == ".npz":
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            names = old.namelist()
            chosen = names[rng.integers(len(names))]
            for name in names:
                inside, header = old.read(name), rng.integers(2) * 128  # where a header ends, as a rule
                damage = damaged(inside[:header], rng) + inside[header:] if header else damaged(inside, rng)
                new.writestr(name, damage if name == chosen else inside)
        return out.getvalue()
    return nasty.encode("utf-8", "surrogatepass") + content


def damaged_value(value: object, rng: np.random.Generator) -> object:
    """A value of JSON with something in it exchanged, lost, or added."""
    if not rng.integers(4) or not isinstance(value, dict | list) or not value:
        nasty = NASTY[rng.integers(len(NASTY))]
        try:
            return json.loads(nasty) if rng.integers(2) else nasty
        except (ValueError, RecursionError):
            return nasty
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = keys[rng.integers(len(keys))]
    changed = {k: damaged_value(value[k], rng) if k == key else value[k] for k in keys}
    if not rng.integers(8):
        del changed[key]
    if isinstance(value, list):
        return [*changed.values()]
    return changed | ({NASTY[rng.integers(len(NASTY))]: 1} if not rng.integers(16) else {})


def a_run(experiment: Experiment, key: Key, rng: np.random.Generator) -> dict[str, object]:
    """A made-up run, of made-up numbers that such a run could have measured."""
    run = planned(experiment.recipe, experiment.parts.series)[key]
    setting = experiment.setting("plain", 1, run.length)
    at_steps = np.array(setting.at_steps)
    kept = Params.empty(experiment.net.body.layout, 1, bool)
    kept.flat[:] = np.arange(kept.flat.shape[1]) % 3 > 0
    curves = {name: rng.random(len(at_steps)) for name in curves_measured(CLASSIFY)}
    stop = int(np.argmin(curves["val_loss"]))
    for name in filter(lambda name: name.startswith("test_"), curves):
        curves[name][~np.isin(at_steps, [*setting.test_at, setting.steps, at_steps[stop]])] = np.nan
    found = {f"early_stop_{name}": values[stop] for name, values in curves.items()}
    found |= {f"final_{name}": values[-1] for name, values in curves.items()}
    numbers = {name: found.get(name, 0.5) for name in result_columns(CLASSIFY)[len(WHO) :]}
    numbers |= {"early_stop_step": at_steps[stop], "steps": setting.steps, "density": density(kept)[0]}
    arrays = {"masks": np.packbits(kept.flat), "end": np.where(kept.flat[0], rng.random(kept.flat.shape[1]), 0)}
    return {**arrays, "at_steps": at_steps, **curves, **numbers, "chosen": np.array(["a: b"])}


def an_experiment(folder: Path) -> Callable[[], Store]:
    """Make a directory with all runs, and return what opens it again."""
    experiment, rng = Experiment(RECIPE, PARTS), np.random.default_rng(0)
    manifest = {"machine": {"cpu": "a"}, "data": {"name": "noise", "source": "a", "caveat": "made up", "sha256": "1"}}
    with Store(folder, experiment, manifest) as store:
        for key in planned(RECIPE, PARTS.series):
            store.add(key, a_run(experiment, key, rng))
    return lambda: Store(folder, experiment, manifest)


def command(*arguments: str) -> str:
    """What a command prints; StoreError if it was refused."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(list(arguments))
    if status == 2 and err.getvalue().startswith("error: "):
        raise StoreError(err.getvalue())
    if status not in (0, 1):
        raise AssertionError(f"status {status}: {err.getvalue()}")
    if not out.getvalue().replace("\n", "").isprintable():
        raise AssertionError("it printed what cannot be printed")
    return out.getvalue()


def kinds(folder: Path) -> dict[str, Reader]:
    """A good file of every kind, and what reads it."""
    rng, data, runs = np.random.default_rng(0), folder / "data", folder / "runs"
    data.mkdir()
    images = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    idx = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes()
    (data / "idx").write_bytes(idx)
    (data / "idx.gz").write_bytes(gzip.compress(idx))
    sizes = {"a/one.bin": 700, "a/two.bin": 512}
    with tarfile.open(data / "a.tar.gz", "w:gz") as archive:
        for name, size in {**sizes, "a/readme": 100}.items():
            (member := tarfile.TarInfo(name)).size = size
            archive.addfile(member, io.BytesIO(rng.bytes(size)))
    (data / "CAVEAT.txt").write_text("smudged by hand\nin 1998\n")
    net = nets.lenet_300_100(hidden=(3, 2))
    theta = net.init(streams(0, [0], "init"))
    to_sparse(net, theta, dense_masks(theta)).save(data / "ticket.npz")
    opened, a_file = an_experiment(runs), runs / "runs" / Key("winning_ticket", 0, 0).file

    def open_runs() -> dict[str, list[object]]:
        with opened() as store:
            return {name: array.tolist() for name, array in store.load(Key("winning_ticket", 0, 0)).items()}

    def both() -> dict[str, bytes]:
        if sizes.keys() - (found := packed.members(data / "a.tar.gz", sizes)).keys():
            raise DataError("as whoever asks for them says")
        return found

    def cooked() -> Recipe:
        check(recipe := from_json(read_json(data / "recipe.json")), PARTS)
        return recipe

    (data / "recipe.json").write_bytes((runs / "recipe.json").read_bytes())
    seen = {name: lambda: command("verify", str(runs)) + command("show", str(runs)) for name in ("recipe", "manifest")}
    return {
        "idx": Reader(data / "idx", lambda: read_idx(data / "idx", (5, 4, 3)).tolist()),
        "idx.gz": Reader(data / "idx.gz", lambda: read_idx(data / "idx.gz", (5, 4, 3)).tolist(), True),
        "tar.gz": Reader(data / "a.tar.gz", both, True),
        "caveat": Reader(data / "CAVEAT.txt", lambda: read_caveat(data)),
        "ticket": Reader(data / "ticket.npz", lambda: load_sparse(data / "ticket.npz", net)._theta.flat.tolist(), True),
        "recipe": Reader(data / "recipe.json", cooked),
        "a run": Reader(a_file, open_runs, True),
        **{f"its {name}": Reader(runs / f"{name}.json", read) for name, read in seen.items()},
        **{f"its {name}": Reader(runs / f"{name}.csv", seen["recipe"]) for name in ("results", "curves")},
        "its manifest, to go on": Reader(runs / "manifest.json", open_runs),
        **exchanged(folder / "exchanged"),
    }


def readers(count: int, seed: int = 0) -> str:
    """Damage files of every kind, `count` in all, have them read, and return what came of it in a line."""
    rng, found, accepted, first = np.random.default_rng(seed), Counter[str](), 0, ""
    longest, before = 0.0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as temporary, np.errstate(all="ignore"):
        every = kinds(Path(temporary))
        right = {kind: repr(reader.read()) for kind, reader in every.items()}
        for i in range(count):
            kind = list(every)[i % len(every)]
            reader, was, inside = every[kind], every[kind].path.read_bytes(), bool(rng.integers(2))
            folder = {path: path.read_bytes() for path in reader.path.parent.iterdir() if path.is_file()}
            reader.path.write_bytes(damaged_inside(reader.path.suffix, was, rng) if inside else damaged(was, rng))
            began = time.process_time()
            try:
                outcome = "right" if repr(reader.read()) == right[kind] else "another value"
                if outcome == "another value" and kind.startswith("its") and DRAWS:
                    command("publish", str(reader.path.parent), str(Path(temporary) / f"published {i}"))
                accepted += outcome == "another value" and reader.checked and not inside
            except REFUSALS:
                outcome = "refused"
            except Exception:
                outcome, first = "traceback", first or f"{kind}, number {i}:\n{traceback.format_exc()}"
            longest = max(longest, time.process_time() - began)
            found[outcome] += 1
            for path, content in folder.items():
                path.write_bytes(content)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    line = (
        f"readers: {count:,} damaged files of {len(every)} kinds: {found['traceback']} tracebacks, "
        f"{found['refused']:,} refused, {found['right']:,} right, {found['another value']:,} with another value that "
        f"could be one ({accepted} where a checksum tells); at most {longest:.1f} s of a core each, and {memory:.0f} MB"
    )
    return f"{line}\n{first}".rstrip()


TORTURES = {
    "kills": (kills, 200), "faults": (faults, 2_000), "copies": (copies, 2_000), "readers": (readers, 20_000),
    "prunings": (prunings, 10_000),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="what", metavar="WHAT")
    for name in (*TORTURES, "all"):
        add = commands.add_parser(name, help=TORTURES[name][0].__doc__ if name in TORTURES else "all of these")
        add.add_argument("--count", type=int, help="how often (default: as above)")
        add.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in TORTURES if args.what == "all" else [args.what]:
        work, count = TORTURES[name]
        print(work(args.count or count, args.seed), flush=True)


if __name__ == "__main__":
    main()
