"""What people learn by: the code of the pages runs, prints what stands below it, and has every number of the prose."""

import re
import runpy
from pathlib import Path

import pytest

import npticket

ROOT = Path(__file__).parents[1]
PAGES = runpy.run_path(str(ROOT / "docs" / "pages.py"))
NUMBER = re.compile(r"(?<![\w.-])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
BLOCK = re.compile(r"```(?:python|text)\n(.*?)```", re.DOTALL)
NOT_PROSE = re.compile(r"^```.*?^```|^    .*?$|`[^`\n]+`|\]\([^)]*\)", re.DOTALL | re.MULTILINE)


def last_digit(number):
    """The value of one unit in the last digit that is written: 0.01 for 3.14."""
    digits, _, exponent = number.replace(",", "").partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def check_output(stated, printed):
    """AssertionError unless both say the same, to one unit in the last digit: processors round differently."""
    assert NUMBER.sub("#", stated).split() == NUMBER.sub("#", printed).split()
    for one, other in zip(NUMBER.findall(stated), NUMBER.findall(printed), strict=True):
        difference = abs(float(one.replace(",", "")) - float(other.replace(",", "")))
        assert difference <= 1.01 * last_digit(one), f"the page says {one}, its code {other}"


def check_prose(text):
    """AssertionError for a number of the prose, with a decimal point, comma, power or per cent, that no code has."""
    known = {float(number.replace(",", "")) for block in BLOCK.findall(text) for number in NUMBER.findall(block)}
    prose = NOT_PROSE.sub("", text)
    for found in NUMBER.finditer(prose):
        number = found[0].rstrip(",")
        if re.search("[.,e]", number) or prose[found.end() :].lstrip().startswith("%"):
            assert float(number.replace(",", "")) in known, f"{number} is neither in the page's code nor printed by it"


def test_all_pages_run_and_print_what_stands_there(tmp_path, monkeypatch):
    """`python docs/pages.py` writes them, and their figures, anew."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(ROOT / "data")
    (tmp_path / "docs" / "tutorial").mkdir(parents=True)
    for page in PAGES["pages"]():
        text = page.read_text()
        check_output(text, PAGES["filled"](text, str(page)))
        plt.close("all")
        figures = re.findall(r"!\[.+?\]\((.+?)\)", text)
        assert len(figures) == (page.parent.name == "tutorial"), page
        for figure in figures:
            assert (tmp_path / "docs" / "tutorial" / figure).stat().st_size > 5_000


@pytest.mark.parametrize("page", PAGES["pages"](), ids=lambda page: page.stem)
def test_numbers_in_the_prose_are_in_the_code_or_printed_by_it(page):
    check_prose(page.read_text())


def test_every_derivation_ends_in_a_check():
    pages = [page for page in (ROOT / "docs" / "derivations").glob("*.md") if page.name != "README.md"]
    assert pages
    for page in pages:
        *_, last = page.read_text().split("\n## ")
        assert last.startswith("Check\n") and "```python" in last and "```text" in last, page


def test_the_checks_of_pages_can_fail():
    page = "Half of it, 0.50, or 50.0 %.\n\n```python\nprint(100 * 0.5)\n```\n\n```text\n50.0\n```\n"
    assert PAGES["filled"](page, "page") == page
    check_prose(page)
    for wrong in ("50.2", "51.0", "5.00", "50.0 %"):
        with pytest.raises(AssertionError):
            check_output(page.replace("\n50.0\n", f"\n{wrong}\n"), page)
    for wrong in ("0.51", "51 %", "5,000"):
        with pytest.raises(AssertionError):
            check_prose(page.replace("0.50", wrong))
    with pytest.raises(ZeroDivisionError) as raised:
        PAGES["filled"]("One\n\n```python\n1 / 0\n```\n", "page")
    assert raised.traceback[-1].lineno + 1 == 4  # the line of the page


def test_the_reference_has_every_room():
    pages = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    rooms = runpy.run_path(str(ROOT / "docs" / "rooms.py"))["rooms"]()
    assert [room for room in rooms if not re.search(rf"automodule:: npticket\.{room}\b", pages)] == []


def test_whoever_cites_npticket_cites_this_version():
    assert f"\nversion: {npticket.__version__}\n" in (ROOT / "docs" / "CITATION.cff").read_text()
    assert f"\n## {npticket.__version__}" in (ROOT / "docs" / "CHANGELOG.md").read_text()
