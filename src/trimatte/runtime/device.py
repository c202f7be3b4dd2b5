"""Where networks run: the names of devices, what onnxruntime has for them, and the one that a user chose for all."""

from __future__ import annotations

import os

from trimatte.errors import ArgumentError

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""onnxruntime's execution provider of each device, in the order in which "auto" takes them."""
DEVICES = ("auto", "cpu", "cuda", "mps", "coreml", "directml", "openvino")
"""Every name that can be asked for; "mps" is PyTorch's alone, the last three are onnxruntime's alone."""
VARIABLE = "TRIMATTE_DEVICE"
"""The environment variable that stands for `--device`; child processes inherit it."""


def chosen_device(device: str = "auto") -> str:
    """The device that was asked for: by the call, or else for the whole process, or else "auto"."""
    if device == "auto":
        device = os.environ.get(VARIABLE) or "auto"
    if device not in DEVICES:
        raise ArgumentError(f"device: got {device!r}, wanted {', '.join(DEVICES[:-1])} or {DEVICES[-1]}")
    return device


def onnx_devices() -> list[str]:
    """The devices that the installed onnxruntime was built for, in the order in which "auto" takes them."""
    import onnxruntime

    there = set(onnxruntime.get_available_providers())
    return [name for name, provider in PROVIDERS.items() if provider in there]


def onnx_device(device: str = "auto") -> str:
    """The device on which onnxruntime shall run a network.

    Raises `ArgumentError`, which names those there are, for one that the installed onnxruntime was not built for.
    """
    device, there = chosen_device(device), onnx_devices()
    if device == "auto":
        return there[0]
    if device not in there:
        raise ArgumentError(f"device: {device!r} is not available to this onnxruntime; there is {', '.join(there)}")
    return device


def check_device(device: str) -> None:
    """Raise `ArgumentError` for a device that neither onnxruntime nor PyTorch, if it is installed, can use."""
    device = chosen_device(device)
    if device == "auto" or device in onnx_devices() or device in (torch := torch_devices()):
        return
    there = ", ".join(dict.fromkeys([*onnx_devices(), *torch]))
    raise ArgumentError(f"device: {device!r} is not available here; there is {there}")


def torch_devices() -> list[str]:
    """The devices that PyTorch can use, none if it is not installed."""
    try:
        import torch
    except ModuleNotFoundError:
        return []
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, usable in there.items() if usable]
