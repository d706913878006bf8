"""Pre-trained encoders: from a text to word pieces to vectors, by hand, by laws and against what is documented."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_bert
from conftest import REAL_DATA
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import traced

from npticket.datasets import DataError, trec
from npticket.datasets.texts import TEXTS, occurring, sentences
from npticket.datasets.wordpiece import SPECIAL, WordPiece, words
from npticket.nets import Encoder, Sizes, bert, bert_from
from npticket.nets.encoder import Block
from npticket.optimizers import clipped_adamw
from npticket.params import Params
from npticket.prune import dense_masks
from npticket.reading import UnreadableError, read_safetensors
from npticket.streams import streams
from npticket.task import CLASSIFY
from npticket.testing import check_gradient
from npticket.testing.gradients import drawn
from npticket.testing.strategies import seeds, trial_counts
from npticket.train import Setting, fit

MINILM = Path(REAL_DATA) / "minilm"
SMALL = Sizes(7, size=4, layers=1, heads=2, inner=6, length=5, eps=0.1)
PIECES = [*SPECIAL, *tiny_bert.WORDS]


def padded(rng, trials, batch, length=5, most=7):
    """Sentences at random (T, B, L), of at least one word, with 0 behind them."""
    x = rng.integers(1, most, (trials, batch, length))
    return np.where(np.arange(length) < rng.integers(1, length + 1, (trials, batch, 1)), x, 0)


class Read:
    """An encoder as a layer of numbers: y = x + encoder(sentences), as sentences have no gradient."""

    def __init__(self, encoder, sentences):
        self.encoder, self.sentences = encoder, sentences
        self.layout, self.init = encoder.layout, encoder.init

    def forward(self, p, x, step=None):
        y, backward = self.encoder.forward(p, self.sentences[: len(x)], step)

        def both(dy, grad, need_dx=True):
            backward(dy, grad)
            return dy

        return x + y, both


@settings(max_examples=8, deadline=None)
@given(trial_counts, st.integers(1, 3), st.booleans(), seeds)
def test_the_gradient_of_an_encoder(trials, batch, classes, seed):
    rng, outputs = np.random.default_rng(seed), 3 if classes else None
    sentences = padded(rng, 1, batch)  # the same for each trial, and in the test below others
    x = rng.normal(size=(trials, batch, outputs or 4))
    check_gradient(Read(Encoder(SMALL, outputs), sentences), x, seed)
    check_gradient(Block(SMALL), rng.normal(size=(trials, 3, 4)), seed)


@given(st.integers(1, 3), seeds)
def test_trials_with_sentences_of_their_own_are_alone(batch, seed):
    rng, encoder = np.random.default_rng(seed), Encoder(SMALL, 3)
    theta, x = drawn(encoder, 3, rng), padded(rng, 3, batch)
    y, backward = encoder.forward(theta.tree, x)
    dy, grads = rng.normal(size=y.shape), theta.like(np.full_like(theta.flat, np.nan))
    backward(dy, grads.tree)
    for t in range(3):
        one, alone = theta.trial(t), theta.like(np.full((1, theta.flat.shape[1]), np.nan))
        y_alone, back = encoder.forward(one.tree, x[t : t + 1])
        back(dy[t : t + 1], alone.tree)
        assert (y_alone[0] == y[t]).all() and (alone.flat[0] == grads.flat[t]).all()


@given(st.integers(1, 3), seeds)
def test_padding_changes_nothing(batch, seed):
    rng, encoder = np.random.default_rng(seed), Encoder(SMALL, 3)
    theta, x = drawn(encoder, 2, rng), padded(rng, 1, batch)
    y, _ = encoder.forward(theta.tree, x)
    for b in range(batch):
        alone, _ = encoder.forward(theta.tree, x[:, b : b + 1, : (x[0, b] != 0).sum()])
        np.testing.assert_allclose(y[:, b], alone[:, 0], rtol=1e-10, atol=1e-10)


def test_sentences_without_a_word_give_the_bias():
    encoder = Encoder(SMALL, 3)
    theta = drawn(encoder, 2, np.random.default_rng(0))
    y, _ = encoder.forward(theta.tree, np.zeros((1, 2, 5), int))
    assert (y == theta["out/b"]).all()


def test_words_are_split_as_berts():
    assert words("Don't\tstop, na\u00efve\u00a0caf\u00e9! $5^2 \u4e2d\u6587x\u200b\x00") == [
        "don", "'", "t", "stop", ",", "naive", "cafe", "!", "$", "5", "^", "2", "\u4e2d", "\u6587", "x",
    ]  # fmt: skip


def test_pieces_by_hand():
    pieces = WordPiece(PIECES)
    assert [PIECES[n] for n in pieces("Unaffable cats?")] == ["un", "##aff", "##able", "cat", "##s", "?"]
    assert [PIECES[n] for n in pieces("a dog " + "a" * 101)] == ["a", "[UNK]", "[UNK]"]
    assert [PIECES[n] for n in pieces("cataff unable catz")] == ["cat", "##aff", "un", "##able", "[UNK]"]
    assert pieces.sentence("a a a a", 4) == [2, PIECES.index("a"), PIECES.index("a"), 3]
    with pytest.raises(DataError, match=r"lacks \[SEP\]"):
        WordPiece(PIECES[:3])
    with pytest.raises(DataError, match="twice"):
        WordPiece([*PIECES, "cat"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NPTICKET_DATA", str(tmp_path))
    return tmp_path


def made(sha, **changes):
    options = {"sha256": sha, "text": "trec", "classes": 6, "length": 10, "pieces": tiny_bert.KEPT, **tiny_bert.SIZES}
    return bert(**{"weights": tiny_bert.WEIGHTS} | options | changes)


def test_pre_trained_values_are_theta0_and_the_classifier_is_drawn(folder):
    sha, values = tiny_bert.write(folder)
    net, kept = made(sha), occurring("trec")
    assert [PIECES[n] for n in kept] == [piece for piece in PIECES if piece != "never"]
    theta0 = net.init(streams(0, range(2), "init"))
    for name, value in values.items():
        value = value[kept] if name == "words/table" else value
        assert (theta0[name] == value.astype(np.float32)).all(), name
    assert (theta0["out/W"][0] != theta0["out/W"][1]).all()
    with pytest.raises(ValueError, match="read-only"):
        net.body.init(streams(0, [0], "init")[0])["words/table"][...] = 0  # all networks share the file's values
    x = trec(length=10).test.inputs[None]
    found = net.predict(theta0.trial(0), x)
    np.testing.assert_allclose(net.predict(theta0, x)[0], found[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.forward(theta0.trial(0), x)[0], found, rtol=1e-4, atol=1e-5)


def test_a_file_that_was_replaced_is_read_again(folder):
    net = made(tiny_bert.write(folder)[0])
    net.init(streams(0, [0], "init"))
    (folder / tiny_bert.WEIGHTS).write_bytes(b"something else")
    with pytest.raises(DataError, match="its SHA-256 is"):
        net.init(streams(0, [0], "init"))


def test_words_that_do_not_occur_are_left_out_bit_for_bit(folder):
    sha, _ = tiny_bert.write(folder)
    net, whole, kept = made(sha), bert_from(folder / "minilm", 6), occurring("trec")
    theta, everything = (one.init(streams(0, [0], "init")) for one in (net, whole))
    for name in ("out/W", "out/b"):
        everything[name][...] = theta[name]
    x = trec(length=10).test.inputs[None]
    assert everything["words/table"].shape[1] > len(kept)
    assert (whole.predict(everything, kept[x]) == net.predict(theta, x)).all()
    means, expected = bert_from(folder / "minilm"), whole.predict(everything, kept[x])  # without a classifier
    found = means.predict(means.init(streams(0, [0], "init")), kept[x]) @ theta["out/W"] + theta["out/b"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_sentences_are_numbered_and_padded(folder):
    tiny_bert.write(folder)
    data, kept = sentences("trec", length=10), occurring("trec")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [60, 500, 30]
    assert data.train.inputs.dtype == np.uint16 and data.floats(data.train.inputs, np.float32).dtype == np.uint16
    lines = dict.fromkeys(line.partition(" ")[2] for line in (folder / "text/trec/TREC.test").read_text().split("\n"))
    read = WordPiece.read(folder / "minilm/vocab.txt")
    expected = {tuple(read.sentence(line, 10)) for line in lines if line}
    assert {tuple(kept[row[row != 0]]) for row in data.test.inputs} == expected
    short = sentences("trec", length=4).test.inputs
    assert {PIECES[n] for n in kept[short[:, -1]]} == {"[SEP]"}
    other = sentences("trec", seed=1, length=10)
    assert (other.test.inputs == data.test.inputs).all()
    assert (
        other.validation.inputs.shape != data.validation.inputs.shape
        or (other.validation.inputs != data.validation.inputs).any()
    )


def test_it_trains(folder):
    sha, _ = tiny_bert.write(folder)
    net, data = made(sha), trec(length=10)
    theta0 = net.init(streams(0, range(2), "init"))
    setting = Setting(lambda masks: clipped_adamw(masks, 0.03), 60, batch=20, validate_every=30)
    found = fit(net, CLASSIFY, theta0, dense_masks(theta0), data, setting)
    assert (found["test_acc"][:, -1] > 0.9).all(), found["test_acc"]
    alone = fit(net, CLASSIFY, theta0.trial(0), dense_masks(theta0.trial(0)), data, setting)
    assert (alone.end.flat[0] == found.end.flat[0]).all()


def test_what_does_not_fit_is_refused(folder):
    sha, _ = tiny_bert.write(folder)
    rngs = streams(0, [0], "init")
    for net, message in (
        (made("0" * 64), f"SHA-256 is {sha}, expected 0000"),
        (made(sha, pieces=5), "trec has 17 word pieces, the recipe's network 5"),
        (made(sha, inner=10), r"feed/inner/W is \(8, 12\), expected \(8, 10\)"),
        (made(sha, layers=3), "encoder.layer.2"),
        (made(sha, length=11), r"positions/table is \(10, 8\), expected \(11, 8\)"),
        (made(sha, weights="minilm/other.safetensors"), "missing: other.safetensors"),
    ):
        with pytest.raises(DataError, match=message):
            net.init(rngs)
    for weights in ("/etc/passwd", "../minilm/x", "x"):
        with pytest.raises(DataError, match="folder/file in the data folder"):
            made(sha, weights=weights)
    config = folder / "minilm/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_act": "relu"}))
    with pytest.raises(DataError, match="expected GELU and absolute positions, got 'relu'"):
        bert_from(folder / "minilm")
    config.write_text("[]")
    with pytest.raises(DataError, match=r"has no config.json of BERT"):
        bert_from(folder / "minilm")
    (folder / "text/trec/TREC.test").write_text("WHAT is this\n")
    occurring.__globals__["_numbered"].cache_clear()
    with pytest.raises(DataError, match=r"TREC.test is not TREC's: line 1: expected one of ABBR:, .* got 'WHAT"):
        trec()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_attention_heads": 3}, "size is a multiple of its heads, got 8 and 3"),
        ({"num_hidden_layers": 1.0}, "layers must be an integer of at least 1, got 1.0"),
        ({"num_hidden_layers": -1}, "layers must be an integer of at least 1, got -1"),
        ({"num_hidden_layers": True}, "layers must be an integer of at least 1, got True"),
        ({"num_hidden_layers": 10**9}, "at most 1,000 layers, got 1,000,000,000"),
        ({"hidden_size": "8"}, "size must be an integer of at least 1, got '8'"),
        ({"num_attention_heads": 0}, "heads must be"),
        ({"vocab_size": None}, "pieces must be"),
        ({"layer_norm_eps": "1e-12"}, "eps must be a number between 0 and 1, got '1e-12'"),
        ({"layer_norm_eps": 2}, "eps must be a number"),
        ({"layer_norm_eps": float("nan")}, "NaN is no number"),
    ],
)
def test_sizes_that_no_encoder_has_are_refused(folder, change, message):
    tiny_bert.write(folder)
    config = folder / "minilm/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(DataError, match=f"has no config.json of BERT, or not one safetensors file: .*{message}"):
        bert_from(folder / "minilm")


def test_deep_json_and_endless_recipes_are_refused_for_encoders(folder):
    sha, _ = tiny_bert.write(folder)
    (folder / "minilm/config.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"has no config.json of BERT"):
        bert_from(folder / "minilm")
    with pytest.raises(ValueError, match="at most 1,000 layers"):
        made(sha, layers=10**12)


def test_texts_that_are_nowhere_are_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.delenv("NPTICKET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=r"harvardnlp/.* put it into a folder text/trec/ of a data folder"):
        trec()


def test_other_texts_are_parsed():
    assert TEXTS["sst2"].parse("1 good .\n0 bad\n", 0) == [("good .", 1), ("bad", 0)]
    assert TEXTS["subj"].parse("a\x85b\nc\n", 1) == [("a\x85b", 1), ("c", 1)]
    assert TEXTS["trec"].parse("HUM:ind Who ?\nNUM:date When ?\n", 0) == [("Who ?", 3), ("When ?", 5)]


@pytest.mark.parametrize("text", ["HUM:ind Who ?\nNUM:date When ?\n", "1 good .\n0 bad\n", "a\x85b\nc\n"])
def test_texts_and_vocabularies_may_have_the_line_ends_of_windows_and_blank_lines(tmp_path, text):
    parse = next(TEXTS[name].parse for name, first in (("trec", "H"), ("sst2", "1"), ("subj", "a")) if first == text[0])
    assert len(parse(text, 0)) == 2
    for other in (text.replace("\n", "\r\n"), text + "\n \n", text.replace("\n", "\r\n\r\n"), text.rstrip("\n")):
        assert parse(other, 0) == parse(text, 0)
    (path := tmp_path / "vocab.txt").write_bytes(("\r\n".join(PIECES) + "\r\n\r\n").encode())
    assert WordPiece.read(path).number == WordPiece(PIECES).number


@pytest.mark.parametrize(
    ("name", "line"),
    [("sst2", "2 odd"), ("sst2", "1"), ("sst2", "10 odd"), ("trec", "ODD:x who"), ("trec", "HUM:ind"), ("trec", "?")],
)
def test_lines_of_another_form_are_named(name, line):
    good = {"sst2": "1 good\n", "trec": "HUM:ind Who ?\n"}[name]
    with pytest.raises(ValueError, match=f"line 3: expected one of .*, and a sentence, got '{re.escape(line)}'"):
        TEXTS[name].parse(f"{good}\n{line}\n{good}", 0)


def test_safetensors_are_read_within_bounds(tmp_path):
    path, array = tmp_path / "x.safetensors", np.arange(6, dtype=np.float32).reshape(2, 3)
    tiny_bert.write_safetensors(path, {"a": array, "b": array[0].astype("f2")})
    good, found = path.read_bytes(), read_safetensors(path, 1000)
    assert (found["a"] == array).all() and found["b"].dtype == np.float16 and found["b"].tolist() == [0, 1, 2]
    edited = [
        good.replace(b'"F32"', b'"C64"'),
        good.replace(b"[2, 3]", b"[2, 4]"),
        good.replace(b"[0, 24]", b"[24, 0]"),
        good.replace(b"[0, 24]", b"[9,999]"),
        good.replace(b"[24, 30]", b"[18, 24]"),  # the other's last two numbers
        good[:-7],
        b"\xff" * 8 + good[8:],
        good[:6],
        (2).to_bytes(8, "little") + b"[]",
        (40_000).to_bytes(8, "little") + b"[" * 40_000,
    ]
    for content in edited:
        assert content != good
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match=r"x\.safetensors is not a safetensors file of numbers"):
            read_safetensors(path, 100_000)
    path.write_bytes(good.replace(b'"F32"', b'"B16"', 1))
    with pytest.raises(UnreadableError, match="is of type 'B16', expected one of F16, F32, F64"):
        read_safetensors(path, 100_000)
    path.write_bytes(good)
    with pytest.raises(UnreadableError, match="expected at most 10"):
        read_safetensors(path, 10)


def test_what_safetensors_hold_is_in_memory_once(tmp_path):
    path, array = tmp_path / "x.safetensors", np.arange(1 << 20, dtype=np.float32)
    tiny_bert.write_safetensors(path, {"a": array, "none": array[:0], "b": array})
    with traced() as most:
        found = read_safetensors(path, 1 << 30)
    assert most() < 2.1 * array.nbytes and (found["a"] == array).all() and (found["b"] == array).all()
    assert found["none"].shape == (0,)
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0] = 1


@pytest.mark.skipif(not (MINILM / "config.json").is_file(), reason="NPTICKET_DATA names no folder with minilm/")
def test_minilm_is_what_it_is_documented_to_be():
    """Cosines of paraphrase-MiniLM-L3-v2's sentence vectors; its pieces of a text with accents."""
    net, pieces = bert_from(MINILM), WordPiece.read(MINILM / "vocab.txt")
    known = [14477, 20961, 3468, 7861, 8270, 4667, 2015, 15743, 7668]
    assert pieces("unaffable embeddings na\u00efve caf\u00e9") == known
    pairs = [
        ("The cat sits outside", "The dog plays in the garden"),
        ("A man is playing guitar", "A woman watches TV"),
        ("The new movie is awesome", "The new movie is so great"),
    ]
    x = np.zeros((1, 6, 16), np.uint16)
    for row, text in zip(x[0], sum(pairs, ()), strict=True):
        numbers = pieces.sentence(text, 16)
        row[: len(numbers)] = numbers
    theta: Params = net.init(streams(0, [0], "init"))
    y = net.predict(theta, x)[0]
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    np.testing.assert_allclose((y[::2] * y[1::2]).sum(axis=1), [0.3148, -0.0420, 0.8713], atol=2e-4)


def test_all_weights_and_tables_of_an_encoder_begin_as_wide_as_berts():
    sizes = Sizes(50, size=24, layers=2, heads=3, inner=48, length=8)
    for name, values in Encoder(sizes, 30).init(np.random.default_rng(0)).items():
        if name.endswith(("W", "table")):
            assert values.std() == pytest.approx(0.02, rel=0.2), name
