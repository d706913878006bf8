"""The classifier keeps scikit-learn's conventions, and is nothing but train, prune and reset."""

import pickle
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from npticket.datasets import Dataset, Split
from npticket.estimator import LotteryTicketClassifier
from npticket.layers import Chain, Conv2D, Dense, Flatten, MaxPool, ReLU
from npticket.nets import Net, mlp
from npticket.optimizers import SGD, Adam
from npticket.prune import Layerwise, Rule, dense_masks, density, magnitude
from npticket.streams import Place
from npticket.task import CLASSIFY
from npticket.testing import check_magnitude, check_round
from npticket.tickets import find_tickets
from npticket.train import DivergedError, Setting, fit

X, y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
QUICK = {"hidden_layer_sizes": (12, 8), "max_iter": 30, "rounds": 2, "learning_rate_init": 0.02, "random_state": 3}


def quick(**options):
    return LotteryTicketClassifier(**QUICK | options)


def checks(estimator):
    """The names of the checks that scikit-learn has for an estimator, each as often as it comes."""
    return sorted(getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(estimator))


@pytest.mark.filterwarnings("ignore")
def test_it_passes_the_checks_that_mlpclassifier_passes():
    """None is switched off, and none is missing but those about several labels at once."""
    estimator = LotteryTicketClassifier(hidden_layer_sizes=(20,), max_iter=20, rounds=1, learning_rate_init=0.05)
    theirs = [name for name in checks(MLPClassifier()) if "multilabel" not in name]
    assert checks(estimator) == theirs
    found = check_estimator(estimator, on_fail=None, on_skip=None)
    others = {one["check_name"]: str(one["exception"]) for one in found if one["status"] != "passed"}
    for said in others.values():
        assert "pandas is not installed" in said or "SCIPY_ARRAY_API is not set" in said, others


def by_hand(rounds, optimizer=Adam, **options):
    """The rounds of the same search, written out with the parts of npticket."""
    net, place, split = mlp((12, 8), (4,), 3), Place(3), Split(X, y)
    data = Dataset("iris", split, split, split, 3, "scikit-learn")
    setting = Setting(lambda masks: optimizer(masks, 0.02, **options), steps=30, batch=150, validate_every=1)
    theta0 = net.init(place.rngs("init"), np.float64)
    train = lambda start, masks: fit(net, CLASSIFY, start, masks, data, setting, place).end  # noqa: E731
    prune = Rule(magnitude, Layerwise({"out/W": 0.1, "*/W": 0.2}))
    return theta0, [*islice(find_tickets(theta0, dense_masks(theta0), train=train, prune=prune), rounds + 1)]


def test_it_is_train_prune_and_reset_bit_for_bit():
    ticket = quick().fit(X, y)
    theta0, rounds = by_hand(2)
    check_round(rounds[2], theta0, rounds[1])
    check_magnitude(rounds[2], rounds[1])
    assert ticket.masks_.flat.tobytes() == rounds[2].masks.flat.tobytes()
    assert ticket.theta0_.flat.tobytes() == theta0.flat.tobytes()
    assert ticket.theta_.flat.tobytes() == rounds[2].end.flat.tobytes()
    assert ticket.path_.densities.tolist() == [density(one.masks)[0] for one in rounds]
    assert ticket.density_ == ticket.path_.densities[-1] < 0.7 and ticket.rounds_ == 2
    assert [w.shape for w in ticket.coefs_] == [(4, 12), (12, 8), (8, 3)]
    assert [b.shape for b in ticket.intercepts_] == [(12,), (8,), (3,)]
    assert not ticket.coefs_[0][~ticket.masks_["fc1/W"][0]].any()
    assert quick(random_state=4).fit(X, y).theta0_.flat.tobytes() != theta0.flat.tobytes()


def test_sgd_with_momentum_is_a_solver():
    ticket = quick(solver="sgd", momentum=0.8).fit(X, y)
    assert ticket.theta_.flat.tobytes() == by_hand(2, SGD, momentum=0.8)[1][2].end.flat.tobytes()


def test_probabilities_are_those_of_the_network_and_it_learns():
    ticket = quick(max_iter=60).fit(X, y)
    z = ticket.net_.predict(ticket.theta_, X[None])[0]
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ticket.predict_proba(X), expected, rtol=1e-10)
    assert (ticket.predict(X) == expected.argmax(axis=1)).all() and ticket.score(X, y) > 0.9
    assert ticket.n_iter_ == len(ticket.loss_curve_) == 60 and ticket.loss_curve_[-1] < 0.3 < ticket.loss_curve_[0]
    assert ticket.path_.losses[-1] == ticket.loss_curve_[-1] and np.isnan(ticket.path_.validation_scores).all()


