"""The README does what it says: its Python runs, its commands and paths exist."""

import configparser
import inspect
import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path

from npticket import cli
from npticket.experiments.checks import check
from npticket.experiments.recipe import Part, Recipe, from_json, to_json
from npticket.experiments.tables import curve_columns, result_columns
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket.recipes import LENET
from npticket.task import CLASSIFY

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_two_commands_come_first_and_they_name_what_exists():
    install_and_run, install_and_test = (block.strip() for block in blocks("sh")[:2])
    assert install_and_run.endswith("&& python demos/lenet_mnist.py")
    assert install_and_test.endswith("&& python -m pytest -n 2 --dist loadfile")
    assert (ROOT / "demos" / "lenet_mnist.py").exists()
    setup = (ROOT / "setup.cfg").read_text()
    assert all(f"\n{extra} =" in setup for extra in re.findall(r"\[(\w+)\]\"", README))


def test_the_demo_promises_the_same_time():
    demo = (ROOT / "demos" / "lenet_mnist.py").read_text().partition('"""')[2].partition('"""')[0]
    for time in ("2 to 3 minutes on two cores", "15 seconds", "the paper's setting"):
        assert time in " ".join(README.split()) and time in demo


def test_all_packages_are_installed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "npticket").rglob("__init__.py")}
    assert set(setup["options"]["packages"].split()) == {*there, "npticket.bundled"}


def test_the_page_of_papers_has_all_of_them():
    page = (ROOT / "docs" / "papers.md").read_text()
    for paper in LIBRARY.papers:
        assert re.search(rf"\(\.\./npticket/papers/{paper.key}[./]", page), paper.key
    named = re.findall(r"`((?!lenet-\*)[a-z0-9]+-[a-z0-9-]+)`", page)
    assert named and set(named) <= {*LIBRARY.recipes, *LIBRARY.sweeps}


def test_the_npticket_commands_are_understood():
    lines = [line.partition("#")[0].split() for line in blocks("sh")[2].splitlines()]
    assert {line[1] for line in lines} == {"list", "run", "show", "figures", "verify", "report", "publish", "export"}
    for program, *arguments in lines:
        assert program == "npticket"
        assert cli.parser().parse_args(arguments).command


def test_what_is_said_of_data_in_a_recipe_can_be_read():
    (block,) = blocks("json")
    recipe = from_json(to_json(LENET) | json.loads(f"{{{block}}}"))
    check(recipe, PARTS)
    said = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert said == {"arrays", "csv", "image_folder", "images"} and said <= set(PARTS.data)


def test_the_page_of_recipes_has_every_field_name_and_column():
    page = (ROOT / "docs" / "recipes.md").read_text()
    example, code = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[-1] for kind in ("json", "python"))
    check(from_json(json.loads(example)), PARTS)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    defaults = {row[0].strip("`"): row[1].strip("`") for row in rows if len(row) == 3}
    for field in fields(Recipe):
        default = field.default.name if isinstance(field.default, Part) else json.dumps(field.default, default=str)
        assert defaults[field.name] == ("" if field.default is MISSING else default), field.name
    names = {row[0]: set(re.findall("`([^`]+)`", row[1])) for row in rows if len(row) == 2}
    for part, known in (
        ("`net`", PARTS.nets), ("`data`", PARTS.data), ("`optimizer`", PARTS.optimizers), ("`task`", PARTS.tasks),
        ("`schedule`", PARTS.schedules), ("`prune`", PARTS.scores), ("`scope` of `prune`", PARTS.scopes),
        ("`augment`", PARTS.augments),
    ):  # fmt: skip
        assert known.keys() <= names[part], part
    for make in PARTS.nets.values():
        assert inspect.signature(make).parameters.keys() - {"sizes"} <= names["`net`"], make
    for make in PARTS.data.values():
        assert inspect.signature(make).parameters.keys() - {"folder", "seed"} <= names["`data`"], make
    for make in (*PARTS.optimizers.values(), *PARTS.schedules.values()):
        options = inspect.signature(make).parameters.keys() - {"masks", "lr"}
        assert options <= names["`optimizer`"] | names["`schedule`"]
    prose = re.sub("```.*?```", "", page, flags=re.DOTALL)
    assert {*result_columns(CLASSIFY), *curve_columns(CLASSIFY)} <= set(re.findall("`([^`]+)`", prose))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "LeNet-300-100 on MNIST" in done.stdout, done.stderr


def test_python_snippets_run(tmp_path):
    """One after the other: the second goes on from the first."""
    call = [sys.executable, "-c", "\n".join(blocks("python"))]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    *rounds, labels = done.stdout.splitlines()
    assert [line.split()[0] for line in rounds] == ["0", "1", "2"]
    assert "[0.80037566 0.80037566]" in done.stdout
    assert re.fullmatch(r"\[\d( \d){4}\] \[\d( \d){4}\]", labels)
    assert (tmp_path / "ticket.npz").exists()


def test_the_claims_on_the_first_screen_are_those_of_the_results():
    """`python docs/claims.py` writes them anew."""
    claims = runpy.run_path(str(ROOT / "docs" / "claims.py"))
    results = claims["RESULTS"].read_text()
    assert claims["filled"](README, results) == README
    rows = claims["table"](results).splitlines()[2:-2]
    assert len(rows) == 8 and all(row.count("|") == 7 for row in rows)
    measured = rows[0].split("|")[4].strip()
    assert measured in README
    assert claims["filled"](README, results.replace(f" {measured} ", " +99 % ")) != README


def test_links_and_images_exist():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md"]
    for page in pages:
        prose = re.sub(r"```.*?```|`[^`\n]+`", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)\)", prose):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page}: {target}"


def test_every_room_is_on_the_page_of_the_house():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for path in (ROOT / "npticket").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            assert path.stem.startswith("__") or f"`{path.stem}`" in page, path.name


def test_the_drawing_of_the_house_is_made_from_its_imports():
    """`python docs/rooms.py` makes it anew."""
    rooms = runpy.run_path(str(ROOT / "docs" / "rooms.py"))
    page = (ROOT / "docs" / "architecture.md").read_text()
    assert rooms["filled"](page) == page
    assert rooms["rooms"]()["tickets"] == {"backend", "params"}
    damaged = page.replace("| tickets ", "| luck    ")
    assert rooms["filled"](damaged) == page != damaged
