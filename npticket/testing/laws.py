"""How a broken law is reported: its name, the parameter, the trial, and the numbers that break it."""

import numpy as np

from npticket.backend import Array, to_host
from npticket.params import Params

SHOWN = 60  # numbers of an array, at most, before its middle is left out


def require(law: str, holds: Array, where: str, **shown: Array) -> None:
    """Raise AssertionError unless `holds`, one bool or an array of them, is True everywhere.

    The message names the law, `where`, the first place that breaks it, and the arrays in `shown`. All laws raise from
    this line, so that hypothesis takes them for one failure and looks for the smallest example of it.
    """
    holds = np.asarray(holds)
    if holds.all():
        return
    place = f", at {np.argwhere(~holds)[0].tolist()}" if holds.ndim else ""
    lines = [f"  {name} = {_text(to_host(values))}" for name, values in shown.items()]
    raise AssertionError("\n".join([f'the law "{law}" is broken: {where}{place}', *lines]))


def require_same(law: str, found: Params, expected: Params, when: str = "", tolerance: float = 0.0) -> None:
    """`require` that each parameter of each trial is `close` to what is expected."""
    for name in expected:
        for t in range(expected.trials):
            here, there = to_host(found[name][t]), to_host(expected[name][t])
            require(law, close(here, there, tolerance), where(name, t, when), found=here, expected=there)


def close(found: Array, expected: Array, tolerance: float = 0.0) -> Array:
    """Return where two arrays agree: bit for bit at tolerance 0, else up to `tolerance` times the largest, or 1."""
    if found.shape != expected.shape or (found.dtype != expected.dtype and not tolerance):
        return np.False_
    if not tolerance:
        size = found.dtype.itemsize
        return np.ascontiguousarray(found).view(f"u{size}") == np.ascontiguousarray(expected).view(f"u{size}")
    return abs(found - expected) <= tolerance * max(1.0, abs(expected).max(initial=0))


def where(name: str, t: int, when: str = "") -> str:
    """Return the name of a parameter of a trial for a message: "fc1/W, trial 0, after 3 steps"."""
    return f"{name}, trial {t}{', ' * bool(when)}{when}"


def _text(values: np.ndarray) -> str:
    """An array as a text, on one line if it is short, with as many digits as tell a number from all others."""
    text = np.array2string(values, threshold=SHOWN, max_line_width=110, separator=", ", floatmode="unique")
    return text.replace("\n", "\n    ")
