"""A task of another kind: several numbers per example to come near to, measured by squared and absolute error."""

from dataclasses import replace

import numpy as np
import pytest
from cases import of_trial, set_to
from fitted import same
from hypothesis import given, settings
from hypothesis import strategies as st
from strict import strict

from npticket import task as tasks
from npticket.datasets import DataError, Dataset, Split
from npticket.engine import ENGINES
from npticket.layers import Chain, Conv2D, Dense, Flatten, MaxPool, ReLU
from npticket.nets import Net
from npticket.optimizers import SGD
from npticket.prune import Layerwise, Rule, dense_masks, random_scores
from npticket.record import join_trials
from npticket.streams import Place, streams
from npticket.task import CLASSIFY, LOSS, Metric, Task, mean_over_examples, misfit
from npticket.testing.strategies import optimizers, seeds, trial_counts
from npticket.tickets import rewind
from npticket.train import Setting, evaluate, fit

OUTPUTS = 3


def squared_error(y, targets):
    """Return the mean over examples of the sum of squared errors (T,), and its gradient.     y, targets (T, B, 3)"""
    assert y.shape == targets.shape, "targets come as they are, not flattened"
    apart = y - targets
    return (apart * apart).sum(axis=(1, 2)) / y.shape[1], 2 * apart / y.shape[1]


def errors(predict, examples):
    sums, count = [], 0
    for x, targets in examples:
        assert targets.shape == (1, x.shape[1], OUTPUTS)
        apart = predict(x) - targets
        sums.append(((apart * apart).sum(axis=(1, 2)), abs(apart).sum(axis=(1, 2)) / OUTPUTS))
        count += x.shape[1]
    loss, mae = mean_over_examples(sums, count)
    return {"loss": loss, "mae": mae}


def shape_of_targets(data):
    return data.train.targets.shape[1:]


REGRESS = Task(
    "regress",
    squared_error,
    errors,
    (LOSS, Metric("mae", "mean absolute error", "m.a.e.", lower_is_better=True)),
    shape_of_targets,
)


