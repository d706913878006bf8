"""The layer stack: each layer's forward pass with its hand-written backward pass on the same screen."""

from npticket.layers.activation import ReLU
from npticket.layers.compose import Chain, Layer
from npticket.layers.dense import Dense
from npticket.layers.shape import Flatten

__all__ = ["Chain", "Dense", "Flatten", "Layer", "ReLU"]
