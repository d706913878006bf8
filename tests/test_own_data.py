"""Data of one's own: arrays, tables and folders of images in recipes, networks sized by them, and what is refused."""

import gzip
import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from idx_files import NAMES, write_mnist

from npticket import cli, datasets, nets
from npticket.datasets import DataError, Dataset, Split
from npticket.datasets.image_folder import _pixels
from npticket.experiments.checks import check, sized
from npticket.experiments.errors import RecipeError
from npticket.experiments.json_files import read_json, write_json
from npticket.experiments.parts import load_data
from npticket.experiments.recipe import Part, Recipe, from_json, to_json
from npticket.papers import PARTS
from npticket.streams import streams
from npticket.task import CLASSIFY, misfit

MLP = Recipe(
    name="mine", source="a test", net=Part("mlp", hidden=[5]), data=Part("arrays", path="mine.npz"),
    optimizer=Part("adam", lr=0.01), prune=Part("magnitude", rates={"*/W": 0.2}), batch=8, steps=10, rounds=2, trials=1,
    series=("winning_ticket",), validate_every=5,
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examples(n=60, shape=(3,), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *shape)), np.arange(n) % 3


# Arrays


@pytest.mark.parametrize(("one", "other"), [(np.uint8, np.float32), (np.float32, np.uint8), (np.uint8, np.int64)])
def test_splits_that_would_be_scaled_differently_are_refused(one, other):
    x, y = np.arange(60).reshape(30, 2), np.arange(30) % 2
    np.savez("mine.npz", x=x.astype(one), y=y, x_test=x.astype(other), y_test=y)
    with pytest.raises(DataError, match=r"of different types, of which only uint8 is scaled: train \w+, "):
        datasets.arrays(path="mine.npz")
    np.savez("mine.npz", x=x.astype(np.float64), y=y, x_test=x, y_test=y)
    assert datasets.arrays(path="mine.npz").test.inputs.dtype == np.float32


def test_a_class_of_which_nothing_is_left_to_train_with_is_named():
    np.savez("mine.npz", x=np.zeros((40, 2)), y=np.arange(40))
    with pytest.raises(DataError, match=r"mine.npz: of the class \d+ no example is left to train with"):
        datasets.arrays(path="mine.npz")


def test_the_home_of_nobody_is_no_path():
    with pytest.raises(DataError, match=r"there is no ~nobody-at-all/x.npz"):
        datasets.arrays(path="~nobody-at-all/x.npz")


@given(
    st.integers(20, 90), st.sampled_from([np.float16, np.float32, np.float64, np.int16, np.uint8]),
    st.sampled_from([(4,), (3, 2), (2, 3, 1)]),
    st.sampled_from([[3, 5, 9], ["a", "c", "b"], [2.0, 4.0, 0.0], np.array([2, 4, 0], np.float16)]),
    st.sets(st.sampled_from(["test", "validation"])),
)  # fmt: skip
def test_every_example_is_in_one_split_with_its_class(n, dtype, shape, labels, own_splits):
    x = np.zeros((n, *shape), dtype)
    x.reshape(n, -1)[:, 0] = np.arange(n)  # by which an example is known
    y = np.array(labels)[np.arange(n) % 3]
    there = {"x": np.asfortranarray(x), "y": y}
    for split in own_splits:
        there |= {f"x_{split}": x[:6], f"y_{split}": y[:6]}
    np.savez("any.npz", **there)
    found = datasets.arrays(path="any.npz", seed=3)
    given_to = {"train": n} | dict.fromkeys(own_splits, 6)
    assert sum(len(getattr(found, name)) for name in ("train", "validation", "test")) == sum(given_to.values())
    drawn = [getattr(found, name) for name in {"train", "validation", "test"} - own_splits]
    numbers = np.concatenate([split.inputs.reshape(len(split), -1)[:, 0] for split in drawn]).astype(int)
    assert sorted(numbers) == list(range(n))
    classes = np.concatenate([split.targets for split in drawn])
    assert (np.array(sorted(labels))[classes] == y[numbers]).all() and found.classes == 3
    assert found.train.inputs.dtype == (np.uint8 if dtype == np.uint8 else np.float32)
    assert found.train.inputs.shape[1:] == shape
    assert ("set aside" in found.source) == (len(own_splits) < 2)


