"""The edge of the command: closed streams, poor terminals, signals, full disks, missing locks, and what is not ours."""

import errno
import fcntl
import http.server
import os
import re
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from processes import children, command, environment, wait_for_runs
from small import SMALL, data
from small import experiment as experiment_of

import npticket
from npticket import cli, files
from npticket.__main__ import main as entry
from npticket.cli import process
from npticket.datasets import download, mnist
from npticket.experiments import cluster, directory, json_files, run, workers
from npticket.experiments.directory import KEPT, check_free, clear, lock, scratch, set_aside
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.outcome import read_outcome
from npticket.experiments.series import Key
from npticket.export import load_sparse, to_sparse
from npticket.nets import lenet_300_100
from npticket.papers import PARTS
from npticket.prune import dense_masks
from npticket.streams import streams

ROOT = Path(__file__).parents[1]
RECIPE = replace(SMALL, rounds=2, series=("winning_ticket", "random_reinit"))
RUNS = 2 * (2 + 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge") / "experiment"
    run.run(RECIPE, PARTS, folder, data())
    return folder


@pytest.fixture
def experiment(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "experiment"))


def shell(line, **changes):
    """Run a line of the shell in which $N is the command."""
    variables = environment() | {"N": f"{sys.executable} -m npticket"} | changes
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=variables, timeout=60)


# How it ends


def test_what_nobody_foresaw_is_said_in_a_line_with_a_status_of_its_own_and_the_trace_in_a_file(capsys):
    assert process.status_of(lambda: {}["nothing"], print) == 70
    captured = capsys.readouterr()
    said = captured.err
    path = next(Path(word.rstrip(",")) for word in said.split() if "npticket-error-" in word)
    assert said.startswith("internal error, please report it with ") and said.endswith("KeyError: 'nothing'\n")
    assert said.count("\n") == 1 and captured.out == ""
    assert "return _internal(error)" not in said and "Traceback" in path.read_text() and "NumPy" in path.read_text()
    assert path.stat().st_mode & 0o77 == 0  # for nobody else's eyes
    path.unlink()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An own place for temporary files, such as what an internal error leaves."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_what_was_noted_of_an_internal_error_is_said_with_it(capsys, temporary):
    error = KeyError("nothing")
    error.add_note("in round 1 of snip, trial 0")
    assert process.status_of(lambda: raised(error), print) == 70
    assert capsys.readouterr().err.endswith("KeyError: 'nothing' in round 1 of snip, trial 0\n")


