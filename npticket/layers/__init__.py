"""The layer stack: each layer's forward pass with its hand-written backward pass on the same screen."""

from npticket.layers.compose import Chain, Residual, predict
from npticket.layers.conv import Conv2D
from npticket.layers.dense import Dense
from npticket.layers.norm import BatchNorm
from npticket.layers.parameterless import AveragePool, Dropout, Flatten, GlobalAveragePool, MaxPool, OneChannel, ReLU
from npticket.protocols import Layer

__all__ = [
    "AveragePool", "BatchNorm", "Chain", "Conv2D", "Dense", "Dropout", "Flatten", "GlobalAveragePool", "Layer",
    "MaxPool", "OneChannel", "ReLU", "Residual", "predict",
]  # fmt: skip
