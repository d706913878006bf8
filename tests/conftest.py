"""Every test runs without network, without the user's data, and with examples that repeat."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is imported; the matrices here are small
# Here, because fixtures of a whole module are made before those of a test. What is tested on real data names it.
REAL_DATA = os.environ.pop("NPTICKET_DATA", "")

import pytest
from hypothesis import settings

settings.register_profile("laws", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("laws")

NOWHERE = "http://127.0.0.1:9"  # a proxy that nobody serves


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path_factory):
    """An empty cache folder, and a network that is out of reach."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NOWHERE)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")  # the local servers of the download tests are in reach
