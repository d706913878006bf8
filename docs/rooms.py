"""Draws the rooms of the architecture from their imports: python docs/rooms.py writes the drawing into architecture.md.

A room stands on the floor above the highest room that it imports from. What a room imports is listed without what these
import themselves.
"""

import ast
from pathlib import Path

from npticket.report import page

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
NAME = "rooms: python docs/rooms.py"
WIDTH = 64


def rooms() -> dict[str, set[str]]:
    """The top-level modules and packages, and from which others each imports."""
    graph: dict[str, set[str]] = {}
    for path in sorted((ROOT / "npticket").rglob("*.py")):
        room = path.relative_to(ROOT / "npticket").parts[0].removesuffix(".py")
        if room.startswith("__"):
            continue
        found = graph.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("npticket"):
                names = [node.module] if "." in node.module else [f"npticket.{alias.name}" for alias in node.names]
                found |= {name.split(".")[1] for name in names} - {room, "__version__"}
    return graph


def floor(room: str, graph: dict[str, set[str]]) -> int:
    """How many floors lie below a room."""
    return max((1 + floor(other, graph) for other in graph[room]), default=0)


def below(room: str, graph: dict[str, set[str]]) -> set[str]:
    """Everything that a room imports, by others, too."""
    return graph[room].union(*(below(other, graph) for other in graph[room]))


def drawing() -> str:
    """The rooms floor by floor, the highest first, and on which others each stands."""
    graph = rooms()
    floors: dict[int, list[str]] = {}
    for room in graph:
        floors.setdefault(floor(room, graph), []).append(room)
    rows = []
    for number in sorted(floors, reverse=True):
        rows.append(f"{number:3} +{'-' * WIDTH}+")
        for room in sorted(floors[number]):
            indirect = set().union(*(below(other, graph) for other in graph[room]))
            on = f"on {', '.join(sorted(graph[room] - indirect))}" if graph[room] else ""
            rows.append(f"    | {room:14}{on:{WIDTH - 16}} |")
    return "\n".join([*rows, f"    +{'-' * WIDTH}+"])


def filled(text: str) -> str:
    """The page with the drawing as it is now."""
    return page.filled(text, {NAME: f"```\n{drawing()}\n```"})


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8", newline="\n")
