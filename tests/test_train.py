"""Training: trials are independent (law 10), runs repeat (law 11), early stopping by hand, errors at the edge."""

import sys
import warnings
from dataclasses import replace
from functools import partial
from inspect import signature

import numpy as np
import pytest
from cases import of_trial, set_to
from fitted import same, small_data, small_net
from hypothesis import given, settings

from npticket import backend, train
from npticket import task as tasks
from npticket.datasets import DataError, Dataset, Split, epoch_order
from npticket.engine import ENGINES, plan
from npticket.loss import softmax_cross_entropy
from npticket.nets import mlp
from npticket.optimizers import SGD, Adam
from npticket.params import Params, stack
from npticket.prune import dense_masks
from npticket.record import join_trials
from npticket.streams import Place, TrainingStep, stream, streams
from npticket.task import CLASSIFY, evaluate
from npticket.testing.strategies import fits
from npticket.train import DivergedError, Setting, fit


@settings(max_examples=25)
@given(fits(np.float32))
def test_a_trial_among_others_is_the_trial_alone(case):
    together = fit(**case)
    alone = [fit(**of_trial(case, t)) for t in range(case["start"].trials)]
    assert same(together, join_trials(alone))


def test_the_comparison_of_trials_can_fail():
    net = small_net()
    theta = net.init(streams(0, range(2), "init"))
    case = {"net": net, "task": CLASSIFY, "start": theta, "masks": dense_masks(theta), "data": small_data()}
    case |= {"setting": Setting(lambda m: SGD(m, 0.1), steps=3, batch=4), "place": Place(trials=[0, 1])}
    together = fit(**case)
    swapped = [fit(**of_trial(case, t) | {"place": Place(trials=[1 - t])}) for t in range(2)]
    assert not same(together, join_trials(swapped))


@settings(max_examples=25)
@given(fits(np.float32))
def test_the_same_seed_is_the_same_run_and_leaves_its_input_alone(case):
    before = case["start"].flat.tobytes(), case["masks"].flat.tobytes()
    assert same(fit(**case), fit(**case))
    assert (case["start"].flat.tobytes(), case["masks"].flat.tobytes()) == before


@settings(max_examples=25)
@given(fits())
def test_pruned_weights_are_0_at_the_end_and_losses_are_those_of_the_definition(case):
    result = fit(**case)
    pruned = ~case["masks"].flat
    assert not result.end.flat[pruned].any()
    assert not np.signbit(result.end.flat[pruned]).any()
    assert result.at_steps[-1] == case["setting"].steps
    predict = lambda x: case["net"].forward(result.end, x)[0]  # noqa: E731
    found = evaluate(CLASSIFY, predict, case["data"], case["data"].validation, np.float64)
    np.testing.assert_allclose(result["val_loss"][:, -1], found["loss"], rtol=1e-12)
    np.testing.assert_array_equal(result["val_acc"][:, -1], found["acc"])
    for t in range(case["start"].trials):
        first = int(np.argmin(result["val_loss"][t]))
        assert result["early_stop_step"][t] == result.at_steps[first]
        assert result["early_stop_val_loss"][t] == result["val_loss"][t, first]


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=15)
@given(fits())
def test_the_best_network_is_the_one_that_stopped_early(engine, case):
    """Evaluating it, and going back to its step, gives the numbers of early stopping."""
    case = set_to(case, engine=engine)
    result, dtype = fit(**case), case["start"].flat.dtype
    predict = partial(case["net"].predict, result.best)
    for split, when, names in (("validation", "val", ["loss"]), ("test", "test", ["loss", "acc"])):
        found = evaluate(CLASSIFY, predict, case["data"], getattr(case["data"], split), dtype)
        for name in names:
            np.testing.assert_allclose(found[name], result[f"early_stop_{when}_{name}"], rtol=1e-10)
    for t in range(case["start"].trials):
        shorter = set_to(of_trial(case, t), steps=int(result["early_stop_step"][t]))
        np.testing.assert_array_equal(fit(**shorter).end.flat[0], result.best.flat[t])
    assert not np.shares_memory(result.best.flat, result.end.flat)
    assert not result.best.flat[~case["masks"].flat].any()


