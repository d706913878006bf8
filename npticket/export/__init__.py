"""Ways out for tickets: a network for prediction that keeps only what survives."""

from npticket.export.sparse import SparseNet, load_sparse, to_sparse

__all__ = ["SparseNet", "load_sparse", "to_sparse"]
