"""Which array module computes: NumPy, or CuPy when asked. The only module that imports cupy."""

import ctypes
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

Array = Any  # numpy.ndarray, cupy.ndarray, or another type that `register` was given
Dtype = DTypeLike

POOL = 0.95  # the fraction of a GPU's free memory that arrays may take
THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip
NUMPYS_OWN = [  # where NumPy's wheels keep the OpenBLAS that they bring along
    Path(np.__file__).resolve().parent.with_name("numpy.libs"),
    Path(np.__file__).resolve().parent / ".dylibs",
]
TF32_MATH = 3  # CUBLAS_TF32_TENSOR_OP_MATH, which CuPy has no name for

_modules: dict[type, ModuleType] = {np.ndarray: np}


def register(array_type: type, module: ModuleType) -> None:
    """Make `array_module` return `module` for arrays of exactly this type, not of types derived from it.

    `load` calls it for CuPy; call it for an array type of your own, whose functions `module` must have.
    """
    _modules[array_type] = module


def load(name: str) -> ModuleType:
    """Return the array module called `name`: "numpy" or "cupy".

    Raises ValueError for another name, ModuleNotFoundError if CuPy is not installed, RuntimeError if CuPy finds no
    GPU or cannot compute on it, MemoryError if other programs have taken all of its memory.
    """
    if name == "numpy":
        return np
    if name != "cupy":
        raise ValueError(f"the backend is 'numpy' or 'cupy', not {name!r}")
    try:
        import cupy
    except ImportError as error:
        raise ModuleNotFoundError(
            "the cupy backend needs CuPy: install npticket[cuda12x] or npticket[cuda13x], "
            f"whichever CUDA your driver supports ({error})"
        ) from error
    _check_gpu(cupy)
    if tf32():  # CuPy itself heeds its variable in single products only, not in stacks of them
        cupy.cuda.cublas.setMathMode(cupy.cuda.device.get_cublas_handle(), TF32_MATH)
    register(cupy.ndarray, cupy)
    return cupy


def _check_gpu(cupy: ModuleType) -> None:
    """Raise as `load` says unless there is a GPU that computes; limit what CuPy's pool may take of its memory."""
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(f"CuPy is installed but finds no usable GPU: {error}") from error
    if not devices:
        raise RuntimeError("CuPy is installed but finds no GPU; use the numpy backend")
    try:
        # CUDA's libraries and kernels need memory outside of this pool. With the limit, too many networks at a time are
        # a MemoryError of the pool, after which fewer can be trained; without it, a library would fail in its own way.
        free, _ = cupy.cuda.runtime.memGetInfo()  # other programs may have taken some
        cupy.get_default_memory_pool().set_limit(size=int(POOL * free))
        ones = cupy.ones((2, 2), "float32")  # whether its libraries fit the driver shows only when it computes
        (ones @ ones).sum().get()
    except MemoryError:
        raise
    except Exception as error:
        runtime = cupy.cuda.runtime
        built_for, supported = (version() // 1000 for version in (runtime.runtimeGetVersion, runtime.driverGetVersion))
        advice = "a CuPy that is not newer than the driver" if built_for > supported else "CUDA's libraries with CuPy"
        raise RuntimeError(
            f"CuPy {cupy.__version__} cannot compute on this GPU: it is built for CUDA {built_for}, the driver "
            f"supports CUDA {supported}; install {advice}: npticket[cuda12x] or npticket[cuda13x] ({error})"
        ) from error


def tf32() -> bool:
    """Whether the environment variable CUPY_TF32 is 1, which asks for TensorFloat-32 products on a GPU.

    They are faster, and round the factors from 23 to 10 bits of mantissa. RuntimeError for a value but 0 and 1.
    """
    value = os.environ.get("CUPY_TF32", "0")
    if value not in ("0", "1"):
        raise RuntimeError(f"the environment variable CUPY_TF32 is 0 or 1, not {value!r}")
    return value == "1"


def described(name: str) -> dict[str, str | int]:
    """Return what the results of a backend depend on: nothing for "numpy", for "cupy" the GPU and CuPy's settings."""
    if name == "numpy":
        return {}
    cupy = load(name)
    gpu = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())["name"].decode()
    return {"gpu": gpu, "cupy": cupy.__version__, "cuda": cupy.cuda.runtime.runtimeGetVersion(), "tf32": tf32()}


def array_module(*arrays: Array) -> ModuleType:
    """Return the one module that all `arrays` belong to; TypeError if they are mixed or no arrays at all."""
    found = {_modules.get(type(array)) for array in arrays}
    if len(found) == 1 and (module := found.pop()) is not None:
        return module
    names = sorted({f"{type(array).__module__}.{type(array).__qualname__}" for array in arrays})
    raise TypeError(
        f"expected arrays of one kind ({', '.join(sorted({m.__name__ for m in _modules.values()}))}), "
        f"got {' and '.join(names) or 'none'}: move them together with to_device or to_host"
    )


def to_device(array: np.ndarray, xp: ModuleType) -> Array:
    """Return `array` as an array of module `xp`; no copy if it is one already."""
    return array if array_module(array) is xp else xp.asarray(array)


def to_host(array: Array) -> np.ndarray:
    """Return `array` as a NumPy array; no copy if it is one already."""
    return array if array_module(array) is np else array.get()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread inside the block: more would round sums differently, and rarely help at this size.

    Needs threadpoolctl; without it the threads stay as they are, with one warning if they are not known to be 1.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        if blas_threads() != 1:
            _warn_of_threads()
        yield
        return
    with threadpool_limits(1, user_api="blas"):
        yield


def blas_threads() -> int | None:
    """Return how many threads BLAS uses at most, or None if that cannot be found out.

    Asks threadpoolctl; without it NumPy's own OpenBLAS, and last the environment variables THREAD_VARIABLES.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        if isinstance(threads := openblas("get_num_threads", ctypes.c_int), int):
            return threads
        said = {os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
        return int(said.pop()) if len(said) == 1 and all(text.isdigit() for text in said) else None
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=None)


def openblas(function: str, kind: type) -> int | bytes | None:
    """Call a function without arguments of the OpenBLAS that NumPy brings along; None if NumPy has none of its own.

    `function` is its name as "get_num_threads", `kind` the ctypes type of what it returns.
    """
    for path in (path for place in NUMPYS_OWN for path in sorted(place.glob("*openblas*"))):
        with suppress(OSError, AttributeError):
            call = ctypes.CDLL(str(path))[f"scipy_openblas_{function}64_"]
            call.restype = kind
            return call()
    return None


@cache
def _warn_of_threads() -> None:
    warnings.warn(
        "BLAS may use several threads, and results then differ in the last digits from those with one: install "
        "threadpoolctl, or set OPENBLAS_NUM_THREADS=1",
        RuntimeWarning,
        stacklevel=5,
    )
