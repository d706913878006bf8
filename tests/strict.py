"""A stand-in for CuPy on the CPU: an array type that refuses to meet NumPy arrays or to become one silently.

`StrictArray` wraps a NumPy array; the module-like `strict` has the functions that the package may use on a device.
Registered with the backend, it runs the same code that CuPy would, and any silent host conversion raises TypeError.
"""

import compiled
import numpy as np

from npticket import backend

FUNCTIONS = {  # of CuPy 14.2, that the package calls on a device
    "add", "any", "arange", "argsort", "ascontiguousarray", "bitwise_and", "broadcast_arrays", "broadcast_to",
    "concatenate", "divide", "dot", "exp", "floor", "isfinite", "isnan", "log", "logaddexp", "maximum",
    "minimum", "multiply", "ones", "sqrt", "stack", "take_along_axis", "tile", "where", "zeros", "zeros_like",
}  # fmt: skip


class StrictArray(np.lib.mixins.NDArrayOperatorsMixin):
    """Arithmetic with itself and with Python and NumPy scalars only."""

    __slots__ = ("host",)

    def __init__(self, host):
        self.host = host

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion to a NumPy array is not allowed; use to_host")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if method != "__call__":
            return NotImplemented
        if ufunc is np.matmul:
            return strict.matmul(*inputs, *(out or ()))
        if out is not None:
            kwargs["out"] = tuple(map(_unwrap, out))
        return _wrap(ufunc(*map(_unwrap, inputs), **kwargs))

    def __getitem__(self, key):
        if isinstance(key, StrictArray) and key.dtype == bool:
            strict.fetched += 1  # how many there are
        return _wrap(self.host[_unwrap_index(key)])

    def __setitem__(self, key, value):
        self.host[_unwrap_index(key)] = _unwrap(value)

    def __getattr__(self, name):
        if name.startswith("__"):  # above all __array_interface__, through which NumPy would take the memory
            raise AttributeError(name)
        if name in ("item", "tolist"):
            raise TypeError(f"{name} waits for the device; use to_host")
        attribute = getattr(self.host, name)
        return _function(attribute) if callable(attribute) else _wrap(attribute) if name == "T" else attribute

    def __len__(self):
        return len(self.host)

    def __bool__(self):
        strict.fetched += 1
        return bool(self.host)

    def get(self):
        """Copy to the host, as cupy.ndarray.get does."""
        strict.fetched += 1
        return self.host.copy()


def _unwrap(value):
    if isinstance(value, StrictArray):
        return value.host
    if isinstance(value, np.ndarray):
        raise TypeError(f"a NumPy array of shape {value.shape} met a device array")
    if isinstance(value, list | tuple):
        return type(value)(map(_unwrap, value))
    return value


def _unwrap_index(key):
    if isinstance(key, tuple):
        return tuple(map(_unwrap_index, key))
    return _unwrap(key)


def _wrap(value):
    if isinstance(value, np.ndarray | np.generic):
        return StrictArray(np.asarray(value))  # as on a device, even a sum stays there
    if isinstance(value, list | tuple):
        return type(value)(map(_wrap, value))
    return value


def _function(function):
    def call(*args, **kwargs):
        return _wrap(function(*map(_unwrap, args), **{name: _unwrap(value) for name, value in kwargs.items()}))

    if function is np.add:  # the ufunc of which CuPy has it
        call.reduceat = _function(np.add.reduceat)
    return call


class _Strict:
    __name__ = "strict"

    def __init__(self):
        self.moved = 0  # arrays from host to device
        self.fetched = 0  # arrays or single values from device to host, for which the host waits
        self.copied = 0  # operands and results of stacked products that are not contiguous, which CuPy copies unasked

    class lib:
        class stride_tricks:
            @staticmethod
            def as_strided(x, shape, strides):
                return StrictArray(np.lib.stride_tricks.as_strided(x.host, shape, strides))

    def __getattr__(self, name):
        if name not in FUNCTIONS:
            raise AttributeError(f"{name} is not known to be a function of CuPy; if it is, add it to FUNCTIONS")
        return _function(getattr(np, name))

    def flatnonzero(self, array):
        self.fetched += 1  # how many there are
        return _wrap(np.flatnonzero(_unwrap(array)))

    @staticmethod
    def ElementwiseKernel(*source):
        return _function(compiled.ElementwiseKernel(*source))

    @staticmethod
    def empty(shape, dtype=float):
        """Memory is never empty, and what was there before must not matter."""
        return StrictArray(np.full(shape, np.nan if np.dtype(dtype).kind == "f" else 77, dtype))

    def empty_like(self, array):
        return self.empty(array.shape, array.dtype)

    def matmul(self, a, b, out=None):
        found = np.matmul(*map(_unwrap, (a, b)))
        parts = [_unwrap(part) for part in (a, b, out) if part is not None]
        if found.ndim > 2:
            self.copied += sum(not part.flags.c_contiguous for part in parts)
        if out is None:
            return _wrap(found)
        assert out.dtype == found.dtype and out.shape == found.shape
        out[...] = _wrap(found)
        return out

    def asarray(self, array):
        """Copy from the host."""
        if isinstance(array, StrictArray):
            return array
        self.moved += 1
        return StrictArray(np.array(array))


strict = _Strict()
backend.register(StrictArray, strict)
