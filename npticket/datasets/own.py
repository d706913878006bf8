"""A user's own data: arrays in an .npz file, and what the readers of all the user's own files have in common.

A path is taken from the folder that is named (--data), else from the working directory. Where there are no examples for
testing or validation, some are set aside: so a test set is never missing.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from npticket.backend import Array
from npticket.datasets.dataset import SPLITS, DataError, Dataset, Split, split_off
from npticket.reading import UnreadableError, printable, read_npz, reason, shown

LARGEST = 4 << 30  # bytes of an array
TEST, VALIDATION = 0.2, 0.1  # fractions that are set aside: of all examples, and of what is then left
EXACT = 1 << 53  # up to here a float holds every integer
NAMES = {"train": ("", "_train"), "validation": ("_validation", "_val"), "test": ("_test",)}  # x and y of each split


def arrays(folder: str | Path | None = None, seed: int = 0, *, path: str, standardise: bool = False) -> Dataset:
    """Return the data in an .npz file: x (N, ...), y (N,), and perhaps x_test, y_test, x_validation, y_validation.

    x_train and y_train, x_val and y_val are understood, too. Inputs of type uint8 are pixels, which enter the network
    divided by 255; other numbers enter as they are or, if `standardise`, every feature with mean 0 and standard
    deviation 1 of the training examples. Classes are integers or texts. Without a test split a fifth of the examples is
    set aside for testing, the same for every `seed`; without one for validation a tenth of the rest, which `seed`
    chooses. DataError says what is wrong.
    """
    file, suffixes = located(folder, path), [suffix for names in NAMES.values() for suffix in names]
    try:
        found = read_npz(file, {f"{what}{suffix}": LARGEST for what in "xy" for suffix in suffixes})
    except (OSError, UnreadableError) as error:
        raise DataError(reason(error)) from error
    given = dict[str, tuple[Array, Array]]()
    for split, names in NAMES.items():
        there = [suffix for suffix in names if f"x{suffix}" in found or f"y{suffix}" in found]
        if len(there) > 1:
            raise DataError(f"{file} has {split} examples twice: as {' and as '.join(f'x{s}, y{s}' for s in there)}")
        for suffix in there:
            if lacking := {f"x{suffix}", f"y{suffix}"} - found.keys():
                raise DataError(f"{file} lacks {lacking.pop()}")
            given[split] = found[f"x{suffix}"], found[f"y{suffix}"]
    return from_arrays(file, given, seed, standardise)


def located(folder: str | Path | None, path: str) -> Path:
    """Return the file or folder that a recipe's `path` means; DataError if it does not exist."""
    try:
        found = Path(folder or "") / Path(path).expanduser()
    except RuntimeError as error:  # ~name, of whom nobody knows
        raise DataError(f"there is no {printable(path)}: {error}") from error
    if not found.exists():
        where = "the folder with the data (--data)" if folder else f"the working directory, {Path.cwd()}"
        raise DataError(f"there is no {printable(str(found))}: the path of data is taken from {printable(where)}")
    return found


def class_folders(root: Path) -> list[str]:
    """Return the names of the folders in a folder, links to folders among them; DataError if it cannot be read."""
    try:
        return sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(reason(error)) from error


def check_filled(root: Path, labels: Iterable[str], filled: Container[str]) -> None:
    """Raise DataError, naming the folder, if a class's folder in `root` has no images."""
    for label in labels:
        if label not in filled:
            raise DataError(f"{root / label} has no images of a known kind: fill it, or remove it")


def check_left(path: Path, classes: Sequence[str | int], train: Split) -> None:
    """Raise DataError, naming a class, unless each has an example to train with after others were set aside."""
    if len(gone := np.setdiff1d(range(len(classes)), train.targets)):
        label = shown(classes[gone[0]])
        raise DataError(f"{path}: of the class {label} no example is left to train with, as some examples are set "
                        "aside: bring more of it, or examples for validation and testing of your own")  # fmt: skip