def test_inputs_are_never_scaled_by_their_type():
    pixels = np.random.default_rng(0).integers(0, 5, (40, 6), dtype=np.uint8)
    labels = (pixels[:, 0] > 2).astype(int)
    one, other = (quick().fit(x, labels) for x in (pixels, pixels.astype(float)))
    assert one.theta_.flat.tobytes() == other.theta_.flat.tobytes()
    assert quick().fit(pixels.astype(np.float32), labels).theta_.flat.dtype == np.float32


def test_it_goes_with_the_rest_of_scikit_learn():
    """Labels that are words, a pipeline, cross validation, a search, a pickle."""
    words = np.array(["setosa", "versicolor", "virginica"])[y]
    search = GridSearchCV(quick(rounds=1), {"density": [None, 0.9]}, cv=2).fit(X, words)
    assert search.best_score_ > 0.7
    assert cross_val_score(make_pipeline(StandardScaler(), quick()), X, words, cv=2).mean() > 0.7
    ticket = quick().fit(X, words)
    again = pickle.loads(pickle.dumps(ticket))
    assert again.predict_proba(X).tobytes() == ticket.predict_proba(X).tobytes()
    assert set(ticket.predict(X)) <= set(words) and ticket.classes_.tolist() == sorted(set(words))


def test_logarithms_of_probabilities_are_those_of_very_small_ones_too():
    ticket = quick().fit(X, y)
    np.testing.assert_allclose(np.exp(ticket.predict_log_proba(X)), ticket.predict_proba(X), rtol=1e-12)
    assert np.isfinite(ticket.predict_log_proba(1e6 * X)).all() and (ticket.predict_proba(1e6 * X) == 0).any()


@pytest.mark.parametrize("shape", [(40, 3, 2), (40, 6, 1), (40, 1, 2, 3)])
def test_examples_in_another_order_of_axes_are_refused(shape):
    x, labels = np.random.default_rng(0).normal(size=(40, 2, 3)), np.arange(40) % 2
    ticket = quick(net=mlp([3], (2, 3), 2), rounds=0).fit(x, labels)
    assert (ticket.predict(x) == quick(net=mlp([3], (2, 3), 2), rounds=0).fit(x.reshape(40, 6), labels).predict(
        x.reshape(40, 6))).all()  # fmt: skip
    for use in (lambda: ticket.predict(x.reshape(shape)), lambda: ticket.fit(x.reshape(shape), labels)):
        with pytest.raises(ValueError, match=r"takes \(2, 3\)|features"):
            use()


def test_masked_arrays_are_refused():
    masked, ticket = np.ma.masked_greater(X, 1), quick(rounds=0).fit(X, y)
    for use in (lambda: quick().fit(masked, y), lambda: ticket.predict(masked)):
        with pytest.raises(ValueError, match="X is a masked array, and a network needs a number in each place"):
            use()


def test_a_fit_that_fails_leaves_no_new_classes_beside_old_weights():
    ticket = quick(rounds=0).fit(X, y)
    with np.errstate(all="ignore"), pytest.raises(DivergedError):
        ticket.set_params(learning_rate_init=1e30, solver="sgd").fit(1e30 * X, y + 5)
    assert ticket.classes_.tolist() == [0, 1, 2]
    with pytest.raises(NotFittedError):
        ticket.predict(X)


def test_it_stops_at_the_first_ticket_of_the_density():
    ticket = quick(rounds=9, density=0.6).fit(X, y)
    *before, last = ticket.path_.densities
    assert last <= 0.6 < min(before) and ticket.density_ == last and ticket.rounds_ == len(before) < 9
    with pytest.warns(ConvergenceWarning, match=r"2 rounds leave 0.66\d of the weights, more than 0.1: take more"):
        quick(density=0.1).fit(X, y)


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.99])
def test_it_takes_the_smallest_ticket_within_the_tolerance(tolerance):
    """Which need not be the last one, and of which the dense network is one."""
    ticket = quick(rounds=6, prune_rate=0.5, tolerance=tolerance, max_iter=20).fit(X, y)
    dense, *_ = scores = ticket.path_.validation_scores
    good = [i for i, score in enumerate(scores) if score >= dense - tolerance]
    assert len(scores) == 7 and ticket.rounds_ == good[-1]
    assert ticket.density_ == ticket.path_.densities[good[-1]]
    assert tolerance != 0.99 or ticket.rounds_ == 6


