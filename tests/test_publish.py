"""What is published can be made again from itself, and says of every number and command where it comes from."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from noise import FEW, Small, cut, on_noise
from pictures import outcome
from small import SMALL, data, experiment

from npticket import cli
from npticket.cli import publication
from npticket.cli.recipes import chosen_recipes
from npticket.experiments.errors import StoreError
from npticket.papers import LIBRARY
from npticket.papers.lottery_ticket import PLOTS
from npticket.report import figures, page, prose, provenance
from npticket.report.sweeps import Sweep

ROOT = Path(__file__).parents[1]
PUBLISHED = sorted(path.parent for path in (ROOT / "docs" / "results").glob("*/README.md"))
NOISE = Small(tuple(map(on_noise, LIBRARY.papers)))
TWO_VALUES = Small(tuple(on_noise(paper, values=2) for paper in LIBRARY.papers))
BARE = re.compile(
    r"\d\s(?:%(?!\s+of\s+the\s+weights)|times|points|percentage points|steps)(?!\w)"
)  # what rows may contradict


def commands(text):
    """The commands that a page quotes, in blocks of code and between backticks."""
    joined = text.replace("\\\n", " ")
    return re.findall(r"^ *((?:npticket|python) .+?)(?: *#.*)?$|`((?:npticket|python) [^`]+)`", joined, re.MULTILINE)


def check_commands(text, library):
    """SystemExit for an argument that the command does not know; RecipeError for a recipe or series."""
    for line in map("".join, commands(text)):
        program, *arguments = line.split()
        if program == "npticket":
            args = cli.parser().parse_args(arguments)
            if "recipe" in args:
                chosen_recipes(args, library)
        else:
            script = (ROOT / arguments[0]).read_text() + (ROOT / "benchmarks" / "bench.py").read_text()
            unknown = [one for one in arguments if one.startswith("--") and f'"{one}"' not in script]
            assert not unknown, f"{line}: {unknown}"


def by_hand(text):
    """What a person wrote of a page: without blocks, marked numbers, commands and links."""
    text = prose.NUMBER.sub("", page.BLOCK.sub("", text))
    return re.sub(r"^    .*$|`[^`]*`|\]\([^)]*\)", "", text, flags=re.MULTILINE)


def nine_digits(text):
    """JSON whose numbers do not depend on whose logarithm it was."""
    return json.loads(text, parse_float=lambda number: f"{float(number):.9g}")


def check(folder, library, copy):
    """Show, verify and publish a copy of what is published in `folder`, read its page, and draw what that shows."""
    shutil.copytree(folder, copy)
    text = (folder / "README.md").read_text()
    assert page.BLOCK.search(text)
    for name, now in publication.written(copy, library, place=folder).items():
        read = nine_digits if name.endswith(".json") else str
        assert read((copy / name).read_text()) == read(now), f"npticket publish {folder} {folder} would change {name}"
    assert cli.main(["show", str(copy)], library) == 0
    assert cli.main(["verify", str(copy)], library) in (0, 1)
    pytest.importorskip("matplotlib")
    shown = [name for name in re.findall(r"\]\((\S+\.png)\)", text) if not name.startswith("..")]
    assert shown and sorted(publication.draw(copy, library)) == sorted(shown), "figures without rows"
    assert not re.search(r"^<!-- \{", text, re.MULTILINE), "a line that begins with a comment is not read as Markdown"
    assert BARE.findall(by_hand(text)) == []


@pytest.mark.parametrize(
    "folder", [path for path in PUBLISHED if list(path.rglob("results.csv"))], ids=lambda p: p.name
)
def test_what_is_published_here_can_be_made_again(folder, tmp_path):
    check(folder, LIBRARY, tmp_path / "copy")


@pytest.mark.parametrize("path", [*PUBLISHED], ids=lambda p: p.name)
def test_the_commands_on_pages_are_understood(path, monkeypatch):
    monkeypatch.chdir(path)
    check_commands((path / "README.md").read_text(), LIBRARY)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory of runs on noise, of two trials of two rounds of tickets and one control."""
    folder = tmp_path_factory.mktemp("runs") / "lenet"
    flags = [*FEW, "--series", "winning_ticket,random_reinit", "--out", str(folder)]
    assert cli.main(["run", "lenet-mnist", *flags], NOISE) == 0
    return folder


