"""The house: who may import whom, which words belong where, how large things may be, and that names mean one thing."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from npticket.experiments.checks import check
from npticket.papers import LIBRARY, PARTS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "npticket"

# Units are modules, or rooms with all that is in them. One imports only from lower floors, or from its own room.
FLOORS = [
    {"backend", "files", "reading", "streams"},
    {"params"},
    {"protocols", "loss"},
    {"layers", "optimizers", "datasets"},
    {"task", "nets", "tickets", "units"},
    {"prune", "detection", "engine", "record"},
    {"checkpoint", "export", "scopes"},
    {"train"},
    {"estimator", "experiments", "testing"},
    {"report"},
    {"papers"},
    {"cli"},
    {"__main__"},
]
THIRD_PARTY = {  # besides NumPy: who may import what, always inside a function
    "backend": {"cupy", "threadpoolctl"},
    "datasets": {"PIL", "pooch", "tqdm"},
    "experiments": {"joblib", "threadpoolctl", "distributed", "tqdm"},
    "export": {"onnx", "safetensors", "torch"},
    "report": {"matplotlib"},
    "estimator": {"sklearn"},  # at its top, in a `try`: it is a class of theirs
}
AT_THE_TOP = {("testing", "hypothesis")}  # strategies are made by its decorators; who wants checkers alone imports none

MOST_LINES, MOST_IN_A_FUNCTION, MOST_PARAMETERS = 200, 40, 8


def files(*units):
    """Paths of the package's modules, of these units or all, with their names."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name != "__init__.py" and (not units or name.split("/")[0].removesuffix(".py") in units):
            yield path, name


