"""How weights are stored: what is read back is what was written, to the bits that were kept."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as nps  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from trimatte.training.storage import in_bytes, plain, stored  # noqa: E402


def model(weights, bias):
    """A convolution whose bias is used twice, as an exporter keeps equal constants: once."""
    shared = helper.make_node("Identity", ["b"], ["b2"])
    nodes = [
        shared,
        helper.make_node("Conv", ["x", "w", "b"], ["h"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["h", "v", "b2"], ["y"]),
    ]
    filters = len(weights)
    arrays = {"w": weights, "b": bias, "v": np.eye(filters, dtype=np.float32)[..., None, None]}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, None, None])
        for name, channels in (("x", weights.shape[1]), ("y", filters))
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "two", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(network, x):
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@pytest.mark.parametrize(("bits", "tolerance"), [(16, 1e-3), (8, 0.02)])
def test_a_stored_network_gives_the_same(bits, tolerance):
    rng = np.random.default_rng(0)
    weights, bias = rng.standard_normal((32, 32, 3, 3), np.float32), rng.standard_normal(32, np.float32)
    x = rng.standard_normal((1, 32, 9, 11), np.float32)
    wanted = answer(model(weights, bias), x)
    written = stored(plain(model(weights, bias)), bits)
    assert len(written.SerializeToString()) < 0.3 * bits / 8 * weights.nbytes + 8000
    assert np.sqrt(np.square(answer(written, x) - wanted).mean()) < tolerance * wanted.std()
    read = {tensor.name: numpy_helper.to_array(tensor) for tensor in plain(written).graph.initializer}
    assert set(read) == {"w", "b", "v", "b2"}
    assert all(array.dtype == np.float32 for array in read.values())
    assert np.sqrt(np.square(read["w"] - weights).mean()) < tolerance * weights.std()
    np.testing.assert_array_equal(read["b2"], bias)


@settings(max_examples=30)
@given(nps.arrays(np.float32, (3, 8), elements=st.floats(-100, 100, width=32)))
def test_bytes_are_no_worse_than_plain_rounding(weights):
    whole, scale = in_bytes(weights)
    assert whole.dtype == np.int8
    full = np.maximum(np.abs(weights).max(1, keepdims=True), 1e-12) / np.float32(127)
    rounded = np.rint(weights / full) * full
    ours, plainly = (np.square(way - weights).sum(1) for way in (whole * scale, rounded))
    assert (ours <= plainly * 1.001 + 1e-6).all()