@pytest.fixture(scope="module")
def published(runs):
    pytest.importorskip("matplotlib")
    assert cli.main(["publish", str(runs), str(runs.parent / "goal")], NOISE) == 0
    return runs.parent / "goal"


@pytest.fixture
def goal(published, tmp_path):
    """The same, published, to be changed."""
    return shutil.copytree(published, tmp_path / "goal")


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_publishing_what_is_published_changes_nothing(goal, tmp_path, runs):
    before = contents(goal)
    assert {str(path) for path in before} >= {
        "README.md", "claims.json", "recipe.json", "manifest.json", "results.csv", "curves.csv", "curves.png",
    }  # fmt: skip
    assert not any(path.suffix == ".svg" for path in before)
    assert before[Path("results.csv")] == (runs / "results.csv").read_bytes()
    assert "source" not in json.loads(before[Path("manifest.json")])["data"]  # a path on one machine
    for other in (goal, tmp_path / "another"):
        assert cli.main(["publish", str(goal), str(other)], NOISE) == 0
        assert contents(other) == before
    check(goal, NOISE, tmp_path / "copy")
    check_commands((goal / "README.md").read_text(), NOISE)


def test_the_command_on_the_page_gives_the_recipe(goal):
    assert "Judged by the rows here. Undecided: the interval" in (goal / "README.md").read_text()
    line = "npticket run lenet-mnist --steps 20 --rounds 2 --trials 2 --series winning_ticket,random_reinit"
    assert f"    {line}\n" in (goal / "README.md").read_text()
    (recipe,) = chosen_recipes(cli.parser().parse_args(line.split()[1:]), NOISE)[0].values()
    assert recipe == publication.outcomes(goal, NOISE)[goal].recipe


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("results.csv", "winning_ticket,0,1.0,", "winning_ticket,0,0.9,", "would change"),
        ("claims.json", '"trials": 2', '"trials": 3', "would change claims.json"),
        ("README.md", "| 100.0 % | ", "| 100.0 % | 1", "would change README.md"),
        ("README.md", "## Results", "## Results\n\nTickets are 2.50 times as fast.", "0 times"),
        ("README.md", "## Results", "## Results\n\nAfter <!-- {early_stop: winning_ticket 100} -->1<!-- -->.",
         "would change README.md"),
        ("README.md", "## Results", "## Results\n\n<!-- {early_stop: winning_ticket 100} -->?<!-- --> or so",
         "begins with a comment"),
        ("README.md", "## Results", "## Results\n\n![Of no rows](nothing.png)", "figures without rows"),
    ],
)  # fmt: skip
def test_the_check_of_what_is_published_can_fail(goal, tmp_path, name, old, new, said):
    text = (goal / name).read_text()
    assert old in text
    (goal / name).write_text(text.replace(old, new, 1))
    if "?" in new:  # with the number that is right
        (goal / name).write_text(publication.written(goal, NOISE)[name])
    with pytest.raises((AssertionError, StoreError), match=said):
        check(goal, NOISE, tmp_path / "copy")


@pytest.mark.parametrize(
    "line",
    [
        "    npticket run lenet-mnist --engine compact", "    npticket run lenet-5",
        "    npticket run lenet-mnist --series luck", "`npticket shew runs/lenet-mnist`",
        "    python demos/conv_cifar10.py", "    python benchmarks/input_scaling.py --luck 3",
    ],
)  # fmt: skip
def test_the_check_of_commands_can_fail(line):
    check_commands("    npticket run lenet-mnist --steps 15000 \\\n        --rounds 19\n", NOISE)
    with pytest.raises((SystemExit, ValueError, OSError, AssertionError)):
        check_commands(f"As made:\n\n{line}\n", NOISE)


