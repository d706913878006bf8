"""What intervals over few trials promise, held against simulated experiments of which the truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npticket.report.comparisons import left_out
from npticket.report.intervals import Numbers, estimate, probability, quantile

TRIALS = (2, 3, 4, 5, 7, 10)


def exact(values):
    return Numbers(np.asarray(values, float), np.asarray(values, float))


def simulated(trials, draw, experiments=4_000):
    """Estimates from many experiments."""
    rng = np.random.default_rng(trials)
    return [estimate(draw(rng, trials)) for _ in range(experiments)]


def covered(estimates, truth):
    return np.mean([found.low <= truth <= found.high for found in estimates])


def normal(rng, trials):
    return exact(rng.normal(3.0, 2.0, trials))


def skewed(rng, trials):
    return exact(rng.exponential(3.0, trials))


@pytest.mark.parametrize("trials", TRIALS)
def test_95_percent_are_95_percent(trials):
    assert covered(simulated(trials, normal), 3.0) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("trials", TRIALS)
def test_of_skewed_numbers_they_are_a_little_less(trials):
    assert 0.86 < covered(simulated(trials, skewed), 3.0) < 0.95


def test_the_percentile_bootstrap_of_five_trials_would_be_found_out():
    """The checker can fail: intervals of resampled means are too narrow."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(500):
        values = rng.normal(3.0, 2.0, 5)
        low, high = np.percentile(values[rng.integers(0, 5, (500, 5))].mean(axis=1), [2.5, 97.5])
        hits += low <= 3.0 <= high
    assert abs(hits / 500 - 0.95) > 0.06


@pytest.mark.parametrize("trials", TRIALS)
def test_a_tie_is_as_seldom_called_certain_as_it_should_be(trials):
    certainties = np.array([found.certainty(3.0, math.inf) for found in simulated(trials, normal)])
    for level in (0.01, 0.1, 0.5):
        assert np.mean(certainties < level) == pytest.approx(level, abs=0.03)
        assert np.mean(certainties > 1 - level) == pytest.approx(level, abs=0.03)
    assert np.mean((certainties < 0.01) | (certainties > 0.99)) < 0.03


def rounds_of_no_gain(rng, trials, count=18, alike=0.5):
    """Gains of several rounds over a dense network that is as good; trials have something in common in all rounds."""
    common, dense = rng.normal(size=trials) * math.sqrt(alike), rng.normal(size=trials)
    return [exact(common + rng.normal(size=trials) * math.sqrt(1 - alike) - dense) for _ in range(count)]


@pytest.mark.parametrize("trials", TRIALS)
def test_the_best_of_many_rounds_that_gain_nothing_gains_nothing(trials):
    rng = np.random.default_rng(trials)
    experiments = [rounds_of_no_gain(rng, trials) for _ in range(2_000)]
    plain = [max(one.low.mean() for one in rounds) for rounds in experiments]
    assert np.mean(plain) > 0.5 / math.sqrt(trials)  # what a best of means seems to gain
    for sign in (1, -1):
        found = [estimate(left_out(rounds, sign)) for rounds in experiments]
        assert np.mean([one.value for one in found]) == pytest.approx(0, abs=0.07)
        assert 0.94 <= covered(found, 0.0) < 0.995


def test_of_each_trial_that_round_is_read_which_is_best_for_the_others():
    rounds = [exact([0.6, 0.2]), exact([0.2, 0.6])]
    assert left_out(rounds, 1).low.tolist() == [0.2, 0.2]
    assert left_out(rounds, -1).low.tolist() == [0.6, 0.6]
    rounds = [exact([1, 2, 9]), exact([4, 4, 4])]  # the last trial's 9 makes the first round the best for the others
    assert left_out(rounds, 1).low.tolist() == [1, 2, 4]


def test_what_was_cut_short_may_be_the_highest():
    """Whatever is chosen, then: at least that much is known. It cannot make the lowest lower."""
    rounds = [exact([3.0, 3]), Numbers(np.array([1.0, 1]), np.array([np.inf, 1]))]
    highest, lowest = left_out(rounds, 1), left_out(rounds, -1)
    assert (highest.low.tolist(), highest.high.tolist()) == ([3, 3], [np.inf, 3])
    assert (lowest.low.tolist(), lowest.high.tolist()) == ([1, 1], [np.inf, 1])


