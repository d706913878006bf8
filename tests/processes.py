"""The command in processes of their own: how it is started, waited for, and which children it has."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from npticket.experiments.recipe import Part
from npticket.papers.lottery_ticket.recipes import LENET

ROOT = Path(__file__).parents[1]
NOWHERE = "http://127.0.0.1:9"  # a proxy that nobody serves
LONG = replace(
    LENET, net=Part("lenet_300_100", hidden=[30, 10]), steps=100, train_at=(), rounds=6, trials=2,
    series=("winning_ticket", "random_reinit", "one_shot", "fine_tuning"),
)  # fmt: skip


def command(asked, out, jobs):
    return [sys.executable, "-m", "npticket", "run", str(asked), "--out", str(out), "--jobs", str(jobs)]


def environment():
    """Without network and the user's data, like every test's, but for a fixture of the whole module too."""
    kept = {name: value for name, value in os.environ.items() if name != "NPTICKET_DATA"}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    empty = {"XDG_CACHE_HOME": "/dev/null"}  # a folder that cannot be: nothing is found there, nothing put there
    return kept | nowhere | empty | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def wait_for_runs(process, folder, count):
    for _ in range(600):
        if len(list((folder / "runs").glob("*.npz"))) >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no runs were written")


def children(pid):
    """Processes that `pid` started and that train: not Python's and loky's resource trackers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            if parent == pid and "tracker" not in (path.parent / "cmdline").read_text():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
