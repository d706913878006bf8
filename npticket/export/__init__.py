"""Ways out of the package and in: trained tickets in files of their own."""

from npticket.export.sparse import load_sparse, to_sparse

__all__ = ["load_sparse", "to_sparse"]