def test_and_where_it_is_at_most_that_it_may_be_the_lowest():
    """The mirror image."""
    rounds = [exact([-3.0, -3]), Numbers(np.array([-np.inf, -1]), np.array([-1.0, -1]))]
    highest, lowest = left_out(rounds, 1), left_out(rounds, -1)
    assert (lowest.low.tolist(), lowest.high.tolist()) == ([-np.inf, -3], [-3, -3])
    assert (highest.low.tolist(), highest.high.tolist()) == ([-np.inf, -1], [-1, -1])


@pytest.mark.parametrize(
    ("freedom", "at"),  # from any table: P(|T| <= t) = 0.95
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (120, 1.980)],
)
def test_quantiles_are_those_of_tables(freedom, at):
    assert quantile(freedom) == pytest.approx(at, abs=5e-4)
    assert probability(at, freedom) == pytest.approx(0.975, abs=1e-4)


@given(st.floats(-50, 50), st.integers(1, 60))
def test_student_t_is_that_of_scipy(t, freedom):
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    assert probability(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-12)


def test_an_interval_by_hand():
    found = estimate(exact([1, 2, 3]))
    half = 4.30265 / math.sqrt(3)
    assert (found.value, found.spread, found.trials, found.bound) == (2, 1, 3, "")
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-4)
    assert found.certainty(2, math.inf) == 0.5
    assert found.certainty(-math.inf, math.inf) == 1
    still = estimate(exact([2, 2, 2]))
    assert (still.low, still.high, still.certainty(2, math.inf), still.certainty(2.1, math.inf)) == (2, 2, 1, 0)
    assert still.certainty(2, math.inf, strict=True) == still.certainty(-math.inf, 2, strict=True) == 0
    assert still.certainty(1.9, math.inf, strict=True) == still.certainty(-math.inf, math.inf, strict=True) == 1


def test_how_many_trials_would_decide():
    found = estimate(exact([0.0, 2.0, 1.0]))  # a mean of 1 with a deviation of 1
    needed = found.trials_to_decide(0.5, math.inf)
    assert quantile(needed - 1) / math.sqrt(needed) < 0.5 <= quantile(needed - 2) / math.sqrt(needed - 1)
    assert found.trials_to_decide(0.5, 1.4) > needed
    assert found.trials_to_decide(0.99, math.inf) is None
    assert found.trials_to_decide(1.0, math.inf) is None


@given(st.data())
def test_bounds_enclose_whatever_the_true_numbers_are(data):
    """Of every operation, with true numbers anywhere between low and high."""
    a, b = (np.array(data.draw(st.lists(st.floats(0.5, 100), min_size=3, max_size=3))) for _ in range(2))
    more_a, more_b = (np.array(data.draw(st.lists(st.floats(0, 10), min_size=3, max_size=3))) for _ in range(2))
    share = data.draw(st.floats(0, 1))
    one, other = Numbers(a, a + more_a), Numbers(b, b + more_b)
    true_a, true_b = a + share * more_a, b + (1 - share) * more_b
    results = ((one - other, true_a - true_b), (one / other, true_a / true_b), (3 * one, 3 * true_a))
    for found, truth in (*results, (one.map(np.log), np.log(true_a))):
        assert (found.low <= truth + 1e-9).all() and (truth <= found.high + 1e-9).all()


@pytest.mark.parametrize(
    ("low", "high", "bound"),
    [
        ([1, 2], [1, 2], ""),
        ([0, 2], [1, 3], ""),
        ([1, 2], [1, np.inf], "≥"),
        ([0, -np.inf], [1, 2], "≤"),
        ([1, -np.inf], [np.inf, 2], "?"),
    ],
)
def test_what_was_cut_short_is_a_bound(low, high, bound):
    found = estimate(Numbers(np.array(low, float), np.array(high, float)))
    assert found.bound == bound
    assert (found.certainty(0, 1) is None) == (low != high)
    if bound == "≥":
        assert (found.value, found.high) == (1.5, math.inf) and found.low == estimate(exact([1, 2])).low
    if bound == "≤":
        assert (found.value, found.low) == (1.5, -math.inf) and found.high == estimate(exact([1, 2])).high