def test_a_page_keeps_what_was_written_by_hand_and_has_the_figures_that_it_shows(goal):
    for path in goal.glob("*.png"):
        path.unlink()
    (goal / "README.md").write_text(
        "# Mine\n\n<!-- results: table -->\nold\n<!-- end -->\n\nThe dense one stops at step "
        "<!-- {early_stop: winning_ticket 100} -->?<!-- -->.\n\n![Curves](curves.png)\n"
    )
    assert cli.main(["publish", str(goal), str(goal)], NOISE) == 0
    text = (goal / "README.md").read_text()
    assert text.startswith("# Mine\n\n<!-- results: table -->\n\nMeans over the runs") and "old" not in text
    assert re.search(r"stops at step <!-- \{early_stop: winning_ticket 100\} -->≥?20<!-- -->\.\n", text)
    assert [path.name for path in goal.glob("*.png")] == ["curves.png"]


@pytest.mark.parametrize(
    ("text", "status"), [("<!-- {early_stop: luck 100} -->1<!-- -->", 2), ("<!-- todo: later -->\n", 0)]
)
def test_a_page_that_asks_for_what_there_is_not_changes_nothing_and_other_comments_are_let_be(text, status, goal, runs):
    before = contents(goal)
    (goal / "README.md").write_text(
        f"{before[Path('README.md')].decode()}\n{text}\n<!-- results: made -->\n<!-- end -->"
    )
    (goal / "results.csv").write_text((goal / "results.csv").read_text().rpartition("\n1,")[0] + "\n")
    there = contents(goal)
    assert cli.main(["publish", str(runs), str(goal)], NOISE) == status
    assert text in (goal / "README.md").read_text()
    assert (contents(goal) == there) == bool(status)
    assert (goal / "results.csv").read_bytes() == (there if status else before)[Path("results.csv")]


