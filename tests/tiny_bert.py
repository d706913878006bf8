"""A BERT-shaped encoder of two tiny layers in files, its vocabulary, and questions that its words tell apart."""

import hashlib
import json

import numpy as np

from npticket.datasets.wordpiece import SPECIAL
from npticket.nets.encoder import Encoder, Sizes

WORDS = ["who", "where", "when", "what", "is", "the", "a", "un", "##aff", "##able", "cat", "##s", "?", "never"]
SIZES = {"size": 8, "layers": 2, "heads": 2, "inner": 12}
KINDS = {"who": "HUM:ind", "where": "LOC:city", "when": "NUM:date", "what": "ENTY:animal"}
KEPT = 17  # the special pieces, and all but "never"
WEIGHTS = "minilm/tiny.safetensors"
OF_LAYER = {  # Hugging Face's names, as their files have them
    "attention/query/W": "attention.self.query.weight", "attention/query/b": "attention.self.query.bias",
    "attention/key/W": "attention.self.key.weight", "attention/key/b": "attention.self.key.bias",
    "attention/value/W": "attention.self.value.weight", "attention/value/b": "attention.self.value.bias",
    "attention/output/W": "attention.output.dense.weight", "attention/output/b": "attention.output.dense.bias",
    "attention_norm/scale": "attention.output.LayerNorm.weight",
    "attention_norm/shift": "attention.output.LayerNorm.bias",
    "feed/inner/W": "intermediate.dense.weight", "feed/inner/b": "intermediate.dense.bias",
    "feed/outer/W": "output.dense.weight", "feed/outer/b": "output.dense.bias",
    "feed_norm/scale": "output.LayerNorm.weight", "feed_norm/shift": "output.LayerNorm.bias",
}  # fmt: skip
OUTSIDE = {
    "words/table": "word_embeddings.weight", "positions/table": "position_embeddings.weight",
    "norm/scale": "LayerNorm.weight", "norm/shift": "LayerNorm.bias",
}  # fmt: skip


def write_safetensors(path, arrays):
    header, place = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        offsets = [place, place := place + array.nbytes]
        header[name] = {"dtype": f"F{8 * array.itemsize}", "shape": array.shape, "data_offsets": offsets}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(a.tobytes() for a in arrays.values()))


def theirs(values):
    """Parameters by our names as Hugging Face's files have them."""
    found = {}
    for name, value in values.items():
        number, _, within = name.partition("/")
        in_layer = number.startswith("layer")
        there = f"encoder.layer.{number[5:]}.{OF_LAYER[within]}" if in_layer else f"embeddings.{OUTSIDE[name]}"
        turned = value.T if name.endswith("/W") else value[0] if name.endswith("/b") else value
        found[there] = np.ascontiguousarray(turned)
    return found


def write(folder, seed=0):
    """Fill a data folder; return the SHA-256 of the weights and the values in them, by our names."""
    rng, pieces = np.random.default_rng(seed), [*SPECIAL, *WORDS]
    for name in ("minilm", "text/trec"):
        (folder / name).mkdir(parents=True)
    (folder / "minilm/vocab.txt").write_text("\n".join(pieces) + "\n")
    sizes = Sizes(len(pieces), length=10, **SIZES)
    values = {name: rng.normal(0, 0.3, shape).astype("f2") for name, shape in Encoder(sizes).layout.items()}
    for name in values:  # like those of a network that has learned something, which a few steps can build on
        values[name] += np.float16(name.endswith("scale"))
        values[name] *= np.float16(4 if name == "words/table" else 1)
    stored = {**theirs(values), "embeddings.token_type_embeddings.weight": rng.normal(size=(2, 8)).astype("f2")}
    write_safetensors(folder / WEIGHTS, stored)
    types = stored["embeddings.token_type_embeddings.weight"].astype("f4")
    values["positions/table"] = values["positions/table"] + types[0]
    config = {"vocab_size": len(pieces), "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    config |= {"intermediate_size": 12, "max_position_embeddings": 10, "layer_norm_eps": 1e-12, "hidden_act": "gelu"}
    (folder / "minilm/config.json").write_text(json.dumps(config))
    for file, count in (("TREC.train", 560), ("TREC.test", 30)):
        lines = []
        for _ in range(count):
            first = rng.choice(list(KINDS))
            rest = rng.choice(["is", "the", "a", "Unaffable", "cats"], rng.integers(1, 6))
            lines.append(f"{KINDS[first]} {first.capitalize()} {' '.join(rest)} ?")
        (folder / "text/trec" / file).write_text("\n".join(lines) + "\n")
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(), values