def test_the_test_set_is_fixed_and_the_validation_set_drawn():
    x, y = examples()
    np.savez("mine.npz", x_train=x, y_train=y[:, None])  # as others call them, and shape them
    one, again, other = (datasets.arrays(path="mine.npz", seed=seed) for seed in (1, 1, 2))
    assert [len(split) for split in (one.train, one.validation, one.test)] == [43, 5, 12]
    assert (one.test.inputs == other.test.inputs).all()
    assert (one.validation.inputs == again.validation.inputs).all()
    assert (one.validation.inputs != other.validation.inputs).any()


def test_what_differs_little_beside_its_size_is_standardised_as_it_is_written():
    """Times in seconds, of which single precision keeps one in a hundred."""
    times = 1.7e9 + np.arange(60.0)[:, None]
    np.savez("mine.npz", x=np.hstack([times, np.full((60, 1), 1e8 / 3)]), y=np.arange(60) % 2)
    inputs = datasets.arrays(path="mine.npz", standardise=True).train.inputs
    assert inputs.dtype == np.float32 and len(np.unique(inputs[:, 0])) == len(inputs)
    assert abs(inputs[:, 1]).max() < 1e-6
    lines = [f"{time:.0f},{i % 2}" for i, time in enumerate(times[:, 0])]
    Path("mine.csv").write_text("\n".join(["time,kind", *lines]))
    inputs = datasets.csv_table(path="mine.csv", standardise=True).train.inputs
    assert len(np.unique(inputs)) == len(inputs)


def test_the_classes_are_told_in_the_order_of_the_outputs():
    for y, said in ((["9", "10"], "(2 classes: 10, 9; "), ([5, -1], "(2 classes: -1, 5; "), ([1, 0], "(2 classes; ")):
        np.savez("mine.npz", x=np.zeros((30, 2)), y=np.array(y * 15))
        assert said in datasets.arrays(path="mine.npz").source
    np.savez("mine.npz", x=np.zeros((60, 2)), y=np.array([f"c{i:02}" for i in range(12)] * 5))
    assert "(12 classes: c00, c01, c02, ..., c11; " in datasets.arrays(path="mine.npz").source


def test_integers_of_two_types_stay_the_classes_that_they_are():
    y = np.array([2**60, 2**60 + 1] * 10)
    np.savez("mine.npz", x=np.zeros((20, 2)), y=y, x_test=np.zeros((4, 2)), y_test=y[:4].astype(np.uint64))
    assert datasets.arrays(path="mine.npz").test.targets.tolist() == [0, 1, 0, 1]


def test_examples_without_a_class_are_refused():
    for y in (["a", "b", "", "a"], ["a", "b", " ", "a"]):
        np.savez("mine.npz", x=np.zeros((40, 2)), y=np.array(y * 10))
        with pytest.raises(DataError, match="there are examples without a class, whose text is empty"):
            datasets.arrays(path="mine.npz")
    np.savez("mine.npz", x=np.zeros((2, 2)), y=np.array([0, 1]))
    with pytest.raises(DataError, match=r"mine\.npz: of so few examples none can be set aside for validation: bring"):
        datasets.arrays(path="mine.npz")
    np.savez("mine.npz", x=np.zeros((20, 2)), y=np.array([0, 2**63] * 10, np.uint64))
    with pytest.raises(DataError, match="classes go up to 9223372036854775807, got 9223372036854775808"):
        datasets.arrays(path="mine.npz")


def test_features_are_standardised_by_the_training_examples_if_that_is_asked_for():
    x, y = examples()
    x[:, 0], x[:, 2] = 1000 + 50 * x[:, 0], 7.0
    np.savez("mine.npz", x=x, y=y)
    plain, scaled = (datasets.arrays(path="mine.npz", standardise=on) for on in (False, True))
    assert plain.train.inputs.mean(axis=0)[0] > 900
    np.testing.assert_allclose(scaled.train.inputs.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.train.inputs.std(axis=0), [1, 1, 0], atol=1e-5)
    mean, std = plain.train.inputs.mean(axis=0, dtype=float), plain.train.inputs.std(axis=0, dtype=float)
    std[2] = 1
    np.testing.assert_allclose(scaled.test.inputs, (plain.test.inputs - mean) / std, atol=1e-4)