def test_with_patience_it_predicts_as_at_the_lowest_validation_loss():
    labels = np.random.default_rng(0).permutation(y)  # there is nothing to learn
    ticket = quick(patience=3, max_iter=200, rounds=1, validation_fraction=0.3).fit(X, labels)
    _, held = train_test_split(np.arange(150), test_size=0.3, stratify=labels, random_state=3)
    assert ticket.score(X[held], labels[held]) == ticket.path_.validation_scores[-1]
    assert ticket.n_iter_ == len(ticket.loss_curve_) < 200 and np.isfinite(ticket.loss_curve_).all()
    assert (ticket.path_.n_iters < 200).all() and np.isfinite(ticket.path_.validation_scores).all()
    longer = quick(patience=3, max_iter=ticket.n_iter_ - 3, rounds=1, validation_fraction=0.3).fit(X, labels)
    assert longer.path_.n_iters[1] == ticket.n_iter_ - 3, "the minimum was three epochs before the end"


def test_a_weight_of_3_is_the_example_three_times():
    """In one batch. A weight of 0 is an example that is not there: of a class that is not there, too."""
    weights = np.random.default_rng(0).integers(0, 4, 60)
    weights[y[40:100] == 1] = 0
    x, labels = X[40:100], y[40:100]
    weighted = quick(batch_size=10**6).fit(x, labels, sample_weight=weights)
    repeated = quick(batch_size=10**6).fit(x.repeat(weights, axis=0), labels.repeat(weights))
    assert (weighted.masks_.flat == repeated.masks_.flat).all() and weighted.classes_.tolist() == [0]
    weights = np.random.default_rng(0).integers(0, 4, 150)
    weighted = quick(batch_size=10**6).fit(X, y, sample_weight=weights)
    repeated = quick(batch_size=10**6).fit(X.repeat(weights, axis=0), y.repeat(weights))
    assert (weighted.masks_.flat == repeated.masks_.flat).all()
    np.testing.assert_allclose(weighted.theta_.flat, repeated.theta_.flat, rtol=1e-6, atol=1e-9)
    assert abs(weighted.theta_.flat - quick().fit(X, y).theta_.flat).max() > 1e-3
    for wrong in (-weights, 0 * weights):
        with pytest.raises(ValueError, match="weight"):
            quick().fit(X, y, sample_weight=wrong)


def test_images_go_through_a_given_network():
    body = Chain(conv=Conv2D(1, 3, padding=1), relu=ReLU(), pool=MaxPool(2), flatten=Flatten(), out=Dense(27, 2))
    net = Net("small", body, (6, 6, 1), (2,))
    images = np.random.default_rng(0).random((30, 6, 6, 1))
    labels = images[:, 0, 0, 0] > 0.5
    ticket, flat = quick(net=net).fit(images, labels), quick(net=net).fit(images.reshape(30, -1), labels)
    assert ticket.theta_.flat.tobytes() == flat.theta_.flat.tobytes() and ticket.coefs_[0].shape == (3, 3, 1, 3)
    assert (ticket.predict(images) == flat.predict(images.reshape(30, -1))).all()
    assert ticket.path_.densities[1] == pytest.approx((27 - 5 + 54 - 5) / 81)  # half the rate in the last layer
    with pytest.raises(ValueError, match=r"examples of shape \(5, 6, 1\), small takes \(6, 6, 1\)"):
        quick(net=net).fit(images[:, :5], labels)
    with pytest.raises(ValueError, match=r"takes outputs of shape \(3,\), small has \(2,\)"):
        quick(net=net).fit(images, np.arange(30) % 3)


def test_survivors_are_reset_to_the_rewind_step():
    early = quick(rounds=0, max_iter=4).fit(X, y)  # an epoch is one step
    ticket = quick(rewind_step=4).fit(X, y)
    assert ticket.theta0_.flat.tobytes() == early.theta_.flat.tobytes()
    assert ticket.n_iter_ == 26


def test_the_path_leaves_the_classifier_alone():
    classifier = quick(density=0.1)
    path = classifier.lottery_path(X, y)
    assert not hasattr(classifier, "classes_") and classifier.density == 0.1
    assert set(path) == {"densities", "validation_scores", "losses", "n_iters"}
    assert path.densities[0] == 1 and all(len(values) == 3 for values in path.values())
    assert np.isfinite(path.validation_scores).all()