def from_arrays(path: Path, given: Mapping[str, tuple[Array, Array]], seed: int, standardise: bool = False) -> Dataset:
    """Return a dataset from what `path` held: x and y for "train", and perhaps for "validation" and "test"."""
    if "train" not in given:
        raise DataError(f"{path} has no x and y to train with")
    if not isinstance(standardise, bool):
        raise DataError(f"standardise must be true or false, got {shown(standardise)}")
    labels = {split: _labels(f"{path}, {split}", *pair) for split, pair in given.items()}
    classes = np.unique(labels["train"])
    if len(classes) < 2:
        raise DataError(f"{path}: expected two classes at least, the training examples have {shown(classes.tolist())}")
    splits = {}
    for split, of in labels.items():
        if len(foreign := np.setdiff1d(of, classes)):
            raise DataError(f"{path}, {split}: there are no training examples of the class {shown(foreign[0].item())}")
        inputs = _inputs(given[split][0], in_full=standardise)
        splits[split] = Split(inputs, np.searchsorted(classes, of).astype(np.int64))
    said = []
    for split, fraction, drawn_by in (("test", TEST, 0), ("validation", VALIDATION, seed)):
        if split not in splits:
            count = max(1, round(fraction * len(splits["train"])))
            if count == len(splits["train"]):
                raise DataError(f"{path}: of so few examples none can be set aside for {split}: bring more")
            splits["train"], splits[split] = split_off(splits["train"], count, drawn_by)
            said.append(f"{count:,} for {'testing' if split == 'test' else split}")
    check_left(path, classes.tolist(), splits["train"])
    notes = [_in_words(classes.tolist()), *([f"{' and '.join(said)} set aside"] if said else [])]
    source = f"{printable(str(path))} ({'; '.join(notes)})"
    if standardise:
        splits = _standardised(splits)
    train, validation, test = (splits[split] for split in SPLITS)
    return Dataset(printable(path.resolve().stem), train, validation, test, len(classes), source)


def _in_words(classes: Sequence[str | int]) -> str:
    """The classes in the order of the network's outputs; of many the first and the last."""
    if classes == [*range(len(classes))]:
        return f"{len(classes)} classes"
    few = classes if len(classes) <= 10 else [*classes[:3], "...", classes[-1]]
    return f"{len(classes)} classes: {printable(', '.join(map(str, few)))}"


def _inputs(x: Array, in_full: bool) -> Array:
    """Pixels (uint8) as they are, other numbers in single precision, in which networks are trained, or as they are."""
    if x.dtype.kind not in "iuf" or x.ndim < 2:
        hint = ": of truth values take x.astype(np.float32)" if x.dtype.kind == "b" else ""
        raise DataError(f"x must be an array of numbers (N, ...), got {x.dtype} of shape {x.shape}{hint}")
    with np.errstate(over="ignore"):  # what becomes infinite is refused by Dataset
        return x if in_full or x.dtype == np.uint8 else np.ascontiguousarray(x, np.float32)


def _labels(what: str, x: Array, y: Array) -> Array:
    """The class of each example (N,), integers or texts."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or not x.ndim or len(y) != len(x):
        hint = ": of one-hot vectors take y.argmax(axis=1)" if y.ndim == 2 else ""
        raise DataError(f"{what}: y has shape {y.shape} beside x of {x.shape}, expected (N,) beside (N, ...){hint}")
    if y.dtype.kind == "f":
        # Beyond EXACT several integers are the same float, and beyond int64 all would become the same class.
        if (odd := y[(y != np.trunc(y)) | (abs(y.astype(float)) > EXACT)]).size:
            raise DataError(f"{what}: classes are integers or texts, got {shown(odd[0].item())}")
        y = y.astype(np.int64)
    if y.dtype.kind == "u":
        if (y > np.iinfo(np.int64).max).any():
            raise DataError(f"{what}: classes go up to {np.iinfo(np.int64).max}, got {y.max()}")
        y = y.astype(np.int64)  # with signed ones of another split both would become floats
    if y.dtype.kind == "U" and (np.char.str_len(np.char.strip(y)) == 0).any():
        raise DataError(f"{what}: there are examples without a class, whose text is empty: leave them out")
    return y


def _standardised(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Every feature with mean 0 and standard deviation 1 of the training examples; one that never changes becomes 0.

    Single precision comes last: in it large numbers that differ little, such as times in seconds, are all the same.
    """
    x = splits["train"].inputs.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[x.max(axis=0) == x.min(axis=0)] = 1
    return {name: Split(((s.inputs - mean) / std).astype(np.float32), s.targets) for name, s in splits.items()}
