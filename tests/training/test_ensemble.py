"""Networks as one file: the mean of what each says of the channels that it sees."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from trimatte.training.ensemble import together  # noqa: E402


def written(path, weights, outputs=("alpha", "doubt")):
    """A network of one 1x1 convolution for each output."""
    nodes = [helper.make_node("Conv", ["features", f"w{i}"], [name]) for i, name in enumerate(outputs)]
    arrays = [
        numpy_helper.from_array((i + 1) * np.array(weights, np.float32).reshape(1, -1, 1, 1), f"w{i}")
        for i in range(len(outputs))
    ]
    seen = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, len(weights), None, None])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None]) for name in outputs]
    graph = helper.make_graph(nodes, "one", [seen], ends, arrays)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_the_mean_of_what_each_sees(tmp_path):
    members = [(written(tmp_path / "a.onnx", [1, 2, 3]), [0, 1, 2]), (written(tmp_path / "b.onnx", [5, 7]), [2, 0])]
    together(members, tmp_path / "both.onnx")
    taken = [node for node in onnx.load(tmp_path / "both.onnx").graph.node if node.op_type == "Gather"]
    assert len(taken) == 1  # the first sees all channels as they are
    session = onnxruntime.InferenceSession(str(tmp_path / "both.onnx"), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((1, 3, 4, 5), np.float32)
    alpha, doubt = session.run(None, {"features": x})
    wanted = (x[:, :1] + 2 * x[:, 1:2] + 3 * x[:, 2:] + 5 * x[:, 2:] + 7 * x[:, :1]) / 2
    np.testing.assert_allclose(alpha, wanted, rtol=1e-5)
    np.testing.assert_allclose(doubt, 2 * wanted, rtol=1e-5)


def test_networks_of_other_outputs_are_refused(tmp_path):
    members = [(written(tmp_path / "a.onnx", [1]), [0]), (written(tmp_path / "b.onnx", [1], ["alpha"]), [0])]
    with pytest.raises(ValueError, match="outputs: got"):
        together(members, tmp_path / "both.onnx")
