"""Brings the claims on the first screen up to date: python docs/claims.py writes some of those of LeNet into README.md.

They are read from the page of the results, which `npticket publish` writes.
"""

from pathlib import Path

from npticket.report import page

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "results" / "lenet" / "README.md"
NAME = "claims: python docs/claims.py"
COLUMNS = {
    "claim": "the paper's claim", "paper says": "paper",
    "holds if": "holds if", "measured": "measured", "95 % interval": "95 % interval",
    "verdict": "",
}  # fmt: skip
PERCENTAGES = "At 21.1 % means with 21.1 % of the weights left; points are percentage points of test accuracy."
CHOSEN = (
    "lenet-faster-21", "lenet-slower-below-21", "lenet-gain-13", "lenet-back-accuracy", "lenet-never-worse",
    "lenet-reinit-slower", "lenet-reinit-worse", "lenet-mask-worse",
)  # fmt: skip


def table(results: str) -> str:
    """Return the chosen claims of a page of results as a table, and how all of them were judged."""
    (judged,) = (mark[0] for mark in page.BLOCK.finditer(results) if mark[2] == "results: claims")
    heads, _, *rows = [_cells(line) for line in judged.splitlines() if line.startswith("|")]
    found = {row[1].split("`")[1]: dict(zip(heads, row, strict=True)) for row in rows}
    chosen = [
        [found[name][column].partition("`: ")[2] or found[name][column].partition(": ")[0] for column in COLUMNS]
        for name in CHOSEN
    ]
    lines = [f"| {' | '.join(row)} |" for row in (COLUMNS.values(), ["---"] * len(COLUMNS), *chosen)]
    count = [line for line in judged.splitlines() if line.startswith("holds: ")][-1]
    said = f"{len(CHOSEN)} of {len(found)} claims. All of them: {count} {PERCENTAGES}"
    return "\n".join([*lines, "", said])


def filled(readme: str, results: str) -> str:
    """The page with the claims as they are now."""
    return page.filled(readme, {NAME: table(results)})


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8"), RESULTS.read_text("utf-8")), "utf-8", newline="\n")
