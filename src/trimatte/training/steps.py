"""What follows a step of training of any network: is the loss a number, the average of weights, a file of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trimatte.errors import ModelError
from trimatte.files.atomic import atomic_write


def checked(loss: Tensor, step: int) -> float:
    """The loss before step number `step` as a number. Raises `ModelError` if it is none."""
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ModelError(f"the loss is {value} at step {step}: the run has diverged; take a lower rate")
    return value


def running_average(averaged: nn.Module, network: nn.Module, share: float) -> None:
    """Let the averaged weights keep `share` of themselves, and take the rest from the network's."""
    with torch.no_grad():
        for old, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - share)
            else:
                old.copy_(new)


def save_state(state: dict[str, Any], file: Path) -> None:
    """Write what torch saves, whole or not at all."""
    with atomic_write(file) as handle:
        torch.save(state, handle)
