"""Ways out for tickets: a network that keeps only what survives, sparse for prediction or with fewer units."""

from npticket.export.shrink import shrink
from npticket.export.sparse import SparseNet, load_sparse, to_sparse

__all__ = ["SparseNet", "load_sparse", "shrink", "to_sparse"]
