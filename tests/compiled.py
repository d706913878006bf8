"""Elementwise kernels on the CPU: the loop body that CuPy gives to NVRTC, given to a C++ compiler.

It takes what cupy.ElementwiseKernel takes, as far as the package uses it, and refuses what that refuses: other types
than the kernel was declared with, outputs of another shape than the loop. One letter stands for any type, as there.
What would only show on a GPU, perhaps: raw arrays know where they end and who was where, the loop runs in no order.
"""

import ctypes
import math
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

COMPILER = shutil.which("c++") or shutil.which("g++")
NAMES = {
    "float32": "float",
    "float64": "double",
    "bool": "bool",
    "uint8": "uint8_t",
    "int32": "int",
    "int64": "int64_t",
}
SOURCE = """
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>
using namespace std;
static const char* wrong;
template <typename E> struct Raw {{
  E* values;
  ptrdiff_t size, i;
  ptrdiff_t* visitors;
  E& operator[](ptrdiff_t at) const {{
    if (at < 0 || at >= size) {{
      wrong = "looked outside of an array";
      return values[0];
    }}
    if (visitors) {{
      if (visitors[at] != -1 && visitors[at] != i) wrong = "came twice to one place of an output";
      visitors[at] = i;
    }}
    return values[at];
  }}
}};
{types}
extern "C" const char* {name}(ptrdiff_t _n, {parameters}) {{
  wrong = nullptr;
  {visitors}
  const ptrdiff_t _step = _n % 7919 ? 7919 : 1;
  for (ptrdiff_t _turn = 0, i = 0; _turn < _n; ++_turn, i = (i + _step) % _n) {{
    {references}
    {body}
  }}
  return wrong;
}}
"""


class ElementwiseKernel:
    """Called with host arrays and Python numbers; arrays that stand last are written."""

    def __init__(self, inputs, outputs, body, name):
        parts = [part.split() for part in f"{inputs}, {outputs}".split(",")]
        self.parameters = [(part[-2], part[-1], part[0] == "raw") for part in parts]
        self.inputs = len(inputs.split(","))
        self.body, self.name = body, name

    def __call__(self, *args, size=None):
        types = self._types(args)
        parameters = self.parameters[: len(args)]
        shapes = [a.shape for a, (_, _, raw) in zip(args, parameters, strict=True) if np.ndim(a) and not raw]
        assert bool(shapes) == (size is None), f"{self.name}: the loop has no length, or two"
        shape = np.broadcast_shapes(*shapes) if shapes else (size,)
        if len(args) == self.inputs:
            args = (*args, *(np.empty(shape, types[kind]) for kind, _, _ in self.parameters[self.inputs :]))
        passed = [self._passed(place, arg, shape, types) for place, arg in enumerate(args)]
        run = _compile(self._source(args, types), self.name)
        wrong = run(ctypes.c_ssize_t(math.prod(shape)), *(part for arg in passed for part in _as_parameters(arg)))
        assert wrong is None, f"{self.name} {wrong.decode()}"
        written = args[self.inputs :]
        return written[0] if len(written) == 1 else written

    def _passed(self, place, arg, shape, types):
        """An argument as the loop reads it: a number of its type, an array as long as the loop."""
        kind, name, raw = self.parameters[place]
        if not isinstance(arg, np.ndarray):
            return np.ctypeslib.as_ctypes_type(types.get(kind, kind))(arg)
        if place < self.inputs:
            assert not raw or arg.flags.c_contiguous, f"{self.name}: {name} is not contiguous"
            return arg if raw else np.ascontiguousarray(np.broadcast_to(arg, shape))
        assert raw or arg.shape == shape, f"{self.name}: {name} has shape {arg.shape}, the loop {shape}"
        assert arg.flags.c_contiguous, f"{self.name}: {name} is not contiguous"
        return arg

    def _types(self, args):
        """What the letters stand for."""
        types = {}
        for arg, (kind, name, _) in zip(args, self.parameters, strict=False):
            if isinstance(arg, np.ndarray):
                declared = types.setdefault(kind, arg.dtype) if len(kind) == 1 else np.dtype(kind)
                if arg.dtype != declared:
                    raise TypeError(f"{self.name}: {name} is {arg.dtype}, expected {declared}")
        return types

    def _source(self, args, types):
        parameters, references, visitors = [], [], []
        for place, (arg, (kind, name, raw)) in enumerate(zip(args, self.parameters, strict=True)):
            written = kind if kind in types else NAMES[kind]
            const = "const " if place < self.inputs else ""
            if not isinstance(arg, np.ndarray):
                parameters.append(f"const {written} {name}")
            elif raw:
                parameters.append(f"{const}{written}* _{name}, ptrdiff_t _size_of_{name}")
                seen = "nullptr" if const else f"_visitors_of_{name}.data()"
                references.append(f"const Raw<{const}{written}> {name} = {{_{name}, _size_of_{name}, i, {seen}}};")
                if not const:
                    visitors.append(f"vector<ptrdiff_t> _visitors_of_{name}(_size_of_{name}, -1);")
            else:
                parameters.append(f"{const}{written}* _raw_{name}, ptrdiff_t")
                references.append(f"{const}{written} &{name} = _raw_{name}[i];")
        named = "\n".join(f"typedef {NAMES[dtype.name]} {letter};" for letter, dtype in types.items())
        return SOURCE.format(
            types=named,
            name=self.name,
            parameters=", ".join(parameters),
            visitors="\n".join(visitors),
            references="\n".join(references),
            body=self.body,
        )


def _as_parameters(argument):
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data_as(ctypes.c_void_p), ctypes.c_ssize_t(argument.size)
    return (argument,)


@cache
def _compile(source, name):
    if COMPILER is None:
        pytest.skip("there is no C++ compiler to try kernels with")
    folder = Path(tempfile.mkdtemp(prefix="npticket-kernel-"))
    (folder / "kernel.cpp").write_text(source)
    call = [COMPILER, "-O1", "-shared", "-fPIC", "-ffp-contract=off", "kernel.cpp", "-o", "kernel.so"]
    done = subprocess.run(call, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(folder / "kernel.so"))
    shutil.rmtree(folder)
    function = getattr(library, name)
    function.restype = ctypes.c_char_p
    return function