X, Y = examples()
BAD = [
    ({"x": X}, "mine.npz lacks y"),
    ({"x_test": X, "y_test": Y}, "has no x and y to train with"),
    ({"x": X, "y": Y, "x_train": X, "y_train": Y}, "has train examples twice: as x, y and as x_train, y_train"),
    ({"x": X, "y": Y[1:]}, r"y has shape \(59,\) beside x of \(60, 3\)"),
    ({"x": X, "y": np.eye(3)[Y]}, "of one-hot vectors take"),
    ({"x": X, "y": Y + 0.5}, "classes are integers or texts, got 0.5"),
    ({"x": X, "y": np.full(60, np.nan)}, "got nan"),
    ({"x": X, "y": np.where(Y == 2, np.inf, Y)}, "classes are integers or texts, got inf"),
    ({"x": X, "y": np.where(Y == 2, np.inf, Y).astype(np.float16)}, "classes are integers or texts, got inf"),
    ({"x": X, "y": np.where(Y == 2, -1e300, Y)}, "classes are integers or texts, got -1e"),
    ({"x": X, "y": Y + 0.0, "x_test": X, "y_test": Y + 2.0**60}, "test: classes are integers or texts, got 1.1529"),
    ({"x": X, "y": np.zeros(60, int)}, r"expected two classes at least, the training examples have \[0\]"),
    ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "test: there are no training examples of the class 3"),
    ({"x": X, "y": Y, "x_test": X[:, :2], "y_test": Y}, "different shapes"),
    ({"x": X[:, 0], "y": Y}, r"x must be an array of numbers \(N, ...\)"),
    ({"x": np.full((60, 3), "a"), "y": Y}, "x must be an array of numbers"),
    ({"x": X * 1e300, "y": Y}, "NaN or infinite"),
    ({"x": X[:1], "y": Y[:1]}, "expected two classes"),
    ({"x": X, "y": Y, "z": Y}, "unknown 'z'"),
    ({"x": X.astype(object), "y": Y}, "Python objects, for one, are never read"),
]


@pytest.mark.parametrize(("there", "message"), BAD, ids=[message for _, message in BAD])
def test_arrays_that_make_no_sense_are_refused(there, message):
    np.savez("mine.npz", **there)
    with pytest.raises(DataError, match=message):
        datasets.arrays(path="mine.npz")


def test_paths_are_taken_from_the_folder_that_is_named_else_from_the_working_directory(here):
    (here / "data").mkdir()
    np.savez("data/mine.npz", x=X, y=Y)
    there = load_data(MLP, PARTS, here / "data")
    assert there.name == "mine"
    with pytest.raises(DataError, match=r"there is no mine.npz: the path of data is taken from the working directory"):
        load_data(MLP, PARTS)
    for path in ("data/mine.npz", str(here / "data" / "mine.npz")):
        assert (datasets.arrays(path=path).train.inputs == there.train.inputs).all()
    with pytest.raises(RecipeError, match="the data arrays: it has no option 'file', but path, standardise"):
        load_data(from_json(to_json(MLP) | {"data": {"name": "arrays", "file": "mine.npz"}}), PARTS)


# What is like an array


def test_what_is_like_an_array_becomes_one(here):
    x, y = X.astype(np.float32), Y
    np.save("x.npy", x)
    mapped = np.load("x.npy", mmap_mode="r")
    for inputs, targets in ((x.tolist(), y.tolist()), (mapped, y), (x.tolist(), tuple(y)), (x > 0, y)):
        split = Split(inputs, targets)
        assert type(split.inputs) is type(split.targets) is np.ndarray
        assert (split.targets == y).all() and split.inputs.shape == (60, 3)
    assert Split(mapped, y).inputs.base is not None and not Split(mapped, y).inputs.flags.owndata  # no copy
    assert Split(x, y).inputs is x


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ma.masked_greater(X, 1), r"inputs are a masked array.*fill it \(a.filled"),
        ([[1.0, 2.0], [3.0]], "cannot be made one"),
        ([["a", "b"]], "inputs are list of <U1, expected an array of numbers"),
        (None, "NoneType of object"),
    ],
)
def test_what_has_no_number_in_each_place_is_refused_in_words(values, message):
    with pytest.raises(DataError, match=message):
        Split(values, [0])


