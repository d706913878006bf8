"""Of what kind a value in a recipe must be: what annotations say of fields, and of the options of parts.

In JSON there are lists and no tuples, and whole numbers where numbers are wanted; true and false are no numbers.
"""

import inspect
from collections.abc import Callable, Container, Mapping, Sequence
from types import NoneType, UnionType
from typing import Union, get_args, get_origin

from npticket.backend import Json
from npticket.experiments.bounds import is_number, is_whole
from npticket.reading import shown

WORDS = {int: "an integer", float: "a number", str: "a text", bool: "true or false", NoneType: "null"}
SEVERAL = {int: "integers", float: "numbers", str: "texts"}
LISTS = (list, tuple, Sequence)


def fits(kind: Json, value: Json) -> bool:
    """Whether a value is of the kind that an annotation says: any value is of a kind that JSON does not have."""
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
    """What an annotation asks for, in words."""
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
    """Say which of the options `make` does not take, lacks or wants of another kind, or nothing.

    It gets those that are `given` from elsewhere.
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
