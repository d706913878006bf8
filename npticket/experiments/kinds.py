"""Checks the types of values in a recipe by annotations: those of its fields, and of functions that make its parts.

JSON has lists and no tuples, and an integer may stand for a number; true and false are not numbers.
"""

import inspect
from collections.abc import Callable, Container, Mapping, Sequence
from types import NoneType, UnionType
from typing import Union, get_args, get_origin

from npticket.experiments.bounds import is_number, is_whole
from npticket.reading import Json, shown

WORDS = {int: "an integer", float: "a number", str: "a text", bool: "true or false", NoneType: "null"}
SEVERAL = {int: "integers", float: "numbers", str: "texts"}
LISTS = (list, tuple, Sequence)


def fits(kind: Json, value: Json) -> bool:
    """Whether a value suits an annotation; any value suits one of a type that JSON does not have."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (int, float):
        return is_whole(value) if kind is int else is_number(value)
    if kind in WORDS:
        return isinstance(value, kind)
    if origin in (Union, UnionType):
        return any(fits(one, value) for one in inner)
    if origin not in LISTS:
        return True
    if not isinstance(value, list | tuple):
        return False
    if _is_fixed(kind):
        return len(value) == len(inner) and all(map(fits, inner, value))
    return all(fits(inner[0], item) for item in value)


def words(kind: Json) -> str:
    """Return what an annotation asks for as people say it, such as "an integer" or "a list of texts"."""
    inner = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(words(one) for one in inner if one in WORDS or get_origin(one) in LISTS)
    if kind in WORDS:
        return WORDS[kind]
    if _is_fixed(kind):
        return f"[{', '.join(map(words, inner))}]"
    return f"a list of {SEVERAL.get(inner[0]) or words(inner[0])}"


def _is_fixed(kind: Json) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[-1] is not ...


def wrong_options(make: Callable[..., object], options: Mapping[str, Json], given: Container[str] = ()) -> str:
    """Return a message if `make` does not take one of `options`, takes it of another type, or lacks one; else "".

    Options called as in `given` are passed to it by others, and are not checked.
    """
    try:
        taken = inspect.signature(make, eval_str=True).parameters
    except (NameError, TypeError, ValueError):  # its annotations or its signature are not to be had
        return ""
    kinds = {name: p for name, p in taken.items() if name not in given and p.kind is not p.VAR_KEYWORD}
    others = next((p.annotation for p in taken.values() if p.kind is p.VAR_KEYWORD), None)
    for name, value in options.items():
        if name not in kinds and others is None:
            return f"it has no option {shown(name)}, but {', '.join(kinds) or 'none'}"
        kind = kinds[name].annotation if name in kinds else others
        if not fits(kind, value):
            return f"{name} must be {words(kind)}, got {shown(value)}"
    lacking = [name for name, p in kinds.items() if p.default is p.empty and name not in options]
    return f"it lacks {', '.join(lacking)}" if lacking else ""
