"""From trained weights to the ONNX file and card that ship in the package."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from trimatte.errors import ModelError
from trimatte.networks.lite import Lite

TOLERANCE = 0.02
"""Largest difference of any logit, in units of the logits' standard deviation, that half-precision storage may make."""


def export_lite(weights: Path, out: Path, *, variant: int) -> float:
    """Write the network of `weights` as ONNX, its weights stored in half precision; it still computes in float32.

    Input `image` (1, 3, h, w), h and w multiples of 32; output `logits` (1, 1, h, w). Returns the largest
    difference from torch over three shapes, in standard deviations of the logits; above `TOLERANCE` that is a
    `ValueError`.
    """
    network = Lite(variant=variant)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    axes = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, 320, 256),),
            str(out),
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": axes, "logits": axes},
            opset_version=17,
            dynamo=False,
        )
    onnx.save(store_half(each_its_own(onnx.load(out))), out)
    return _largest_difference(network, out)


def each_its_own(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give each of several equal constants, which the exporter keeps once, its own again.

    Networks of one kind then have files of one kind, whatever their weights are.
    """
    graph = model.graph
    kept = {tensor.name: tensor for tensor in graph.initializer}
    shared = [node for node in graph.node if node.op_type == "Identity" and node.input[0] in kept]
    for node in shared:
        copy = graph.initializer.add()
        copy.CopyFrom(kept[node.input[0]])
        copy.name = node.output[0]
        graph.node.remove(node)
    return model


def store_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep float32 constants of 8192 numbers and more as float16, with a cast that the runtime folds when it loads."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= 8192:
            name = tensor.name
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half")
            tensor.CopyFrom(half)
            casts.append(helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def mix(first: Path, second: Path, share: float, out: Path) -> None:
    """Write the mean of two ONNX files of one network: of each weight `share` of the first's, the rest of the second's.

    The mean of a network and of what it was trained on to is often better than either (Wortsman et al., ICML and CVPR
    2022). Raises `ModelError` if the files are not of one network.
    """
    model, other = onnx.load(first), onnx.load(second)
    pairs = list(zip(_constants(model), _constants(other), strict=False))
    shapes = [[tensor.dims for tensor in _constants(m)] for m in (model, other)]
    if shapes[0] != shapes[1]:
        raise ModelError(f"{first.name} and {second.name} are not of the same network")
    for tensor, wanted in pairs:
        a, b = numpy_helper.to_array(tensor), numpy_helper.to_array(wanted)
        if a.dtype.kind == "f":
            mean = share * a.astype(np.float64) + (1 - share) * b
            tensor.CopyFrom(numpy_helper.from_array(mean.astype(a.dtype), tensor.name))
    onnx.save(model, out)


def _constants(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """The constants of a network in the order in which its nodes use them."""
    kept = {tensor.name: tensor for tensor in model.graph.initializer}
    return [kept[name] for node in model.graph.node for name in node.input if name in kept]


def _largest_difference(network: Lite, path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for height, width in ((320, 224), (224, 320), (64, 96)):
        x = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.no_grad():
            want = network(x).numpy()
        got = session.run(None, {"image": x.numpy()})[0]
        worst = max(worst, float(np.abs(got - want).max() / want.std()))
    if worst > TOLERANCE:
        raise ValueError(f"{path.name} differs from the network by {worst:.3f} standard deviations")
    return worst
