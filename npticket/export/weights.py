"""One trial's weights in files for other libraries, and back: .npz, safetensors, PyTorch, ONNX, sparse rows (CSR)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from npticket.export.checks import check_ticket
from npticket.export.graph import onnx_model
from npticket.export.layout import from_state_dict, state_dict, turns
from npticket.files import writing
from npticket.params import Params
from npticket.protocols import Net
from npticket.reading import SAFETENSORS_HEADER, UnreadableError, read_npz, read_safetensors


def csr(net: Net, theta: Params, masks: Params) -> dict[str, np.ndarray]:
    """Return the weights of one trial in compressed sparse rows, and all other parameters as in `state_dict`.

    A weight is a matrix (O, I), or (O, C K K) of a convolution, in four arrays: fc1.weight.data has the survivors row
    by row, including those of value 0; fc1.weight.indices their columns; fc1.weight.indptr (O + 1,) where each row
    begins; and fc1.weight.shape. scipy.sparse.csr_array((data, indices, indptr), shape) takes them. Errors as
    `state_dict`.
    """
    check_ticket(net, theta, masks)
    arrays: dict[str, np.ndarray] = {}
    for name, turn in turns(net).items():
        value, alive = turn.out(theta[name][0]), turn.out(masks[name][0])
        if name not in theta.weights:
            arrays[turn.name] = np.where(alive, value, 0)
            continue
        value, alive = value.reshape(len(value), -1), alive.reshape(len(alive), -1)
        arrays[f"{turn.name}.data"] = value[alive]
        arrays[f"{turn.name}.indices"] = np.nonzero(alive)[1].astype(np.int32)
        arrays[f"{turn.name}.indptr"] = np.concatenate([[0], alive.sum(axis=1).cumsum()]).astype(np.int32)
        arrays[f"{turn.name}.shape"] = np.array(value.shape)
    return arrays


def save_weights(path: str | Path, to: str, net: Net, theta: Params, masks: Params | None = None) -> None:
    """Write one trial of a network for other libraries to read, at once, as files.write does.

    `to` is one of FORMATS: "npz", "safetensors" and "torch" (a .pt file) hold `state_dict(net, theta, masks)`, "onnx"
    is `onnx_model`, and "csr" an .npz file of `csr`, for which masks are needed. ImportError if a package is missing;
    ValueError or TypeError for another format, or for parameters or masks that do not suit the network.
    """
    if to not in FORMATS:
        raise ValueError(f"weights can be saved as {', '.join(FORMATS)}, got {to!r}")
    with writing(path) as file:
        FORMATS[to](file, net, theta, masks)


def load_weights(path: str | Path, net: Net) -> tuple[Params, Params]:
    """Read what `save_weights` wrote as "safetensors" or "npz", or a safetensors file of the same network in PyTorch.

    Returns parameters and masks (T = 1) as `from_state_dict` does, where the expected names are described. The file's
    name must end in .safetensors or .npz. UnreadableError, naming it, if it holds anything else; OSError if there is
    none.
    """
    path, size = Path(path), 8 * Params.empty(net.body.layout, 1, bool).flat.size
    if path.suffix == ".npz":
        names = [turn.name + end for turn in turns(net).values() for end in ("", "_orig", "_mask")]
        state: Mapping[str, np.ndarray] = read_npz(path, dict.fromkeys(names, size))
    elif path.suffix == ".safetensors":
        state = read_safetensors(path, 2 * size + SAFETENSORS_HEADER)
    else:
        raise UnreadableError(
            f"{path} is not called .safetensors or .npz, as what `save_weights` and `npticket export` write in these "
            "formats should be: rename it if it is one. What PyTorch saved is read by "
            "from_state_dict(net, torch.load(path, weights_only=True))"
        )
    try:
        return from_state_dict(net, state)
    except (TypeError, ValueError) as error:
        raise UnreadableError(f"{path} has no weights of {net.name}: {error}") from error


def _npz(file: BinaryIO, net: Net, theta: Params, masks: Params | None) -> None:
    np.savez(file, allow_pickle=False, **state_dict(net, theta, masks))


def _safetensors(file: BinaryIO, net: Net, theta: Params, masks: Params | None) -> None:
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise ImportError(_missing("safetensors")) from error
    file.write(save(state_dict(net, theta, masks)))


def _torch(file: BinaryIO, net: Net, theta: Params, masks: Params | None) -> None:
    try:
        import torch
    except ImportError as error:
        hint = "safetensors and npz hold the same state dict, and do not need it"
        raise ImportError(f"PyTorch's files need torch (https://pytorch.org); {hint}") from error
    torch.save({name: torch.from_numpy(array) for name, array in state_dict(net, theta, masks).items()}, file)


def _onnx(file: BinaryIO, net: Net, theta: Params, masks: Params | None) -> None:
    file.write(onnx_model(net, theta, masks))


def _csr(file: BinaryIO, net: Net, theta: Params, masks: Params | None) -> None:
    if masks is None:
        raise ValueError("sparse rows are made from masks, and none were given")
    np.savez(file, allow_pickle=False, **csr(net, theta, masks))


def _missing(package: str) -> str:
    return f"{package} files need {package}: python -m pip install 'npticket[export]'"


Write = Callable[[BinaryIO, Net, Params, Params | None], None]
FORMATS: Mapping[str, Write] = {
    "npz": _npz, "safetensors": _safetensors, "onnx": _onnx, "torch": _torch, "csr": _csr,
}  # fmt: skip