@pytest.mark.parametrize("n", [7, 200, 201, 399, 1001])
def test_an_epoch_is_cut_into_equal_parts(n):
    setting = LotteryTicketClassifier(max_iter=1)._setting(n)
    assert setting.steps == -(-n // 200) and n - setting.steps < setting.steps * setting.batch <= n


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": -1}, "rounds must be an integer, at least 0, got -1"),
        ({"rounds": 1.5}, "rounds must be an integer"),
        ({"max_iter": 0}, "max_iter must be an integer, at least 1"),
        ({"max_iter": 10**9}, "max_iter must be at most 1,000,000, got 1000000000"),
        ({"patience": 0}, "patience must be an integer, at least 1, got 0"),
        ({"batch_size": "all"}, "batch_size must be an integer, at least 1, got 'all'"),
        ({"prune_rate": 1}, "prune_rate must be a fraction, at least 0 and below 1, got 1"),
        ({"density": -0.1}, "density must be a fraction"),
        ({"tolerance": "none"}, "tolerance must be a fraction"),
        ({"solver": "lbfgs"}, "solver must be 'adam' or 'sgd', got 'lbfgs'"),
        ({"learning_rate_init": 0}, "learning_rate_init must be a number above 0 and below inf, got 0"),
        ({"learning_rate_init": "x"}, "learning_rate_init must be a number above 0 and below inf, got 'x'"),
        ({"learning_rate_init": np.inf}, "learning_rate_init must be a number above 0 and below inf, got inf"),
        ({"momentum": "x"}, "momentum must be a fraction, at least 0 and below 1, got 'x'"),
        ({"validation_fraction": 5}, "validation_fraction must be a number above 0 and below 1, got 5"),
        ({"validation_fraction": None}, "validation_fraction must be a number above 0"),
        ({"net": "x"}, "net must be a network, such as those of npticket.nets, got 'x'"),
        ({"net": ""}, "net must be a network"),
        ({"rewind_step": 30}, "rewind_step must be below the 30 steps of a run, got 30"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be integers, at least 1, got \(3, 0\)"),
        ({"hidden_layer_sizes": (5.0,)}, r"hidden_layer_sizes must be integers, at least 1, got \(5.0,\)"),
        ({"hidden_layer_sizes": [[3, 4]]}, "hidden_layer_sizes must be integers"),
        ({"hidden_layer_sizes": [3, [4]]}, "hidden_layer_sizes must be integers"),
        ({"hidden_layer_sizes": "x"}, "hidden_layer_sizes must be integers"),
        ({"hidden_layer_sizes": True}, "hidden_layer_sizes must be integers"),
        ({"batch_size": True}, "batch_size must be an integer, at least 1, got True"),
        ({"random_state": -1}, "random_state must be at least 0, a RandomState or None, got -1"),
        ({"random_state": True}, "random_state must be at least 0"),
    ],
)
def test_impossible_parameters_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        quick(**options).fit(X, y)


@pytest.mark.filterwarnings("ignore:(overflow|invalid)")
def test_after_a_fit_that_failed_it_is_not_fitted():
    """Else the old network would answer with the new classes."""
    classifier = quick().fit(X, y)
    with pytest.raises(DivergedError):
        classifier.fit(X, np.array(["no", "yes"])[y % 2], sample_weight=np.full(len(X), 1e308))
    with pytest.raises(NotFittedError):
        classifier.predict(X)
    with pytest.raises(NotFittedError):
        quick().predict(X)


def test_without_scikit_learn_it_says_what_is_missing(tmp_path):
    (tmp_path / "sklearn.py").write_text("raise ImportError('none here')")
    root = Path(__file__).parents[1]
    call = [sys.executable, "-c", "import npticket.estimator"]
    done = subprocess.run(call, capture_output=True, text=True, env={"PYTHONPATH": f"{tmp_path}:{root}"})
    assert "npticket.estimator needs scikit-learn 1.6 or later: python -m pip install" in done.stderr


def test_the_page_about_it_runs(tmp_path, monkeypatch, capsys):
    """docs/estimator.md, one snippet after the other."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "estimator.md").read_text()
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), {})
    first, *path, same = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"2\d\.\d% of the weights: 9\d\.\d%", first)
    assert path[0].startswith("100.0%") and len(path) == 6 and (tmp_path / "digits.npz").exists()
    assert same == "True"  # what the file predicts


def test_the_rewind_step_is_reached_whatever_the_patience():
    labels = np.random.default_rng(0).permutation(y)  # there is nothing to learn
    few, many = (quick(rewind_step=25, patience=p, rounds=0, validation_fraction=0.3).fit(X, labels) for p in (1, 999))
    assert few.theta0_.flat.tobytes() == many.theta0_.flat.tobytes()