def test_what_was_measured_is_known_by_name():
    theta = small_net().init(streams(0, [0], "init"))
    result = fit(small_net(), CLASSIFY, theta, dense_masks(theta), small_data(), SETTING)
    with pytest.raises(
        KeyError, match=r"nothing called 'val_mae' was measured; there are train_loss, val_loss, val_acc"
    ):
        result["val_mae"]
    assert (result["val_acc"] is result.curves["val_acc"]) and (result["seconds"] is result.results["seconds"])


@pytest.mark.parametrize("chunk", [4, 6, 11, 250])
def test_an_evaluation_looks_at_every_example_however_many_at_a_time(chunk, monkeypatch):
    monkeypatch.setattr(tasks, "CHUNK", chunk)
    net, data = small_net(), small_data(11)
    theta = net.init(streams(0, range(2), "init"), np.float64)
    found = evaluate(CLASSIFY, lambda x: net.forward(theta, x)[0], data, data.test, np.float64)
    logits, _ = net.forward(theta, data.floats(data.test.inputs[None], np.float64))
    labels = np.stack([data.test.targets] * 2)
    np.testing.assert_allclose(found["loss"], softmax_cross_entropy(logits, labels)[0], rtol=1e-12)
    np.testing.assert_array_equal(found["acc"], (logits.argmax(axis=-1) == labels).mean(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_evaluation_among_others_is_that_of_the_trial_alone(dtype, monkeypatch):
    """Bit for bit, over many chunks, which are added up in float64."""
    monkeypatch.setattr(tasks, "CHUNK", 1)
    net, data = small_net(), small_data(300)
    theta = net.init(streams(0, range(2), "init"), dtype)
    together, alone = (
        evaluate(CLASSIFY, lambda x, p=p: net.forward(p, x)[0], data, data.test, dtype)["loss"]
        for p in (theta, theta.trial(1))
    )
    assert together.dtype == np.float64
    assert together[1] == alone[0]


class Spy:
    """An engine that notes what it is shown and whose loss is the number of the step."""

    def __init__(self, start):
        self.seen, self.start = [], start

    def prepare(self, images):
        return images

    def step(self, x, labels, step):
        self.seen.append((x[..., 0, 0].copy(), labels.copy(), step))
        return np.full(len(x), float(len(self.seen)))

    def predict(self, x):
        return np.zeros((self.start.trials, x.shape[1], 2))

    def read(self, out):
        out.flat[...] = self.start.flat

    def write(self, theta):
        pass


@pytest.mark.parametrize("engine", ENGINES)
def test_scale_and_shift_may_be_one_for_each_part_of_an_input(engine):
    """As if the inputs had been scaled before."""
    rng = np.random.default_rng(0)
    inputs, classes = rng.integers(0, 256, (12, 4, 5), np.uint8), np.arange(12) % 2
    inputs[:, 1:3, 2] = 0  # parts that the fast engine may leave out
    scale, shift = rng.uniform(0.001, 0.01, (4, 5)), rng.normal(size=(4, 5)) * (inputs.max(axis=0) > 0)
    pixels, scaled = Split(inputs, classes), Split(inputs * scale + shift, classes)
    net = mlp([3], (4, 5), 2)
    theta = net.init(streams(0, [0], "init"), np.float64)
    setting = Setting(lambda m: SGD(m, 0.3), steps=5, batch=4, engine=engine)
    found, expected = (
        fit(net, CLASSIFY, theta, dense_masks(theta), Dataset("parts", one, one, one, 2, "a test", **more), setting)
        for one, more in ((pixels, {"scale": scale, "shift": shift}), (scaled, {}))
    )
    np.testing.assert_allclose(found.end.flat, expected.end.flat, rtol=1e-9)
    np.testing.assert_allclose(found["final_test_loss"], expected["final_test_loss"], rtol=1e-9)


def test_batches_are_the_epochs_order_scaled_and_train_loss_is_the_mean_since_the_validation_before(monkeypatch):
    """12 examples in batches of 5 are 2 steps an epoch, so 5 steps see epochs 0, 0, 1, 1, 2."""
    net, trials = small_net(), [4, 9]
    split = Split(np.arange(48, dtype=np.uint8).reshape(12, 2, 2), np.arange(12) % 2)
    data = Dataset("numbers", split, split, split, classes=2, source="a test", scale=0.5, shift=1.0)
    theta = net.init(streams(0, trials, "init"))
    for round in (0, 3):
        spy, drawn, applied = Spy(theta), [], []

        class Unchanged:
            def to(self, xp):
                assert xp is np
                return self

            def apply(self, images, examples, applied=applied):
                applied.append((examples.start, examples.stop))
                return images

        def augment(*args, drawn=drawn, changes=Unchanged):
            drawn.append(args)
            return changes()

        monkeypatch.setattr(train, "plan", lambda *args, spy=spy, **keywords: spy)
        setting = Setting(SGD, steps=5, batch=5, validate_every=3, augment=augment)
        place = Place(8, trials, round)
        result = fit(net, CLASSIFY, theta, dense_masks(theta), data, setting, place)
        assert drawn == [(10, place, epoch) for epoch in range(3)]
        assert applied == [(0, 5), (5, 10), (0, 5), (5, 10), (0, 5)]
        for number, (pixels, labels, step) in enumerate(spy.seen):
            assert pixels.dtype == theta.flat.dtype == np.float32
            epoch, k = divmod(number, 2)
            examples = epoch_order(12, 5, place, epoch)[:, k]
            np.testing.assert_allclose(pixels, examples * 4 * 0.5 + 1.0)  # the first pixel of example n is 4 n
            np.testing.assert_array_equal(labels, examples % 2)
            assert (step.place, step.number) == (place, number)
        assert result.at_steps.tolist() == [3, 5]
        assert result["train_loss"].tolist() == [[2, 4.5]] * 2  # means of 1 2 3 and of 4 5


class Scripted:
    """An engine whose single parameter is the number of steps taken, and whose validation losses are given."""

    taken, written = 0, None

    def prepare(self, images):
        return images

    def step(self, x, labels, step):
        self.taken += 1
        return np.zeros(2)

    def predict(self, x):
        return np.zeros((2, x.shape[1], 2)) if self.written is None else self.written["fc/b"]

    def read(self, out):
        out.flat[...] = self.taken

    def write(self, theta):
        self.written = theta


def test_early_stopping_takes_the_first_minimum_and_tests_the_parameters_of_that_step(monkeypatch):
    """Losses 3, 1, 2, 1 for trial 0 and 2, 2, 3, 0 for trial 1: the minima are after 2 and 4 validations."""
    validations = iter(np.array([[3.0, 2], [1, 2], [2, 3], [1, 0]]))
    tested = []

    def scripted(task, predict, data, split, dtype):
        if len(split) == 5:
            return {"loss": next(validations), "acc": np.zeros(2)}
        if len(split) == 7:
            tested.append(predict(np.zeros((1, 1, 2, 2))))
        return {"loss": np.zeros(2), "acc": np.full(2, len(tested) / 10)}

    monkeypatch.setattr(train, "evaluate", scripted)
    monkeypatch.setattr(train, "plan", lambda *args, **keywords: Scripted())
    net, theta = small_net(), Params(small_net().body.layout, np.zeros((2, 10)))
    data = replace(
        small_data(),
        validation=Split(np.zeros((5, 2, 2), np.uint8), np.zeros(5, int)),
        test=Split(np.zeros((7, 2, 2), np.uint8), np.zeros(7, int)),
    )
    setting = Setting(lambda m: None, steps=40, batch=4, validate_every=10)
    result = fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)
    assert result["early_stop_step"].tolist() == [20, 40]
    assert result["early_stop_val_loss"].tolist() == [1, 0]
    assert result.best.flat.tolist() == [[20] * 10, [40] * 10]
    # The second test evaluation sees the parameters after 20 and 40 steps, of which these predictions are the biases.
    assert tested[1].tolist() == [[[20, 20]], [[40, 40]]]
    assert result["early_stop_test_acc"].tolist() == [0.2, 0.2]
    assert result["final_test_acc"].tolist() == [0.1, 0.1]


def test_validation_happens_at_every_interval_and_at_the_end():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, [0], "init"))
    for steps, every, expected in ((10, 4, [4, 8, 10]), (8, 4, [4, 8]), (3, 100, [3])):
        setting = Setting(lambda m: SGD(m, 0.1), steps, batch=4, validate_every=every)
        result = fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)
        assert result.at_steps.tolist() == expected
        assert result["val_loss"].shape == (1, len(expected))


