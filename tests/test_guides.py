"""What guides show runs: a network for one's own data, a paper of one's own, and the encoder's file."""

import contextlib
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_bert
from noise import Small, on_noise
from small import SMALL, data, experiment

from npticket import cli
from npticket.papers import LIBRARY
from npticket.papers.bert_tickets.recipes import SHA256, WEIGHTS
from npticket.prune import density
from npticket.reading import read_safetensors
from npticket.report.paper import Library

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def printed(code, names):
    """What a page's code prints; its names are kept in `names`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "a page", "exec"), names)
    return said.getvalue()


def test_a_network_for_ones_own_data_from_a_table_to_a_prediction(tmp_path, monkeypatch):
    """The page's commands with fewer steps and rounds."""
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    write, predict = blocks("own_network.md", "python")
    (recipe,), (commands,), names = blocks("own_network.md", "json"), blocks("own_network.md", "sh"), {}
    printed(write, names)
    Path("mine.json").write_text(recipe)
    assert "--round 7" in commands and json.loads(recipe)["rounds"] > 7
    run, *others = (line.split()[1:] for line in commands.replace("--round 7", "--round 1").splitlines())
    for arguments in ([*run, "--steps", "200", "--rounds", "2", "--trials", "1", "--jobs", "1"], *others):
        assert cli.main(arguments) == 0
    assert re.fullmatch(r"\[[01]( [01]){4}\] \[[01]( [01]){4}\]\n", printed(predict, names))
    x, scale = names["x_test"], np.load("scale.npz")
    right = names["ticket"].predict((x - scale["mean"]) / scale["std"]).argmax(axis=1) == names["y_test"]
    assert right.mean() > 0.9


def test_the_mask_of_a_run_is_read_as_the_page_of_recipes_says(tmp_path):
    code, names = next(block for block in blocks("recipes.md", "python") if "unpack" in block), {}
    printed(code, names)
    found = experiment(replace(SMALL, series=("winning_ticket",)), tmp_path, data())
    for round in range(SMALL.rounds):
        start, masks = names["ticket"](tmp_path, round, 1)
        (row,) = (row for row in found.results if (row["round"], row["trial"]) == (round, 1))
        assert density(masks) == row["density"] and not start.flat[~masks.flat].any()
        assert (start.flat != 0).sum() > 0.9 * masks["fc1/W"].sum()


def test_a_paper_of_ones_own(tmp_path, capsys):
    """Its recipe and claim are found beside all others, and its score prunes, also for series of other papers."""
    code, names = next(block for block in blocks("architecture.md", "python") if "PAPER = " in block), {}
    printed(code, names)
    paper = names["PAPER"]
    assert "agreement-lenet" in Library((*LIBRARY.papers, paper)).recipes
    library = Small((on_noise(paper),))
    library.parts = replace(library.parts, scores={**library.parts.scores, **paper.parts.scores})
    flags = ["--steps", "20", "--trials", "2", "--rounds", "8", "--jobs", "1", "--out", str(tmp_path / "runs")]
    flags += ["--series", "winning_ticket,random_reinit,one_shot,pruned_at_init"]
    assert cli.main(["run", "agreement-lenet", *flags], library) == 0
    assert cli.main(["verify", str(tmp_path / "runs")], library) in (0, 1)
    assert names["CLAIM"].sentence in capsys.readouterr().out


def test_the_encoders_file_is_made_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_bert.write(tmp_path)
    given = dict(read_safetensors(tmp_path / tiny_bert.WEIGHTS, 1 << 20))
    more = {"pooler.dense.weight": np.ones((8, 8), "f4"), "pooler.dense.bias": np.ones(8, "f4")}
    tiny_bert.write_safetensors(tmp_path / "model.safetensors", {k: v.astype("f4") for k, v in given.items()} | more)
    (script,) = blocks("data.md", "python")
    made = Path(WEIGHTS).name
    assert printed(script, {}).strip() == hashlib.sha256(Path(made).read_bytes()).hexdigest()
    found = read_safetensors(made, 1 << 20)
    assert found.keys() == given.keys() and all((found[name] == given[name]).all() for name in given)
    assert SHA256 in (DOCS / "data.md").read_text()
