"""Building HTML safely: every text that is not Markup already is escaped, so that it cannot be read as HTML."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TypeAlias

VOID = {"img", "input", "meta"}  # have no end


class Markup(str):
    """A text that is HTML already: made here, never taken from a file."""


Content: TypeAlias = "str | Iterable[Content]"


def joined(content: Content) -> Markup:
    """Return content as one Markup: a text is escaped unless it is Markup already; several are joined."""
    if isinstance(content, Markup):
        return content
    return Markup(escape(content) if isinstance(content, str) else "".join(map(joined, content)))


def tag(name: str, /, *content: Content, **attributes: str | bool) -> Markup:
    """Return an element with its content: tag("p", text, class_="note").

    In the name of an attribute an underscore at the end is dropped, and others become -. An attribute that is True has
    no value; one that is False is left out.
    """
    texts = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is not False:
            texts.append(key if value is True else f'{key}="{escape(value)}"')
    return Markup(f"<{' '.join(texts)}>" + ("" if name in VOID else f"{joined(content)}</{name}>"))


def table(heads: Sequence[Content], rows: Iterable[Sequence[Content]]) -> Markup:
    """Return a table whose first column names the rows; a narrow screen scrolls it by itself."""
    head = tag("tr", [tag("th", cell, scope="col") for cell in heads])
    body = [tag("tr", tag("th", row[0], scope="row"), [tag("td", cell) for cell in row[1:]]) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", body)), class_="wide", tabindex="0")


def section(title: Content, *content: Content, level: int = 2, name: str = "") -> Markup:
    """Return a section under a heading; links lead to its `name`."""
    return tag("section", tag(f"h{level}", title), *content, id=name or False)
