"""The layer stack: each layer's forward pass with its hand-written backward pass on the same screen."""

from npticket.layers.activation import ReLU
from npticket.layers.compose import Chain, Residual, predict
from npticket.layers.conv import Conv2D
from npticket.layers.dense import Dense
from npticket.layers.dropout import Dropout
from npticket.layers.norm import BatchNorm
from npticket.layers.pool import AveragePool, GlobalAveragePool, MaxPool
from npticket.layers.shape import Flatten
from npticket.protocols import Layer

__all__ = [
    "AveragePool",
    "BatchNorm",
    "Chain",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "Layer",
    "MaxPool",
    "ReLU",
    "Residual",
    "predict",
]
