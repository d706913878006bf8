"""CIFAR: the archive and the unpacked files, every kind of damage, and the random flips and crops."""

import io
import tarfile
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npticket import datasets, nets
from npticket.datasets import DataError, Dataset, FlipAndCrop, Split
from npticket.datasets.epoch import PAD
from npticket.optimizers import SGD
from npticket.prune import dense_masks
from npticket.streams import Place, stream, streams
from npticket.task import CLASSIFY
from npticket.testing.strategies import seeds, trial_counts
from npticket.train import Setting, fit

TEN = {f"data_batch_{i}.bin": 10_000 for i in range(1, 6)} | {"test_batch.bin": 10_000}
HUNDRED = {"train.bin": 50_000, "test.bin": 10_000}


@cache
def records(count, seed, label_bytes, classes):
    """Random records of a binary file."""
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 256, (count, label_bytes + 3072), dtype=np.uint8)
    table[:, label_bytes - 1] = rng.integers(0, classes, count)
    return table


def members(names=TEN, label_bytes=1, classes=10):
    return {name: records(n, i, label_bytes, classes).tobytes() for i, (name, n) in enumerate(names.items())}


def write_archive(path, inside, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"{inside}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def write_folder(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def test_archive_and_folder_give_the_same_data_in_the_papers_split(tmp_path):
    extra = {"readme.html": b"ignored", "../../escape.bin": b"ignored"}
    write_archive(tmp_path / "a" / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", extra | members())
    write_folder(tmp_path / "b" / "cifar-10-batches-bin", members())
    packed, unpacked = (datasets.cifar10(tmp_path / name, seed=3) for name in "ab")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["cifar-10-binary.tar.gz"]  # nothing unpacked
    for one, other in zip(
        (packed.train, packed.validation, packed.test),
        (unpacked.train, unpacked.validation, unpacked.test),
        strict=True,
    ):
        assert (one.inputs == other.inputs).all()
        assert (one.targets == other.targets).all()
    assert [len(s) for s in (packed.train, packed.validation, packed.test)] == [45_000, 5_000, 10_000]
    assert packed.train.inputs.shape[1:] == (32, 32, 3)
    assert packed.train.inputs.dtype == np.uint8
    assert packed.classes == 10


def test_pixels_and_labels_come_from_their_places_in_the_record(tmp_path):
    data = datasets.cifar10(write_folder(tmp_path, members()))
    table = records(10_000, 5, 1, 10)  # test_batch.bin
    assert (data.test.targets == table[:, 0]).all()
    for channel, row, column in ((0, 0, 0), (1, 0, 31), (2, 31, 0), (1, 17, 5)):
        byte = 1 + 1024 * channel + 32 * row + column
        assert (data.test.inputs[:, row, column, channel] == table[:, byte]).all()


def test_cifar_100_takes_the_fine_label(tmp_path):
    data = datasets.cifar100(write_folder(tmp_path / "cifar-100", members(HUNDRED, 2, 100)).parent)
    assert (data.test.targets == records(10_000, 1, 2, 100)[:, 1]).all()
    assert data.classes == 100
    assert [len(s) for s in (data.train, data.validation, data.test)] == [45_000, 5_000, 10_000]


def test_a_caveat_beside_the_files_is_carried_along(tmp_path):
    write_folder(tmp_path / "cifar-10-batches-bin", members() | {"CAVEAT.txt": b"recompressed\n"})
    assert datasets.cifar10(tmp_path).caveat == "recompressed; 6 of 6 files are not the original CIFAR-10's"
    (tmp_path / "CAVEAT.txt").write_text("and cropped")
    assert datasets.cifar10(tmp_path).caveat.startswith("and cropped; ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_batch_3.bin": None}, "missing: cifar-10-binary.tar.gz, or data_batch_1.bin"),
        ({"data_batch_3.bin": b"short"}, "has 30,730,000 bytes, this one 5"),
        ({"test_batch.bin": b"\x0a" + bytes(3072) + bytes(30_730_000 - 3073)}, "labels run from 0 to 10"),
    ],
)
def test_damaged_folders_are_named(tmp_path, change, message):
    contents = {name: content for name, content in (members() | change).items() if content is not None}
    with pytest.raises(DataError, match=message):
        datasets.cifar10(write_folder(tmp_path, contents))