def test_a_sweep_is_published_with_one_page_and_one_figure(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    runs, goal = tmp_path / "runs", tmp_path / "goal"
    assert cli.main(["run", "lenet-prune-rate", *FEW, "--out", str(runs)], TWO_VALUES) == 0
    assert cli.main(["publish", str(runs), str(goal)], TWO_VALUES) == 0
    before = contents(goal)
    assert [str(path) for path in before if path.suffix == ".png"] == ["lenet-prune-rate.png"]
    assert cli.main(["publish", str(goal), str(goal)], TWO_VALUES) == 0
    assert contents(goal) == before
    text = before[Path("README.md")].decode()
    assert "    npticket run lenet-prune-rate --steps 20 --rounds 2 --trials 2\n" in text
    assert "| 0.1 | 100.0 %: " in text and "[0.2](0.2/results.csv)" in text
    check(goal, TWO_VALUES, tmp_path / "copy")
    with (goal / "README.md").open("a") as page:
        page.write("\n![Curves at 0.1](0.1/curves.png)\n")
    assert cli.main(["publish", str(runs), str(goal)], TWO_VALUES) == 0
    assert {str(path) for path in set(contents(goal)) - set(before)} == {"0.1/curves.png"}
    assert len(contents(goal)[Path("0.1/curves.csv")]) > len(before[Path("0.1/curves.csv")])
    assert contents(goal)[Path("0.2/curves.csv")] == before[Path("0.2/curves.csv")]
    check(goal, TWO_VALUES, tmp_path / "again")
    lone, before = goal / "0.1", contents(goal)
    assert cli.main(["publish", str(lone), str(goal)], TWO_VALUES) == 2
    assert "holds several experiments" in capsys.readouterr().err and contents(goal) == before
    assert cli.main(["publish", str(lone), str(tmp_path / "lone")], TWO_VALUES) == 0
    assert "    npticket run recipe.json  # in this directory\n" in (tmp_path / "lone" / "README.md").read_text()


def test_a_sweep_is_published_as_far_as_it_is(tmp_path, capsys):
    """Of two values without a pruned network, one was trained to the rewind point alone."""
    pytest.importorskip("matplotlib")
    runs, goal = tmp_path / "runs", tmp_path / "goal"
    assert cli.main(["run", "rewinding-lenet-step", *FEW, "--out", str(runs)], NOISE) == 0
    cut(runs / "1,500", lambda key: key.series == "rewind_point")
    cut(runs / "7,500", lambda key: key.round == 0)
    for command in (["show"], ["figures"], ["report"], ["verify"], ["publish", str(goal)]):
        assert cli.main([command[0], str(runs), *command[1:]], NOISE) in (0, 1), capsys.readouterr().err
    lines = (goal / "README.md").read_text().splitlines()
    assert "| 1,500 |  |  |  |" in lines
    assert [line.count("%") for line in lines if line.startswith(("| 0 |", "| 7,500 |"))] == [3, 1]
    assert {line.count("|") for line in lines if line.startswith(("| 0 |", "| 7,500 |", "| retrained"))} == {5}


def test_sweeps_and_other_experiments_share_a_page(tmp_path):
    pytest.importorskip("matplotlib")
    runs, goal = tmp_path / "runs", tmp_path / "goal"
    for name, folder in (("lenet-prune-rate", "a"), ("lenet-sgd", "b")):
        assert cli.main(["run", name, *FEW, "--out", str(tmp_path / folder)], TWO_VALUES) == 0
        for path in (tmp_path / folder).iterdir():
            shutil.copytree(path, runs / f"{folder}-{path.name}")
    assert cli.main(["run", "lenet-continued", *FEW, "--out", str(runs / "continued")], TWO_VALUES) == 0
    assert cli.main(["publish", str(runs), str(goal)], TWO_VALUES) == 0
    text = (goal / "README.md").read_text()
    asked = [line for line in text.splitlines() if line.startswith("    npticket run ")]
    flags = " --steps 20 --rounds 2 --trials 2"
    assert asked == [f"    npticket run {name}{flags}" for name in ("lenet-continued", "lenet-sgd", "lenet-prune-rate")]
    heads = [line.split("|")[1].strip() for line in text[text.index("## Results") :].splitlines() if "| ---" not in line
             and line.startswith("| ") and not line[2].isdigit()]  # fmt: skip
    assert heads[:3] == ["SGD's learning rate", "pruned per round", "weights"]
    assert {path.name for path in goal.glob("lenet-*.png")} == {"lenet-prune-rate.png", "lenet-sgd.png"}
    check(goal, TWO_VALUES, tmp_path / "copy")
    assert cli.main(["run", "lenet-sgd", *FEW, "--series", "winning_ticket", "--trials", "3", "--out",
                     str(tmp_path / "c")], TWO_VALUES) == 0  # fmt: skip
    shutil.rmtree(runs / "b-0.00625")
    shutil.copytree(tmp_path / "c" / "0.00625", runs / "b-0.00625")
    assert cli.main(["publish", str(runs), str(goal)], TWO_VALUES) == 0
    text = (goal / "README.md").read_text()
    assert (
        "    npticket run b-0.00625/recipe.json  # in this directory\n" in text and "npticket run lenet-sgd" not in text
    )


def test_nothing_is_published_among_an_experiments_own_files(runs, capsys):
    assert cli.main(["publish", str(runs), str(runs / "figures")], NOISE) == 2
    assert "publish into another directory" in capsys.readouterr().err and not (runs / "figures").exists()


def test_runs_are_neither_published_over_nor_sought_where_results_are_published(runs, goal, capsys):
    before = contents(runs)
    assert cli.main(["publish", str(runs), str(runs)], NOISE) == 2
    assert "is where runs are kept" in capsys.readouterr().err
    assert contents(runs) == before
    before = contents(goal)
    flags = [*FEW, "--series", "winning_ticket,random_reinit", "--out", str(goal)]
    assert cli.main(["run", "lenet-mnist", *flags], NOISE) == 2
    assert "has results but no runs to go on from" in capsys.readouterr().err
    assert contents(goal) == before


def test_curves_are_kept_where_they_are_drawn_and_where_the_recipe_asks():
    """Here lines end at 1.02 times 1.5 times the latest mean early stop, and one validation later."""
    whole = outcome(rounds=20, steps=10_000)
    few = figures.compact(whole, PLOTS)
    assert {row["round"] for row in few.curves if row["series"] == "winning_ticket"} == {0, 3, 7, 12, 15, 18}
    assert {row["round"] for row in few.curves if row["series"] == "random_reinit"} == {3, 7}
    assert max(row["step"] for row in few.curves) == 3_000  # of 1.02 * 1.5 * 1,950 + 100
    assert {row["val_loss"] for row in few.curves} >= {0.01, 0.0033333}
    assert figures.compact(few, PLOTS) == few
    assert figures.compact(whole, ()).curves == []
    tested = outcome(rounds=3, test_at=(500, 1_000))
    assert {row["step"] for row in figures.compact(tested, ()).curves} == {500, 1_000}
    assert len(figures.compact(tested, ()).curves) == 2 * len(tested.results)


def test_curves_that_were_kept_draw_the_same_figures(tmp_path):
    """To the eye: where a line leaves the axes, some pixels may differ."""
    image = pytest.importorskip("matplotlib.image")
    whole = outcome(rounds=6, steps=3_000)
    for name, one in (("whole", whole), ("few", figures.compact(whole, PLOTS))):
        figures.draw(one, tmp_path / name, PLOTS)
    for name in ("curves.png", "validation_loss.png"):
        one, other = (image.imread(tmp_path / folder / name) for folder in ("whole", "few"))
        assert (abs(one - other) > 0.02).mean() < 1e-3


def test_tables_of_pages_have_early_stopping_or_the_steps_at_which_the_test_set_was_looked_at():
    lines = page.results(outcome(rounds=3)).splitlines()
    assert lines[0] == "Means over the runs: early stop at step / test acc. there (%)"
    assert lines[2] == "| weights | winning ticket | random reinit |"
    assert lines[4:6] == ["| 100.0 % | 150 / 90.50 |  |", "| 80.0 % | 250 / 90.60 | 250 / 80.60 |"]
    lines = page.results(outcome(rounds=2, test_at=(500, 900))).splitlines()
    assert lines[0] == "Means over the runs: test accuracy (%) after 500 / 900 steps"
    assert lines[-1] == "| 80.0 % | 90.60 / 90.60 | 80.60 / 80.60 |"


def test_columns_with_few_entries_have_tables_of_their_own():
    """Of the rows in which they have entries, beside the first series; nothing is lost, and nothing is said twice."""
    heads = ["weights", *(f"s{i}" for i in range(page.WIDE))]
    few = {3: (1, 4), 5: (4,), 6: (1, 4), 7: ()}
    rows = [[f"{r} %", *(f"{r}/{i}" if r in few.get(i, range(6)) else "" for i in range(page.WIDE))] for r in range(6)]
    made = page.split(heads, rows)
    assert [table[0][2:] for table in made] == [
        [head for i, head in enumerate(heads[2:], 1) if i not in (3, 5, 6)], ["s3", "s6"], ["s5"],
    ]  # fmt: skip
    assert [[row[0] for row in table[1]] for table in made] == [[row[0] for row in rows], ["1 %", "4 %"], ["4 %"]]
    assert all(table[0][:2] == heads[:2] for table in made)
    cells = [cell for _, of in made for row in of for cell in row[2:] if cell]
    assert sorted(cells) == sorted(cell for row in rows for cell in row[2:] if cell)
    assert page.split(heads[:-1], [row[:-1] for row in rows]) == [(heads[:-1], [row[:-1] for row in rows])]
    assert page.split(["weights"], []) == [(["weights"], [])]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_verdicts_have_a_link_to_what_explains_them_wherever_the_page_is(depth, tmp_path):
    place = tmp_path.joinpath("docs", *"abc"[:depth])
    assert page.how(place) == ""
    place.mkdir(parents=True)
    (tmp_path / "claims.md").touch()
    assert (place / page.how(place)).resolve() == tmp_path.resolve() / "claims.md"


@pytest.mark.parametrize(("rounds", "cells"), [(3, 3), (1, 1), (0, 0)])
def test_a_line_of_a_sweep_has_as_many_cells_as_heads_whatever_is_trained(rounds, cells):
    whole = outcome(rounds=rounds)
    sweep = Sweep("sizes", "Figure 2", "size", {"1": whole.recipe})
    *_, heads, _, line = page.summary({"": whole}, sweep).splitlines()
    assert line.count("|") == heads.count("|") and line.count("%") == cells
    ends = ["| 1 | 100.0 %: 150 / 90.50 |", " 64.0 %: 350 / 90.70 |"]
    assert (line.startswith(ends[0]), line.endswith(2 * ends[1])) == (rounds > 0, rounds > 1)


def test_a_cell_says_how_many_weights_are_left_if_it_is_not_as_many_as_in_its_line():
    whole = outcome(rounds=2)
    rows = [row | {"density": 0.7} if row["series"] == "random_reinit" else row for row in whole.results]
    assert page.results(replace(whole, results=rows)).splitlines()[-1].endswith("| 250 / 80.60 (70.0 %) |")


def test_several_machines_have_their_numbers_of_runs():
    one, other = {"cpu": "A", "jobs": 1, "runs": 3}, {"cpu": "B", "jobs": 2, "runs": 4, "gpu": "H", "cupy": "14"}
    alone, both = (replace(outcome(), manifest={"machines": list(those)}) for those in ((one,), (one, other)))
    assert provenance.machines([alone]).startswith("A, 1 process, ")
    said = provenance.machines([both, alone]).split("; ", 1)
    assert said[0].startswith("A, 1 process, ") and said[0].endswith(" (6 runs)")
    assert said[1].startswith("H by --backend cupy, CuPy 14; host: B, 2 processes, ") and said[1].endswith(" (4 runs)")
    plain = replace(outcome(), manifest={"machines": [one, one | {"engine": "plain"}]})
    assert re.fullmatch(r"A, 1 process, P.* \(3 runs\); A, 1 process, --engine plain, P.* \(3 runs\)",
                        provenance.machines([plain]))  # fmt: skip


def test_names_with_blanks_and_parentheses_are_quoted(tmp_path):
    """In commands for a shell, in links for Markdown; and figures that the page shows so are drawn again."""
    recipe = replace(SMALL, name="mine (1) x", trials=1, series=("winning_ticket",))
    for name in ("mine (1) x", "b"):
        experiment(replace(recipe, name=name, seed=len(name)), tmp_path / "m" / name, data(), engine="plain")
    assert cli.main(["publish", str(tmp_path / "m"), str(tmp_path / "goal")]) == 0
    text = (tmp_path / "goal" / "README.md").read_text()
    assert "npticket run 'mine (1) x/recipe.json' --engine plain  # in this directory" in text
    assert "[mine (1) x](mine%20%281%29%20x/results.csv)" in text
    drawn = sorted((tmp_path / "goal" / "mine (1) x").glob("*.png"))
    assert drawn and all(f"(mine%20%281%29%20x/{path.name})" in text for path in drawn)
    assert cli.main(["publish", str(tmp_path / "goal"), str(tmp_path / "goal")]) == 0
    assert (tmp_path / "goal" / "README.md").read_text() == text


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("early_stop: winning_ticket 100", "150"),  # trials stop at 100 (r + t + 1)
        ("at_early_stop: winning_ticket\n64", "90.70 %"),
        ("early_stop: random_reinit 80 - winning_ticket 100", "+100"),
        ("at_the_end: random_reinit 80 - winning_ticket 80", "-10.00 percentage points"),
        ("at_the_end: winning_ticket 80 over random_reinit 80", "10.00 percentage points"),
        ("early_stop: random_reinit 80 over winning_ticket 100", "100"),
        ("early_stop: random_reinit 64 / winning_ticket 100", "2.45 times"),  # sqrt(300 * 400 / (100 * 200))
        ("gap: random_reinit 80", "21.40 points"),
    ],
)
def test_numbers_in_prose_are_those_of_the_rows(mark, text):
    line = f"so <!-- {{{mark}}} -->1 times<!-- --> it is"
    assert prose.counted(line, {"": outcome()}) == line.replace("1 times", text)
    for folder in ("0.4", "1,000", "layer by layer"):
        of_another = re.sub("(winning_ticket|random_reinit)", rf"{folder}/\1", line)
        assert prose.counted(of_another, {folder: outcome(), "0.8": outcome()}) == of_another.replace("1 times", text)


