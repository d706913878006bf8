"""The site: python -m sphinx -q -W -c docs . build/site makes it from all pages and docstrings (extra: docs)."""

import re

from sphinx.application import Sphinx

import npticket

project, release = "npticket", npticket.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["README.md", "docs/**", "benchmarks/README.md", "data/README.md"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
smartquotes = False
html_theme, html_title = "furo", "npticket"


def plain(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Take docstrings as what they are, plain text with `code` and indented formulas, and no reStructuredText."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        if block.startswith("    "):
            found += ["::", "", block, ""]
        else:
            parts = re.split("`([^`]+)`", block)  # text, code, text, code ...
            parts[::2] = [re.sub(r"([*_|\\])", r"\\\1", part) for part in parts[::2]]
            parts[::2] = [re.sub("  +", "\u2003\u2003", part) for part in parts[::2]]
            parts[1::2] = [f"\\ ``{part}``\\ " for part in parts[1::2]]
            found += [" ".join("".join(parts).split("\n")), ""]
    lines[:] = "\n".join(found).split("\n")


def short(app: Sphinx, what: str, name: str, thing: object, options: object, takes: str, gives: str) -> tuple | None:
    """Name what NumPy takes for a dtype, instead of listing it."""
    return (re.sub(r"type\[\S*Any\] \| .*? \| str", "DTypeLike", takes), gives) if takes else None


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", plain)
    app.connect("autodoc-process-signature", short)
