"""Where MNIST is looked for, what is checked, and that every kind of damage is named."""

import gzip

import numpy as np
import pytest
from idx_files import NAMES, idx, write_mnist

from npticket import datasets
from npticket.datasets import DataError, Dataset, Split
from npticket.datasets.dataset import split_off
from npticket.datasets.mnist import read_idx


@pytest.fixture(scope="module")
def mnist_folder(tmp_path_factory):
    return write_mnist(tmp_path_factory.mktemp("data") / "mnist")


def test_splits_are_the_papers_and_images_stay_bytes(mnist_folder):
    data = datasets.mnist(mnist_folder, seed=1)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    assert data.train.inputs.dtype == np.uint8
    assert data.train.inputs.shape == (55_000, 28, 28)
    assert data.caveat == "4 of 4 files are not the original MNIST's"
    assert str(mnist_folder) in data.source


def test_the_validation_split_is_random_repeatable_and_loses_nothing(mnist_folder):
    first, again, other = (datasets.mnist(mnist_folder, seed=s) for s in (1, 1, 2))
    assert (first.validation.inputs == again.validation.inputs).all()
    assert (first.validation.targets != other.validation.targets).any()
    full = read_idx(mnist_folder / "train-labels-idx1-ubyte", (60_000,))
    both = np.concatenate([first.train.targets, first.validation.targets])
    assert (np.bincount(both) == np.bincount(full)).all()


def test_split_off_keeps_images_with_their_labels():
    numbers = np.arange(20)
    rest, chosen = split_off(Split(numbers.reshape(20, 1).astype(np.uint8), numbers), 6, seed=3)
    assert sorted([*rest.targets, *chosen.targets]) == list(numbers)
    for split in (rest, chosen):
        assert (split.inputs[:, 0] == split.targets).all()


def test_pixels_are_divided_by_255(mnist_folder):
    data = datasets.mnist(mnist_folder)
    x = data.floats(np.array([[0, 51, 255]], np.uint8), np.float32)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, [[0, 0.2, 1]], rtol=1e-6)


