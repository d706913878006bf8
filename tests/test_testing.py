"""npticket.testing: what its page shows runs, every law can fail, and what is said then is the smallest example."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import OnePerCentOff
from hypothesis import Phase, given, settings

from npticket.engine.plain import Plain
from npticket.layers import BatchNorm, Chain, Dense, Dropout, Flatten, ReLU
from npticket.nets import Net
from npticket.optimizers import SGD
from npticket.papers import PARTS
from npticket.params import Params
from npticket.prune import Evidence, Globally, Layerwise, Rule, dense_masks, magnitude
from npticket.scopes import ByUnits
from npticket.streams import streams
from npticket.testing import check_engine, check_gradient, check_optimizer, check_rule
from npticket.testing.strategies import evidence, parameters, seeds, unit_nets
from npticket.tickets import rewind

PAGE = (Path(__file__).parents[1] / "docs" / "testing.md").read_text()
MULTIPLIES, *EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
NAMES = re.findall(r"def (test_\w+)", PAGE)


def of_page(code):
    found = {}
    exec(compile(code, "docs/testing.md", "exec"), found)
    return found


def breaks(law):
    return pytest.raises(AssertionError, match=f'^the law "{law}')


@pytest.mark.parametrize(("code", "name"), list(zip(EXAMPLES, NAMES, strict=True)), ids=NAMES)
def test_what_the_page_shows_runs(code, name):
    of_page(code)[name]()


@pytest.mark.parametrize(
    ("name", "right", "wrong", "law"),
    [
        ("test_tanh", "return dy *", "return 1.01 * dy *", "backward is the gradient of forward.* x, trial 0"),
        ("test_magnitude_increase", "return", "seen.end.flat[...] += 0.1; return", "a rule does not write to end"),
        ("test_of_each_unit", "round(self.rate * len(alive))", "int(self.rate * len(alive)) + 1", "exactly round"),
        ("test_of_each_unit", "order[: round(", "order[::-1][: round(", "exactly round"),
        ("test_signs", "moving(masks).flat", "masks.flat", "one step moves.* norm/running_mean"),
        ("test_signs", "np.where(self.moves, grads.flat, 0)", "self.moves * grads.flat", "pruned weights stay"),
        ("test_signs", 'state["v"].copy()', 'state["v"]', "restored, it goes on as before"),
        ("test_remembering", "self.known.clear()\n        return", "return", "predictions are the plain engine's"),
        ("test_my_rounds", "rewind(theta0, masks)", "theta0.copy()", "pruned weights are exactly 0 at the start"),
    ],
)
def test_examples_made_wrong_are_found(name, right, wrong, law):
    code = EXAMPLES[NAMES.index(name)]
    assert right in code
    test = of_page(code.replace(right, wrong))[name]
    with breaks(law):
        settings(max_examples=20, phases=[Phase.generate])(test)()  # the first that is found will do


def test_a_broken_law_shows_the_smallest_example():
    make = of_page(MULTIPLIES)["Multiplies"]

    @settings(phases=[Phase.generate, Phase.shrink])
    @given(parameters(), seeds)
    def check(case, seed):
        check_optimizer(make, *case, seed)

    with breaks("pruned weights stay exactly 0") as error:
        check()
    (shown,) = re.findall(r"```\n(the law .*?)\n```", PAGE, re.DOTALL)
    for said in (shown, str(error.value)):
        first, *arrays = said.splitlines()
        assert re.fullmatch(r'the law "pruned weights stay exactly 0" is broken: (fc|out)/W, trial 0, at .0, 0.', first)
        assert re.fullmatch(r"  end = \[\[nan(, nan)?\]\]  mask = \[\[False(, False)?\]\]", "".join(arrays))


def test_without_hypothesis_a_sentence_says_what_is_missing(monkeypatch):
    monkeypatch.delitem(sys.modules, "npticket.testing.strategies")
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(ImportError, match=r"needs hypothesis: pip install 'npticket\[testing\]'"):
        importlib.import_module("npticket.testing.strategies")


# Layers.


class Wrapped(OnePerCentOff):
    """Dense, but for what is given: what it does to the output, or with the gradients."""

    def __init__(self, **changes):
        super().__init__(Dense(3, 2))
        self._changes = changes
        self.layout = self.layout | changes.get("layout", {})

    def forward(self, p, x, step=None):
        y, backward = self._layer.forward(p, x, step)
        y = self._changes.get("y", lambda y: y)(y)

        def ours(dy, grad, need_dx=True):
            dx = backward(dy, grad, need_dx)
            self._changes.get("grad", lambda grad, need_dx: None)(grad, need_dx)
            return dx

        return y, ours


class OneTrial(Wrapped):
    """As many outputs as inputs, also where one input is for all trials."""

    def forward(self, p, x, step=None):
        y, backward = super().forward(p, x, step)
        return y[: len(x)], backward


def unwritten(grad, need_dx):
    grad["b"][...] = np.nan


def only_with_dx(grad, need_dx):
    grad["W"][...] *= 1 if need_dx else 2


@pytest.mark.parametrize(
    ("layer", "law"),
    [
        (Wrapped(grad=unwritten), "every gradient is written.* b, trial 0"),
        (Wrapped(grad=only_with_dx), "gradients do not depend on need_dx.* W, trial 0"),
        (Wrapped(y=lambda y: y - y.mean(axis=0)), "trials never touch each other.* y, trial 0"),
        (Wrapped(layout={"c": (1, 2)}), "init draws what the layout says"),
        (OnePerCentOff(Dense(3, 2)), "backward is the gradient of forward.* x, trial 0"),
        (OneTrial(), "trials may be shown one x.* y, trial 1"),
    ],
)
def test_a_wrong_layer_is_found(layer, law):
    x = np.random.default_rng(0).normal(size=(2, 4, 3))
    check_gradient(Wrapped(), x)
    with breaks(law):
        check_gradient(layer, x)


def test_layers_that_draw_or_move_are_checked_in_training():
    layer, x = (
        Chain(fc=Dense(3, 4), norm=BatchNorm(4), drop=Dropout(0.5)),
        np.random.default_rng(0).normal(size=(2, 5, 3)),
    )
    check_gradient(layer, x, training=True)
    with breaks("backward is the gradient of forward"):
        check_gradient(Chain(fc=Dense(3, 4), norm=OnePerCentOff(BatchNorm(4))), x, training=True)
    with pytest.raises(ValueError, match=r"inputs \(T, B, ...\) in float64, got float32 of shape \(2, 5, 3\)"):
        check_gradient(layer, x.astype(np.float32))


# Optimizers.


class Mine(SGD):
    """SGD with momentum, which says what it is; and what is derived from it is not so."""

    elementwise, decays = True, False
    state, restore = SGD.state, SGD.restore

    def __init__(self, masks):
        super().__init__(masks, 0.1, 0.9)

    def step(self, theta, grads):
        self.before(theta, grads)
        super().step(theta, grads)
        self.after(theta)

    def before(self, theta, grads):
        pass

    def after(self, theta):
        pass


class Keeps(Mine):
    def after(self, theta):
        if hasattr(self, "kept"):
            theta.flat[...] += self.kept.flat
        self.kept = theta


class Mixes(Mine):
    def before(self, theta, grads):
        grads.flat /= 1 + abs(theta.flat).sum()


class Sees(Mine):
    def before(self, theta, grads):
        grads.flat /= 1 + abs(theta.flat[:, :1])


class Decays(Mine):
    def after(self, theta):
        theta.flat[...] *= 0.9


class Lazy(Mine):
    def before(self, theta, grads):
        grads.flat[:, -1] = 0


class Forgets(Mine):
    def state(self):
        return {"steps": super().state()["steps"], "v": 0 * self._v}


class Clips(Mine):
    """By the norm of the whole network, and says so: nothing is wrong with it."""

    elementwise = False

    def before(self, theta, grads):
        grads.flat *= 0.1 / np.sqrt((grads.flat**2).sum())


class Rolls(Mine):
    def before(self, theta, grads):
        grads.flat[...] *= np.random.default_rng().random()


@pytest.mark.parametrize(
    ("make", "law"),
    [
        (Keeps, "an optimizer keeps no parameters.* fc/W, trial 0"),
        (Mixes, "trial t among others is trial t alone.* fc/W, trial 0, of trial 0"),
        (Sees, "elementwise: packed together, each moves as before.* fc/W, trial 0"),
        (Decays, "no decay: what has no gradient stays.* fc/W, trial 0"),
        (Lazy, "one step moves every survivor with a gradient.* out/W, trial 0, at .1, 1."),
        (Forgets, "restored, it goes on as before.* fc/W, trial 0"),
        (Rolls, "the same steps are the same bits"),
    ],
)
def test_a_wrong_optimizer_is_found(make, law):
    shapes = {"fc/W": (3, 2), "fc/b": (1, 2), "out/W": (2, 2)}
    theta0 = Params(shapes, np.random.default_rng(0).normal(size=(2, 12)))
    masks = dense_masks(theta0)
    masks["fc/W"][:, 2] = False
    for right in (Mine, Clips):
        check_optimizer(right, theta0, masks)
    with breaks(law):
        check_optimizer(make, theta0, masks)


# Rules.


def seen():
    """Two trials of a small network, a fifth of its weights pruned."""
    net = Net("small", Chain(a=Dense(3, 4), relu=ReLU(), out=Dense(4, 2)), (3,), (2,))
    theta0 = net.init(streams(0, range(2), "init"), np.float64)
    masks = Rule(magnitude, Layerwise({"*/W": 0.2}))(theta0, dense_masks(theta0))
    start = rewind(theta0, masks)
    return Evidence(start.like(start.flat * 2), masks, start, theta0, net, rngs=streams(0, range(2), "score"))


class Scope(Layerwise):
    """Layerwise, whose masks are changed."""

    def __init__(self, change):
        super().__init__({"*/W": 0.2})
        object.__setattr__(self, "change", change)

    def __call__(self, scores, masks):
        pruned = super().__call__(scores, masks)
        return self.change(pruned, masks, scores)


def at_random(seen):
    return seen.end.like(np.random.default_rng().random(seen.end.flat.shape))


def changed(pruned, name, value):
    pruned[name][1] = value
    return pruned


def of_all_trials(pruned, masks, scores):
    for name in masks.weights:
        pruned[name][...] = masks[name] & (scores[name] > np.quantile(scores[name], 0.4))
    return pruned


@pytest.mark.parametrize(
    ("score", "change", "law"),
    [
        (magnitude, lambda pruned, *_: changed(pruned, "a/W", True), "masks only shrink.* a/W, trial 1"),
        (magnitude, lambda pruned, *_: changed(pruned, "out/b", False), "only weights that .* go.* out/b, trial 1"),
        (magnitude, of_all_trials, "trial t among others is trial t alone.* a/W, trial 0"),
        (magnitude, lambda pruned, masks, _: masks, "new masks have memory of their own"),
        (lambda seen: seen.end.like(seen.end.flat * np.nan), lambda pruned, masks, _: masks.copy(), "scores are num"),
        (lambda seen: seen.end.trial(0), lambda pruned, masks, _: masks.copy(), "scores are laid out"),
        (at_random, lambda pruned, *_: pruned, "the same goes again"),
    ],
)
def test_a_wrong_rule_is_found(score, change, law):
    check_rule(Rule(magnitude, Layerwise({"*/W": 0.2})), seen())
    with breaks(law), pytest.MonkeyPatch.context() as patch:
        patch.setattr("npticket.prune.check_scores", lambda *_: None)  # which refuses what is looked for here
        patch.setattr(Layerwise, "__call__", lambda self, scores, masks: masks.copy()) if "scores" in law else None
        check_rule(Rule(score, Scope(change)), seen())


@pytest.mark.parametrize("score", PARTS.scores.values(), ids=PARTS.scores)
@settings(max_examples=5)
@given(evidence())
def test_the_papers_scores_keep_the_laws(score, seen):
    for scope in (Layerwise, Globally):
        check_rule(Rule(score, scope({"*/W": 0.4})), seen)


@settings(max_examples=10)
@given(unit_nets(), seeds)
def test_scopes_of_units_and_random_scores_keep_the_laws(net, seed):
    rngs = streams(seed, range(2), "score")
    theta = net.init(rngs, np.float64)
    scope = ByUnits(net, {theta.weights[-1]: 0, "*/W": 0.3})

    def random(seen):
        return seen.end.like(np.stack([rng.random(theta.flat.shape[1]) for rng in seen.rngs]))

    for score in (magnitude, random):
        check_rule(Rule(score, scope), Evidence(theta, dense_masks(theta), rngs=rngs))


# Engines.


class Wrong(Plain):
    """The plain engine, but for one thing that is wrong."""

    wrong = ""

    def __init__(self, net, loss, start, masks, optimizer):
        super().__init__(net, loss, start, masks, optimizer)
        if self.wrong == "start":
            self.theta = start
        self._masks, self._start = masks, start

    def step(self, x, targets, step):
        loss = super().step(x, targets, step)
        if self.wrong == "parameters" and step.number == 3:
            self.theta["out/b"][1] += 1e-9
        return loss * (1 + 1e-6 * (self.wrong == "loss"))

    def read(self, out):
        super().read(out)
        if self.wrong == "pruned":
            out["fc1/W"][1][~self._masks["fc1/W"][1]] = 1e-20

    def write(self, theta):
        if self.wrong != "write":
            super().write(theta)

    def restore(self, state):
        super().restore({name: 0 * array for name, array in state.items()} if self.wrong == "restore" else state)


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        ("loss", "a step's loss is the plain engine's.* step 0, at .0."),
        ("parameters", "(predictions|the parameters) are the plain engine's.* (y|out/b), trial 1"),
        ("pruned", "pruned weights are exactly 0.* fc1/W, trial 1"),
        ("start", "an engine does not write to start.* fc1/W, trial 0"),
        ("write", "an engine that takes over goes on with the same bits.* fc1/W, trial 0"),
        ("restore", "an engine that takes over goes on with the same bits.* fc1/W, trial 0"),
    ],
)
def test_a_wrong_engine_is_found(wrong, law, monkeypatch):
    net = Net("small", Chain(flatten=Flatten(), fc1=Dense(6, 4), relu=ReLU(), out=Dense(4, 3)), (2, 3), (3,))
    theta0 = net.init(streams(0, range(2), "init"), np.float64)
    masks = Rule(magnitude, Layerwise({"*/W": 0.5}))(theta0, dense_masks(theta0))
    case = net, rewind(theta0, masks), masks, lambda masks: SGD(masks, 0.1, momentum=0.9)
    check_engine(Wrong, *case)
    monkeypatch.setattr(Wrong, "wrong", wrong)
    with breaks(law):
        check_engine(Wrong, *case)