def imports(source):
    """All (module, at top level) pairs that a piece of source imports."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module in ("npticket", "npticket.papers"):
                yield from ((f"{node.module}.{alias.name}", node in tree.body) for alias in node.names)
            else:
                yield node.module, node in tree.body


def for_types(source):
    """Modules imported under `if TYPE_CHECKING:`, which no run imports."""
    blocks = [
        n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"
    ]
    return {module for block in blocks for module, _ in imports("\n".join(map(ast.unparse, block.body)))}


def violations(unit, source):
    """What is wrong with the imports of `source`, a module of `unit`."""
    floor = next(i for i, units in enumerate(FLOORS) if unit in units)
    for module, at_top in imports(source):
        root, *rest = module.split(".")
        if root == "npticket":
            other = rest[0]
            if other == "__version__":
                continue
            if other != unit and not any(other in units for units in FLOORS[:floor]):
                yield f"{unit} imports {other}, which is not below it"
        elif (unit, root) in AT_THE_TOP:
            continue
        elif root not in sys.stdlib_module_names and root != "numpy" and module not in for_types(source):
            if root not in THIRD_PARTY.get(unit, ()):
                yield f"{unit} imports {root}"
            elif at_top:
                yield f"{unit} imports {root} at the top, not when it is needed"


def unit_of(name):
    return name.split("/")[0].removesuffix(".py")


def test_every_module_has_a_floor():
    assert {unit_of(name) for _, name in files()} == set.union(*FLOORS)


@pytest.mark.parametrize(("path", "name"), [pytest.param(*pair, id=pair[1]) for pair in files()])
def test_modules_import_only_from_lower_floors(path, name):
    assert list(violations(unit_of(name), path.read_text())) == []


@pytest.mark.parametrize(
    ("unit", "source", "complaint"),
    [
        ("params", "from npticket.layers import Dense", "params imports layers, which is not below it"),
        ("tickets", "from npticket.prune import magnitude", "tickets imports prune, which is not below it"),
        ("tickets", "from npticket import train", "tickets imports train, which is not below it"),
        ("experiments", "from npticket.papers import PARTS", "experiments imports papers, which is not below it"),
        ("report", "def f():\n    from npticket.papers import PARTS", "report imports papers, which is not below it"),
        ("loss", "def f():\n    import scipy.special", "loss imports scipy"),
        ("report", "import matplotlib", "report imports matplotlib at the top, not when it is needed"),
    ],
)
def test_the_floor_check_can_fail(unit, source, complaint):
    assert list(violations(unit, source)) == [complaint]


def test_the_heart_knows_neither_networks_nor_training_nor_optimizers():
    known = {module for module, _ in imports((PACKAGE / "tickets.py").read_text()) if module.startswith("npticket")}
    assert known == {"npticket.backend", "npticket.params"}


def test_layers_do_not_know_each_other_or_masks():
    for path, name in files("layers"):
        if not name.endswith("__init__.py"):
            inside = {module for module, _ in imports(path.read_text()) if module.startswith("npticket.layers")}
            assert inside <= {"npticket.layers.parameterless"}
            assert "mask" not in path.read_text().lower()


def other_papers(mine, source):
    """The papers that a module of the paper `mine` imports, besides the first, which all may."""
    papers = {module.split(".")[2] for module, _ in imports(source) if module.startswith("npticket.papers.")}
    return papers - {mine, "lottery_ticket"}


def test_a_paper_imports_no_other_paper_but_the_first():
    for path, name in files("papers"):
        if (mine := name.split("/")[1].removesuffix(".py")) != "__init__":
            assert other_papers(mine, path.read_text()) == set(), name


def test_the_check_of_papers_can_fail():
    ways = "from npticket.papers import linear_mode", "from npticket.papers.linear_mode.claims import CLAIMS"
    assert [other_papers("rewinding", way) for way in ways] == [{"linear_mode"}] * 2
    assert not other_papers("rewinding", "from npticket.papers.lottery_ticket.series import TICKET")


# What belongs to tasks and papers; `label` is what matplotlib calls a line of a legend.
CLASSIFICATION = re.compile(r"\b(labels?|accurac(y|ies)|classes)\b")
MATPLOTLIBS = re.compile(r"\blabel=|[\"']label[\"']")


def words(source):
    """The lines of a module that speak of classification, in names, texts or comments."""
    for number, line in enumerate(source.splitlines(), start=1):
        if CLASSIFICATION.search(MATPLOTLIBS.sub("", line).lower()):
            yield f"{number}: {line.strip()}"


@pytest.mark.parametrize("unit", ["train", "record", "engine", "experiments", "report"])
def test_nobody_speaks_of_classification_but_tasks_losses_and_papers(unit):
    for path, name in files(unit):
        if path.name != "loss.py":
            assert list(words(path.read_text())) == [], name


def test_the_check_of_words_can_fail():
    assert list(words("x = 1\nlabels = 2  # theirs\n# Accuracy\nplot(x, label='a')\nfor_labels = 3\n")) == [
        "2: labels = 2  # theirs",
        "3: # Accuracy",
    ]


def too_large(name, source):
    """What of a module is larger than it may be."""
    lines = source.count("\n")
    if lines > MOST_LINES:
        yield f"{name}: {lines} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            a = node.args
            parameters = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs) if p.arg not in ("self", "cls")]
            if length > MOST_IN_A_FUNCTION:
                yield f"{name}: {node.name} has {length} lines"
            if len(parameters) > MOST_PARAMETERS:
                yield f"{name}: {node.name} has {len(parameters)} parameters"


@pytest.mark.parametrize(("path", "name"), [pytest.param(*pair, id=pair[1]) for pair in files()])
def test_files_functions_and_lists_of_parameters_are_short(path, name):
    assert list(too_large(name, path.read_text())) == []


def test_the_check_of_sizes_can_fail():
    body = "\n".join(["    pass"] * 40)
    source = f"def f(a, b, c, d, e, f, g, h, *, i):\n{body}\n" + "\n" * 160
    assert list(too_large("x.py", source)) == ["x.py: 201 lines", "x.py: f has 41 lines", "x.py: f has 9 parameters"]


def borrowed(source):
    """The test files that a file imports."""
    return [module for module, _ in imports(source) if module.startswith("test_")]


def test_no_test_file_imports_from_another():
    for path in sorted((ROOT / "tests").glob("*.py")):
        advice = "move what both need to a module named after what it holds, and fixtures to conftest.py"
        assert borrowed(path.read_text()) == [], f"{path.name} imports from another test file: {advice}"


def test_the_check_of_imports_from_test_files_can_fail():
    assert borrowed("from small import data\nimport test_a\ndef f():\n    from test_b import c") == ["test_a", "test_b"]


def anything(source):
    """Lines in which `Any` stands but where arrays and JSON are declared."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = [token.line.strip() for token in tokens if token.type == tokenize.NAME and token.string == "Any"]
    return [line for line in lines if not re.match(r"from typing import |(Array|Json) = Any\b", line)]