def test_the_test_set_is_looked_at_where_it_is_asked_for():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, range(2), "init"))
    setting = Setting(lambda m: SGD(m, 0.1), steps=10, batch=4, validate_every=4, test_at=[3, 8])
    result = fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)
    assert result.at_steps.tolist() == [3, 4, 8, 10]
    for t in range(2):
        looked = {int(s) for s, acc in zip(result.at_steps, result["test_acc"][t], strict=True) if not np.isnan(acc)}
        assert looked == {3, 8, 10, int(result["early_stop_step"][t])}
        assert result["test_acc"][t, -1] == result["final_test_acc"][t]
    shorter = fit(net, CLASSIFY, theta, dense_masks(theta), data, replace(setting, steps=8))
    np.testing.assert_array_equal(result["test_acc"][:, 2], shorter["final_test_acc"])


def test_the_best_of_the_training_set_is_of_all_times_that_it_was_looked_at():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, range(2), "init"))
    setting = Setting(lambda m: SGD(m, 0.3), steps=10, batch=4, validate_every=4, train_at=[2, 5, 10])
    result = fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)
    assert result.at_steps.tolist() == [4, 8, 10]  # looking at the training set is no validation
    ends = [fit(net, CLASSIFY, theta, dense_masks(theta), data, replace(setting, steps=s, train_at=())) for s in (2, 5)]
    looked = [*(end["final_train_acc"] for end in ends), result["final_train_acc"]]
    np.testing.assert_array_equal(result["best_train_acc"], np.max(looked, axis=0))
    losses = [*(end["final_train_loss"] for end in ends), result["final_train_loss"]]
    np.testing.assert_array_equal(result["best_train_loss"], np.min(losses, axis=0))
    assert len(np.unique(looked)) > 1
    alone = fit(net, CLASSIFY, theta, dense_masks(theta), data, replace(setting, train_at=()))
    assert alone.end.flat.tobytes() == result.end.flat.tobytes()
    np.testing.assert_array_equal(alone["best_train_acc"], alone["final_train_acc"])
    unseen = fit(net, CLASSIFY, theta, dense_masks(theta), data, replace(setting, train_at_end=False))
    assert unseen.end.flat.tobytes() == result.end.flat.tobytes()
    assert np.isnan(unseen["final_train_acc"]).all() and np.isnan(unseen["final_train_loss"]).all()
    np.testing.assert_array_equal(unseen["best_train_acc"], np.max(looked[:2], axis=0))


