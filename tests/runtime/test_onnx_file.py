"""Models cut down to some of their outputs, beside the same by the package `onnx`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from trimatte.errors import ModelError
from trimatte.runtime.onnx import open_session
from trimatte.runtime.onnx_file import giving_only

LITE = files("trimatte").joinpath("segmentation/weights/lite.onnx")


def test_the_named_outputs_are_left_and_all_else_is_as_it_was() -> None:
    onnx = pytest.importorskip("onnx")
    whole = onnx.load_model_from_string(LITE.read_bytes())
    names = [output.name for output in whole.graph.output]
    assert len(names) > 5
    for kept in ([names[0]], names[1:4], names):
        expected = onnx.ModelProto()
        expected.CopyFrom(whole)
        del expected.graph.output[:]
        expected.graph.output.extend(output for output in whole.graph.output if output.name in kept)
        assert onnx.load_model_from_string(giving_only(LITE.read_bytes(), kept)) == expected


def test_every_kind_of_field_is_passed_over() -> None:
    """Numbers, of eight bytes, counted, of four; the graph, its outputs named "a" and "b", and one without a name."""
    graph = b"\x62\x03\x0a\x01a" + b"\x0a\x81\x01" + bytes(129) + b"\x62\x03\x0a\x01b" + b"\x62\x00"
    left = b"\x62\x03\x0a\x01a" + b"\x0a\x81\x01" + bytes(129)
    before = b"\x08\xac\x02" + b"\x11" + bytes(8) + b"\x1a\x02hi" + b"\x25" + bytes(4)
    model = before + b"\x3a" + bytes([len(graph) & 127 | 128, len(graph) >> 7]) + graph + b"\x08\x01"
    expected = before + b"\x3a" + bytes([len(left) & 127 | 128, len(left) >> 7]) + left + b"\x08\x01"
    assert giving_only(model, ["a"]) == expected


@pytest.mark.parametrize(
    "model",
    [
        b"no model",
        b"\x3a",
        b"\x3a\x05\x0a\x01",
        b"\x08\x80",
        b"\x3a\x02\x62\x05",
        b"\x11\x00",
        b"\x0b",
        bytes(5_000_000),
        b"\xff" * 5_000_000,
    ],
    ids=lambda model: model[:4].hex(),
)
def test_what_is_no_model_is_refused(model: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="protocol buffer"):
        giving_only(model, ["logits"])
    path = tmp_path / "network.onnx"
    path.write_bytes(model)
    with pytest.raises(ModelError, match=r"network\.onnx: not a network that onnxruntime can load"):
        open_session(path, outputs=["logits"])


def test_an_output_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="no output 'nope'"):
        giving_only(LITE.read_bytes(), ["logits", "nope"])


def test_a_session_answers_the_same_with_fewer_outputs(tmp_path: Path) -> None:
    path = tmp_path / "lite.onnx"
    path.write_bytes(LITE.read_bytes())
    feed = {"image": np.random.default_rng(0).normal(size=(1, 3, 64, 96)).astype(np.float32)}
    whole, less = open_session(path), open_session(path, outputs=["logits"])
    assert [output.name for output in less.get_outputs()] == ["logits"]
    np.testing.assert_allclose(less.run(["logits"], feed)[0], whole.run(["logits"], feed)[0], atol=1e-4)