def data(seed, shape=(2, 3)):
    """Targets that depend on the inputs, which are floats: 37 / 11 / 13 examples."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(int(np.prod(shape)), OUTPUTS))

    def split(n):
        inputs = rng.normal(size=(n, *shape))
        return Split(inputs, np.tanh(inputs.reshape(n, -1) @ matrix))

    return Dataset("curves", split(37), split(11), split(13), classes=None, source="a test")


def dense():
    body = Chain(flatten=Flatten(), fc1=Dense(6, 5), relu=ReLU(), out=Dense(5, OUTPUTS))
    return Net("dense", body, (2, 3), (OUTPUTS,))


def convolutional():
    layers = {"conv": Conv2D(2, 4, padding=1), "relu": ReLU(), "pool": MaxPool(2), "flatten": Flatten()}
    return Net("convolutional", Chain(**layers, out=Dense(16, OUTPUTS)), (4, 4, 2), (OUTPUTS,))


def unknown():
    """Without a ReLU between its layers, so that the fast engine runs the layers."""
    return Net("unknown", Chain(flatten=Flatten(), a=Dense(6, 5), b=Dense(5, OUTPUTS)), (2, 3), (OUTPUTS,))


@st.composite
def regressions(draw, make):
    """Everything that `fit` needs."""
    net, seed = make(), draw(seeds)
    trials = range(draw(trial_counts))
    theta0 = net.init(streams(seed, trials, "init"), np.float64)
    scores = random_scores(theta0, streams(seed, trials, "mask"))
    masks = Rule(lambda seen: scores, Layerwise({"*/W": draw(st.floats(0, 0.8))}))(theta0, dense_masks(theta0))
    setting = Setting(draw(optimizers), steps=7, batch=draw(st.integers(1, 12)), validate_every=3, test_at=[2])
    setting = replace(setting, optimizer=slower(setting.optimizer))
    return {"net": net, "task": REGRESS, "start": rewind(theta0, masks), "masks": masks,
            "data": data(seed, net.input_shape), "setting": setting, "place": Place(seed, trials, 1)}  # fmt: skip


def slower(optimizer):
    """A squared error is steeper than a cross-entropy."""

    def make(masks):
        made = optimizer(masks)
        schedule = made.schedule
        made.schedule = lambda step: schedule(step) / 20
        return made

    return make


NETS = pytest.mark.parametrize("make", [dense, convolutional, unknown])


@NETS
def test_both_engines_measure_what_the_task_names(make, monkeypatch):
    monkeypatch.setattr(tasks, "CHUNK", 5)  # so that an evaluation takes several

    @settings(max_examples=10)
    @given(regressions(make))
    def check(case):
        fast, plain = (fit(**set_to(case, engine=engine)) for engine in ENGINES)
        assert list(plain.curves) == ["train_loss", "val_loss", "val_mae", "test_loss", "test_mae"]
        assert set(plain.results) == {
            "early_stop_step", "early_stop_val_loss", "early_stop_test_loss", "early_stop_test_mae",
            "final_test_loss", "final_test_mae", "final_train_loss", "final_train_mae",
            "best_train_loss", "best_train_mae", "seconds",
        }  # fmt: skip
        assert plain.at_steps.tolist() == [2, 3, 6, 7]
        for split, curve, final in (("test", "test_", "final_test_"), ("validation", "val_", None),
                                    ("train", None, "final_train_")):  # fmt: skip
            examples = getattr(case["data"], split)
            apart = case["net"].predict(plain.end, examples.inputs[None]) - examples.targets
            expected = {"loss": (apart**2).sum(axis=2).mean(axis=1), "mae": abs(apart).mean(axis=(1, 2))}
            for name, values in expected.items():
                if curve:
                    np.testing.assert_allclose(plain[curve + name][:, -1], values, rtol=1e-9)
                if final:
                    np.testing.assert_allclose(plain[final + name], values, rtol=1e-9)
        for name in plain.curves:
            np.testing.assert_allclose(fast[name], plain[name], rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fast.end.flat, plain.end.flat, rtol=1e-8, atol=1e-10)
        assert not fast.end.flat[~case["masks"].flat].any()

    check()


@settings(max_examples=10)
@given(regressions(dense), st.booleans())
def test_the_best_is_that_of_each_metric(case, lower):
    task = replace(REGRESS, metrics=(LOSS, replace(REGRESS.headline, lower_is_better=lower)))
    case = {**set_to(case, train_at=[2, 4, 7]), "task": task}
    result = fit(**case)
    ends = [fit(**set_to(case, steps=steps, train_at=())) for steps in (2, 4, 7)]
    looked = np.array([end["final_train_mae"] for end in ends])
    np.testing.assert_array_equal(result["best_train_mae"], looked.min(axis=0) if lower else looked.max(axis=0))
    np.testing.assert_array_equal(result["best_train_loss"], np.min([end["final_train_loss"] for end in ends], axis=0))


@given(st.lists(st.floats(-9, 9) | st.just(np.nan), min_size=1), st.randoms(), st.booleans())
def test_the_best_does_not_depend_on_where_nothing_was_measured(values, random, lower):
    metric, mixed = replace(REGRESS.headline, lower_is_better=lower), random.sample(values, len(values))
    known = [value for value in values if not np.isnan(value)]
    expected = (min if lower else max)(known, default=np.nan)
    np.testing.assert_array_equal([metric.best(np.array(some)) for some in (values, mixed)], [expected, expected])


@NETS
@pytest.mark.parametrize("engine", ENGINES)
def test_a_trial_among_others_is_the_trial_alone(make, engine):
    @settings(max_examples=8)
    @given(regressions(make))
    def check(case):
        case = set_to(case, engine=engine)
        alone = [fit(**of_trial(case, t)) for t in range(case["start"].trials)]
        assert same(fit(**case), join_trials(alone))

    check()


def test_training_learns_it():
    net, curves = dense(), data(0)
    theta = net.init(streams(0, [0], "init"))
    setting = Setting(lambda m: SGD(m, 0.05), steps=600, batch=10)
    result = fit(net, REGRESS, theta, dense_masks(theta), curves, setting)
    first = evaluate(REGRESS, lambda x: net.predict(theta, x), curves, curves.train)
    assert result["final_train_loss"][0] < 0.2 * first["loss"][0]
    assert result["final_train_mae"][0] < 0.5 * first["mae"][0]


@NETS
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_on_a_device_it_is_what_it_is_on_the_host(make, data):
    case = data.draw(regressions(make))
    host = fit(**set_to(case, engine="plain"))
    there = {name: case[name].to(strict) for name in ("start", "masks")}
    device = fit(**case | there)
    np.testing.assert_allclose(device.end.flat.get(), host.end.flat, rtol=1e-8, atol=1e-10)
    for name in host.curves:
        np.testing.assert_allclose(device[name], host[name], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("metrics", [(), (REGRESS.headline,), (REGRESS.headline, LOSS)])
def test_the_first_metric_is_the_loss(metrics):
    with pytest.raises(ValueError, match="the first metric of a task is its loss"):
        replace(REGRESS, metrics=metrics)


def test_what_does_not_fit_together_is_said_in_words():
    assert misfit(dense(), REGRESS, data(0)) == ""
    wide = replace(dense(), output_shape=(4,))
    assert misfit(wide, REGRESS, data(0)) == "to regress curves takes outputs of shape (3,), dense has (4,)"
    assert misfit(convolutional(), REGRESS, data(0)) == (
        "curves has inputs of shape (2, 3), convolutional takes (4, 4, 2)"
    )
    assert misfit(dense(), CLASSIFY, data(0)).startswith("curves has no classes, which it needs to classify")


def test_targets_of_classes_are_integers_with_one_axis():
    numbers = data(0).train
    with pytest.raises(DataError, match=r"expected \(N, \.\.\.\) and \(N,\)"):
        Dataset("curves", numbers, numbers, numbers, classes=3, source="a test")
    assert REGRESS.names == ("loss", "mae") and REGRESS.headline.name == "mae"
    assert CLASSIFY.names == ("loss", "acc") and CLASSIFY.headline.scale == 100
