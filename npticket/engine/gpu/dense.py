"""The dense layer, with the ReLU behind it."""

from npticket import layers
from npticket.backend import Array, array_module
from npticket.engine.gpu.activation import add_bias, relu_gradient
from npticket.engine.gpu.kernels import sum_rows
from npticket.params import Tree
from npticket.protocols import Backward
from npticket.streams import TrainingStep


class Dense:
    """y = x W + b or, with `relu`, max(x W + b, 0).     W (T, I, O)   b (T, 1, O)   x (T, B, I)   y (T, B, O)"""

    def __init__(self, dense: layers.Dense, relu: bool) -> None:
        self.layout, self.init, self._relu = dense.layout, dense.init, relu

    def forward(self, p: Tree, x: Array, step: TrainingStep | None = None) -> tuple[Array, Backward]:
        """Return y and the function that turns dL/dy into dL/dx, writing dL/dW and dL/db on its way."""
        y = stacked_product(x, p["W"])
        add_bias(p["b"], y, self._relu)

        def backward(dy: Array, grad: Tree, need_dx: bool = True) -> Array | None:
            dz = relu_gradient(y, dy) if self._relu else array_module(dy).ascontiguousarray(dy)
            stacked_product(x.swapaxes(1, 2), dz, out=grad["W"])
            sum_rows(dz, grad["b"][:, 0])
            # dz W^T, written as (W dz^T)^T: of W and dz, dz is smaller to be copied in another order.
            return stacked_product(p["W"], dz.swapaxes(1, 2)).swapaxes(1, 2) if need_dx else None

        return y, backward


def stacked_product(a: Array, b: Array, out: Array = None) -> Array:
    """a @ b, trial by trial.     a (T or 1, N, K)   b (T or 1, K, M)   out (T, N, M)

    One product takes its factors in any order; a stack of them copies those that are not contiguous: then it is done
    here, where it can be seen.
    """
    xp = array_module(a, b)
    if len(a) == len(b) == 1:
        return xp.matmul(a[0], b[0], out=None if out is None else out[0])[None]
    return xp.matmul(xp.ascontiguousarray(a), xp.ascontiguousarray(b), out=out)