def test_search_order(mnist_folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    write_mnist(cache / "npticket" / "mnist", compress=True, seed=7)
    in_cache = datasets.mnist()
    assert str(cache) in in_cache.source

    monkeypatch.setenv("NPTICKET_DATA", str(mnist_folder.parent))  # its subfolder mnist/ has the files
    in_variable = datasets.mnist()
    assert "NPTICKET_DATA" in in_variable.source
    assert (in_variable.test.targets != in_cache.test.targets).any()

    explicit = write_mnist(tmp_path / "mine", seed=8)
    assert datasets.mnist(explicit).source == str(explicit)


def test_a_named_folder_without_the_files_is_an_error_and_not_a_detour(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="missing: train-images-idx3-ubyte, train-labels"):
        datasets.mnist(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        datasets.mnist(tmp_path / "nowhere")
    monkeypatch.setenv("NPTICKET_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"\(NPTICKET_DATA\) nor its subfolder mnist/ holds"):
        datasets.mnist()
    monkeypatch.setenv("NPTICKET_DATA", "/nowhere")
    with pytest.raises(DataError, match=r"folder /nowhere \(NPTICKET_DATA\) does not exist"):
        datasets.mnist()


def test_a_cache_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "XDG_CACHE_HOME names another" in datasets.mnist().source


def test_a_caveat_beside_the_data_is_carried_along(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "CAVEAT.txt").write_text("smudged\nby hand\n")
    assert datasets.mnist(tmp_path).caveat == "smudged; 4 of 4 files are not the original MNIST's"


def test_raw_and_gzipped_idx_read_alike(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(idx(array))
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    assert (read_idx(tmp_path / "a", (2, 3, 4)) == array).all()
    assert (read_idx(tmp_path / "a.gz", (2, 3, 4)) == array).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"", "cut off: 0 bytes do not even hold the header"),
        ("a", idx(np.zeros((2, 3), np.uint8)), "is it another file"),
        ("a", gzip.compress(idx(np.zeros((2, 3, 4), np.uint8)), mtime=0), "1f8b"),
        ("a", idx(np.zeros((2, 3, 4), np.uint8))[:-1], "announces 24 bytes and holds 23"),
        ("a", idx(np.zeros((2, 3, 4), np.uint8)) + b"x", "announces 24 bytes and holds more"),
        ("a.gz", idx(np.zeros((2, 3, 4), np.uint8)), "not a complete gzip file"),
        ("a.gz", gzip.compress(idx(np.zeros((2, 3, 4), np.uint8)), mtime=0)[:-9], "not a complete gzip file"),
        ("a.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03garbage", "not a complete gzip file"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_idx(path, (2, 3, 4))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("stem", "array", "message"),
    [
        ("train-labels-idx1-ubyte", np.zeros(59_999, np.uint8), "announces 59999 bytes, expected 60000"),
        (
            "t10k-images-idx3-ubyte",
            np.zeros((10_000, 27, 28), np.uint8),
            "announces 10000x27x28 bytes",
        ),
        ("train-labels-idx1-ubyte", np.full(60_000, 10, np.uint8), "labels run from 10 to 10, expected 0 to 9"),
    ],
)
def test_wrong_counts_sizes_and_labels_are_named(tmp_path, stem, array, message):
    write_mnist(tmp_path)
    (tmp_path / stem).write_bytes(idx(array))
    with pytest.raises(DataError, match=message):
        datasets.mnist(tmp_path)


def test_a_test_set_in_place_of_the_training_set_is_noticed(tmp_path):
    write_mnist(tmp_path)
    for test, train in zip(NAMES["test"][:2], NAMES["train"][:2], strict=True):
        (tmp_path / train).write_bytes((tmp_path / test).read_bytes())
    with pytest.raises(DataError, match="announces 10000x28x28 bytes, expected 60000x28x28"):
        datasets.mnist(tmp_path)


def test_fashion_mnist_is_found_by_name(tmp_path, monkeypatch):
    write_mnist(tmp_path / "fashion-mnist")
    monkeypatch.setenv("NPTICKET_DATA", str(tmp_path))
    assert datasets.fashion_mnist().name == "Fashion-MNIST"
    with pytest.raises(DataError, match="nor its subfolder mnist/ holds"):
        datasets.mnist()


def test_without_network_mnist_is_the_bundled_subset_and_says_so():
    data = datasets.mnist(seed=4)
    assert data.caveat == "bundled subset of 5,000 images"
    assert "no mirror can be reached" in data.source
    assert [len(split) for split in (data.train, data.validation, data.test)] == [3_500, 500, 1_000]
    assert (np.bincount(data.test.targets) == 100).all()
    everything = np.concatenate([s.inputs for s in (data.train, data.validation, data.test)])
    assert len({image.tobytes() for image in everything}) == 5_000  # no image in two splits
    other = datasets.mnist(seed=5)
    assert (other.test.inputs == data.test.inputs).all()  # the test set is fixed, the validation set drawn
    assert (other.validation.inputs != data.validation.inputs).any()


def test_without_network_fashion_mnist_says_what_to_do():
    with pytest.raises(DataError, match="Put its four IDX files into a folder"):
        datasets.fashion_mnist()


def test_some_examples_are_no_periodic_sample():
    """Of 5,000 whose classes come in turns, 500 have all of them; and always the same 500."""
    rows = Split(np.arange(5_000)[:, None].astype(np.uint8), np.arange(5_000) % 10)
    some = Dataset("in turns", rows, rows, rows, 10, "a test").at_most(500)
    assert (np.bincount(some.test.targets, minlength=10) > 25).all() and len(some.test) == 500
    assert (some.test.targets == some.at_most(500).train.targets).all()
    assert some.at_most(0).test is some.test and len(some.at_most(501).test) == 500
