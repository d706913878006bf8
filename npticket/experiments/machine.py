"""What results depend on besides the recipe: versions, BLAS, processor, data. It goes into manifest.json."""

import ctypes
import hashlib
import os
import platform
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np

from npticket import __version__, backend
from npticket.datasets import Dataset
from npticket.reading import Json

PIECE = 100  # examples that are hashed at a time
SHOWING = {"cli", "estimator", "export", "report", "testing"}  # rooms on whose code no number of a run depends
MACHINE = "machine"  # under this name a worker returns, with a run, the details of its machine
NO_BIT = {"python", "jobs", "cores", "system"}  # details of a machine on which no bit of a result depends


def describe(data: Dataset, jobs: int, array_module: str, engine: str) -> dict[str, Json]:
    """Return {"machine": ..., "data": ...}, for manifest.json: this machine and how it is used, and the data."""
    with backend.one_blas_thread():  # as in training
        threads = backend.blas_threads()
    machine = {
        **details(), "blas_threads": 1 if jobs > 1 else threads,
        "jobs": jobs, "backend": array_module, **backend.described(array_module), "engine": engine,
    }  # fmt: skip
    about = {"name": data.name, "source": data.source, "caveat": data.caveat, "sha256": sha256(data)}
    examples = [len(split) for split in (data.train, data.validation, data.test)]
    return {"machine": machine, "data": about | {"examples": examples}}


def details() -> dict[str, Json]:
    """Return the details of the machine that this is called on and of the code there, however it is used."""
    where = {"cores": os.cpu_count(), "system": platform.platform(terse=True)}
    return {**fingerprint(), "code": code(), "python": platform.python_version(), **where}


def fingerprint() -> dict[str, str]:
    """Return what results and speed depend on here: the versions of npticket, NumPy and BLAS, and the processor."""
    return {"npticket": __version__, "numpy": np.__version__, "blas": _blas(), "cpu": _cpu()}


def text_of(path: Path) -> bytes:
    """Return a file of code, with the ends of lines that it has in the repository: on Windows git may change them."""
    return path.read_bytes().replace(b"\r\n", b"\n")


@cache
def code() -> str:
    """Return a digest of the files of npticket, papers included, on which the numbers of a run may depend."""
    package, total = Path(__file__).parents[1], hashlib.sha256()
    rooms = (path for path in package.iterdir() if path.is_dir() and path.name not in SHOWING)
    for path in sorted(chain(package.glob("*.py"), *(room.rglob("*.py") for room in rooms))):
        total.update(path.relative_to(package).as_posix().encode() + b"\0" + text_of(path))
    return total.hexdigest()[:16]


def sha256(data: Dataset) -> str:
    """Return the SHA-256 of all inputs and targets as split: training, validation, test."""
    total = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        for start in range(0, len(split), PIECE):  # lazy inputs may not fit into memory as a whole
            total.update(np.ascontiguousarray(split.inputs[start : start + PIECE]).data)
        total.update(np.ascontiguousarray(split.targets).data)
    return total.hexdigest()


def blas_hint() -> str:
    """Return a hint if OpenBLAS does not use AVX-512, which the CPU has and which is much faster; else ""."""
    try:
        from threadpoolctl import threadpool_info

        has_avx512 = " avx512f " in Path("/proc/cpuinfo").read_text()
    except (ImportError, OSError):
        return ""
    kernels = {pool.get("architecture") for pool in threadpool_info() if pool.get("internal_api") == "openblas"}
    if not has_avx512 or not kernels & {"Haswell", "Zen"}:
        return ""
    return "Hint: this CPU has AVX-512 and OpenBLAS does not use it; with OPENBLAS_CORETYPE=SkylakeX set, it does.\n"


def _blas() -> str:
    """The BLAS that NumPy calls, with the kernels that it chose where these can be told."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        config, kernel = (backend.openblas(f"get_{what}", ctypes.c_char_p) for what in ("config", "corename"))
        if isinstance(config, bytes) and isinstance(kernel, bytes):
            return f"openblas {config.decode().split()[1]} ({kernel.decode()})"
        return _built_with()
    loaded = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    # SciPy brings another one along, which is loaded once it is imported.
    pools = [pool for pool in loaded if Path(pool["filepath"]).resolve().parent in backend.NUMPYS_OWN] or loaded
    known = ", ".join(f"{p['internal_api']} {p['version']} ({p.get('architecture', 'unknown')})" for p in pools)
    return known or _built_with()


def _built_with() -> str:
    """The BLAS that NumPy was built with, as Accelerate on macOS, which cannot be asked."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built['name']} {built['version']}"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = {name.strip(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}
    if "model name" in named:
        return f"{named['model name']} (family {named.get('cpu family', '?')})"
    arm = " ".join(named.get(f"CPU {what}", "?") for what in ("implementer", "part"))
    return f"{platform.machine()} ({arm})"