def test_a_ratio_of_steps_that_are_bounds_says_so():
    short = replace(outcome(rounds=2, steps=300), recipe=replace(outcome().recipe, rounds=2))
    assert prose.number("early_stop", "winning_ticket 80 / winning_ticket 100", {"": short}).startswith("≥1.73")
    assert prose.number("early_stop", "winning_ticket 100 / winning_ticket 80", {"": short}).startswith("≤0.58")


def test_a_ratio_to_0_is_refused():
    whole = outcome(rounds=2)
    rows = [row | {"early_stop_test_acc": 0.0} if row["round"] == 0 else row for row in whole.results]
    there = {"": replace(whole, results=rows)}
    assert prose.number("at_early_stop", "winning_ticket 100 / winning_ticket 80", there) == "0.00 times"
    with pytest.raises(StoreError, match="only numbers above 0 have one"):
        prose.number("at_early_stop", "winning_ticket 80 / winning_ticket 100", there)
    rows = [row | {"final_train_acc": row["final_test_acc"] - 0.01} for row in whole.results]
    with pytest.raises(StoreError, match="only numbers above 0 have one"):
        prose.number("gap", "winning_ticket 80 / winning_ticket 100", {"": replace(whole, results=rows)})


@pytest.mark.parametrize(
    ("mark", "complaint"),
    [
        ("luck: winning_ticket 100", "quantities: early_stop, at_early_stop"),
        ("early_stop: winning_ticket", "a number is"),
        ("early_stop: winning_ticket 100 + winning_ticket 80", "a number is"),
        ("early_stop: winning_ticket 5", "winning_ticket near 5 % of the weights, which is not there"),
        ("early_stop: luck 100", "luck near 100 %"),
        ("at_the_end: random_reinit 80 over winning_ticket 80", "one is more"),
        ("at_the_end: random_reinit 80 over random_reinit 80", "one is more"),
        ("early_stop: 0.4/winning_ticket 100", "0.4/winning_ticket near 100 %"),
    ],
)
def test_a_number_that_cannot_be_had_is_refused(mark, complaint):
    with pytest.raises(StoreError, match=re.escape(complaint)):
        prose.counted(f"<!-- {{{mark}}} --><!-- -->", {"": outcome()})
    with pytest.raises(StoreError, match="nothing called 'results: luck'"):
        page.filled("<!-- results: luck -->\n<!-- end -->\n", {"results: made": ""})


