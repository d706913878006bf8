"""Winning tickets for those who know scikit-learn."""

from npticket.estimator.classifier import LotteryTicketClassifier

__all__ = ["LotteryTicketClassifier"]
