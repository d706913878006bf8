"""A BERT-shaped encoder of two tiny layers in files, its vocabulary, and questions that its words tell apart."""

import hashlib
import json

import numpy as np

from npticket.datasets.wordpiece import SPECIAL
from npticket.nets.bert import LOCAL, THERE
from npticket.nets.encoder import Encoder, Sizes

WORDS = ["who", "where", "when", "what", "is", "the", "a", "un", "##aff", "##able", "cat", "##s", "?", "never"]
SIZES = {"size": 8, "layers": 2, "heads": 2, "inner": 12}
KINDS = {"who": "HUM:ind", "where": "LOC:city", "when": "NUM:date", "what": "ENTY:animal"}
KEPT = 17  # the special pieces, and all but "never"
WEIGHTS = "minilm/tiny.safetensors"


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
        layer, _, local = name.rpartition("/")
        number, _, within = layer.partition("/")
        there = f"encoder.layer.{number[5:]}.{THERE[within]}" if number.startswith("layer") else THERE[layer]
        turned = value.T if local == "W" else value[0] if local == "b" else value
        found[f"{there}.{LOCAL[local]}"] = np.ascontiguousarray(turned)
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