def test_integers_are_not_taken_for_pixels():
    split = Split([[1, 2], [3, 4]], [0, 1])
    with pytest.raises(DataError, match=r"inputs are int64, .* take .astype\(np.uint8\) of pixels"):
        Dataset("lists", split, split, split, 2, "a test")


# Tables

TABLE = "a,b,kind\n" + "".join(f"{i},{i / 8},{'xyz'[i % 3]}\n" for i in range(30))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (TABLE, {}),
        (TABLE.partition("\n")[2], {}),  # without names
        (TABLE.replace(",", ";").replace("\n", "\r\n"), {}),
        ("\ufeff" + TABLE.replace(",", "\t") + "\n\n", {}),
        (TABLE.replace(",", " , ").replace("kind", '"kind"'), {}),
        ("\n".join(",".join(line.split(",")[::-1]) for line in TABLE.split("\n")), {"target": "kind"}),
    ],
)
def test_tables_are_read(text, options):
    Path("mine.csv").write_text(text, newline="")
    found = datasets.csv_table(path="mine.csv", **options)
    everything = np.concatenate([split.inputs for split in (found.train, found.validation, found.test)])
    number = max(range(2), key=lambda column: everything[:, column].max())  # where the number is, b is an eighth of it
    assert sorted(everything[:, number]) == list(range(30))
    assert (everything[:, 1 - number] * 8 == everything[:, number]).all()
    assert (found.test.targets == found.test.inputs[:, number] % 3).all()


def test_a_table_takes_memory_for_its_numbers_and_not_for_its_text():
    line = ",".join(["0.123456789"] * 50)
    Path("mine.csv").write_text("".join(f"{line},{'xy'[i % 2]}\n" for i in range(2000)))
    size = Path("mine.csv").stat().st_size
    tracemalloc.start()
    try:
        found = datasets.csv_table(path="mine.csv")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.train.inputs.shape[1] == 50 and peak < 4 * size


def test_classes_that_are_numbers_are_in_the_order_of_numbers_and_one_is_1_0():
    Path("mine.csv").write_text("".join(f"{i}.5,{i % 12}{'.0' * (i // 12 % 2)}\n" for i in range(240)))
    found = datasets.csv_table(path="mine.csv")
    assert found.classes == 12
    assert (found.test.targets == np.floor(found.test.inputs[:, 0]) % 12).all()


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolon"), ("\t", "tab")])
def test_commas_of_decimal_fractions_are_not_taken_for_separators(mark, name):
    Path("mine.csv").write_text("".join(f"{i},5{mark}{i % 2}\n" for i in range(30)))
    with pytest.raises(DataError, match=rf"does a comma or a {name} separate its columns\? Write fractions with a p"):
        datasets.csv_table(path="mine.csv")


def test_a_table_is_not_tested_with_what_it_is_trained_with():
    Path("mine.csv").write_text(TABLE)
    with pytest.raises(DataError, match=r"mine.csv is to be trained with and tested with"):
        datasets.csv_table(path="mine.csv", test="../" + Path.cwd().name + "/mine.csv")
    Path("other.csv").hardlink_to("mine.csv")
    with pytest.raises(DataError, match=r"mine.csv is to be trained with and tested with"):
        datasets.csv_table(path="mine.csv", test="other.csv")


