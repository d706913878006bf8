"""Ways out for tickets: sparse for prediction; really smaller; in small files, trained or as a seed and a mask."""

from npticket.export.compressed import Compressed, read_compressed, write_compressed
from npticket.export.shrink import shrink
from npticket.export.sparse import SparseNet, load_sparse, to_sparse
from npticket.export.ticket import Ticket, read_ticket, write_ticket

__all__ = [
    "Compressed", "SparseNet", "Ticket", "load_sparse", "read_compressed", "read_ticket", "shrink", "to_sparse",
    "write_compressed", "write_ticket",
]  # fmt: skip