@pytest.mark.parametrize("first_step", [1, 3, 4, 7, 11])  # the middle, the end and the beginning of an epoch of 4
def test_a_run_that_goes_on_ends_where_the_whole_run_ends(first_step):
    """With an optimizer that has no memory, steps 1 to 12 are steps 1 to k and then k + 1 to 12."""
    net, data = small_net(), small_data(n=14)  # of which two are left over in every epoch
    theta0 = net.init(streams(0, range(2), "init"))
    masks = dense_masks(theta0)
    setting = Setting(partial(SGD, lr=0.1), steps=12, batch=3, validate_every=5)
    whole = fit(net, CLASSIFY, theta0, masks, data, setting)
    first = fit(net, CLASSIFY, theta0, masks, data, replace(setting, steps=first_step))
    rest = fit(net, CLASSIFY, first.end, masks, data, replace(setting, first_step=first_step))
    assert rest.end.flat.tobytes() == whole.end.flat.tobytes()
    assert rest.at_steps.tolist() == [step for step in (5, 10, 12) if step > first_step]
    assert (rest["val_loss"] == whole["val_loss"][:, -rest["val_loss"].shape[1] :]).all()


def test_training_learns_and_the_test_set_decides_nothing():
    net, data = small_net(), small_data(60)
    theta = net.init(streams(0, [0], "init"))
    setting = Setting(lambda m: Adam(m, 0.05), steps=300, batch=10)
    result = fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)
    assert result["final_train_acc"][0] > 0.9
    other = Split(data.test.inputs, 1 - data.test.targets)  # a test set with all labels wrong
    spoiled = fit(net, CLASSIFY, theta, dense_masks(theta), replace(data, test=other), setting)
    assert (spoiled.end.flat == result.end.flat).all()
    assert spoiled["early_stop_step"] == result["early_stop_step"]
    assert spoiled["final_test_acc"] == pytest.approx(1 - result["final_test_acc"])


