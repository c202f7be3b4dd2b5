"""Networks of one or two layers, made by code, and a data folder of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Make = Callable[..., Path]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    monkeypatch.setenv("TRIMATTE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(...)` writes a network that gives the mean over the channels, and its path.

    shape : of the input, numbers or names of open dimensions.
    gain, offset : the output is gain * mean + offset.
    shift : columns by which the output is moved to the left; what comes in is 0.
    outputs : how many outputs, all the same but that number n is multiplied by n + 1.
    channels : of the output.
    half : whether input and output are of half precision.
    """
    import onnx
    from onnx import TensorProto, helper

    def build(
        name: str = "network.onnx",
        *,
        shape: tuple[int | str, ...] = ("n", 3, "h", "w"),
        gain: float = 1.0,
        offset: float = 0.0,
        shift: int = 0,
        outputs: int = 1,
        channels: int = 1,
        half: bool = False,
    ) -> Path:
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        dtype = np.float16 if half else np.float32
        kernel = np.zeros((channels, 3, 1, 2 * shift + 1), dtype)
        kernel[..., -1] = gain / 3
        nodes, constants = [], [onnx.numpy_helper.from_array(kernel, "kernel")]
        constants.append(onnx.numpy_helper.from_array(np.full(channels, offset, dtype), "offset"))
        nodes.append(helper.make_node("Conv", ["picture", "kernel", "offset"], ["mean"], pads=[0, shift, 0, shift]))
        given = []
        for n in range(outputs):
            constants.append(onnx.numpy_helper.from_array(np.array(n + 1, dtype), f"factor{n}"))
            nodes.append(helper.make_node("Mul", ["mean", f"factor{n}"], [f"map{n}"]))
            given.append(helper.make_tensor_value_info(f"map{n}", kind, None))
        graph = helper.make_graph(
            nodes, "network", [helper.make_tensor_value_info("picture", kind, shape)], given, constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return build


@pytest.fixture
def grey_card() -> str:
    """The card of a network that gives the mean over the channels: the grey of the picture."""
    return """
name = "grey"
purpose = "What is bright."
[licence]
code = "MIT"
weights = "MIT"
data = "none"
use = "permissive"
[input]
long_side = 64
multiple = 8
mean = [0, 0, 0]
std = [1, 1, 1]
[output]
kind = "probability"
"""
