"""A network as an ONNX model, for onnxruntime and others (https://onnx.ai/onnx/operators, opset 17)."""

from typing import TYPE_CHECKING

from npticket.export.layout import state_dict
from npticket.layers import (
    AveragePool,
    BatchNorm,
    Chain,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    MaxPool,
    OneChannel,
    ReLU,
    Residual,
)
from npticket.params import Params
from npticket.protocols import Layer, Net, UnsuitedError
from npticket.reading import Json
from npticket.tickets import rewind

if TYPE_CHECKING:
    from onnx import NodeProto

OPSET, IR = 17, 8  # IR 8 is the one that came with opset 17: later ones are refused by runtimes of that time
INPUT, OUTPUT = "x", "y"


def onnx_model(net: Net, theta: Params, masks: Params | None = None) -> bytes:
    """Return an ONNX file's content: y = f(x; masks * theta) for one trial, in prediction.

    x (batch, C, H, W), or (batch, *input_shape) for inputs without channels, scaled as in training; y (batch, O),
    before softmax, or maps (batch, O, H', W'). The parameters are called as in `state_dict`, pruned ones are 0.
    ImportError without the package onnx; other errors as `state_dict`.
    """
    try:
        from onnx import checker, helper, numpy_helper
    except ImportError as error:
        raise ImportError("ONNX files need onnx: python -m pip install 'npticket[export]'") from error
    state = state_dict(net, theta if masks is None else rewind(theta, masks))
    nodes: list[NodeProto] = []
    _Graph(nodes, set(state)).through(net.body, "", INPUT)
    nodes[-1].output[0] = OUTPUT
    kind = helper.np_dtype_to_tensor_dtype(theta.flat.dtype)
    ends = [
        helper.make_tensor_value_info(name, kind, ["batch", *_channels_first(shape)])
        for name, shape in ((INPUT, net.input_shape), (OUTPUT, net.output_shape))
    ]
    arrays = [numpy_helper.from_array(array, name) for name, array in state.items()]
    graph = helper.make_graph(nodes, net.name, ends[:1], ends[1:], arrays)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, producer_name="npticket", opset_imports=[opset], ir_version=IR)
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], *shape[:2]) if len(shape) == 3 else shape


class _Graph:
    """Appends the nodes of layers. Their outputs have names that nothing else has, as "/stage1_block1/sum"."""

    def __init__(self, nodes: "list[NodeProto]", arrays: set[str]) -> None:
        self._nodes, self._arrays = nodes, arrays

    def _node(self, kind: str, name: str, *inputs: str, **attributes: Json) -> str:
        from onnx import helper

        self._nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name

    def through(self, layer: Layer, name: str, x: str) -> str:
        """Append a layer that reads the value called `x`; return the name of its output."""
        if isinstance(layer, Chain):
            for part, each in layer.layers.items():
                x = self.through(each, f"{name}/{part}", x)
            return x
        if isinstance(layer, Residual):
            y = self.through(layer.body, f"{name}/body", x)
            if layer.shortcut is not None:
                x = self.through(layer.shortcut, f"{name}/shortcut", x)
            return self._node("Add", name or "/", y, x)
        if isinstance(layer, Dense | Conv2D | BatchNorm):
            return self._with_parameters(layer, name, x)
        if isinstance(layer, MaxPool | AveragePool):
            kind, size, strides, pads = type(layer).__name__, [layer.size] * 2, [layer.stride] * 2, [layer.padding] * 4
            return self._node(kind, name, x, kernel_shape=size, strides=strides, pads=pads)
        if isinstance(layer, GlobalAveragePool):
            return self._node("Flatten", name, self._node(type(layer).__name__, f"{name}/mean", x))
        if isinstance(layer, OneChannel):
            return self._node("Unsqueeze", name, x, self._node("Constant", f"{name}/axis", value_ints=[1]))
        if isinstance(layer, Dropout):  # nothing is dropped in prediction
            return x
        if isinstance(layer, Flatten | ReLU):
            return self._node("Flatten" if isinstance(layer, Flatten) else "Relu", name, x)
        raise UnsuitedError(f"how {name} would be in ONNX is not known, as it is a {type(layer).__name__}")

    def _with_parameters(self, layer: Dense | Conv2D | BatchNorm, name: str, x: str) -> str:
        prefix = name[1:].replace("/", ".")
        locals_ = ("weight", "bias", "running_mean", "running_var")
        arrays = [found for local in locals_ if (found := f"{prefix}.{local}".lstrip(".")) in self._arrays]
        if isinstance(layer, Dense):
            return self._node("Gemm", name, x, *arrays, transB=1)
        if isinstance(layer, BatchNorm):
            return self._node("BatchNormalization", name, x, *arrays, epsilon=float(layer.eps))
        pads, strides = [layer.padding] * 4, [layer.stride] * 2
        return self._node("Conv", name, x, *arrays, pads=pads, strides=strides)