def test_a_table_for_testing_stands_beside_it():
    Path("mine.csv").write_text(TABLE)
    Path("theirs.csv").write_text("a,b,kind\n1,2,y\n3,4,x\n")
    found = datasets.csv_table(path="mine.csv", test="theirs.csv")
    assert found.test.inputs.tolist() == [[1, 2], [3, 4]] and found.test.targets.tolist() == [1, 0]
    assert len(found.train) + len(found.validation) == 30
    Path("theirs.csv").write_text("b,a,kind\n1,2,y\n")
    with pytest.raises(DataError, match=r"theirs.csv has the columns \['b', 'a', 'kind'\], mine.csv has \['a', 'b'"):
        datasets.csv_table(path="mine.csv", test="theirs.csv")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "is empty"),
        (lambda text: text.partition("\n")[0], "has 0 examples in 3 columns"),
        (lambda text: text.replace("\n2,", "\nfew,"), "line 4: 'a' is 'few', expected a number"),
        (lambda text: text.replace("\n2,", "\nnan,"), "line 4: 'a' is 'nan'"),
        (lambda text: text.replace("\n2,", "\n2_0,"), "line 4: 'a' is '2_0', expected a number"),
        (lambda text: text.replace("\n2,", "\n1e39,"), "line 4: 'a' is '1e39', expected a number, of 3.4e"),
        (lambda text: text.replace("\n2,", "\n,"), "line 4: 'a' is ''"),
        (lambda text: text.replace("\n2,", "\n2,2,"), "line 4: it has 4 values, expected 3"),
        (lambda text: text.replace("2.5,z", "2.5, "), "line 22: it has no class, 'kind' is empty"),
        (lambda text: text.replace("a,b", ",b"), "column 1 has no name: is it a numbering of lines"),
        (lambda text: text.replace(",", "|"), "expected features and a class"),
        (lambda text: text + '"', "line 32: unexpected end of data"),
        (lambda text: text.encode("utf-16"), "is not text in UTF-8"),
    ],
)
def test_tables_that_are_none_are_refused_by_line(change, message):
    text = change(TABLE)
    Path("mine.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=message):
        datasets.csv_table(path="mine.csv")
    with pytest.raises(DataError, match=r"no column 'c', or two|is empty|UTF-8|unexpected end"):
        datasets.csv_table(path="mine.csv", target="c")


@pytest.mark.parametrize("missing", ["NA", "nan", "n/a", "None"])
def test_what_stands_for_no_number_is_no_class_beside_numbers(missing):
    lines = [f"{i},{i % 2}" for i in range(30)]
    Path("mine.csv").write_text("\n".join(["a,kind", *lines, f"30,{missing}"]))
    with pytest.raises(DataError, match=f"'kind' has '{missing}' among numbers: leave out lines without a class"):
        datasets.csv_table(path="mine.csv")
    Path("mine.csv").write_text("\n".join(["a,kind", *lines, "30,other", "31,other", "32,other", "33,other"]))
    assert datasets.csv_table(path="mine.csv").classes == 3


ROWS, WHOLE = TABLE.partition("\n")[2], "".join(f"{i},{i / 8},{i % 3}\n" for i in range(30))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0,1,label\n" + ROWS, r"\['0', '1', 'label'\] .* no other line has the class 'label'"),
        ("0,1,2\n" + WHOLE, "they count from 0, as pandas"),
        ("5.1,?,x\n" + ROWS, "'\\?' is no number, other features are"),
        ("?,?,x\n" + ROWS, "other lines have the class 'x'"),
        (",0,1\n" + WHOLE, "'' is no number"),
        ("1,2,w\n" + ROWS, "no other line has the class 'w'"),
    ],
)
def test_a_first_line_that_may_be_names_or_an_example_is_neither_lost_nor_trained_with(text, why):
    Path("mine.csv").write_text(text)
    with pytest.raises(DataError, match=f'mine.csv, line 1: are .*{why}.* "target"; before an example'):
        datasets.csv_table(path="mine.csv")
    Path("mine.csv").write_text("a,b,kind\n" + text.replace("?", "0").removeprefix(",0,1\n"))  # as it says
    assert sum(map(len, splits(datasets.csv_table(path="mine.csv")))) == 30 + (text[0] != ",")


def test_what_is_measured_is_no_class():
    """A table whose last column is a price or a length would be trained on, with a class for each."""
    for last, why in (("{0}.5", r"has 0.5"), ("{0}", "there are 30 different numbers in 30 lines")):
        lines = [f"{i},{i % 3},{last.format(i)}\n" for i in range(30)]
        Path("mine.csv").write_text("a,kind,price\n" + "".join(lines))
        with pytest.raises(DataError, match=rf"mine.csv: 'price' should have the class .* {why}, .*, by \"target\""):
            datasets.csv_table(path="mine.csv")
        assert datasets.csv_table(path="mine.csv", target="kind").classes == 3
        few = [f"{i},{i % 3},{last.format(i % 5)}\n".replace(".5", ".0") for i in range(30)]
        Path("mine.csv").write_text("a,kind,price\n" + "".join(few))  # few may be numbers that are whole
        assert len(datasets.csv_table(path="mine.csv").train) == 22


