"""Several networks on the same features as one ONNX file that gives the mean of their predictions.

Networks that were trained apart err apart, so their mean is better than each (Hansen and Salamon, PAMI 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper


def together(members: Sequence[tuple[Path, Sequence[int]]], out: Path) -> None:
    """Write networks as one; each comes with the channels of `out`'s input, in its own order, that it sees.

    All have one input and the same outputs. Raises `ValueError` if their outputs differ. To take some of the channels
    costs time; a network that sees all as they are is given them so.
    """
    models = [compose.add_prefix(onnx.load(path), f"{i}.") for i, (path, _) in enumerate(members)]
    graphs = [model.graph for model in models]
    names = [[output.name.partition(".")[2] for output in graph.output] for graph in graphs]
    if any(other != names[0] for other in names):
        raise ValueError(f"outputs: got {names}, wanted the same of all")
    seen = graphs[0].input[0].name.partition(".")[2]
    constants = [tensor for graph in graphs for tensor in graph.initializer]
    nodes = []
    count = 1 + max(max(channels) for _, channels in members)
    for i, (_, channels) in enumerate(members):
        if list(channels) == list(range(count)):
            _rename(graphs[i], graphs[i].input[0].name, seen)
            continue
        constants.append(numpy_helper.from_array(np.array(channels, np.int64), f"{i}.channels"))
        nodes.append(helper.make_node("Gather", [seen, f"{i}.channels"], [graphs[i].input[0].name], axis=1))
    nodes += [node for graph in graphs for node in graph.node]
    for name in names[0]:
        nodes.append(helper.make_node("Mean", [f"{i}.{name}" for i in range(len(members))], [name]))
    seen_at, answered_at = (["batch", channels, "height", "width"] for channels in ("channels", 1))
    given = [helper.make_tensor_value_info(seen, onnx.TensorProto.FLOAT, seen_at)]
    answers = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, answered_at) for name in names[0]]
    graph = helper.make_graph(nodes, "together", given, answers, constants)
    model = helper.make_model(graph, opset_imports=list(models[0].opset_import), ir_version=models[0].ir_version)
    onnx.checker.check_model(model)
    onnx.save(model, out)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let the nodes of a graph take another value."""
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