def test_epoch_order_is_a_fresh_permutation_per_trial_and_epoch():
    order = epoch_order(10, 3, Place(1, [0, 4], 2), epoch=0)
    assert order.shape == (2, 3, 3)
    for t in range(2):
        assert len(set(order[t].ravel())) == 9
    assert (order[1] == epoch_order(10, 3, Place(1, [4], 2), 0)[0]).all()
    different = [order[0], order[1], *(epoch_order(10, 3, Place(1, [0], r), e)[0] for r, e in ((2, 1), (3, 0)))]
    assert len({o.tobytes() for o in different}) == 4


def test_minibatches_of_order_0_are_for_ever_what_they_were():
    """Written down when there was no other order: results of earlier versions go on."""
    expected = [[[3, 9, 5], [1, 8, 7], [6, 2, 0]], [[7, 3, 8], [2, 9, 1], [5, 6, 4]]]
    assert epoch_order(10, 3, Place(1, [0, 4], 2), 0).tolist() == expected
    assert epoch_order(10, 3, Place(1, [0, 4], 2, 1), 0).tolist() != expected


@pytest.mark.parametrize("purpose", ["order", "augment", "layers"])
def test_another_order_draws_otherwise_for_every_trial_and_purpose(purpose):
    places = [Place(7, [3, 5], 2, order) for order in range(4)]
    draws = [[rng.random() for rng in place.rngs(purpose, 4)] for place in places]
    assert len({draw for place in draws for draw in place}) == 8
    assert [place.of([5]).rngs(purpose, 4)[0].random() for place in places] == [second for _, second in draws]


def test_divergence_names_trial_round_and_step():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, range(2), "init"), np.float64)
    theta.flat[1] = 1e308  # trial 1 overflows at once
    with (
        np.errstate(all="ignore"),
        pytest.raises(DivergedError, match="training loss of trial 7 became nan in round 5 at step 1"),
    ):
        setting = Setting(lambda m: SGD(m, 0.1), steps=9, batch=4)
        fit(net, CLASSIFY, theta, dense_masks(theta), data, setting, Place(trials=[3, 7], round=5))


def test_the_others_go_on_beside_one_that_diverges_and_are_in_its_error():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, range(3), "init"), np.float64)
    setting, place = Setting(lambda m: SGD(m, 0.1), steps=9, batch=4, validate_every=4), Place(trials=[3, 7, 8])
    alone = fit(net, CLASSIFY, theta, dense_masks(theta), data, setting, place)
    assert alone.diverged == {}
    hot = theta.copy()
    hot.flat[1] = 1e308
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="trial 7 became nan") as error:
        fit(net, CLASSIFY, hot, dense_masks(theta), data, setting, place)
    found = error.value.fit
    assert list(found.diverged) == [1] and found.diverged[1] == str(error.value)
    for name in (*alone.curves, *alone.results):
        if name != "seconds":
            np.testing.assert_array_equal(found[name][[0, 2]], alone[name][[0, 2]])
    assert (found.end.flat[[0, 2]] == alone.end.flat[[0, 2]]).all() and not np.isfinite(found.end.flat[1]).all()