@pytest.mark.parametrize(
    "text",
    [
        "<!-- results: made -->\n\nBy hand.\n\n## Mine\n\n<!-- results: table -->\n<!-- end -->\n",
        "<!-- results: made --> <!-- end -->\n",
        "<!-- results: made -->\nBy hand.\n",
        "<!--results: made-->\n<!-- end -->\n",
    ],
)
def test_a_block_without_an_end_loses_nothing(text):
    with pytest.raises(StoreError, match=r"and <!-- end --> before the next; that is not so of results: made"):
        page.filled(text, {"results: made": "new", "results: table": "new"})


def test_blanks_and_carriage_returns_behind_a_mark_do_no_harm():
    for end in ("\n", "\r\n", "  \n"):
        assert "new" in page.filled(f"<!-- results: made -->{end}old{end}<!-- end -->", {"results: made": "new"})


@pytest.mark.parametrize(
    "text",
    [
        "at <!-- {early_stop: winning_ticket 100} -->x. By hand <!-- {early_stop: winning_ticket 80} -->y<!-- --> end.",
        "at <!-- {early_stop: winning_ticket 100} -->x. By hand.",
        "at <!-- {early-stop: winning_ticket 100} -->x<!-- -->",
    ],
)
def test_a_number_without_an_end_loses_nothing(text):
    with pytest.raises(StoreError, match="a number of a page has the form"):
        prose.counted(text, {"": outcome()})


def test_means_over_other_trials_are_not_compared_in_prose():
    whole = outcome()
    rows = [row for row in whole.results if (row["series"], row["round"], row["trial"]) != ("random_reinit", 1, 0)]
    with pytest.raises(StoreError, match=r"of which one has trials \[1\] and the other \[0, 1\]"):
        prose.number("early_stop", "random_reinit 80 - winning_ticket 80", {"": replace(whole, results=rows)})


def test_a_density_is_the_mean_over_the_trials():
    whole = outcome()
    rows = [row | {"density": row["density"] + 0.1 * row["trial"]} for row in whole.results]
    found = replace(whole, results=rows).points("winning_ticket")
    assert [point.density for point in found] == [
        pytest.approx(one.density + 0.05) for one in whole.points("winning_ticket")
    ]