def test_truth_values_are_classes_and_no_features():
    np.savez("mine.npz", x=X, y=Y > 0)
    assert datasets.arrays(path="mine.npz").classes == 2
    np.savez("mine.npz", x=X > 0, y=Y)
    with pytest.raises(DataError, match=r"got bool of shape .*: of truth values take x.astype"):
        datasets.arrays(path="mine.npz")


def test_a_target_says_that_the_first_line_has_names():
    Path("mine.csv").write_text("0,1,label\n" + ROWS)
    found = datasets.csv_table(path="mine.csv", target="label")
    assert found.classes == 3 and sum(map(len, splits(found))) == 30


def test_a_table_for_testing_has_names_where_the_other_has():
    Path("mine.csv").write_text(ROWS)
    Path("theirs.csv").write_text("1,2,y\n")  # whose class is no other line's
    assert datasets.csv_table(path="mine.csv", test="theirs.csv").test.inputs.tolist() == [[1, 2]]
    Path("theirs.csv").write_text(TABLE)
    with pytest.raises(DataError, match=r"theirs.csv, line 1: 'column 1' is 'a', expected a number"):
        datasets.csv_table(path="mine.csv", test="theirs.csv")


def splits(data):
    return data.train, data.validation, data.test


# Images


def write_images(root, shape=(6, 4, 3), n=5, classes=("cat", "dog")):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (len(classes) * n, *shape), np.uint8)
    for i, array in enumerate(pixels):
        (folder := root / classes[i // n]).mkdir(parents=True, exist_ok=True)
        image.fromarray(array).save(folder / f"{i:02}.png")
    return pixels


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4)])
def test_images_are_read_as_they_are_from_a_folder_for_each_class(here, shape):
    pixels = write_images(here / "pets", shape)
    (here / "pets" / "cat" / "notes.txt").write_text("nothing")
    (here / "pets" / ".cache").mkdir()
    found = datasets.image_folder(path="pets")
    splits = (found.train, found.validation, found.test)
    assert [len(split) for split in splits] == [7, 1, 2] and found.classes == 2 and found.name == "pets"
    by_bytes = {array.tobytes(): i // 5 for i, array in enumerate(pixels)}
    for split in splits:
        assert split.inputs.dtype == np.uint8 and split.inputs.shape[1:] == shape
        assert [by_bytes.pop(array.tobytes()) for array in split.inputs] == split.targets.tolist()
    assert not by_bytes


def test_behind_the_transparent_colour_of_grey_images_they_are_white_too(here):
    write_images(here / "pets", (6, 4))
    image = pytest.importorskip("PIL.Image")
    for path in (here / "pets").glob("*/*.png"):
        pixels = np.full((6, 4), 50, np.uint8)
        pixels[:3] = 7
        image.fromarray(pixels).save(path, transparency=7)
    x = datasets.image_folder(path="pets").train.inputs
    assert (x[:, :3] == 255).all() and (x[:, 3:] == 50).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_behind_what_is_transparent_images_are_white(here, mode):
    write_images(here / "pets", (6, 4, len(mode)))
    image = pytest.importorskip("PIL.Image")
    assert (datasets.image_folder(path="pets").train.inputs < 255).any()
    for path in (here / "pets").glob("*/*.png"):
        with image.open(path) as opened:
            assert opened.mode == mode
            clear = opened.copy()
        clear.putalpha(0)
        clear.save(path)
    assert (datasets.image_folder(path="pets").train.inputs == 255).all()


def test_splits_that_are_there_are_taken(here):
    for split, n in (("train", 6), ("val", 2), ("test", 3)):
        write_images(here / "pets" / split, n=n)
    found = datasets.image_folder(here, path="pets", size=[3, 5])
    assert [len(split) for split in (found.train, found.validation, found.test)] == [12, 4, 6]
    assert found.train.inputs.shape[1:] == (3, 5, 3) and "set aside" not in found.source


def test_a_folder_that_would_be_passed_over_is_named(here):
    write_images(here / "pets")
    (here / "pets" / "emu").mkdir()
    with pytest.raises(DataError, match="pets/emu has no images of a known kind"):
        datasets.image_folder(path="pets")
    for split in ("train", "test", "valid"):
        write_images(here / "split" / split)
    with pytest.raises(DataError, match="split has train/ and valid/, expected only train, validation, val, test"):
        datasets.image_folder(path="split")


@pytest.mark.parametrize("place", ["0.png", "cat/more/0.JFIF"])
def test_an_image_that_would_be_passed_over_is_named(here, place):
    write_images(here / "pets")
    path, hidden = here / "pets" / place, here / "pets" / "cat" / ".thumbnails" / "0.png"
    for made in (path, hidden):
        made.parent.mkdir(exist_ok=True)
    hidden.write_bytes(b"")
    assert datasets.image_folder(path="pets").classes == 2
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"pets/{place} is an image, but not in the folder of a class itself: move it"):
        datasets.image_folder(path="pets")