def test_nobody_goes_on_once_all_have_diverged():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, range(2), "init"), np.float64)
    theta.flat[...] = 1e308
    steps = []

    def counted(masks):
        return SGD(masks, lambda step: steps.append(step) or 0.1)

    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="trial 0 became nan") as error:
        setting = Setting(counted, steps=900, batch=4, validate_every=5)
        fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)
    assert max(steps) == 4 and list(error.value.fit.diverged) == [0, 1]


class Explodes(SGD):
    """Takes an infinite gradient at one step."""

    def __init__(self, masks, at):
        super().__init__(masks, 0.1)
        self._at = at

    def step(self, theta, grads):
        if self.steps == self._at:
            grads.flat[...] = np.inf
        super().step(theta, grads)


def test_divergence_later_on_names_the_first_bad_step():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, [0], "init"), np.float64)

    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="trial 0 became nan in round 0 at step 14:"):
        setting = Setting(lambda m: Explodes(m, at=12), steps=40, batch=4, validate_every=10)
        fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)


def test_divergence_in_the_very_last_step_shows_in_the_validation_loss():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, [0], "init"), np.float64)

    with np.errstate(all="ignore"), pytest.raises(DivergedError, match=r"validation loss of trial 0 .* at step 20:"):
        setting = Setting(lambda m: Explodes(m, at=19), steps=20, batch=4, validate_every=10)
        fit(net, CLASSIFY, theta, dense_masks(theta), data, setting)


SETTING = Setting(lambda m: SGD(m, 0.1), steps=1, batch=4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"setting": replace(SETTING, batch=13)}, ValueError, "batch of 13 does not fit into 12"),
        ({"place": Place(trials=[0, 1])}, ValueError, "2 trial numbers for 1 trials"),
        ({"setting": replace(SETTING, engine="warp")}, ValueError, "no engine 'warp'; there is fast, plain"),
        ({"masks": Params({"fc/W": (4, 2)}, np.ones((1, 8), bool))}, ValueError, r"masks\['fc/b'\] has shape None"),
        ({"masks": Params({"fc/W": (4, 2), "fc/b": (1, 2)}, np.ones((2, 10), bool))}, ValueError, "trials axis"),
        ({"masks": Params({"fc/W": (4, 2), "fc/b": (1, 2)}, np.ones((1, 10)))}, TypeError, "masks are float64"),
        ({"masks": Params({"fc/W": (4, 2), "fc/b": (1, 2)}, np.zeros((1, 10), bool))}, ValueError, "use rewind"),
        ({"start": Params({"fc/W": (4, 2), "fc/b": (1, 2)}, np.ones((1, 10), int))}, TypeError, "parameters are int64"),
        (
            {"start": Params({"fc/W": (4, 2), "fc/b": (1, 2)}, np.ones((1, 10), np.float16))},
            TypeError, "float16, expected float32 or float64",
        ),
        ({"start": Params({"W": (2,)}, np.ones((1, 2)))}, ValueError, "not those of small"),
        ({"start": Params({"fc/b": (1, 2), "fc/W": (4, 2)}, np.ones((1, 10)))}, ValueError, "not those of small"),
        ({"masks": Params({"fc/b": (1, 2), "fc/W": (4, 2)}, np.ones((1, 10), bool))}, ValueError, "masks for fc/b, fc"),
        ({"net": replace(small_net(), input_shape=(4,))}, ValueError, r"of shape \(2, 2\), small takes \(4,\)"),
        (
            {"net": replace(small_net(), output_shape=(3,))},
            ValueError, r"to classify small takes outputs of shape \(2,\), small has \(3,\)",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_at_the_edge(change, error, message):
    net = small_net()
    theta = net.init(streams(0, [0], "init"))
    case = {"net": net, "task": CLASSIFY, "start": theta, "masks": dense_masks(theta), "data": small_data()}
    with pytest.raises(error, match=message):
        fit(**case | {"setting": SETTING} | change)


def test_an_optimizer_in_place_of_what_makes_one_is_refused():
    with pytest.raises(TypeError, match=r"optimizer makes one from masks, .*, got SGD"):
        Setting(SGD(dense_masks(small_net().init(streams(0, [0], "init"))), 0.1), steps=1)


@pytest.mark.parametrize("name", ["steps", "batch", "validate_every", "first_step", "test_at", "train_at", "evaluated"])
def test_what_is_counted_must_be_an_integer(name):
    many = name.endswith("_at")
    with pytest.raises(TypeError, match=rf"{name} must be an integer, got 2.5"):
        Setting(SGD, **{"steps": 9, name: (1, 2.5) if many else 2.5})
    Setting(SGD, **{"steps": 9, name: (np.int64(2),) if many else np.int64(2)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"validate_every": 0}, "validate_every must be at least 1"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"evaluated": -3}, "evaluated must be at least 0, got -3"),
        ({"first_step": -1}, "first_step must lie between 0 and 4, got -1"),
        ({"first_step": 5}, "first_step must lie between 0 and 4, got 5"),
        ({"first_step": 6}, "first_step must lie between 0 and 4"),
        ({"test_at": [11]}, r"test_at must lie between 1 and 5 steps, got \[11\]"),
        ({"test_at": [2, 0]}, r"test_at must lie between 1 and 5 steps, got \[2, 0\]"),
        ({"train_at": [6]}, r"train_at must lie between 1 and 5 steps, got \[6\]"),
    ],
)
def test_impossible_settings_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SETTING, **{"steps": 5} | change)


