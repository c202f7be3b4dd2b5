"""How the weights of an ONNX file are stored: in full, in half precision, or in 8 bits with a scale for each filter.

Whatever is stored, the network computes in float32: the runtime turns the weights back when it loads the file.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LARGE = 8192
"""Constants of so many numbers and more are stored in fewer bits."""


def plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """All constants as float32, each used under a name of its own, so that networks of one kind have files of one kind.

    Takes back what `stored` does, and gives each of several equal constants, which the exporter keeps once, its own.
    """
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        given = [constants.get(name) for name in node.input]
        if node.op_type in ("Cast", "Identity", "Mul") and given and all(array is not None for array in given):
            floats = [np.asarray(array, np.float32) for array in given]
            constants[node.output[0]] = floats[0] if len(floats) == 1 else floats[0] * floats[1]
        else:
            nodes.append(node)
    used = dict.fromkeys(name for node in nodes for name in node.input if name in constants)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(_float32(constants[name]), name) for name in used)
    return model


def _float32(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def stored(model: onnx.ModelProto, bits: int) -> onnx.ModelProto:
    """A `plain` model with its large weights in 16 bits or in 8."""
    graph = model.graph
    turned = []
    for tensor in [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT]:
        name, weights = tensor.name, numpy_helper.to_array(tensor)
        if weights.size < LARGE:
            continue
        if bits == 16:
            tensor.CopyFrom(numpy_helper.from_array(weights.astype(np.float16), f"{name}.half"))
            turned.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
        else:
            whole, scale = in_bytes(weights)
            tensor.CopyFrom(numpy_helper.from_array(whole, f"{name}.bytes"))
            graph.initializer.append(numpy_helper.from_array(scale, f"{name}.scale"))
            turned.append(helper.make_node("Cast", [f"{name}.bytes"], [f"{name}.whole"], to=TensorProto.FLOAT))
            turned.append(helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [name]))
    nodes = [*turned, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def in_bytes(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers, and a scale for each filter (the first axis), whose product is nearest to the weights.

    The scale is the one of least squared error among sixteen that let the largest weights be cut by up to 30 %.
    """
    filters = weights.reshape(len(weights), -1)
    full = np.maximum(np.abs(filters).max(1), 1e-12) / 127
    scales = full * np.linspace(0.7, 1, 16, dtype=np.float32)[:, None]
    whole = np.clip(np.rint(filters / scales[..., None]), -127, 127)
    best = np.square(whole * scales[..., None] - filters).sum(-1).argmin(0)
    rows = np.arange(len(filters))
    shape = len(weights), *(1 for _ in weights.shape[1:])
    return whole[best, rows].astype(np.int8).reshape(weights.shape), scales[best, rows].reshape(shape)
