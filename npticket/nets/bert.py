"""BERT-shaped encoders (Devlin et al. 2019) from files: theta0 are pre-trained weights.

BERT adds an embedding of a token's type, which says to which of two sentences it belongs. Here there is one sentence,
so type 0's is added to the table of positions once and for all. Rows of the tables for words that never occur, and for
positions that no sentence reaches, can be left out: what is computed is the same.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np

from npticket.backend import Array, array_module
from npticket.datasets.dataset import DataError
from npticket.datasets.texts import LENGTH, TEXTS, locate, occurring
from npticket.nets.encoder import Encoder, Sizes
from npticket.nets.net import Net
from npticket.params import Params
from npticket.reading import UnreadableError, parsed_json, read_bytes, read_safetensors, read_text, reason

MOST_BYTES = 1 << 31  # of a file of weights
AT_A_TIME = 32  # sentences that are predicted together: few, so that there is little padding and little is kept
CONFIG = {  # as config.json names the sizes
    "pieces": "vocab_size", "size": "hidden_size", "layers": "num_hidden_layers", "heads": "num_attention_heads",
    "inner": "intermediate_size", "length": "max_position_embeddings", "eps": "layer_norm_eps",
}  # fmt: skip
THERE = {  # Hugging Face's names for ours, within a layer and outside
    "attention/query": "attention.self.query", "attention/key": "attention.self.key",
    "attention/value": "attention.self.value", "attention/output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm", "feed/inner": "intermediate.dense", "feed/outer": "output.dense",
    "feed_norm": "output.LayerNorm", "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings", "norm": "embeddings.LayerNorm",
}  # fmt: skip
LOCAL = {"W": "weight", "b": "bias", "scale": "weight", "shift": "bias", "table": "weight"}

Values = Mapping[str, np.ndarray]


class Pretrained(Encoder):
    """An encoder whose initial values are what `load()` returns, by our names; parameters that it lacks are drawn."""

    def __init__(self, sizes: Sizes, outputs: int | None, load: Callable[[], Values]) -> None:
        super().__init__(sizes, outputs)
        self._load = load

    def init(self, rng: np.random.Generator) -> Values:
        return {**super().init(rng), **self._load()}


class Bert(Net):
    """A Net that predicts sentences in groups of about the same length, so that there is little padding."""

    def predict(self, theta: Params, x: Array) -> Array:
        xp = array_module(x)
        order = xp.argsort((x[0] != 0).sum(axis=-1), kind="stable")  # all trials are shown the same, as a rule
        parts = [x[:, order[i : i + AT_A_TIME]] for i in range(0, len(order), AT_A_TIME)]
        y = xp.concatenate([self.forward(theta, part)[0] for part in parts], axis=1)
        return y[:, xp.argsort(order)]


def bert(
    weights: str, sha256: str, text: str, classes: int, length: int = LENGTH, called: str = "BERT", **sizes: int
) -> Net:
    """Return a pre-trained encoder with a new classifier, for the sentences of `text`, one of datasets.texts.TEXTS.

    `weights` is a safetensors file, as "minilm/model.safetensors", in the folder that $NPTICKET_DATA names or in the
    user's cache folder; it is read by `init`, and must have this `sha256`. `sizes` are fields of Sizes, where `pieces`
    is how many different word pieces the text has; `length` is in tokens, and `called` the network's name in figures.
    DataError says what is missing or does not fit.
    """
    path = PurePosixPath(weights)
    if path.is_absolute() or ".." in path.parts or len(path.parts) < 2 or text not in TEXTS:
        raise DataError(f"weights are folder/file in the data folder, the text is one of {', '.join(TEXTS)}, got "
                        f"{weights!r} and {text!r}")  # fmt: skip
    shape = Sizes(length=length, **sizes)

    def load() -> Values:
        folder, _ = locate(str(path.parent), path.name)
        kept = occurring(text)
        if len(kept) != shape.pieces:
            raise DataError(f"{text} has {len(kept)} word pieces, the recipe's network {shape.pieces}")
        return _values(folder / path.name, shape, sha256, tuple(kept.tolist()))

    return Bert(called, Pretrained(shape, classes, load), (length,), (classes,))


def bert_from(folder: str | Path, outputs: int | None = None) -> Net:
    """Return any BERT-shaped encoder from config.json and the one safetensors file in a folder, with all its words.

    With `outputs` a new classifier has so many; without, the network's outputs are the means over tokens (C,).
    DataError if the files are missing or of another kind of encoder.
    """
    folder = Path(folder)
    try:
        config = parsed_json(read_text(folder / "config.json", 1 << 20))
        kind = config.get("hidden_act", "gelu"), config.get("position_embedding_type", "absolute")
        sizes = Sizes(**{ours: config[theirs] for ours, theirs in CONFIG.items()})
        file, = folder.glob("*.safetensors")  # fmt: skip
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder} has no config.json of BERT, or not one safetensors file: {reason(error)}") from error
    if kind != ("gelu", "absolute"):
        raise DataError(f"{folder}: expected GELU and absolute positions, got {kind[0]!r} and {kind[1]!r}")
    body = Pretrained(sizes, outputs, partial(_values, file, sizes))
    return Bert(folder.name, body, (sizes.length,), (outputs or sizes.size,))


def _values(path: Path, sizes: Sizes, sha256: str = "", kept: tuple[int, ...] | None = None) -> Values:
    """The encoder's parameters from a file, by our names and in our layouts, with the words in `kept` or all (None)."""
    try:
        is_now = path.stat()
    except OSError as error:
        raise DataError(f"{path} has no weights of this encoder: {reason(error, path)}") from error
    return _values_of(path, (is_now.st_mtime_ns, is_now.st_size), sizes, sha256, kept)


@lru_cache(maxsize=2)
def _values_of(path: Path, version: tuple[int, int], sizes: Sizes, sha256: str, kept: tuple[int, ...] | None) -> Values:
    """The values in this version of the file: one that was replaced is read again."""
    try:
        if sha256 and (found := hashlib.sha256(read_bytes(path, MOST_BYTES)).hexdigest()) != sha256:
            raise DataError(f"its SHA-256 is {found}, expected {sha256}")
        there = {name.removeprefix("bert."): array for name, array in read_safetensors(path, MOST_BYTES).items()}
        values = {name: _value(there, name) for name in Encoder(replace(sizes, pieces=1, length=1)).layout}
        values["positions/table"] = (values["positions/table"] + there["embeddings.token_type_embeddings.weight"][0])[
            : sizes.length
        ]
        if kept is not None:
            values["words/table"] = values["words/table"].take(kept, axis=0)
        for name, shape in Encoder(sizes).layout.items():
            if values[name].shape != shape or not np.isfinite(values[name]).all():
                raise DataError(f"{name} is {values[name].shape}, expected {shape}, all finite")
            values[name].flags.writeable = False  # they are given to everybody who asks
    except (OSError, UnreadableError, DataError, LookupError, ValueError) as error:
        raise DataError(f"{path} has no weights of this encoder: {reason(error, path)}") from error
    return values


def _value(there: Values, name: str) -> np.ndarray:
    layer, _, local = name.rpartition("/")
    number, _, within = layer.partition("/")
    if number.startswith("layer"):
        layer = f"encoder.layer.{number.removeprefix('layer')}.{THERE[within]}"
    else:
        layer = THERE[layer]
    value = there[f"{layer}.{LOCAL[local]}"].astype(np.float32)
    return value.T if local == "W" else value[None] if local == "b" else value
