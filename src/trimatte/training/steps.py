"""What follows a step of training of any network: is the loss a number, the average of weights, a file of them."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from trimatte.errors import ModelError
from trimatte.files.atomic import atomic_write


def checked(loss: Tensor, step: int) -> float:
    """The loss before step number `step` as a number. Raises `ModelError` if it is none."""
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ModelError(f"the loss is {value} at step {step}: the run has diverged; take a lower rate")
    return value


def averaging(network: nn.Module, keep: float) -> AveragedModel:
    """The running average of a network's weights and buffers, which keeps that share of itself at each update."""
    return AveragedModel(network, avg_fn=partial(_average, keep), use_buffers=True).eval()


def _average(keep: float, average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """A weight's average after one more; the first ones count for more, so that it follows at once."""
    if not average.dtype.is_floating_point:
        return new
    return torch.lerp(average, new, 1 - min(keep, float((count + 1) / (count + 10))))


def computes_in_half(device: torch.device) -> bool:
    """Whether a device computes in bfloat16; a processor that has no instructions for it is slower than in float32."""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return bool(torch.cuda.is_bf16_supported())


def save_state(state: dict[str, Any], file: Path) -> None:
    """Write what torch saves, whole or not at all."""
    with atomic_write(file) as handle:
        torch.save(state, handle)
