"""What follows a step of training of any network: is the loss a number, the average of weights, a file of them."""

from __future__ import annotations

import math
import pickle
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


def begin_with(network: nn.Module, initial: Path) -> None:
    """Fill a network with the weights that a run has left.

    Of one that saw fewer channels, what the network sees beside them is not looked at, at first. Raises `ModelError`
    for a file that holds no weights, or those of another network.
    """
    try:
        state: dict[str, Tensor] = torch.load(initial, map_location="cpu", weights_only=True)
        own = network.state_dict()
        network.load_state_dict({name: _widened(weight, own.get(name, weight)) for name, weight in state.items()})
    except (OSError, pickle.UnpicklingError, RuntimeError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise ModelError(f"initial: {initial.name} has no weights of this network: {error}") from None


def _widened(weight: Tensor, own: Tensor) -> Tensor:
    """Filters with zeros for the channels that they lack."""
    lacks = own.shape[1] - weight.shape[1] if own.ndim == weight.ndim == 4 and own.shape[1] > weight.shape[1] else 0
    return torch.cat([weight, weight.new_zeros(len(weight), lacks, *weight.shape[2:])], 1) if lacks else weight


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
