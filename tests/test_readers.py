"""Rubbish in, sentence out: every file and argument is the right value or a refusal, in bounded memory and time."""

import errno
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from idx_files import NAMES, idx, write_mnist
from noise import FEW
from planted import MANIFEST, opened
from small import SMALL, data

from npticket import cli, datasets
from npticket.datasets import DataError, Dataset, Split, cifar, download, packed
from npticket.datasets.mnist import read_idx
from npticket.experiments import json_files, run
from npticket.experiments.bounds import MOST
from npticket.experiments.checks import check
from npticket.experiments.errors import RecipeError, StoreError
from npticket.experiments.json_files import read_json
from npticket.experiments.manifest import read_manifest
from npticket.experiments.parts import load_data
from npticket.experiments.recipe import Part, from_json, to_json
from npticket.papers import LIBRARY, PARTS
from npticket.papers.lottery_ticket.recipes import LENET, RESNET_18_HIGH
from npticket.reading import UnreadableError, check_size, printable, read_npz, read_text, reason, shown
from npticket.report.verdicts import escaped

mnist = sys.modules["npticket.datasets.mnist"]  # the function has its name
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def torture(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import torture

    monkeypatch.setattr(torture, "DRAWS", False)
    return torture


def test_truth_values_are_true_or_false(tmp_path):
    np.savez(tmp_path / "a.npz", there=np.array([True, False]))
    assert read_npz(tmp_path / "a.npz", {"there": 10})["there"].tolist() == [True, False]
    odd = np.array([1, 2], np.uint8).view(bool)
    np.savez(tmp_path / "a.npz", there=odd)
    with pytest.raises(UnreadableError, match="there has truth values that are neither true nor false"):
        read_npz(tmp_path / "a.npz", {"there": 10})


def test_damaged_files_are_right_or_refused(torture):
    """A short form of `python benchmarks/torture.py readers`."""
    line = torture.readers(300)
    assert re.search(r"300 damaged files of (19|21|22) kinds: 0 tracebacks", line), line  # fewer without Pillow
    assert "(0 where a checksum tells)" in line
    assert float(re.search(r"at most ([\d.]+) s", line)[1]) < 10
    refused, right, other = (int(re.search(rf"(\d+) {word}", line)[1]) for word in ("refused", "right", "with another"))
    assert min(refused, right, other) > 3 and refused + right + other == 300


def test_that_torture_can_fail(torture, monkeypatch):
    monkeypatch.setattr(torture, "read_idx", lambda path, shape: np.frombuffer(path.read_bytes(), np.uint8))
    monkeypatch.setattr(torture, "read_caveat", lambda folder: (folder / "CAVEAT.txt").read_bytes().decode())
    found = torture.readers(160)
    assert re.search(r"[1-9]\d* tracebacks", found) and "UnicodeDecodeError" in found
    assert re.search(r"\([1-9]\d* where a checksum tells\)", found)


BOMBS = {
    "empty.npz": "is not an array of numbers or texts", "header0.npz": "is not an array",
    "header1.npz": "is not an array",
    "header2.npz": "is not an array", "header3.npz": "announces 4,000,000,000,000 bytes and holds 0",
    "header4.npz": "Python objects, for one, are never read", "header5.npz": "is not an array",
    "idx": "announces 2147483648x2147483648x2147483648", "idx.gz": "announces 125 bytes and holds more",
    "large.npz": "masks would take 4,026,531,840 bytes, expected at most 1,000", "lies.npz": "Bad CRC-32",
    "long": "has 5,368,709,120 bytes, expected at most 1,000", "other.tar.gz": "holds much more",
    "small.tar.gz": "goes on for long after its end", "sparse.tar.gz": "of kind 'S', expected one plain file of 700",
    "the-limit": "MemoryError: holds",
}  # fmt: skip


def test_what_announces_or_expands_to_gigabytes_takes_little_memory_and_time(tmp_path):
    call = [sys.executable, str(Path(__file__).with_name("bombs.py")), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(call, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    found = {name: (float(time), ended) for name, time, ended in (x.split(" ", 2) for x in done.stdout.splitlines())}
    assert found.keys() == BOMBS.keys()
    for name, (seconds, ended) in found.items():
        assert BOMBS[name] in ended and ended.split(":")[0] in ("DataError", "UnreadableError", "MemoryError"), ended
        assert seconds < 5


def tar(*entries):
    """The bytes of a tar archive of (name, kind, content) entries."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, kind, content in entries:
            (info := tarfile.TarInfo(name)).type, info.size, info.linkname = (
                kind,
                len(content),
                "/etc/passwd" * (not content),
            )
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("a", b"0", b"xyz"), ("a", b"0", b"xyz")], "a is there twice"),
        ([("a", b"2", b"")], "0 bytes of kind '2'"),  # a symbolic link
        ([("a", b"1", b"")], "of kind '1'"),  # a hard link
        ([("a", b"3", b"")], "of kind '3'"),  # a device
        ([("a", b"0", b"xy")], "2 bytes of kind '0', expected one plain file of 3 bytes"),
    ],
)
def test_members_are_plain_files_of_the_right_size_once(tmp_path, entries, message):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar(("other", b"0", b"abc"), *entries)))
    with pytest.raises(DataError, match=message):
        packed.members(path, {"a": 3})
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is not a complete archive"):
        packed.members(path, {"a": 3})
    path.write_bytes(gzip.compress(tar(("other", b"2", b""), ("d/a", b"0", b"no!"), ("a", b"0", b"yes"))))
    assert packed.members(path, {"a": 3, "b": 1}) == {"a": b"yes"}


def test_an_array_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for array in (np.zeros(2), np.ones(2)):
            np.lib.format.write_array(content := io.BytesIO(), array, allow_pickle=False)
            archive.writestr("a.npy", content.getvalue())
    with pytest.raises(UnreadableError, match="it has a twice"):
        read_npz(tmp_path / "x.npz", {"a": 100})


def test_arrays_come_back_and_their_names_are_held_to(tmp_path):
    path, most = tmp_path / "x.npz", {"a": 100, "b": 100, "c": 100}
    there = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"]), "c": np.float32(3)}
    np.savez(path, allow_pickle=False, **there)
    found = read_npz(path, most)
    for name, array in there.items():
        assert found[name].dtype == np.asarray(array).dtype and (found[name] == array).all()
    np.savez_compressed(path, allow_pickle=False, **there)
    assert read_npz(path, most).keys() == there.keys()
    for wrong, message in (({"d": 1}, "the unknown 'd'"), ({"a": np.zeros(2000)}, "a would take 16,128 bytes"),
                           ({"a": np.array(["\x1b[31m"])}, "texts that cannot be printed")):  # fmt: skip
        np.savez(path, allow_pickle=False, **wrong)
        with pytest.raises(UnreadableError, match=re.escape(message)) as error:
            read_npz(path, most | {"z": 20_000})  # so that the file itself may be large
        assert str(path) in str(error.value)


# Data.


def test_known_data_are_known_again_raw_or_gzipped(tmp_path, monkeypatch):
    raw, zipped = write_mnist(tmp_path / "raw"), write_mnist(tmp_path / "gz", compress=True)
    stems = mnist.TRAIN + mnist.TEST
    sums = tuple(hashlib.sha256((raw / stem).read_bytes()).hexdigest() for stem in stems)
    monkeypatch.setitem(mnist.CONTENTS, "MNIST", sums)
    assert datasets.mnist(raw).caveat == datasets.mnist(zipped).caveat == ""
    with open(raw / stems[3], "r+b") as file:  # one label of a test image
        file.seek(100)
        file.write(bytes([(raw / stems[3]).read_bytes()[100] ^ 1]))
    assert datasets.mnist(raw).caveat == "1 of 4 files is not the original MNIST's"


def test_gzipped_fashion_is_known_by_its_files(tmp_path, monkeypatch):
    folder = write_mnist(tmp_path, compress=True)
    assert datasets.fashion_mnist(folder).caveat == "4 of 4 files are not the original Fashion-MNIST's"
    stems = mnist.TRAIN + mnist.TEST
    sums = tuple(hashlib.sha256((folder / f"{stem}.gz").read_bytes()).hexdigest() for stem in stems)
    monkeypatch.setitem(mnist.GZIPPED, "Fashion-MNIST", sums)
    assert datasets.fashion_mnist(folder).caveat == ""


def test_cifar_is_known_by_its_members_or_its_archive(tmp_path):
    parts, archive = [b"one", b"two"], tmp_path / "x.tar.gz"
    archive.write_bytes(b"packed")
    sums = tuple(hashlib.sha256(part).hexdigest() for part in parts)
    ten = replace(cifar.CIFAR_10, contents=sums)
    assert cifar._others(ten, parts, None) == cifar._others(ten, parts, archive) == (0, 2)
    assert cifar._others(ten, [b"one", b"2"], None) == (1, 2)
    assert cifar._others(cifar.CIFAR_100, parts, archive) == (1, 1)
    hundred = replace(cifar.CIFAR_100, sha256=hashlib.sha256(b"packed").hexdigest())
    assert cifar._others(hundred, parts, archive) == (0, 1)
    assert cifar._others(hundred, parts, None) == (0, 2)  # of unpacked members nothing is known


def test_data_come_over_https_and_are_checked_by_sha256():
    mirrors = [*cifar.MIRRORS, *(mirror for each in mnist.MIRRORS.values() for mirror in each)]
    assert len(mirrors) >= 4 and all(mirror.startswith("https://") for mirror in mirrors)
    sums = [kind.sha256 for kind in (cifar.CIFAR_10, cifar.CIFAR_100)]
    sums += [known for each in (*mnist.GZIPPED.values(), *mnist.CONTENTS.values()) for known in each]
    sums += cifar.CIFAR_10.contents
    assert len(set(sums)) == len(sums) == 20 and all(re.fullmatch("[0-9a-f]{64}", known) for known in sums)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"smudged\nby hand", "smudged"), ("\ufeffwith a mark".encode(), "with a mark"), (b"", ""),
        (b"\n\n a \t b", "a b"),
        (b"caf\xe9", "not text in UTF-8"), ("smudged".encode("utf-16"), "not text in UTF-8"),
        (b"\x1b[31mred", r"can be printed, got '\\x1b\[31mred'"), ("\u202eback".encode(), "can be printed"),
        (b"x" * 201, "at most 200 characters"), (b"x" * (2 << 20), "expected at most 1,048,576"),
        (None, "is not a file"),
    ],
)  # fmt: skip
def test_a_caveat_is_a_short_line_of_text(tmp_path, content, said):
    path = tmp_path / "CAVEAT.txt"
    path.mkdir() if content is None else path.write_bytes(content)
    if said in ("smudged", "with a mark", "", "a b"):
        assert download.read_caveat(tmp_path) == said
        return
    with pytest.raises(DataError, match=said) as error:
        download.read_caveat(tmp_path)
    assert str(path) in str(error.value) and len(str(error.value)) < 500


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "recipe.json")
    for path in (tmp_path / "recipe.json", tmp_path):
        with pytest.raises(UnreadableError, match="is not a file"):
            check_size(path, 10)
        with pytest.raises(StoreError, match="is not a file"):
            read_json(path)
    with pytest.raises(DataError, match="is not a file"):
        packed.read(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nothing", 10)
    stem = NAMES["test"][0]
    write_mnist(tmp_path)
    (tmp_path / stem).unlink()
    (tmp_path / stem).mkdir()
    with pytest.raises(DataError, match=f"missing: {stem}"):
        datasets.mnist(tmp_path)


def test_data_of_ones_own_have_names_that_can_be_shown():
    split = Split(np.zeros((3, 2), np.uint8), np.zeros(3, np.uint8))
    with pytest.raises(DataError, match=r"the caveat of data .*got '\\x1b\[0m'"):
        Dataset("mine", split, split, split, 2, "here", "\x1b[0m")


# Recipes, manifests, tables.

DEEP = '{"a":' * 500 + "1" + "}" * 500
DEEPER = "[" * 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"), ("[]", "no JSON object"), ('{"a": NaN}', "NaN is no number"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": -Infinity}', "-Infinity is no number"), (DEEP, "cannot be read: (it is nested|maximum recursion)"),
        (DEEPER, "cannot be read"), ('{"\\u001b[31m": 1}', r"cannot be printed, '\\x1b\[31m'"),
        ('{"a": ["\\ud800"]}', "cannot be printed"), ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ("\x00", "cannot be read"), ("{" + " " * (1 << 24) + "}", "expected at most 16,777,216"),
    ],
)  # fmt: skip
def test_json_that_is_none_of_ours_is_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(StoreError, match=message) as error:
        read_json(tmp_path / "x.json")
    assert str(tmp_path / "x.json") in str(error.value)


def test_json_may_begin_with_a_mark(tmp_path):
    (tmp_path / "x.json").write_bytes('\ufeff{"a": "é"}'.encode())
    assert read_json(tmp_path / "x.json") == {"a": "é"}


DESCRIBED = {"data": MANIFEST["data"], "machines": [MANIFEST["machine"]]}


@pytest.mark.parametrize(
    "change",
    [
        {"data": None}, {"data": []}, {"data": {}}, {"machines": None}, {"machines": {}}, {"machines": [3]},
        {"machines": [{"runs": "x"}]}, {"machines": [{"runs": -1}]}, {"machines": [{"runs": None}]},
        {"data": {"name": 3, "caveat": ""}}, {"data": {"name": "x"}}, {"data": {"name": "x", "caveat": "y" * 200_000}},
    ],
)  # fmt: skip
def test_a_manifest_describes_data_and_machines(tmp_path, change):
    path = tmp_path / "manifest.json"
    json_files.write_json(path, DESCRIBED | {"chosen": {}})
    assert read_manifest(path) == DESCRIBED | {"chosen": {}}
    json_files.write_json(path, DESCRIBED | change)
    with pytest.raises(StoreError, match="does not describe data and machines"):
        read_manifest(path)


SGD = Part("sgd", lr=0.1)
DROPS = Part("step_drops", drops=[[20, 0.01]])
HUGE = 10**400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: most + 1}, f"{name} must be at most {most:,}, got {most + 1}") for name, most in MOST.items()),
        *(({name: value}, name) for name in MOST for value in (0, -1, HUGE, None, "3", 1.5, float("nan"), True)),
        ({"seed": None}, "seed must be at least 0, got None"), ({"seed": -1}, "seed must"),
        ({"seed": 2**63}, "seed must"),
        ({"rewind_step": None}, "rewind_step"), ({"test_at": (30, 10)}, "test_at must .* grow"),
        ({"test_at": (3, 3)}, "test_at"),
        ({"train_at": ("3",)}, "train_at"), ({"steps": 9, "train_at": (9,)}, "train_at must lie between 1 and 8"),
        ({"trials": 1000, "rounds": 1000}, "at most 100,000"),
        ({"steps": 10**8, "validate_every": 1}, "validate_every must be at least 1,000"),
        *(({"name": name}, "name must be at most 60 letters")
          for name in ("", "..", ".", "a/b", "../x", "a\\b", "a\n", "\x1b[0m", "x" * 61, "-rf", " a",
          "a|b", None, "\x00")),
        ({"source": "a\nb"}, "source"), ({"source": "x" * 201}, "source must be at most 200 characters"),
        ({"optimizer": SGD.having(lr=HUGE)}, "optimizer's lr must be a number of at most 1e"),
        ({"optimizer": SGD.having(lr=float("nan"))}, "optimizer's lr"),
        ({"optimizer": SGD.having(lr=float("inf"))}, "optimizer's lr"),
        ({"optimizer": SGD.having(lr=True)}, "lr must be a positive number"),
        ({"optimizer": SGD.having(lr=-1)}, "lr must be"),
        ({"optimizer": SGD.having(momentum=2)}, "momentum must be at least 0 and below 1, got 2"),
        ({"optimizer": SGD.having(momentum=-5)}, "momentum must"),
        ({"optimizer": SGD.having(weight_decay=float("nan"))}, "weight_decay"),
        ({"optimizer": SGD.having(weight_decay=-0.1)}, "weight_decay must"),
        ({"optimizer": SGD.having(momentum="much")}, "momentum must be a number"),
        ({"optimizer": Part("adam", lr=0.1, beta1=1)}, "beta1 must"),
        ({"optimizer": Part("adam", lr=0.1, eps=0)}, "eps must"),
        ({"optimizer": SGD.having(masks=1)}, "masks"), ({"optimizer": SGD.having(self=1)}, "self"),
        ({"optimizer": SGD.having(**{"a\x1b": 1})}, r"the name of an option of optimizer must .*\\x1b"),
        ({"schedule": DROPS.having(drops=[[20, 0.1], [10, 0.1]])}, "drops are pairs"),
        ({"schedule": DROPS.having(drops=[[20, float("nan")]])}, "schedule's drops"),
        ({"schedule": DROPS.having(drops=[3])}, "drops"),
        ({"schedule": DROPS.having(drops=[[0.5, 0.1]])}, "drops must be a list of"),
        ({"schedule": DROPS.having(drops=None)}, "step_drops"),
        ({"schedule": DROPS.having(drops=[[20, 0.1], [20, 0.2]])}, "drops are pairs"),
        ({"schedule": DROPS.having(drops=[[-1, 1]])}, "drops"),
        ({"schedule": Part("constant", warmup=2.5)}, "warmup must be an integer, got 2.5"),
        ({"schedule": Part("constant", warmup="x")}, "warmup must be an integer"),
        ({"prune": Part("magnitude", scope=[])}, "prune's scope must be one of"),
        ({"prune": Part("magnitude", rates={"*/W": None})}, "got None"),
        ({"prune": Part("magnitude", rates={"*/W": float("nan")})}, "prune's rates's"),
        ({"net": Part("lenet_300_100", hidden=[10**9, 10**9])}, "the net has .* parameters, expected at most 1,000,0"),
        ({"net": Part("lenet_300_100", hidden=[HUGE, 1])}, "net's hidden"),
        ({"net": Part("lenet_300_100", hidden=[3])}, "hidden"),
        ({"net": Part("lenet_300_100", hidden=[0, 1])}, "at least one"),
        ({"net": Part("lenet_300_100", std=float("inf"))}, "net's std"),
        ({"net": Part("resnet", depth=6 * 10**9 + 2)}, r"8, 14, 20 \.\.\. 1202"),
        ({"net": Part("resnet", width=1.5)}, "width"),
        ({"net": Part("vgg_19", width=10**7)}, "the net has"), ({"net": Part("vgg_19", width=64.5)}, "width must be"),
        ({"net": Part("conv_2", dropout=1)}, "dropout"), ({"net": Part("conv_2", classes=2.5)}, "classes"),
        ({"augment": Part("flip_and_crop", pad=9)}, "has no options, got {'pad': 9}"),
        ({"task": Part("classify", x=1)}, "task"),
        ({"series": ("winning_ticket", "noise_²")}, "there is no series 'noise_²'"),
        ({"series": ("winning_ticket", "\x1b[0m")}, r"series must .* can be printed, got '\\x1b\[0m'"),
    ],
)  # fmt: skip
def test_recipes_beyond_all_bounds_are_refused_by_field(changes, message):
    with pytest.raises(RecipeError, match=message) as error:
        check(replace(LENET, **changes), PARTS)
    assert printable(str(error.value)) == str(error.value) and len(str(error.value)) < 700


def test_parts_may_have_options_of_any_name():
    odd = to_json(LENET) | {"optimizer": {"name": "sgd", "lr": 0.1, "self": 1, "options": 2}}
    assert from_json(odd).optimizer.options == {"lr": 0.1, "self": 1, "options": 2}
    assert from_json(to_json(from_json(odd))) == from_json(odd)


def test_options_of_data_are_refused_before_any_are_read(tmp_path):
    for option in ({"folder": "/etc"}, {"seed2": 3}):
        with pytest.raises(RecipeError, match=r"the data mnist: it has no option .*, but none"):
            load_data(replace(LENET, data=Part("mnist", **option)), PARTS, tmp_path)


def test_augmentation_that_does_not_suit_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(RecipeError, match=r"flip_and_crop does not suit noise: .* must be \(H, W, C\), got \(28, 28\)"):
        run.run(replace(SMALL, augment=Part("flip_and_crop")), PARTS, tmp_path / "out", data())
    assert not (tmp_path / "out").exists()
    check(RESNET_18_HIGH, PARTS)


@pytest.fixture
def made(small, capsys):
    assert small("run", "lenet-mnist", *FEW, "--series", "winning_ticket,random_reinit", "--out", "x") == 0
    capsys.readouterr()
    return small


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("results.csv", b"0,winning", b"0" + b"1" * 5000 + b",winning", "results.csv, line 2: "),
        ("results.csv", b"winning_ticket", b"x" * 200_000, "field larger than field limit"),
        ("results.csv", b"0,winning", b"\x000,winning", "results.csv, line 2: "),
        ("results.csv", b"1.0", b"nan", "density is 'nan'"),
        ("results.csv", b"winning_ticket", b"\x1b[31m", r"does not ask for the series '\x1b[31m'"),
        ("results.csv", b"\n1,", b"\n0,", "twice"), ("results.csv", b"1.0", b"1e999", "density is '1e999'"),
        ("results.csv", b"1.0", b"1.5", "density is 1.5, expected 0 to 1"),
        ("results.csv", b"0,winning", b"9,winning", "no trial 9"),
        ("results.csv", b"trial,", b"trial,trial,", "columns"),
        ("results.csv", b"1.0", b"1.0,1", "it has 13 values, expected 12"),
        ("results.csv", b"1.0,", b"", "it has 11 values, expected 12"),
        ("results.csv", b"\n0", b'\n"0', "results.csv, line"),
        ("curves.csv", b"\n1,", b"\n0,", "curves.csv, line 3: "),
        ("curves.csv", b",20,", b",19,", "step 19 is no step"),
        ("curves.csv", b"trial", b"\xff\xfe", "curves.csv, line 0: "),
        ("manifest.json", b"data", b"date", "does not describe"),
        ("recipe.json", b"lenet-mnist", b"../lenet", "name must be"),
        ("recipe.json", b"steps", b"stops", "no field 'stops'"),
    ],
)  # fmt: skip
def test_damaged_directories_are_refused_in_a_sentence(made, capsys, name, old, new, message):
    path = Path("x") / name
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    for command in ("show", "verify"):
        assert made(command, "x") == 2
        said = capsys.readouterr()
        assert said.err.startswith("error: ") and message in said.err and len(said.err) < 700
        assert said.err.replace("\n", "").isprintable() and not said.out


def test_a_network_that_is_pruned_away_can_be_shown(made, capsys):
    path = Path("x/results.csv")
    path.write_text(re.sub(r"(ticket|reinit),1,[\d.]+", r"\1,1,0.0", path.read_text()))
    pytest.importorskip("matplotlib")
    for command in (["show"], ["figures"]):
        assert made(*command, "x") == 0


def test_what_a_file_says_is_text_in_markdown_and_in_figures(made, capsys):
    caveat = r"$\frac{1{$ | <!-- end --> [a](b) `c` *d* _e_"
    manifest = json.loads(Path("x/manifest.json").read_text())
    manifest["data"]["caveat"] = caveat
    manifest["machines"][0] |= {"cpu": "<b>fast</b>", "engine": "fast; rm -rf ~"}
    json_files.write_json(Path("x/manifest.json"), manifest)
    assert made("verify", "x") in (0, 1)
    assert caveat in capsys.readouterr().out
    assert escaped(caveat) in Path("x/claims.md").read_text() and caveat not in Path("x/claims.md").read_text()
    pytest.importorskip("matplotlib")
    assert made("publish", "x", "page") == 0
    page = Path("page/README.md").read_text()
    assert "rm -rf" not in page  # a command is there to be copied
    assert escaped(caveat) in page and r"\<b\>fast\</b\>" in page and caveat not in page


def test_what_is_wrong_with_a_file_is_said_without_a_number(tmp_path):
    missing = tmp_path / "missing"
    with pytest.raises(OSError) as error:
        missing.read_bytes()
    said = os.strerror(errno.ENOENT)
    assert reason(error.value) == f"{missing}: {said}" and reason(error.value, missing) == said
    assert reason(ValueError("too long")) == "too long" and reason(EOFError()) == "EOFError"


def test_escaping_and_showing():
    assert escaped("a_b c|d _e_ <f> 5 % (g) not the paper's: test_at") == (
        r"a_b c\|d \_e\_ \<f\> 5 % (g) not the paper's: test_at"
    )
    assert escaped("__init__ &lt; a__b") == r"\_\_init\_\_ \&lt; a\_\_b"
    assert shown("\x1b[0m\u202e") == r"'\x1b[0m\u202e'" and len(shown("x" * 10**6)) == 103
    assert printable("a\x9bb\nc\x07é²") == "a\\x9bb\nc\\x07é²"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "1000000000"], "trials must be at most"), (["--rounds", "1000000000"], "rounds must be at most"),
        (["--jobs", "1000000000"], "--jobs must be at most 1,000"),
        (["--steps", "1000000000"], "--steps must be at most"),
        (["--seed", "9" * 400], "seed must be at most"), (["--series", "noise_²"], "there is no series 'noise_²'"),
        (["--series", ""], "there is no series ''"), (["--series", ","], "each once"),
        (["--data", __file__], "is no folder"),
        (["--trials", "-" + "9" * 400], "trials must be at least 1"),
    ],
)  # fmt: skip
def test_arguments_beyond_all_bounds(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPTICKET_DATA", str(tmp_path / "nowhere"))
    assert cli.main(["run", "lenet-mnist", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and len(said) < 700
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [DEEPER, "", "\x00", "{}", '{"schedule": {"name": "step_drops", "drops": [[10]]}}'])
def test_recipe_files_of_any_content(tmp_path, capsys, content):
    path = tmp_path / "mine.json"
    change = json.loads(content) if "drops" in content else None
    path.write_text(json.dumps(to_json(LENET) | change) if change else content)
    assert cli.main(["run", str(path), "--steps", "30"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_terminals_are_told_nothing_by_the_names_of_files(tmp_path, capsys):
    (folder := tmp_path / "\x1b]0;owned\x07").mkdir()
    opened(folder).close()
    (folder / "results.csv").unlink()
    assert cli.main(["show", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said and r"\x1b]0;owned\x07" in said
    assert cli.main(["show", str(tmp_path)]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_bounds_leave_room_for_every_recipe_of_a_paper():
    for recipe in LIBRARY.published.values():
        assert all(getattr(recipe, name) * 10 <= most for name, most in MOST.items())


def test_idx_files_hold_exactly_what_is_expected(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx(array))
    assert (read_idx(tmp_path / "a", (2, 3, 4)) == array).all()
    with pytest.raises(DataError, match="announces 2x3x4 bytes, expected 3x2x4"):
        read_idx(tmp_path / "a", (3, 2, 4))
