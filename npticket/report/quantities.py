"""The quantities that the paper's claims are about, as functions of a View: speeds, accuracies, gains, ratios."""

from collections.abc import Callable

import numpy as np

from npticket.claims import View

STOP, ACC, END, TRAIN = "early_stop_step", "early_stop_test_acc", "final_test_acc", "final_train_acc"
TICKET, REINIT, MASK = "winning_ticket", "random_reinit", "random_mask"
STEPS, TIMES, POINTS, PERCENT, LEVEL = "{:,.0f} steps", "{:.2f} times", "{:+.2f} points", "{:+.0f} %", "{:.2f} %"


def value(column: str, percent: float = 100, scale: float = 1) -> Callable[[View], np.ndarray]:
    """A column of the ticket's (at 100: the dense network's)."""
    return lambda v: scale * v(column, TICKET, percent)


def points(column: str, series: str, percent: float, other: str = TICKET, at: float | None = None) -> Callable:
    """How many percentage points one series has more than another, at the same weights remaining or `at` others."""
    return lambda v: 100 * (v(column, series, percent) - v(column, other, percent if at is None else at))


def times(series: str, percent: float, other: str = TICKET, at: float | None = None) -> Callable[[View], np.ndarray]:
    """How many times as many steps until early stopping."""
    return lambda v: v(STOP, series, percent) / v(STOP, other, percent if at is None else at)


def earlier(percent: float) -> Callable[[View], np.ndarray]:
    """By how many percent the ticket stops earlier than the dense network."""
    return lambda v: 100 * (1 - times(TICKET, percent, at=100)(v))


def best_gain(column: str) -> Callable[[View], np.ndarray]:
    """The largest gain over the dense network that any ticket has, in points."""
    return lambda v: 100 * (v.best(column, TICKET) - v(column, TICKET, 100))


def worst_gain(column: str, series: str, low: float, high: float = 99) -> Callable[[View], np.ndarray]:
    """The smallest gain over the dense network among the rounds from `low` to `high` percent, in points."""
    return lambda v: 100 * (v.all(column, series, low, high).min(axis=0) - v(column, TICKET, 100))


def worst_train(low: float, *series: str) -> Callable[[View], np.ndarray]:
    """The lowest training accuracy at the end among the rounds from `low` percent on, in percent."""
    return lambda v: 100 * np.min([v.all(TRAIN, s, low).min(axis=0) for s in series], axis=0)
