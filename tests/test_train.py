"""Training: trials are independent (law 10), runs repeat (law 11), early stopping by hand, errors at the edge."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import fits

from npticket import train
from npticket.datasets import DataError, Dataset, Split, epoch_order
from npticket.engine import plan
from npticket.layers import Chain, Dense, Flatten
from npticket.loss import softmax_cross_entropy
from npticket.nets import Net
from npticket.optimizers import SGD, Adam
from npticket.params import Params, stack
from npticket.prune import dense_masks
from npticket.streams import streams
from npticket.train import DivergedError, evaluate, fit, join_trials

MEASURED = [field.name for field in dataclasses.fields(train.Fit) if field.name not in ("end", "seconds")]


def same(a, b):
    """Whether two fits agree bit for bit in everything but time."""
    return a.end.flat.tobytes() == b.end.flat.tobytes() and all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in MEASURED
    )


@settings(max_examples=25)
@given(fits(np.float32))
def test_a_trial_among_others_is_the_trial_alone(case):
    together = fit(**case)
    alone = [
        fit(**case | {"start": case["start"].trial(t), "masks": case["masks"].trial(t), "trials": [t]})
        for t in range(case["start"].trials)
    ]
    assert same(together, join_trials(alone))


def test_the_comparison_of_trials_can_fail():
    net = small_net()
    theta = net.init(streams(0, range(2), "init"))
    case = {"net": net, "data": small_data(), "optimizer": lambda m: SGD(m, 0.1), "steps": 3, "batch": 4}
    together = fit(start=theta, masks=dense_masks(theta), **case)
    swapped = [fit(start=theta.trial(t), masks=dense_masks(theta).trial(t), trials=[1 - t], **case) for t in range(2)]
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
    assert result.at_steps[-1] == case["steps"]
    loss, accuracy = evaluate(
        lambda x: case["net"].forward(result.end, x)[0], case["data"], case["data"].validation, np.float64
    )
    np.testing.assert_allclose(result.val_loss[:, -1], loss, rtol=1e-12)
    np.testing.assert_array_equal(result.val_acc[:, -1], accuracy)
    for t in range(case["start"].trials):
        first = int(np.argmin(result.val_loss[t]))
        assert result.early_stop_step[t] == result.at_steps[first]
        assert result.early_stop_val_loss[t] == result.val_loss[t, first]


def small_net():
    return Net("small", Chain(flatten=Flatten(), fc=Dense(4, 2)), (2, 2), 2, {"fc/W": 0.5})


def small_data(n=12):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (n, 2, 2), dtype=np.uint8)
    split = Split(images, (images[:, 0, 0] > 128).astype(np.uint8))
    return Dataset("small", split, split, split, classes=2, source="a test")


@pytest.mark.parametrize("chunk", [4, 6, 11, 250])
def test_an_evaluation_looks_at_every_example_however_many_at_a_time(chunk, monkeypatch):
    monkeypatch.setattr(train, "CHUNK", chunk)
    net, data = small_net(), small_data(11)
    theta = net.init(streams(0, range(2), "init"), np.float64)
    loss, accuracy = evaluate(lambda x: net.forward(theta, x)[0], data, data.test, np.float64)
    logits, _ = net.forward(theta, data.floats(data.test.images[None], np.float64))
    labels = np.stack([data.test.labels] * 2)
    np.testing.assert_allclose(loss, softmax_cross_entropy(logits, labels)[0], rtol=1e-12)
    np.testing.assert_array_equal(accuracy, (logits.argmax(axis=-1) == labels).mean(axis=1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_evaluation_among_others_is_that_of_the_trial_alone(dtype, monkeypatch):
    """Bit for bit, over many chunks, which are added up in float64."""
    monkeypatch.setattr(train, "CHUNK", 1)
    net, data = small_net(), small_data(300)
    theta = net.init(streams(0, range(2), "init"), dtype)
    together, alone = (
        evaluate(lambda x, p=p: net.forward(p, x)[0], data, data.test, dtype)[0] for p in (theta, theta.trial(1))
    )
    assert together.dtype == np.float64
    assert together[1] == alone[0]


class Spy:
    """An engine that notes what it is shown and whose loss is the number of the step."""

    def __init__(self, start):
        self.seen, self.start = [], start

    def see(self, images):
        return images

    def step(self, x, labels, step):
        self.seen.append((x[..., 0, 0].copy(), labels.copy(), step))
        return np.full(len(x), float(len(self.seen)))

    def predict(self, x):
        return np.zeros((self.start.trials, x.shape[1], 2))

    def read(self, out):
        out.flat[...] = self.start.flat


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
        result = fit(
            net, theta, dense_masks(theta), data, augment=augment,
            optimizer=None, steps=5, batch=5, validate_every=3, seed=8, trials=trials, round=round,
        )  # fmt: skip
        assert drawn == [(10, 8, trials, round, epoch) for epoch in range(3)]
        assert applied == [(0, 5), (5, 10), (0, 5), (5, 10), (0, 5)]
        for number, (pixels, labels, step) in enumerate(spy.seen):
            assert pixels.dtype == theta.flat.dtype == np.float32
            epoch, k = divmod(number, 2)
            examples = epoch_order(12, 5, 8, trials, round, epoch)[:, k]
            np.testing.assert_allclose(pixels, examples * 4 * 0.5 + 1.0)  # the first pixel of example n is 4 n
            np.testing.assert_array_equal(labels, examples % 2)
            assert (step.seed, list(step.trials), step.round, step.number) == (8, trials, round, number)
        assert result.at_steps.tolist() == [3, 5]
        assert result.train_loss.tolist() == [[2, 4.5]] * 2  # means of 1 2 3 and of 4 5


class Scripted:
    """An engine whose single parameter is the number of steps taken, and whose validation losses are given."""

    def __init__(self, net, start, masks, optimizer):
        self.taken = 0

    def see(self, images):
        return images

    def step(self, x, labels, step):
        self.taken += 1
        return np.zeros(2)

    def predict(self, x):
        return np.zeros((2, x.shape[1], 2))

    def read(self, out):
        out.flat[...] = self.taken


def test_early_stopping_takes_the_first_minimum_and_tests_the_parameters_of_that_step(monkeypatch):
    """Losses 3, 1, 2, 1 for trial 0 and 2, 2, 3, 0 for trial 1: the minima are after 2 and 4 validations."""
    validations = iter(np.array([[3.0, 2], [1, 2], [2, 3], [1, 0]]))
    tested = []

    def scripted(predict, data, split, dtype):
        if len(split) == 5:
            return next(validations), np.zeros(2)
        if len(split) == 7:
            tested.append(predict(np.zeros((1, 1, 2, 2))))
        return np.zeros(2), np.full(2, len(tested) / 10)

    monkeypatch.setattr(train, "evaluate", scripted)
    monkeypatch.setattr(train, "plan", lambda *args, **keywords: Scripted(*args[:4]))
    net, theta = small_net(), Params(small_net().body.layout, np.zeros((2, 10)))
    data = dataclasses.replace(
        small_data(),
        validation=Split(np.zeros((5, 2, 2)), np.zeros(5, int)),
        test=Split(np.zeros((7, 2, 2)), np.zeros(7, int)),
    )
    result = fit(net, theta, dense_masks(theta), data, optimizer=lambda m: None, steps=40, batch=4, validate_every=10)
    assert result.early_stop_step.tolist() == [20, 40]
    assert result.early_stop_val_loss.tolist() == [1, 0]
    # The first test evaluation sees the parameters after 20 and 40 steps: logits of black images are the biases.
    assert tested[0].tolist() == [[[20, 20]], [[40, 40]]]
    assert result.early_stop_test_acc.tolist() == [0.1, 0.1]
    assert result.final_test_acc.tolist() == [0.2, 0.2]


def test_validation_happens_at_every_interval_and_at_the_end():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, [0], "init"))
    for steps, every, expected in ((10, 4, [4, 8, 10]), (8, 4, [4, 8]), (3, 100, [3])):
        result = fit(
            net, theta, dense_masks(theta), data,
            optimizer=lambda m: SGD(m, 0.1), steps=steps, batch=4, validate_every=every,
        )  # fmt: skip
        assert result.at_steps.tolist() == expected
        assert result.val_loss.shape == (1, len(expected))


def test_the_test_set_is_looked_at_where_it_is_asked_for():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, range(2), "init"))
    case = {"optimizer": lambda m: SGD(m, 0.1), "batch": 4, "validate_every": 4}
    result = fit(net, theta, dense_masks(theta), data, steps=10, test_at=[3, 8], **case)
    assert result.at_steps.tolist() == [3, 4, 8, 10]
    for t in range(2):
        looked = {int(s) for s, acc in zip(result.at_steps, result.test_acc[t], strict=True) if not np.isnan(acc)}
        assert looked == {3, 8, 10, int(result.early_stop_step[t])}
        assert result.test_acc[t, -1] == result.final_test_acc[t]
    shorter = fit(net, theta, dense_masks(theta), data, steps=8, **case)
    np.testing.assert_array_equal(result.test_acc[:, 2], shorter.final_test_acc)
    with pytest.raises(ValueError, match="between 1 and 10 steps, got \\[11\\]"):
        fit(net, theta, dense_masks(theta), data, steps=10, test_at=[11], **case)


@pytest.mark.parametrize("first_step", [1, 3, 4, 7, 11])  # the middle, the end and the beginning of an epoch of 4
def test_a_run_that_goes_on_ends_where_the_whole_run_ends(first_step):
    """With an optimizer that has no memory, steps 1 to 12 are steps 1 to k and then k + 1 to 12."""
    net, data = small_net(), small_data(n=14)  # of which two are left over in every epoch
    theta0 = net.init(streams(0, range(2), "init"))
    masks = dense_masks(theta0)
    common = {"data": data, "optimizer": partial(SGD, lr=0.1), "batch": 3, "validate_every": 5}
    whole = fit(net, theta0, masks, steps=12, **common)
    first = fit(net, theta0, masks, steps=first_step, **common)
    rest = fit(net, first.end, masks, steps=12, first_step=first_step, **common)
    assert rest.end.flat.tobytes() == whole.end.flat.tobytes()
    assert rest.at_steps.tolist() == [step for step in (5, 10, 12) if step > first_step]
    assert (rest.val_loss == whole.val_loss[:, -rest.val_loss.shape[1] :]).all()


@pytest.mark.parametrize("first_step", [-1, 5, 6])
def test_a_run_cannot_go_on_from_beyond_its_end(first_step):
    net = small_net()
    theta0 = net.init(streams(0, [0], "init"))
    with pytest.raises(ValueError, match="first_step must lie between 0 and 4"):
        fit(net, theta0, dense_masks(theta0), small_data(), optimizer=partial(SGD, lr=0.1), steps=5, batch=3,
            first_step=first_step)  # fmt: skip


def test_training_learns_and_the_test_set_decides_nothing():
    net, data = small_net(), small_data(60)
    theta = net.init(streams(0, [0], "init"))
    case = {"optimizer": lambda m: Adam(m, 0.05), "steps": 300, "batch": 10}
    result = fit(net, theta, dense_masks(theta), data, **case)
    assert result.final_train_acc[0] > 0.9
    other = Split(data.test.images, 1 - data.test.labels)  # a test set with all labels wrong
    spoiled = fit(net, theta, dense_masks(theta), dataclasses.replace(data, test=other), **case)
    assert (spoiled.end.flat == result.end.flat).all()
    assert spoiled.early_stop_step == result.early_stop_step
    assert spoiled.final_test_acc == pytest.approx(1 - result.final_test_acc)


def test_epoch_order_is_a_fresh_permutation_per_trial_and_epoch():
    order = epoch_order(10, 3, seed=1, trials=[0, 4], round=2, epoch=0)
    assert order.shape == (2, 3, 3)
    for t in range(2):
        assert len(set(order[t].ravel())) == 9
    assert (order[1] == epoch_order(10, 3, 1, [4], 2, 0)[0]).all()
    different = [order[0], order[1], *(epoch_order(10, 3, 1, [0], r, e)[0] for r, e in ((2, 1), (3, 0)))]
    assert len({o.tobytes() for o in different}) == 4


def test_divergence_names_trial_round_and_step():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, range(2), "init"), np.float64)
    theta.flat[1] = 1e308  # trial 1 overflows at once
    with (
        np.errstate(all="ignore"),
        pytest.raises(DivergedError, match="training loss of trial 7 became nan in round 5 at step 1"),
    ):
        fit(
            net, theta, dense_masks(theta), data,
            optimizer=lambda m: SGD(m, 0.1), steps=9, batch=4, trials=[3, 7], round=5,
        )  # fmt: skip


def test_divergence_later_on_names_the_first_bad_step():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, [0], "init"), np.float64)

    def explode_after_12(masks):
        return SGD(masks, lambda step: 0.1 if step < 12 else np.inf)

    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="trial 0 became nan in round 0 at step 14:"):
        fit(net, theta, dense_masks(theta), data, optimizer=explode_after_12, steps=40, batch=4, validate_every=10)


def test_divergence_in_the_very_last_step_shows_in_the_validation_loss():
    net, data = small_net(), small_data()
    theta = net.init(streams(0, [0], "init"), np.float64)

    def explode_at_the_end(masks):
        return SGD(masks, lambda step: 0.1 if step < 19 else np.inf)

    with np.errstate(all="ignore"), pytest.raises(DivergedError, match=r"validation loss of trial 0 .* at step 20:"):
        fit(net, theta, dense_masks(theta), data, optimizer=explode_at_the_end, steps=20, batch=4, validate_every=10)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"batch": 0}, ValueError, "batch must be at least 1, got 0"),
        ({"batch": 13}, ValueError, "batch of 13 does not fit into 12"),
        ({"validate_every": 0}, ValueError, "validate_every must be at least 1"),
        ({"trials": [0, 1]}, ValueError, "2 trial numbers for 1 trials"),
        ({"engine": "warp"}, ValueError, "no engine 'warp'; there is fast, plain"),
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
        ({"net": dataclasses.replace(small_net(), input_shape=(4,))}, ValueError, r"images of \(2, 2\), small takes"),
        ({"net": dataclasses.replace(small_net(), classes=3)}, ValueError, "2 classes, small tells 3 apart"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_at_the_edge(change, error, message):
    net = small_net()
    theta = net.init(streams(0, [0], "init"))
    case = {"net": net, "start": theta, "masks": dense_masks(theta), "data": small_data(), "batch": 4, "steps": 1}
    with pytest.raises(error, match=message):
        fit(**case | {"optimizer": lambda m: SGD(m, 0.1)} | change)


def test_bad_data_is_refused_when_it_is_made():
    images, labels = np.zeros((3, 2, 2), np.uint8), np.zeros(3, np.uint8)
    good = Split(images, labels)
    for bad, message in (
        (Split(images[:0], labels[:0]), "small validation is empty"),
        (Split(images, labels[:2]), "do not go with"),
        (Split(images, labels + 2), "labels run from 2 to 2, expected 0 to 1"),
        (Split(images, labels.astype(float)), "labels are float64, expected integers"),
        (Split(images.astype(np.int32), labels), "images are int32"),
        (Split(np.full((3, 2, 2), np.nan), labels), "NaN"),
    ):
        with pytest.raises(DataError, match=message):
            Dataset("small", good, bad, good, classes=2, source="a test")
    other = Split(np.zeros((3, 2, 3), np.uint8), labels)
    with pytest.raises(DataError, match="images of different shapes"):
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
        told.append(keywords["threads"])
        return plan(*arguments, **keywords)

    monkeypatch.setattr(train, "plan", spy)
    theta = small_net().init(streams(0, [0], "init"))
    fit(
        small_net(),
        theta,
        dense_masks(theta),
        small_data(),
        optimizer=lambda m: SGD(m, 0.1),
        steps=1,
        threads=3,
        batch=5,
    )
    assert told == [3]


def test_an_engine_reads_back_what_it_was_given():
    net = small_net()
    theta = net.init(streams(0, range(2), "init"))
    out = theta.like(np.zeros_like(theta.flat))
    plan(net, theta, dense_masks(theta), lambda m: SGD(m, 0.1)).read(out)
    assert (out.flat == theta.flat).all()
