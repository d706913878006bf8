"""Results as files: one for each processor, in which every run of a script has its place."""

import json
import os
import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from npticket.datasets import Dataset
from npticket.experiments import machine

if TYPE_CHECKING:
    from bench import Table

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "results" / "speed"
PARTS = ("nets", "densities", "only", "peers")  # arguments that say what to measure, not how
LIMITS = (  # variables that keep a side to some of the processor's instructions
    "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "XLA_FLAGS",
)  # fmt: skip
SAYS_NOTHING = r"\((R|TM)\)|\b(CPU|Processor|\d+-Core)\b|@.*"  # of a processor's name


def save(args: Namespace, data: Dataset, tables: Mapping[str, "Table"], processes: int = 1) -> None:
    """Put the tables, with all that they depend on, into the file that was asked for, if one was.

    What the same script with the same arguments has left there is replaced, all else stays.
    """
    if not args.save and args.json is None:
        return
    described = machine.describe(data, processes, getattr(args, "backend", "numpy"), getattr(args, "engine", "all"))
    path = FOLDER / f"{processor(gpu=described['machine'].get('gpu', ''))}.json" if args.save else args.json
    del described["data"]["source"]  # a path; what the data are, the checksum says
    described["machine"] |= {peer: _version(peer) for peer in ("torch", "jax")}
    if limits := [f"{name}={os.environ[name]}" for name in LIMITS if os.environ.get(name)]:
        described["machine"]["limits"] = limits
    found = read(path) if path.exists() else {}
    script = Path(sys.argv[0]).stem
    found[" ".join([script, *(f"--{name} {_text(value)}" for name, value in args.chosen.items())])] = {
        "benchmark": script,
        "arguments": args.chosen,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        **described,
        "tables": {name: table.rows for name, table in tables.items()},
        "columns": {name: table.columns for name, table in tables.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", "utf-8", newline="\n")


def read(path: Path) -> dict[str, Any]:
    """Return what `save` wrote, by script and arguments."""
    return json.loads(path.read_text("utf-8"))


def by_processor(paths: Sequence[Path] = ()) -> dict[str, dict[str, Any]]:
    """Return the results of several files, by default of all that there are, by the name of the processor."""
    return {path.stem: read(path) for path in paths or sorted(FOLDER.glob("*.json"), key=lambda path: path.stem)}


def runs(found: Mapping[str, Any], benchmark: str, **arguments: Any) -> list[dict[str, Any]]:
    """Return the runs of a benchmark with just these arguments, whatever parts of its tables they were to measure."""
    same = [run for run in found.values() if run["benchmark"] == benchmark]
    return [run for run in same if {n: v for n, v in run["arguments"].items() if n not in PARTS} == arguments]


def processor(cpuinfo: Path = Path("/proc/cpuinfo"), gpu: str = "") -> str:
    """Return a name for files: "amd-epyc-7763", with family and model where the name has no number; or the GPU's.

    Where OpenBLAS was told which kernels to take, these belong to it: results differ as those of two processors do.
    """
    if gpu:
        return _for_files(gpu)
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else []
    known = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = re.sub(SAYS_NOTHING, " ", known.get("model name", "unknown"), flags=re.IGNORECASE)
    if not re.search(r"\d", name):
        name += f" {known.get('cpu family', '')} {known.get('model', '')}"
    return _for_files(f"{name} {os.environ.get('OPENBLAS_CORETYPE', '')}")


def _for_files(name: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", name.lower()))


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the code, "-dirty" if it was changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "npticket", "benchmarks")
        return git("describe", "--always") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