def test_bad_data_is_refused_when_it_is_made():
    images, labels = np.zeros((3, 2, 2), np.uint8), np.zeros(3, np.uint8)
    good = Split(images, labels)
    for bad, message in (
        (Split(images[:0], labels[:0]), "small validation is empty"),
        (Split(images, labels[:2]), "do not go with"),
        (Split(images, labels + 2), "labels run from 2 to 2, expected 0 to 1"),
        (Split(images, labels.astype(float)), "labels are float64, expected integers"),
        (Split(images.astype(np.int32), labels), "inputs are int32"),
        (Split(np.full((3, 2, 2), np.nan), labels), "NaN"),
    ):
        with pytest.raises(DataError, match=message):
            Dataset("small", good, bad, good, classes=2, source="a test")
    other = Split(np.zeros((3, 2, 3), np.uint8), labels)
    with pytest.raises(DataError, match="inputs of different shapes"):
        Dataset("small", good, good, other, classes=2, source="a test")


def test_float_images_enter_the_network_as_they_are():
    data = small_data()
    np.testing.assert_array_equal(data.floats(np.array([0.25, 1.0]), np.float32), [0.25, 1.0])


def test_stack_joins_what_trial_takes_apart():
    theta = small_net().init(streams(0, range(3), "init"))
    assert (stack([theta.trial(t) for t in range(3)]).flat == theta.flat).all()


def test_the_engine_is_told_how_many_threads_it_may_use(monkeypatch):
    told = []

    def spy(*arguments, **keywords):
        told.append(signature(plan).bind(*arguments, **keywords).arguments["threads"])
        return plan(*arguments, **keywords)

    monkeypatch.setattr(train, "plan", spy)
    theta = small_net().init(streams(0, [0], "init"))
    fit(small_net(), CLASSIFY, theta, dense_masks(theta), small_data(), replace(SETTING, threads=3))
    assert told == [3]


def test_an_engine_reads_back_what_it_was_given():
    net = small_net()
    theta = net.init(streams(0, range(2), "init"))
    out = theta.like(np.zeros_like(theta.flat))
    plan(net, CLASSIFY, theta, dense_masks(theta), lambda m: SGD(m, 0.1)).read(out)
    assert (out.flat == theta.flat).all()


