"""Tickets written and read: other libraries' files; sparse or smaller networks; compressed; as a seed and masks."""

from npticket.export.compressed import Compressed, read_compressed, write_compressed
from npticket.export.graph import onnx_model
from npticket.export.layout import from_state_dict, state_dict
from npticket.export.shrink import shrink
from npticket.export.sparse import SparseNet, load_sparse, to_sparse
from npticket.export.ticket import Ticket, read_ticket, write_ticket
from npticket.export.torchvision import from_torchvision
from npticket.export.weights import FORMATS, csr, load_weights, save_weights

__all__ = [
    "FORMATS", "Compressed", "SparseNet", "Ticket", "csr", "from_state_dict", "from_torchvision", "load_sparse",
    "load_weights", "onnx_model", "read_compressed", "read_ticket", "save_weights", "shrink", "state_dict", "to_sparse",
    "write_compressed", "write_ticket",
]  # fmt: skip
