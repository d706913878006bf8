"""The papers that experiments come from: every module here is one, and brings it as PAPER."""

from importlib import import_module
from pkgutil import iter_modules

from npticket.report.paper import Library

_FIRST = "lottery_ticket"
_names = sorted((module.name for module in iter_modules(__path__)), key=lambda name: (name != _FIRST, name))

LIBRARY = Library(tuple(import_module(f"{__name__}.{name}").PAPER for name in _names))
PARTS = LIBRARY.parts
