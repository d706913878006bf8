"""The papers that experiments come from: every module here is one paper, in its variable PAPER."""

import traceback
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from npticket.report.paper import Library, Paper

_FIRST = "lottery_ticket"
_names = sorted((module.name for module in iter_modules(__path__)), key=lambda name: (name != _FIRST, name))


def _brought(name: str) -> Paper:
    """The paper in a module; ImportError says what is wrong with it, and in which line."""
    try:
        paper = import_module(f"{__name__}.{name}").PAPER
        if not isinstance(paper, Paper):
            raise TypeError(f"PAPER is {paper!r}, expected a Paper")
        return paper
    except Exception as error:
        lines = [(Path(file), line) for file, line, *_ in traceback.extract_tb(error.__traceback__) if file != __file__]
        ours = [f" ({file}, line {line})" for file, line in lines if Path(__file__).parent in file.parents]
        said = f"{type(error).__name__}: {error}{ours[-1] if ours else ''}"
        raise ImportError(f"the paper {name} cannot be read: {said}") from error


def _together(papers: tuple[Paper, ...]) -> Library:
    try:
        return Library(papers)
    except ValueError as error:
        raise ImportError(f"the papers {', '.join(_names)} do not go together: {error}") from error


LIBRARY = _together(tuple(map(_brought, _names)))
PARTS = LIBRARY.parts
