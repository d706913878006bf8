"""Runs the code of pages: python docs/pages.py writes what it prints, and the figures that it makes, into them.

A page is Markdown. Its blocks of Python run one after the other, from the top of the repository, in a namespace of its
own; what a block prints stands in a block of text below it. Without arguments, all pages of the tutorial and of the
derivations are run.
"""

import contextlib
import io
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = re.compile(r"```python\n(?P<code>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)


def pages() -> list[Path]:
    """The pages with code to run, in the order in which they are read."""
    found = [*(ROOT / "docs" / "tutorial").glob("*.md"), *(ROOT / "docs" / "derivations").glob("*.md")]
    with_code = (path for path in found if CODE.search(path.read_text("utf-8")))
    return sorted(with_code, key=lambda path: (path.parent.name, path))


def filled(text: str, name: str) -> str:
    """The page with what its code prints now."""
    namespace = {"__name__": name}

    def run(block: re.Match) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            lines = "\n" * text.count("\n", 0, block.start("code"))  # a traceback names the line of the page
            exec(compile(lines + block["code"], name, "exec"), namespace)
        output = f"\n```text\n{printed.getvalue()}```\n" if printed.getvalue() else ""
        return f"```python\n{block['code']}```\n{output}"

    return CODE.sub(run, text)


if __name__ == "__main__":
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or pages()
    os.chdir(ROOT)
    os.environ.setdefault("MPLBACKEND", "Agg")
    for page in chosen:
        page.write_text(filled(page.read_text("utf-8"), str(page)), "utf-8", newline="\n")
