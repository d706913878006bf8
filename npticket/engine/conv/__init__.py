"""The engine for convolutional networks.

To read from the idea to the whole: `winograd` (the arithmetic), `images` (the memory layout), `tiles` (both together);
`rows`, `planes`, `pairs`, `taps` and `first` are kinds of convolution; `outputs` and `maps` are what stands between
them; `stages` takes a network apart, `trunk` builds it anew, `convnet` trains it.
"""

from npticket.engine.conv.convnet import ConvNet
from npticket.engine.conv.stages import supports

__all__ = ["ConvNet", "supports"]