def test_where_nothing_is_said_trials_are_the_first_ones_of_round_0():
    theta = small_net().init(streams(0, range(2), "init"))
    case = small_net(), CLASSIFY, theta, dense_masks(theta), small_data(), SETTING
    assert same(fit(*case), fit(*case, Place(0, [0, 1], 0)))
    assert not same(fit(*case), fit(*case, Place(1, [0, 1], 0)))


def test_a_place_draws_for_each_of_its_trials_by_seed_round_purpose_and_index():
    place = Place(7, [3, 5], 2)
    draws = [rng.random() for rng in place.rngs("order", 4)]
    assert draws == [stream(7, trial, "order", 2, 4).random() for trial in (3, 5)]
    assert place.of([5]) == Place(7, [5], 2)
    assert place.of([5]).rngs("order", 4)[0].random() == draws[1]
    others = (Place(8, [3], 2), Place(7, [4], 2), Place(7, [3], 1))
    assert draws[0] not in [other.rngs("order", 4)[0].random() for other in others]
    assert draws[0] not in [place.rngs(*key)[0].random() for key in (("order", 5), ("augment", 4))]


def test_a_training_step_draws_in_order_from_one_stream_per_trial():
    step = TrainingStep(Place(7, [3, 5], 2), 9)
    assert step.rngs is step.rngs  # so that one layer after the other draws
    first, second = (step.rngs[1].random() for _ in range(2))
    alone = TrainingStep(Place(7, [5], 2), 9)
    assert [alone.rngs[0].random() for _ in range(2)] == [first, second]
    assert TrainingStep(Place(7, [5], 2), 10).rngs[0].random() != first


def run_once(watch):
    """Train for a step; `watch` is called while that goes on."""

    def optimizer(masks):
        watch()
        return SGD(masks, 0.1)

    theta = small_net().init(streams(0, [0], "init"))
    fit(small_net(), CLASSIFY, theta, dense_masks(theta), small_data(), replace(SETTING, optimizer=optimizer))


def test_blas_uses_one_thread_while_training_and_as_many_as_before_afterwards():
    threadpoolctl, found = pytest.importorskip("threadpoolctl"), []
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"} != {2}:
            pytest.skip("this BLAS cannot use two threads")
        assert backend.blas_threads() == 2
        run_once(lambda: found.append(backend.blas_threads()))
        assert set(found) == {1}
        assert backend.blas_threads() == 2
        with pytest.raises(ZeroDivisionError):
            run_once(lambda: 1 / 0)
        assert backend.blas_threads() == 2


@pytest.fixture
def no_threadpoolctl(monkeypatch):
    """As where it is not installed and NumPy brings no OpenBLAS, which would tell, and nothing was warned of yet."""
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    monkeypatch.setattr(backend, "openblas", lambda *_: None)
    backend._warn_of_threads.cache_clear()
    for name in backend.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    backend._warn_of_threads.cache_clear()


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, None),
        ({"OPENBLAS_NUM_THREADS": "1"}, 1),
        ({"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}, 1),
        ({"OPENBLAS_NUM_THREADS": "4"}, 4),
        ({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "2"}, None),
        ({"OMP_NUM_THREADS": "many"}, None),
    ],
)
def test_without_threadpoolctl_one_warning_says_that_blas_may_use_several_threads(variables, threads, no_threadpoolctl):
    for name, value in variables.items():
        no_threadpoolctl.setenv(name, value)
    assert backend.blas_threads() == threads
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            run_once(lambda: None)
    if threads == 1:
        assert not caught
    else:
        (warning,) = caught
        assert issubclass(warning.category, RuntimeWarning)
        assert "install threadpoolctl, or set OPENBLAS_NUM_THREADS=1" in str(warning.message)
        assert warning.filename == __file__


def test_with_threadpoolctl_nothing_is_warned_of(monkeypatch):
    pytest.importorskip("threadpoolctl")
    backend._warn_of_threads.cache_clear()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_once(lambda: None)
