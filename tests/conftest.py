"""Every test runs without network, without the user's data, and with examples that repeat."""

import os
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is imported; the matrices here are small
# Here, because fixtures of a whole module are made before those of a test. What is tested on real data names it.
REAL_DATA = os.environ.pop("NPTICKET_DATA", "")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs in its background ignore Ctrl-C
CACHE = TemporaryDirectory()  # of such fixtures; each test has its own
os.environ["XDG_CACHE_HOME"] = CACHE.name

import pytest
from hypothesis import settings

settings.register_profile("laws", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("laws")
pytest.register_assert_rewrite("copies", "interrupted", "on_device", "oracles", "processes", "worlds")

from noise import Small, on_noise
from processes import LONG, NOWHERE

from npticket import cli
from npticket.experiments import training
from npticket.experiments.json_files import write_json
from npticket.experiments.recipe import to_json
from npticket.papers import LIBRARY

# The network is out of reach, but not the local servers of the download tests.
os.environ.update(dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE))
os.environ.update(dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1"))


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path_factory):
    """An empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, by the stem of their file."""
    figure = pytest.importorskip("matplotlib.figure")
    saved = {}

    def save(figure, file, **_):
        saved[Path(file.name).name.split(".")[1]] = figure  # .<stem>.png.<anything>.partial

    monkeypatch.setattr(figure.Figure, "savefig", save)
    return saved


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The command, on noise and with a small network: only what the flags say differs."""
    monkeypatch.chdir(tmp_path)
    library = Small(tuple(map(on_noise, LIBRARY.papers)))
    return lambda *arguments: cli.main(list(arguments), library)


@pytest.fixture
def trained(monkeypatch):
    """The runs that are trained."""
    keys, real = [], training.train_runs
    monkeypatch.setattr(
        training, "train_runs", lambda *a, **k: keys.extend(one.key for one in k["asked"]) or real(*a, **k)
    )
    return keys


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    path = tmp_path_factory.mktemp("asked") / "long.json"
    write_json(path, to_json(LONG))
    return path
