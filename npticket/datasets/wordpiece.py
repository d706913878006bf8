"""WordPiece, uncased: it turns a text into numbers of word pieces, as for BERT's pre-training (Devlin et al. 2019)."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path

from npticket.datasets.dataset import DataError
from npticket.reading import UnreadableError, read_text, reason

SPECIAL = PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
LONGEST = 100  # letters of a word; a longer one is unknown
MOST_BYTES = 1 << 24  # of a vocabulary
CHINESE = (  # signs that are words each, by code point
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


class WordPiece:
    """Splits texts into the pieces of a vocabulary, numbered from 0; a piece that begins with ## continues a word.

    A word becomes the longest piece that it begins with, then the longest that the rest begins with, and so on; if
    there is none at some place, the whole word is [UNK]. Words are split at blanks and around every punctuation mark,
    and are made lower case without accents. DataError for a vocabulary that lacks [PAD] (first), [UNK], [CLS] or [SEP].
    """

    def __init__(self, pieces: list[str]) -> None:
        self.number = {piece: number for number, piece in enumerate(pieces)}
        if lacking := [piece for piece in SPECIAL if piece not in self.number]:
            raise DataError(f"the vocabulary lacks {', '.join(lacking)}")
        if len(self.number) != len(pieces) or self.number[PAD]:
            raise DataError("the vocabulary has a piece twice, or begins with another than [PAD]")
        self._known: dict[str, list[int]] = {}

    @classmethod
    def read(cls, path: str | Path) -> "WordPiece":
        """Read a vocab.txt, a piece a line, and perhaps blank ones at its end; DataError says what is wrong with it."""
        try:
            return cls(read_text(path, MOST_BYTES).replace("\r\n", "\n").rstrip("\n").split("\n"))
        except (OSError, UnreadableError, DataError) as error:
            raise DataError(f"{path} is no vocabulary: {reason(error, path)}") from error

    def __call__(self, text: str) -> list[int]:
        """Return the numbers of a text's pieces, without [CLS] and [SEP]."""
        return [number for word in words(text) for number in self._pieces(word)]

    def sentence(self, text: str, length: int) -> list[int]:
        """Return [CLS], a text's pieces, as many as fit, and [SEP]: at most `length` numbers."""
        return [self.number[START], *self(text)[: length - 2], self.number[END]]

    def _pieces(self, word: str) -> list[int]:
        if word not in self._known:
            found = list(self._split(word)) if len(word) <= LONGEST else [-1]
            self._known[word] = [self.number[UNKNOWN]] if -1 in found else found
        return self._known[word]

    def _split(self, word: str) -> Iterator[int]:
        """The numbers of a word's pieces; -1 where there is none."""
        start = 0
        while start < len(word):
            ends = range(len(word), start, -1)
            pieces = ((("##" if start else "") + word[start:end], end) for end in ends)
            piece, start = next(((piece, end) for piece, end in pieces if piece in self.number), ("", len(word)))
            yield self.number.get(piece, -1)


def words(text: str) -> list[str]:
    """Split a text into words and punctuation marks, in lower case and without accents."""
    plain = unicodedata.normalize("NFD", "".join(map(_cleaned, text)).lower())
    letters = (f" {c} " if _is_mark(c) else c for c in plain if unicodedata.category(c) != "Mn")
    return "".join(letters).split()


def _cleaned(c: str) -> str:
    """Return a character as it is, but " " for any blank, "" if it is invisible, and with blanks around if Chinese."""
    if c.isspace():
        return " "
    if c == "\ufffd" or unicodedata.category(c).startswith("C"):
        return ""
    return f" {c} " if any(first <= ord(c) <= last for first, last in CHINESE) else c


def _is_mark(c: str) -> bool:
    """Whether a character is punctuation; in ASCII all but letters, digits and blanks are, as BERT has it ($ and ^)."""
    return unicodedata.category(c).startswith("P") or (c.isascii() and c.isprintable() and not c.isalnum() and c != " ")