def test_two_folders_for_validation_are_refused_and_classes_may_be_called_like_them(here):
    for split in ("train", "validation", "val"):
        write_images(here / "pets" / split)
    with pytest.raises(DataError, match=r"pets has images for validation twice: in validation/ and in val/"):
        datasets.image_folder(path="pets")
    write_images(here / "words", classes=("test", "val", "validation"))
    assert datasets.image_folder(path="words").classes == 3


def test_images_that_do_not_go_together_are_refused(here):
    write_images(here / "pets")
    write_images(here / "pets", (5, 4, 3), n=1, classes=("emu",))
    with pytest.raises(DataError, match=r'emu/00.png is 5x4 pixels, others 6x4: .* "size": \[6, 4\]'):
        datasets.image_folder(path="pets")
    with pytest.raises(DataError, match="of the class 'emu' no example is left to train with"):
        datasets.image_folder(path="pets", size=[6, 4])
    write_images(here / "pets", (5, 4, 3), n=4, classes=("emu",))
    assert datasets.image_folder(path="pets", size=[6, 4]).train.inputs.shape[1:] == (6, 4, 3)
    for size in ([6], [0, 4], "ab", [10**9, 1]):
        with pytest.raises(DataError, match="size must be"):
            datasets.image_folder(path="pets", size=size)
    with pytest.raises(DataError, match="images of 10000x10000 pixels take 4,500,000,000 bytes"):
        _pixels([Path("x")] * 15, False, (10_000, 10_000), True)
    (here / "pets" / "cat" / "00.png").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"00.png is no image that can be read"):
        datasets.image_folder(path="pets", size=[6, 4])
    with pytest.raises(DataError, match="no images in the subfolders of pets/cat"):
        datasets.image_folder(path="pets/cat")


def test_a_damaged_image_and_one_of_16_bits_are_named(here):
    write_images(here / "pets")
    path = here / "pets" / "cat" / "01.png"
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"01.png is damaged"):
        datasets.image_folder(path="pets")
    from PIL import Image

    Image.fromarray(np.zeros((6, 4), np.uint16)).save(path)
    with pytest.raises(DataError, match=r"01.png has pixels of the kind I;16"):
        datasets.image_folder(path="pets")


# Networks of the data's size


@pytest.mark.parametrize("shape", [(4,), (16, 20), (16, 20, 3)])
@pytest.mark.parametrize("make", [nets.mlp, nets.lenet_300_100, nets.lenet_5])
def test_networks_take_inputs_of_other_shapes_and_tell_other_numbers_of_classes_apart(make, shape):
    if make is nets.lenet_5 and len(shape) == 1:
        with pytest.raises(ValueError):
            make(input_shape=shape)
        return
    net = make(hidden=7 if make is nets.lenet_5 else (6, 5), input_shape=list(shape), classes=3)
    assert net.input_shape == shape and net.output_shape == (3,)
    theta = net.init(streams(0, range(2), "init"))
    assert net.predict(theta, np.ones((2, 8, *shape), np.float32)).shape == (2, 8, 3)


def test_lenet_5_refuses_images_that_its_pools_would_cut():
    with pytest.raises(ValueError, match="multiples of 4, from 16 on, got 18 x 16"):
        nets.lenet_5(input_shape=(18, 16))


