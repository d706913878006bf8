"""The house: who may import whom, and what the core may import at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "npticket"

# A module imports only from lower floors. layers/, datasets/ and engine/ are one unit each.
FLOORS = [
    {"backend", "streams", "initializers", "progress"},
    {"params"},
    {"layers", "loss", "optimizers", "prune", "tickets", "datasets"},
    {"nets", "engine", "tables"},
    {"train", "controls", "recipe", "manifest", "store", "report", "sparse"},
    {"workers", "runs", "recipes", "figures", "claims"},
    {"estimate", "experiment", "quantities"},
    {"paper"},
    {"cli"},
    {"__main__"},
]
THIRD_PARTY = {  # besides NumPy: who may import what, always inside a function
    "backend": {"cupy"},
    "datasets": {"pooch", "tqdm"},
    "figures": {"matplotlib"},
    "manifest": {"threadpoolctl"},
    "progress": {"tqdm"},
    "workers": {"joblib", "threadpoolctl", "distributed"},
}


def imports(source):
    """All (module, at top level) pairs that a piece of source imports."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in tree.body) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "npticket":
                yield from ((f"npticket.{alias.name}", node in tree.body) for alias in node.names)
            else:
                yield node.module, node in tree.body


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
                yield f"{unit} (floor {floor}) imports {other}"
        elif root not in sys.stdlib_module_names and root != "numpy":
            if root not in THIRD_PARTY.get(unit, ()):
                yield f"{unit} imports {root}"
            elif at_top:
                yield f"{unit} imports {root} at the top, not when it is needed"


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        unit = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if unit != "__init__":
            yield unit, path


def test_every_module_has_a_floor():
    assert {unit for unit, _ in modules()} == set.union(*FLOORS)


@pytest.mark.parametrize(("unit", "path"), [pytest.param(*pair, id=str(pair[1].name)) for pair in modules()])
def test_modules_import_only_from_lower_floors(unit, path):
    assert list(violations(unit, path.read_text())) == []


def test_layers_do_not_know_each_other_or_masks():
    for path in (PACKAGE / "layers").glob("*.py"):
        if path.name != "__init__.py":
            assert not any(module.startswith("npticket.layers") for module, _ in imports(path.read_text()))
            assert "mask" not in path.read_text().lower()


@pytest.mark.parametrize(
    ("unit", "source", "complaint"),
    [
        ("params", "from npticket.layers import Dense", "params (floor 1) imports layers"),
        ("tickets", "from npticket.prune import magnitude", "tickets (floor 2) imports prune"),
        ("tickets", "from npticket import train", "tickets (floor 2) imports train"),
        ("loss", "def f():\n    import scipy.special", "loss imports scipy"),
        ("figures", "import matplotlib", "figures imports matplotlib at the top, not when it is needed"),
    ],
)
def test_the_floor_check_can_fail(unit, source, complaint):
    assert list(violations(unit, source)) == [complaint]


def test_the_core_imports_numpy_only():
    code = """
import sys
import numpy.random
before = set(sys.modules)
from npticket import backend, datasets, engine, layers, loss, nets, optimizers, params, prune, streams, tickets, train
from npticket import claims, cli, experiment, figures, progress, report, store, workers
import numpy as np
from npticket.datasets import Dataset, Split
split = Split(np.zeros((60, 28, 28), np.uint8), np.zeros(60, np.uint8))
net = nets.lenet_300_100()
theta0 = net.init(streams.streams(0, [0], "init"))
masks = prune.dense_masks(theta0)
data = Dataset("black", split, split, split, classes=10, source="a test")
end = train.fit(net, theta0, masks, data, optimizer=lambda m: optimizers.Adam(m, 1e-3), steps=2).end
prune.prune_layerwise(prune.magnitude(end), masks, net.rates)
roots = {name.split(".")[0] for name in set(sys.modules) - before if not name.startswith("__")}
print(*sorted(roots - set(sys.stdlib_module_names)))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert set(out.stdout.split()) == {"npticket"}
