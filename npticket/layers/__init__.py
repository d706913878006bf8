"""The layer stack: each layer's forward pass with its hand-written backward pass on the same screen."""

from npticket.layers.attention import MeanOverTokens, SelfAttention, Tokens
from npticket.layers.compose import Chain, Residual, predict
from npticket.layers.conv import Conv2D
from npticket.layers.dense import Dense
from npticket.layers.embedding import Embedding
from npticket.layers.gelu import GELU
from npticket.layers.norm import BatchNorm, LayerNorm
from npticket.layers.parameterless import (
    AveragePool,
    Dropout,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    OneChannel,
    ReLU,
)
from npticket.protocols import Layer

__all__ = [
    "GELU", "AveragePool", "BatchNorm", "Chain", "Conv2D", "Dense", "Dropout", "Embedding", "Flatten",
    "GlobalAveragePool", "Layer", "LayerNorm", "MaxPool", "MeanOverTokens", "OneChannel", "ReLU", "Residual",
    "SelfAttention", "Tokens", "predict",
]  # fmt: skip
