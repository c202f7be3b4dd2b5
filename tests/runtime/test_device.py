"""Devices by name: what there is, what was chosen for all, and errors that name what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from trimatte.cli import main
from trimatte.errors import ArgumentError
from trimatte.runtime import device, onnx


@pytest.fixture
def providers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """onnxruntime's providers, which a test may change."""
    import onnxruntime

    there = ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.delenv(device.VARIABLE, raising=False)
    return there


class FakeSession:
    """A session that runs on the first of its providers that starts."""

    starts: tuple[str, ...] = ()

    def __init__(self, path: str, options: Any, providers: list[str]) -> None:
        self.options = options
        self.providers = [name for name in providers if name in self.starts or name.startswith("CPU")]

    def get_providers(self) -> list[str]:
        return self.providers


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> type[FakeSession]:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)
    monkeypatch.setattr(FakeSession, "starts", ())
    return FakeSession


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("cuda", "CUDAExecutionProvider"),
        ("coreml", "CoreMLExecutionProvider"),
        ("directml", "DmlExecutionProvider"),
        ("openvino", "OpenVINOExecutionProvider"),
    ],
)
def test_a_device_by_name_and_by_auto(
    name: str, provider: str, providers: list[str], session: type[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    providers.insert(0, provider)
    monkeypatch.setattr(session, "starts", (provider,))
    for asked in (name, "auto"):
        opened = onnx.open_session(Path("x.onnx"), device=asked)
        assert onnx.session_device(opened) == name
        assert opened.options.enable_mem_pattern == (name != "directml")
    assert onnx.session_device(onnx.open_session(Path("x.onnx"))) == "cpu"
    assert device.onnx_devices() == [name, "cpu"]


def test_a_provider_that_does_not_start_is_an_error_if_asked_for_and_the_cpu_if_not(
    providers: list[str], session: type[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    providers.insert(0, "CUDAExecutionProvider")
    assert onnx.session_device(onnx.open_session(Path("x.onnx"), device="auto")) == "cpu"
    words = "device: 'cuda' does not start; onnxruntime runs on 'cpu'"
    with pytest.raises(ArgumentError, match=words):
        onnx.open_session(Path("x.onnx"), device="cuda")
    monkeypatch.setenv(device.VARIABLE, "cuda")
    with pytest.raises(ArgumentError, match=words):
        onnx.open_session(Path("x.onnx"), device="auto")


def test_a_device_that_is_not_there_names_those_that_are(providers: list[str]) -> None:
    providers.insert(0, "DmlExecutionProvider")
    with pytest.raises(ArgumentError, match="'coreml' is not available to this onnxruntime; there is directml, cpu"):
        device.onnx_device("coreml")
    with pytest.raises(ArgumentError, match="device: got 'gpu', wanted auto, cpu, cuda, mps, coreml, directml or open"):
        device.onnx_device("gpu")


def test_the_environment_chooses_where_the_call_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VARIABLE, "coreml")
    assert device.chosen_device() == "coreml"
    assert device.chosen_device("cpu") == "cpu"
    monkeypatch.setenv(device.VARIABLE, "")
    assert device.chosen_device() == "auto"
    monkeypatch.setenv(device.VARIABLE, "abacus")
    with pytest.raises(ArgumentError, match="got 'abacus'"):
        device.chosen_device()


def test_on_the_command_line(providers: list[str], photo_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "torch_devices", lambda: ["cpu"])
    result = CliRunner().invoke(main, ["segment", str(photo_file), "--device", "openvino"])
    assert result.exit_code != 0
    assert "device: 'openvino' is not available here; there is cpu" in (result.stderr or str(result.exception))
    assert not list(photo_file.parent.glob("*-probability.png"))
    result = CliRunner().invoke(main, ["segment", str(photo_file), "--device", "cpu"])
    assert result.exit_code == 0, result.stderr
    assert device.chosen_device() == "auto"