@pytest.mark.parametrize(("path", "name"), [pytest.param(*pair, id=pair[1]) for pair in files()])
def test_any_is_for_arrays_and_json(path, name):
    assert anything(path.read_text()) == []
    assert "type: ignore" not in path.read_text()


def test_the_check_of_any_can_fail():
    assert anything("from typing import Any\nArray = Any  # an array\nx: Any = 3\n") == ["x: Any = 3"]


@pytest.mark.parametrize("recipe", LIBRARY.published.values(), ids=lambda recipe: recipe.name)
def test_every_name_in_a_recipe_exists(recipe):
    check(recipe, PARTS)


def test_every_name_is_there_once():
    """Papers are put together by names: what two of them brought under one is refused when they are imported."""
    claims = [claim.id for claim in LIBRARY.claims]
    assert len(set(claims)) == len(claims)
    about = {name for claim in LIBRARY.claims for name in claim.recipes}
    assert about <= set(LIBRARY.published)


def test_the_core_imports_numpy_only():
    code = """
import sys
import numpy.random
before = set(sys.modules)
from npticket import backend, datasets, engine, export, layers, loss, nets, optimizers, params, prune, streams
from npticket import task, tickets, train, cli, experiments, papers, report, testing
import numpy as np
from npticket.datasets import Dataset, Split
split = Split(np.zeros((60, 28, 28), np.uint8), np.zeros(60, np.uint8))
net = nets.lenet_300_100()
theta0 = net.init(streams.streams(0, [0], "init"))
masks = prune.dense_masks(theta0)
data = Dataset("black", split, split, split, classes=10, source="a test")
roots = {name.split(".")[0] for name in set(sys.modules) - before if not name.startswith("__")}
print(*sorted(roots - set(sys.stdlib_module_names)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(out.stdout.split()) <= {"npticket", "numpy"}


def test_it_trains_and_prunes_without_any_other_package(tmp_path):
    """As after a bare `pip install npticket`."""
    missing = "matplotlib tqdm joblib threadpoolctl pooch cupy distributed sklearn hypothesis onnx safetensors torch"
    for name in ("PIL", *missing.split()):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('no {name} here')")
    code = """
import numpy as np
from npticket import nets, optimizers, prune, streams, task, train
from npticket.datasets import Dataset, Split
split = Split(np.zeros((60, 28, 28), np.uint8), np.zeros(60, np.uint8))
data = Dataset("black", split, split, split, classes=10, source="a test")
net = nets.lenet_300_100()
theta0 = net.init(streams.streams(0, [0], "init"))
masks = prune.dense_masks(theta0)
setting = train.Setting(lambda masks: optimizers.Adam(masks, 1e-3), steps=2)
end = train.fit(net, task.CLASSIFY, theta0, masks, data, setting).end
rule = prune.Rule(prune.magnitude, prune.Layerwise({"*/W": 0.2}))
print(prune.density(rule(end, masks)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    )
    assert done.stdout == "[0.8]\n", done.stderr
