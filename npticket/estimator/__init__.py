"""Winning tickets as a classifier of scikit-learn."""

from npticket.estimator.classifier import LotteryTicketClassifier

__all__ = ["LotteryTicketClassifier"]