def test_an_error_from_a_papers_code_says_where_it_was(capsys, temporary, tmp_path):
    path = tmp_path / "papers" / "mine.py"
    path.parent.mkdir()
    path.write_text("def quantity(view):\n    return view.nonsense\n")
    space = {}
    exec(compile(path.read_text(), path, "exec"), space)
    assert process.status_of(lambda: space["quantity"](1), print) == 70
    said = capsys.readouterr().err
    assert f"internal error (from {path}, line 2: if that paper is yours, mend it there), please" in said
    assert said.endswith("AttributeError: 'int' object has no attribute 'nonsense'\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("paper = 1 / 0", "ZeroDivisionError: division by zero \\(.*mine.py, line 1\\)"),
        ("def of(:", "SyntaxError: invalid syntax"),
        ("paper = 1", "AttributeError: module .* has no attribute 'PAPER'"),
        ("PAPER = 1", "TypeError: PAPER is 1, expected a Paper"),
        ("from npticket.papers.rewinding import PAPER", "do not go together: there are two papers called rewinding"),
    ],
)
def test_a_mistake_in_a_paper_of_ones_own_is_said_in_a_line(text, said, tmp_path):
    copy = tmp_path / "npticket"
    shutil.copytree(Path(npticket.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "papers" / "mine.py").write_text(text)
    done = shell(f"cd {tmp_path} && $N list", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert re.match(f"error: the paper.* mine.*: {said}|error: the papers .*mine.* {said}", done.stderr)


@pytest.mark.parametrize("error", [RecursionError("too deep"), NotImplementedError("one day")])
def test_errors_that_no_input_should_come_to_are_internal(error, capsys, temporary):
    assert process.status_of(lambda: raised(error), print) == 70
    assert "internal error" in capsys.readouterr().err


def test_without_a_temporary_folder_the_line_says_where_it_was(capsys, monkeypatch):
    monkeypatch.setattr(process.tempfile, "mkstemp", lambda *_: raised(OSError("no temporary folder")))
    assert process.status_of(lambda: {}["nothing"], print) == 70
    assert f"(from {__file__}, line " in capsys.readouterr().err


def raised(error):
    raise error


def test_the_statuses_are_in_the_help(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    assert "\n  70 " in said and "143 by SIGTERM" in said


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b.npz"), "there is no room for a/b.npz (No space left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "a/b.npz"), "there is no room for a/b.npz (Disk quota"),
        (OSError(errno.EFBIG, "File too large"), "there is no room for the output (File too large)"),
        (MemoryError(), "the memory does not suffice"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_no_error_is_without_words(error, words, capsys):
    assert process.status_of(lambda: raised(error), print) == 2
    assert capsys.readouterr().err.startswith(f"error: {words}")


def test_warnings_are_sentences(capsys):
    before = warnings.formatwarning
    said = ("mind the gap", UserWarning, "platform.py", 9, "a line of code")
    assert process.status_of(lambda: print(warnings.formatwarning(*said), end="") or 0, print) == 0
    assert capsys.readouterr().out == "warning: mind the gap\n"
    assert warnings.formatwarning is before


# Streams


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_a_terminal_cannot_show_is_replaced_and_nothing_is_lost(encoding, experiment):
    done = shell(f"$N verify {experiment} > {experiment}/said", PYTHONIOENCODING=encoding)
    assert done.returncode in (0, 1) and done.stderr == ""
    said = (experiment / "said").read_text(encoding)
    assert "Written:" in said and "paper says >= 0" in said and "≥" not in said
    assert "≥" in (experiment / "claims.md").read_text("utf-8")


def test_closed_streams_and_a_full_one(experiment):
    done = shell("$N show nowhere 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")  # and not an error on stdout
    done = shell(f"$N show {experiment} 2>&-")
    assert done.returncode == 0 and "winning_ticket" in done.stdout
    done = shell(f"$N verify {experiment} >&-")
    assert done.returncode in (0, 1) and done.stderr == "" and (experiment / "claims.md").stat().st_size
    done = shell(f"$N show {experiment} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no room for the output") and done.stderr.count("\n") == 1


def test_a_run_without_any_stream_writes_into_no_file_of_its_own(asked, tmp_path):
    done = shell(f"$N run {asked} --trials 1 --rounds 2 --steps 20 --jobs 2 --out {tmp_path}/x <&- >&- 2>&-")
    assert done.returncode == 0
    assert (tmp_path / "x" / ".lock").read_bytes() == b""
    assert shell(f"$N show {tmp_path}/x").returncode == 0


# No home, no cache, no certificate, no semaphores, no cluster


def homeless():
    raise RuntimeError("Could not determine home directory.")


def test_without_a_home_folder_the_subset_is_used_and_says_why(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert "no cache folder (Could not determine home directory.)" in mnist().source


def test_a_cache_that_cannot_be_written_to_is_said(monkeypatch, tmp_path):
    pytest.importorskip("pooch")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(download.OutOfReach, match=f"cache folder {tmp_path} cannot be written to; XDG_CACHE_HOME"):
        download.download({"a.gz": "md5:0"}, ["http://127.0.0.1:9/"], tmp_path)


def test_a_full_disk_is_not_the_mirrors_fault(monkeypatch, tmp_path):
    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(download, "_reachable", lambda mirrors, file: mirrors)
    monkeypatch.setattr(pooch, "retrieve", lambda *_, **__: raised(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(download.DataError, match=f"no room for a.gz in {tmp_path}"):
        download.download({"a.gz": "md5:0"}, ["http://127.0.0.1:9/"], tmp_path)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_a_certificate_that_is_refused_is_called_that(tmp_path):
    pytest.importorskip("pooch")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 9 -subj /CN=127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.handle_error = lambda *_: None
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}/"
    try:
        with pytest.raises(download.OutOfReach, match=f"certificate of {url} is refused: .*proxy"):
            download.download({"a.gz": "md5:0"}, [url], tmp_path / "cache")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ENOENT])
def test_without_semaphores_one_job_is_proposed(number, monkeypatch):
    loky = pytest.importorskip("joblib.externals.loky")
    monkeypatch.setattr(loky, "ProcessPoolExecutor", lambda *_, **__: raised(OSError(number, os.strerror(number))))
    with pytest.raises(RuntimeError, match=rf"{os.strerror(number)}.*/dev/shm.*--jobs 1"), workers.Workers(print, 2):
        pass


@pytest.mark.parametrize("address", ["tls://127.0.0.1:9", "foo://127.0.0.1:9", "nonsense"])
def test_an_address_that_leads_to_no_cluster_is_an_error_in_words(address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT", "1s")
    words = "tls:// needs certificates in dask's configuration" if address.startswith("tls") else "no cluster"
    with pytest.raises(RuntimeError, match=words):
        cluster.Cluster(print, address)


def test_a_cluster_without_workers_is_waited_for_aloud_and_those_who_join_count():
    distributed = pytest.importorskip("distributed")
    of_threads = {"n_workers": 0, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**of_threads) as there:
        threading.Timer(0.2, there.scale, [1]).start()
        with pytest.warns(RuntimeWarning, match="has no workers yet"):
            workers = cluster.Cluster(len, there.scheduler_address)
        with workers:
            assert workers.jobs == 1
            there.scale(3)
            there.wait_for_workers(3)
            assert workers.jobs == 3


# Locks


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_that_is_said_and_work_goes_on(number, monkeypatch, tmp_path):
    monkeypatch.setattr(fcntl, "flock", lambda *_: raised(OSError(number, os.strerror(number))))
    with pytest.warns(RuntimeWarning, match=f"file system of {tmp_path} has no locks.*only one process"):
        lock(tmp_path / ".lock").close()


def test_a_lock_that_is_taken_and_one_that_fails_are_told_apart(monkeypatch, tmp_path):
    with lock(tmp_path / ".lock"), pytest.raises(StoreError, match="another process is at work"):
        lock(tmp_path / ".lock")
    monkeypatch.setattr(fcntl, "flock", lambda *_: raised(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path}/.lock'"):
        lock(tmp_path / ".lock")


# Links


def test_planted_links_are_not_followed(experiment, tmp_path):
    pytest.importorskip("matplotlib")
    treasure, folder = tmp_path / "treasure", tmp_path / "treasures"
    treasure.write_text("mine")
    folder.mkdir()
    (folder / "gold").write_text("mine")
    (experiment / "claims.json").symlink_to(tmp_path / "written by verify")
    (experiment / ".data").symlink_to(folder)
    (experiment / "figures").mkdir()
    for name in ("claims.json.partial", "claims.md.partial", "results.csv.partial", "figures/early_stopping.png"):
        (experiment / name).symlink_to(treasure)
    clear(experiment)
    assert cli.main(["verify", str(experiment)]) == 2  # a link that leads nowhere is none of ours
    (experiment / "claims.json").unlink()
    assert cli.main(["verify", str(experiment)]) in (0, 1)
    assert cli.main(["figures", str(experiment)]) == 2
    (experiment / "figures" / "early_stopping.png").unlink()
    assert cli.main(["figures", str(experiment)]) == 0
    run.run(RECIPE, PARTS, experiment, data())
    assert not (experiment / ".data").is_symlink()
    (experiment / ".lock").unlink()
    (experiment / ".lock").symlink_to(tmp_path / "made by lock")
    with pytest.raises(StoreError, match="is a link, which is not followed"):
        run.run(RECIPE, PARTS, experiment, data())
    assert treasure.read_text() == (folder / "gold").read_text() == "mine"
    assert not (tmp_path / "made by lock").exists() and not (tmp_path / "written by verify").exists()


def test_a_link_in_the_place_of_a_file_is_replaced_and_its_goal_stays(tmp_path):
    (tmp_path / "goal").write_text("theirs")
    (tmp_path / "file").symlink_to("goal")
    files.write(tmp_path / "file", b"ours")
    assert (tmp_path / "goal").read_text() == "theirs" and (tmp_path / "file").read_bytes() == b"ours"
    assert not (tmp_path / "file").is_symlink()


# A full disk


@contextmanager
def room_for(size):
    """Let no file of this process become larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_a_good_ticket_stays_and_nothing_else_is_left(tmp_path):
    net = lenet_300_100(hidden=(6, 4))
    theta = net.init(streams(0, [0], "init"))
    ticket, path = to_sparse(net, theta, dense_masks(theta)), tmp_path / "ticket.npz"
    ticket.save(path)
    before = path.read_bytes()
    with room_for(1000), pytest.raises(OSError, match=f"File too large: '{path}'"):
        ticket.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    load_sparse(path, net)


def test_a_full_disk_names_the_file_and_leaves_no_scraps(asked, tmp_path, capsys):
    with room_for(8000):
        assert cli.main(command(asked, tmp_path / "x", 1)[3:]) == 2
        assert f"error: there is no room for {tmp_path}/x/" in capsys.readouterr().err
        assert cli.main(command(asked, tmp_path / "y", 2)[3:]) == 2
    assert f"error: there is no room for {tmp_path}/y/.data (" in capsys.readouterr().err  # where NumPy says nothing
    assert not list(tmp_path.rglob("*.partial")) and not list(tmp_path.rglob(".data"))


def test_the_folder_is_synced_after_the_name_is_there(monkeypatch, tmp_path):
    synced = []

    def fsync(number):
        path = os.readlink(f"/proc/self/fd/{number}")
        synced.append((path, (tmp_path / "f").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    files.write(tmp_path / "f", b"x")
    assert [there for _, there in synced] == [False, True]
    assert synced[1][0] == str(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda number: raised(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path}/f'"):
        files.write(tmp_path / "f", b"x")


@pytest.mark.parametrize(
    ("error", "number"),
    [(OSError(errno.EIO, "Input/output error"), errno.EIO), (OSError("100 requested and 8 written"), errno.ENOSPC),
     (OSError("it is not what was written"), None), (OSError(), None)],
)  # fmt: skip
def test_an_error_of_the_system_keeps_its_number_and_gets_a_name(error, number):
    with pytest.raises(OSError, match=r"a/b") as named, files.naming(Path("a/b")):
        raise error
    assert named.value.errno == number and all(str(word) in str(named.value) for word in error.args)


# What is not ours

FOREIGN = {
    "runs/lenet-demo/results.csv": "theirs", "runs/model.npz": "theirs", "figures/cat.jpg": "theirs",
    "figures/dog.png": "theirs", "recipe.json": '{"flour": 500}', "manifest.json": "{}", "results.csv": "a,b\n1,2\n",
    "curves.csv": "", "claims.json": '["I am"]', "claims.md": "# Claims", "report.html": "<p>theirs",
    "figures": "a file", "runs": "a file",
    ".data/precious.txt": "theirs", ".checkpoints/model.pt": "theirs", ".checkpoints/run/model.npz": "theirs",
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), FOREIGN.items(), ids=list(FOREIGN))
def test_what_is_not_an_experiments_is_neither_moved_nor_overwritten(name, content, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(content)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for touch in (set_aside, check_free, lambda folder: run.run(RECIPE, PARTS, folder, data())):
        if touch is set_aside and name.startswith(".data"):
            continue  # which has nothing to set aside
        with pytest.raises((StoreError, RecipeError), match=rf"{Path(name).parts[0]}|has results but no runs|steps"):
            touch(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == [Path(name).parts[0]]


@pytest.mark.parametrize("name", ["runs", "figures", ".checkpoints"])
def test_links_in_the_place_of_folders_are_not_followed(name, experiment, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for folder in (experiment, tmp_path / "new"):
        folder.mkdir(exist_ok=True)
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(StoreError, match=f"{folder}/{name} is there already"):
            run.run(RECIPE, PARTS, folder, data())
    assert not list((tmp_path / "elsewhere").iterdir()) and len(list((tmp_path / "new").iterdir())) == 1
    if name == "figures":
        assert cli.main(["figures", str(experiment)]) == 2


def test_a_table_called_like_a_measures_is_not_overwritten(experiment, tmp_path):
    with_weights = replace(RECIPE, series=("winning_ticket", "random_reinit", "weights"))
    for folder in (experiment, tmp_path / "new"):
        folder.mkdir(exist_ok=True)
        (folder / "weights.csv").write_text("kg\n80\n")
        with pytest.raises(StoreError, match=r"weights\.csv is there already"):
            run.run(with_weights, PARTS, folder, data())
        assert (folder / "weights.csv").read_text() == "kg\n80\n"
        check_free(folder, ["other"])


def test_checkpoints_and_figures_of_a_killed_command_are_ours(tmp_path):
    (tmp_path / ".checkpoints" / (32 * "a")).mkdir(parents=True)
    for ending in ("npz", "npz.x.partial"):
        (tmp_path / ".checkpoints" / (32 * "a") / f"{32 * 'b'}.{ending}").touch()
    (tmp_path / "figures").mkdir()
    svg = tmp_path / "figures" / "curves.svg"
    svg.write_text("<svg><dc:title>npticket</dc:title></svg>")
    check_free(tmp_path)
    svg.write_text("<svg>my cat</svg>")
    with pytest.raises(StoreError, match="figures is there already"):
        check_free(tmp_path)
    svg.with_suffix(".png").touch()
    check_free(tmp_path)


def test_the_demo_leaves_a_folder_with_other_experiments_alone(experiment, tmp_path):
    (tmp_path / "runs").mkdir()
    experiment.replace(tmp_path / "runs" / "mine")
    demo = [sys.executable, str(ROOT / "demos" / "lenet_mnist.py"), "--quick", "--jobs", "1", "--out", "."]
    done = subprocess.run(demo, cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 2
    assert done.stderr == (
        "error: runs is there already and not of an experiment of npticket: move it away, or choose another directory\n"
    )
    assert (tmp_path / "runs" / "mine" / "results.csv").exists() and len(list(tmp_path.iterdir())) == 1


def test_all_that_an_experiment_leaves_is_set_aside_even_after_a_kill_in_between(experiment, monkeypatch):
    assert cli.main(["verify", str(experiment)]) in (0, 1)
    assert cli.main(["report", str(experiment)]) == 0
    (experiment / ".checkpoints").mkdir()
    (experiment / "weights.csv").write_text("trial,round,what\n")  # of measures
    (experiment / "figures").mkdir()
    for ending in ("png", "svg"):
        (experiment / "figures" / f"curves.{ending}").touch()
    assert {path.name for path in experiment.iterdir()} == {".lock", "weights.csv", *KEPT}
    moves, replace_ = [], Path.replace

    def dying(path, goal):
        if len(moves) == 3:
            raise KeyboardInterrupt
        moves.append(path)
        return replace_(path, goal)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", dying)
        set_aside(experiment)
    goal = set_aside(experiment)
    assert {path.name for path in goal.iterdir()} == set(KEPT[2:])  # after the table of measures and two more
    assert {path.name for path in experiment.iterdir()} == {".lock", *(p.name for p in experiment.glob("earlier-*"))}
    run.run(RECIPE, PARTS, experiment, data())


def test_claims_and_publications_overwrite_no_foreign_file(experiment, tmp_path, capsys):
    (experiment / "claims.md").write_text("# What we claim")
    assert cli.main(["verify", str(experiment)]) == 2
    assert "claims.md is there already" in capsys.readouterr().err
    goal = tmp_path / "goal"
    goal.mkdir()
    (goal / "results.csv").write_text("theirs")
    (experiment / "claims.md").unlink()
    assert cli.main(["publish", str(experiment), str(goal)]) == 2
    assert "results.csv is there already" in capsys.readouterr().err
    assert [path.name for path in goal.iterdir()] == ["results.csv"]


def test_figures_of_others_are_not_drawn_over(experiment, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    for folder, name in ((experiment / "figures", "figures"), (tmp_path / "goal", "publish")):
        folder.mkdir()
        (folder / "early_stopping.png").write_text("theirs")
        assert cli.main([name, str(experiment), str(folder)][: 3 if name == "publish" else 2]) == 2
        said = "early_stopping.png would be overwritten" if name == "publish" else "figures is there already"
        assert said in capsys.readouterr().err
        assert [path.read_text() for path in folder.iterdir()] == ["theirs"]


# Signals


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the worker processes through /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_every_signal_ends_it_with_a_line_and_leaves_neither_workers_nor_scraps(number, asked, tmp_path):
    process = started(asked, tmp_path)
    working = children(process.pid)
    assert working and (tmp_path / ".data").exists()
    process.send_signal(number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert errors == "\nStopped. Finished runs are kept: the same command goes on from them.\n"
    assert gone(working) and not (tmp_path / ".data").exists()
    assert shell(f"$N show {tmp_path}").returncode == 0


def started(asked, out):
    """The experiment of `asked`, at work in two processes."""
    pytest.importorskip("joblib")
    process = subprocess.Popen(
        command(asked, out, 2), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # which nohup, around the tests, ignores
    )  # fmt: skip
    wait_for_runs(process, out, 2)  # then the first of them is in the tables, however soon the process ends
    return process


def gone(pids):
    """Whether processes end within seconds."""
    for _ in range(50):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.1)
    return False


def test_what_a_killed_process_leaves_goes_at_the_next_start_and_nobody_elses(asked, tmp_path):
    process = started(asked, tmp_path / "mine")
    beside = tmp_path / "beside"
    with lock_held(beside), scratch(beside) as theirs:
        process.kill()
        process.communicate()
        mine = tmp_path / "mine"
        shutil.copy(mine / "recipe.json", beside)
        (mine / "runs" / f".x.npz.{8 * '0f'}.partial").touch()
        (mine / f".results.csv.{8 * '0f'}.partial").touch()
        (mine / ".mine.partial").touch()  # not one of ours
        assert (mine / ".data").exists()
        with run.Store(mine, run.Experiment(directory.read_recipe(mine), PARTS), described(mine)):
            assert not (mine / ".data").exists()
        assert [path.name for path in mine.rglob("*.partial")] == [".mine.partial"]
        assert theirs.exists()
        with pytest.raises(StoreError, match="another process"):
            run.run(RECIPE, PARTS, beside, data())
        assert theirs.exists()
    assert not theirs.exists()


@contextmanager
def lock_held(folder):
    folder.mkdir()
    with lock(folder / ".lock"):
        yield


def described(folder):
    there = json_files.read_json(folder / "manifest.json")
    return {"machine": there["machines"][0], "data": there["data"]}


def test_a_signal_that_someone_ignores_stays_ignored_and_handlers_go_away():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert process.status_of(lambda: os.kill(os.getpid(), signal.SIGHUP) or 7, print) == 7
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.status_of(lambda: os.kill(os.getpid(), signal.SIGTERM) or time.sleep(9) or 7, print) == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# Between the two tables


@pytest.mark.parametrize("behind", ["results.csv", "curves.csv"])
def test_tables_that_differ_by_some_runs_are_read_and_said_to_be_unfinished(behind, experiment, capsys):
    pytest.importorskip("matplotlib")
    path = experiment / behind
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("1,random_reinit,1,")))
    note = f"unfinished: {RUNS - 1} of {RUNS} runs are there"
    for name in ("show", "verify", "figures")[: 3 if behind == "curves.csv" else 2]:
        assert cli.main([name, str(experiment)]) in (0, 1)
        captured = capsys.readouterr()
        assert captured.err == "" and (note in captured.out or name == "figures")
    assert note in (experiment / "claims.md").read_text()
    found = read_outcome(experiment, PARTS)
    assert {Key.of(row) for row in found.results} == {Key.of(row) for row in found.curves}
    assert len(found.results) == RUNS - 1


def test_a_finished_experiment_has_no_such_note(experiment):
    assert "unfinished" not in read_outcome(experiment, PARTS).note


def test_the_curves_are_written_first(experiment, monkeypatch):
    """Else what a kill leaves would have results without curves, which figures need."""
    from npticket.experiments import store

    written = []
    monkeypatch.setattr(store, "write", lambda path, content: written.append(path.name))
    with run.Store(experiment, run.Experiment(RECIPE, PARTS), described(experiment)):
        pass
    assert written == ["curves.csv", "results.csv"]


def test_it_may_be_stopped_before_all_of_it_is_imported(monkeypatch):
    class Impatient:
        def find_spec(self, name, *_):
            if name == "npticket.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "npticket.cli")
    monkeypatch.delattr("npticket.cli")
    monkeypatch.setattr(sys, "meta_path", [Impatient(), *sys.meta_path])
    assert entry() == 130


def test_measures_that_are_missing_are_said_to_be(tmp_path):
    recipe = replace(SMALL, test_at=(), train_at=(), rounds=2, series=("winning_ticket", "weights"))
    assert "unfinished" not in experiment_of(recipe, tmp_path, data()).note
    path = tmp_path / "weights.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("1,")))
    assert read_outcome(tmp_path, PARTS).note.endswith("unfinished: 1 of 2 measures are there")
    path.unlink()
    assert read_outcome(tmp_path, PARTS).note.endswith("unfinished: 0 of 2 measures are there")


def test_what_fails_once_on_a_cluster_is_tried_again(tmp_path):
    distributed = pytest.importorskip("distributed")
    path = str(tmp_path / "tried")

    def flaky():
        if not os.path.exists(path):
            open(path, "w").close()
            raise OSError("not now")
        return 7

    of_threads = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**of_threads) as there, cluster.Cluster(flaky, there.scheduler_address) as workers:
        assert workers.submit().result(timeout=60) == 7
