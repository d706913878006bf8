"""The engine for convolutional networks.

To read from the idea to the whole: `winograd` (the arithmetic), `images` (the memory layout) and `tiles` (both
together); `rows`, `planes`, `pairs`, `taps` and `first`, the kinds of convolution, and `filters`, their weights;
`outputs` and `maps`, what stands between them; `stages` takes a network apart, `trunk` builds its convolutional part
for a batch size, `convnet` trains it. `channels` finds those that cannot matter; `team` is the threads, among which
`halved` and `pieces` share out dense layers and the optimizer; `scratch` and `bank` are what layers and trunks share.
"""

from npticket.engine.conv.blueprint import supports
from npticket.engine.conv.convnet import ConvNet

__all__ = ["ConvNet", "supports"]
