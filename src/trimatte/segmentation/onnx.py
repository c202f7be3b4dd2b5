"""Networks in ONNX files as segmenters, each with a card that says how it wants its pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trimatte._threads import available_threads
from trimatte.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Contract:
    """What a network takes and gives.

    Attributes
    ----------
    long_side : pixels of the picture's long side as the network sees it.
    multiple : both sides are rounded to a multiple of this.
    mean, std : of the channels in [0, 1], subtracted and divided.
    temperature : the logits are divided by it before the sigmoid (Guo et al., ICML 2017).
    """

    long_side: int
    multiple: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    temperature: float = 1.0


def read_card(text: str) -> dict[str, Any]:
    """The card of a model, from TOML. Raises `ModelError` if it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"model card: not TOML: {error}") from error


def lite_card() -> dict[str, Any]:
    """The embedded network's card."""
    return read_card(files("trimatte.segmentation").joinpath("weights/lite.toml").read_text("utf-8"))


def lite() -> Callable[[np.ndarray], np.ndarray]:
    """Build the embedded segmenter."""
    card = lite_card()
    with as_file(files("trimatte.segmentation").joinpath("weights", card["file"])) as path:
        return segmenter(path, Contract(**card["input"]))


def segmenter(path: Path, contract: Contract) -> Callable[[np.ndarray], np.ndarray]:
    """Build a segmenter from an ONNX file of logits (1, 1, h, w) for pictures (1, 3, h, w)."""
    session = _session(path)
    name = session.get_inputs()[0].name
    mean, std = np.array(contract.mean, np.float32), np.array(contract.std, np.float32)

    def run(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        seen = resized(image, network_size(height, width, contract))
        x = ((seen - mean) / std).transpose(2, 0, 1)[None]
        logits = session.run(None, {name: np.ascontiguousarray(x, dtype=np.float32)})[0][0, 0]
        with np.errstate(over="ignore"):  # a logit far below 0 is a probability of 0
            probability = 1 / (1 + np.exp(-logits / np.float32(contract.temperature)))
        full = Image.fromarray(probability).resize((width, height), Image.Resampling.BILINEAR)
        clipped: np.ndarray = np.clip(np.asarray(full), 0, 1)
        return clipped

    return run


def _session(path: Path) -> Any:
    # From 1.29 on onnxruntime reports each session to its makers unless this is set before it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_threads()
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{path.name}: not a network that onnxruntime can load: {error}") from error


def network_size(height: int, width: int, contract: Contract) -> tuple[int, int]:
    """(height, width) at which the network sees a picture: its own aspect, to the nearest multiples."""
    scale = contract.long_side / max(height, width)
    step = contract.multiple
    sides = (max(step, round(side * scale / step) * step) for side in (height, width))
    return next(sides), next(sides)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Antialiased resize of (H, W, 3) float32 to `size` (height, width); the large are first averaged in blocks."""
    out = np.empty((*size, image.shape[2]), np.float32)
    for c in range(image.shape[2]):
        channel = Image.fromarray(np.ascontiguousarray(image[..., c]))
        out[..., c] = np.asarray(channel.resize(size[::-1], Image.Resampling.BILINEAR, reducing_gap=2.0))
    return out