def test_damaged_archives_are_named(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    without = {name: content for name, content in members().items() if name != "test_batch.bin"}
    write_archive(path, "cifar-10-batches-bin", without)
    with pytest.raises(DataError, match=r"does not contain test_batch\.bin"):
        datasets.cifar10(tmp_path)
    write_archive(path, "cifar-10-batches-py", members())
    with pytest.raises(DataError, match="is it another version"):
        datasets.cifar10(tmp_path)
    write_archive(path, "cifar-10-batches-bin", members())
    path.write_bytes(path.read_bytes()[:1_000_000])
    with pytest.raises(DataError, match="not a complete archive"):
        datasets.cifar10(tmp_path)
    path.write_bytes(b"no archive at all")
    with pytest.raises(DataError, match="not a complete archive"):
        datasets.cifar10(tmp_path)


def test_without_data_and_network_it_says_how_to_get_it():
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz where there is network, put it into a folder"):
        datasets.cifar10()


@given(trial_counts, st.integers(1, 5), seeds)
def test_flip_and_crop_is_the_naive_cut(trials, batch, seed):
    images = np.random.default_rng(seed).integers(1, 256, (trials, batch, 6, 5, 2), dtype=np.uint8)
    changes = FlipAndCrop.draw(3 * batch, Place(seed, range(trials), round=1), epoch=2)
    changed = changes.apply(images, slice(batch, 2 * batch))
    for t in range(trials):
        for b in range(batch):
            padded = np.pad(images[t, b], ((PAD, PAD), (PAD, PAD), (0, 0)))
            row, column = changes.corners[t, batch + b]
            cut = padded[row : row + 6, column : column + 5]
            expected = cut[:, ::-1] if changes.mirrored[t, batch + b] else cut
            assert (changed[t, b] == expected).all()


def test_draws_cover_all_corners_and_repeat_by_trial_and_epoch():
    changes = FlipAndCrop.draw(5_000, Place(0, [0, 1], round=0), epoch=0)
    assert changes.corners.min() == 0
    assert changes.corners.max() == 2 * PAD == 8
    assert changes.apply(np.ones((2, 3, 6, 5, 2), np.uint8), slice(0, 3)).dtype == np.uint8
    assert (changes.corners[0] != stream(0, 0, "order").integers(0, 9, (5_000, 2))).any()
    assert 0.45 < changes.mirrored.mean() < 0.55
    alone = FlipAndCrop.draw(5_000, Place(0, [1], round=0), epoch=0)
    assert (alone.corners[0] == changes.corners[1]).all()
    for other in (FlipAndCrop.draw(5_000, Place(0, [1], 0), 1), FlipAndCrop.draw(5_000, Place(0, [1], 1), 0)):
        assert (other.corners != alone.corners).any()
        assert (other.mirrored != alone.mirrored).any()


@settings(max_examples=5)
@given(seeds)
def test_augmented_training_is_that_of_the_trial_alone(seed):
    rng = np.random.default_rng(seed)
    split = Split(rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8), rng.integers(0, 4, 20))
    data = Dataset("random", split, split, split, 4, "a test")
    body = nets.resnet(depth=8, width=2, classes=4).body
    net = nets.Net("small", body, (8, 8, 3), (4,))
    theta = net.init(streams(seed, range(2), "init"))
    setting, masks = Setting(lambda m: SGD(m, 0.1), steps=5, batch=8, augment=FlipAndCrop.draw), dense_masks(theta)
    together = fit(net, CLASSIFY, theta, masks, data, setting, Place(seed, [0, 1]))
    alone = fit(net, CLASSIFY, theta.trial(1), masks.trial(1), data, setting, Place(seed, [1]))
    np.testing.assert_array_equal(together.end.flat[1:], alone.end.flat)
    plain = fit(net, CLASSIFY, theta, masks, data, replace(setting, augment=None), Place(seed, [0, 1]))
    assert (plain.end.flat != together.end.flat).any()


def test_the_seed_chooses_the_validation_set(tmp_path):
    write_folder(tmp_path / "cifar-10-batches-bin", members())
    one, again, other = (datasets.cifar10(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert (one.validation.inputs == again.validation.inputs).all()
    assert (one.validation.inputs != other.validation.inputs).any()
