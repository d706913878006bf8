"""Ways out and in for tickets: files of other libraries, a sparse form for prediction, a network with fewer units."""

from npticket.export.graph import onnx_model
from npticket.export.layout import from_state_dict, state_dict
from npticket.export.shrink import shrink
from npticket.export.sparse import SparseNet, load_sparse, to_sparse
from npticket.export.weights import FORMATS, csr, load_weights, save_weights

__all__ = [
    "FORMATS", "SparseNet", "csr", "from_state_dict", "load_sparse", "load_weights", "onnx_model", "save_weights",
    "shrink", "state_dict", "to_sparse",
]  # fmt: skip
