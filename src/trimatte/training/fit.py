"""The loop that trains the networks which look at a trimap, and their loss.

A run is a folder with `best.pt`, the averaged weights, and `log.csv`. Its recipe alone decides its steps.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trimatte.training.steps import averaging, begin_with, checked, computes_in_half, save_state

Floats = NDArray[np.float32]
Batch = tuple[Tensor, Tensor, Tensor]
"""Features (N, C, H, W), alpha and unknown (N, 1, H, W)."""
Crop = tuple[Floats, Floats, Floats]
"""The same of one crop, without N."""
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of the network's two outputs, alpha and unknown."""
MOST_STEPS = 10**6
PROCESSES = 1
"""Make batches while the network learns; without any it waits for each."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    steps : after so many the rate has come down to 0.
    batch : crops a step.
    size : side of the crops.
    rate : peak learning rate of AdamW; `slow` times that for parameters of an `encoder` with weights of its own.
    average : share of the old weights in the running average (Polyak and Juditsky, 1992).
    drop : share of crops in which one of the solutions is replaced by another.
    """

    steps: int = 2500
    batch: int = 12
    size: int = 192
    rate: float = 2e-3
    slow: float = 0.25
    decay: float = 1e-2
    average: float = 0.995
    drop: float = 0.1
    seed: int = 0


def loss(alpha: Tensor, doubt: Tensor, target: Tensor, unknown: Tensor) -> Tensor:
    """`alpha_loss` and the likelihood of the doubt, all tensors (N, 1, H, W).

    The doubt is the scale of a Laplace distribution of alpha's error, learnt without any pull on alpha itself (Kendall
    and Gal, NeurIPS 2017).
    """
    scale = doubt + 0.005
    off = ((alpha - target).abs().detach() / scale + torch.log(scale)) * unknown
    return alpha_loss(alpha, target, unknown) + 0.05 * off.sum() / (unknown.sum() + 1)


def alpha_loss(alpha: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Absolute and squared error and the absolute error of differences at three scales, by the weight of each pixel.

    All tensors are (N, 1, H, W).
    """
    count = weight.sum() + 1
    error = (alpha - target) * weight
    total = error.abs().sum() / count + 2 * error.square().sum() / count
    for level in range(3):
        for axis in (2, 3):
            total = total + 0.5 * error.diff(dim=axis).abs().sum() / count * 2**level
        error = nn.functional.avg_pool2d(error, 2)
    return total


def fit(
    network: nn.Module,
    recipe: Recipe,
    batches: Generator[Batch, None, None],
    folder: Path,
    *,
    loss: Loss = loss,
    initial: Path | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> nn.Module:
    """Train `network`, beginning with the weights of `initial`, on batches; it has two outputs, alpha the first.

    Returns the network of averaged weights, which `folder`/best.pt holds too. Raises `ModelError` for a loss that is no
    number, what was saved then stays, and for an `initial` of another network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    if initial is not None:
        begin_with(network, initial)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = averaging(network, recipe.average)
    own = [p for name, p in network.named_parameters() if not name.startswith("encoder.")]
    slow = [p for name, p in network.named_parameters() if name.startswith("encoder.")]
    half = computes_in_half(torch.device("cpu"))
    groups = [{"params": own, "share": 1.0}, {"params": slow, "share": recipe.slow}]
    optimizer = torch.optim.AdamW(groups, recipe.rate, weight_decay=recipe.decay)
    # Closed here, the process that makes batches ends before this one does.
    with closing(batches), (folder / "log.csv").open("w", newline="") as log:
        rows = csv.writer(log)
        rows.writerow(["step", "seconds", "rate", "loss"])
        begun = 0.0
        for step, (x, target, unknown) in enumerate(islice(batches, recipe.steps), 1):
            if step == 1:  # what it takes to start is not training
                begun = time.monotonic()
            falling = 0.5 * (1 + math.cos(math.pi * (step - 1) / recipe.steps))
            rate = recipe.rate * min(1, step / 100) * falling
            for group in optimizer.param_groups:
                group["lr"] = group["share"] * rate
            network.train()
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                alpha, other = network(x.contiguous(memory_format=torch.channels_last))
            total = loss(alpha, other, target, unknown)
            value = checked(total, step)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(network)
            rows.writerow([step, round(time.monotonic() - begun, 1), f"{rate:.2e}", f"{value:.5f}"])
            if watch is not None:
                watch(step, value)
            if step % 100 == 0:
                log.flush()
                save_state(averaged.module.state_dict(), folder / "best.pt")
    save_state(averaged.module.state_dict(), folder / "best.pt")
    return averaged.module


Cropper = Callable[[Path, Recipe, np.random.Generator], Crop]
"""Gives a crop of a sample file."""


class _Crops(torch.utils.data.Dataset[Batch]):
    """Batches by their number; each depends on nothing but the seed and it."""

    def __init__(self, recipe: Recipe, files: Sequence[Path], often: NDArray[np.float64], crop: Cropper) -> None:
        self.recipe, self.files, self.chance, self.crop = recipe, files, often / often.sum(), crop

    def __len__(self) -> int:
        return MOST_STEPS

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng([self.recipe.seed, index])
        chosen = rng.choice(len(self.chance), self.recipe.batch, p=self.chance)
        parts = zip(*(self.crop(self.files[i], self.recipe, rng) for i in chosen), strict=True)
        x, target, unknown = (torch.from_numpy(np.stack(part)) for part in parts)
        return x, target, unknown


def endless(
    recipe: Recipe, files: Sequence[Path], often: NDArray[np.float64], crop: Cropper
) -> Generator[Batch, None, None]:
    """Batches of crops, made by `PROCESSES` beside; `often` is how often each sample file is drawn.

    They are spawned, since a fork could not run kernels whose threads the parent has started; `crop` is pickled.
    """
    crops = _Crops(recipe, files, often, crop)
    start = "spawn" if PROCESSES else None
    yield from torch.utils.data.DataLoader(crops, batch_size=None, num_workers=PROCESSES, multiprocessing_context=start)