def test_the_data_size_a_network_and_the_recipe_keeps_it():
    np.savez("mine.npz", x=X, y=Y)
    data = load_data(MLP, PARTS)
    check(MLP, PARTS)
    found = sized(MLP, PARTS, data)
    assert found.net == Part("mlp", input_shape=[3], classes=3, hidden=[5])
    assert from_json(to_json(found)) == found == sized(found, PARTS, data)
    assert misfit(PARTS.nets["mlp"](**found.net.options), CLASSIFY, data) == ""
    mnist = datasets.mnist()
    lenet = from_json(to_json(MLP) | {"net": {"name": "lenet_300_100"}})
    assert sized(lenet, PARTS, mnist) is lenet  # old directories stay what they are
    said = from_json(to_json(MLP) | {"net": {"name": "mlp", "hidden": [5], "input_shape": [4]}})
    assert sized(said, PARTS, data).net.options["input_shape"] == [4]


def test_from_a_file_to_a_page_on_the_command_line(capsys):
    np.savez("mine.npz", x=X, y=Y)
    write_json(Path("mine.json"), to_json(MLP))
    assert cli.main(["run", "mine.json", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "on mine from mine.npz (3 classes; 12 for testing and 5 for validation set aside): 2 runs" in said
    assert read_json(Path("runs/mine/recipe.json"))["net"] == {
        "name": "mlp", "hidden": [5], "input_shape": [3], "classes": 3,
    }  # fmt: skip
    assert json.loads(Path("runs/mine/manifest.json").read_text())["data"]["examples"] == [43, 5, 12]
    for again in ("mine.json", "runs/mine"):
        assert cli.main(["run", again, "--jobs", "1"]) == 0
        assert "All 2 runs are finished" in capsys.readouterr().out
    assert cli.main(["show", "runs/mine"]) == 0
    assert "MLP-5 on mine; 1 trial of 10 steps" in capsys.readouterr().out
    assert cli.main(["publish", "runs/mine", "published"]) == 0
    line = "    npticket run recipe.json --data FOLDER  # in this directory; mine.npz is in FOLDER\n"
    assert line in Path("published/README.md").read_text()
    np.savez("mine.npz", x=X + 1, y=Y)
    assert cli.main(["run", "mine.json", "--jobs", "1"]) == 2
    said = capsys.readouterr().err
    assert "other data: mine from mine.npz (3 classes; 12 for testing and 5 for validation set aside) there" in said
    assert "now, which differ in sha256. Choose another" in said
    assert cli.main(["verify", "runs/mine"]) == 0  # a recipe of one's own, of which no paper claims anything
    assert "No claim is about mine: " in capsys.readouterr().out and not Path("runs/mine/claims.md").exists()


# Where others put the known ones


def test_idx_files_are_found_with_a_dot_and_where_torchvision_puts_them(here):
    write_mnist(here / "MNIST" / "raw", compress=True)
    plain = datasets.mnist(here)
    for stem in (name for names in NAMES.values() for name in names[:2]):
        path = here / "MNIST" / "raw" / f"{stem}.gz"
        (here / stem.replace("-idx", ".idx")).write_bytes(gzip.decompress(path.read_bytes()))
    with pytest.raises(DataError, match="missing: train-images-idx3-ubyte"):
        datasets.fashion_mnist(here / "MNIST")
    shutil.rmtree(here / "MNIST")
    assert (datasets.mnist(here).train.inputs == plain.train.inputs).all()
    (here / "FashionMNIST").mkdir()
    for stem in (name for names in NAMES.values() for name in names[:2]):
        (here / stem.replace("-idx", ".idx")).rename(here / "FashionMNIST" / stem)
    with pytest.raises(DataError, match="missing"):
        datasets.fashion_mnist(here)
    (here / "FashionMNIST").rename(here / "raw")
    (here / "FashionMNIST").mkdir()
    (here / "raw").rename(here / "FashionMNIST" / "raw")
    assert datasets.fashion_mnist(here).name == "Fashion-MNIST"


@pytest.mark.parametrize(
    ("load", "name"),
    [(datasets.cifar10, "cifar-10-batches-py"), (datasets.cifar10, "cifar-10-python.tar.gz"),
     (datasets.cifar100, "cifar-100-python"), (datasets.cifar100, "cifar-100-python.tar.gz")],
)  # fmt: skip
def test_pickled_data_are_refused_in_words(here, load, name):
    (here / name).mkdir()
    with pytest.raises(DataError, match=rf"binary.tar.gz, .*{name} is never read: loading a pickle"):
        load(here)
