"""The engine for convolutional networks: Winograd's convolution, a few rows at a time, without channels that are dead.

    images -> Im2col --y--> Output --z--> Map --x--> Convolution --y--> Output --z--> Map --x--> features -> tail, loss
                   written()      value()  | make_rows()                               ^
                                           '-- around a block: x as it is, or Strided -'

    dw, db <- Im2col <-dy-- Output <-dz-- Map <-dx-- Convolution <-dy-- Output <-dz-- Map <-dx-- dfeatures <- tail, loss
                   gradient()               pass_on()          window()                 pass_on()
                                                        '--> dw, db

Forwards, a convolution asks its source, a map, to make the rows that it is about to read, and tells its output which
rows are written. Backwards, it asks its output for the gradient, and has its source pass on what is final. Outputs
batch-normalise and pool, maps add and rectify, all on rows that are still in the cache.

To read from the idea to the whole: `winograd` (the arithmetic) and `layout` (memory); `outputs`, `normalised` and
`maps`, where the protocol of convolutions stands; its kinds, `winograd_maps` and `taps`, and their `weights`; `tail`,
what follows the maps; `blueprint` says what a network consists of, `channels` which of its channels live, `engine`
builds it and trains it.
Two threads, or one, do the work in halves (npticket.engine.threads).
"""

from npticket.engine.conv.blueprint import supports
from npticket.engine.conv.engine import ConvEngine

__all__ = ["ConvEngine", "supports"]
