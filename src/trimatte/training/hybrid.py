"""Training of the network inside the method "hybrid", on samples that `trimatte.training.hybrid_data` made.

A run is a folder with `best.pt`, the averaged weights, and `log.csv`. It takes a quarter of an hour to an hour on two
cores.
"""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trimatte.alpha.hybrid import ALPHAS, CHANNELS, Ingredients, distances, features
from trimatte.errors import ArgumentError
from trimatte.networks.hybrid import Hybrid

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    minutes : wall time after which the rate has come down to 0.
    batch : crops a step.
    size : side of the crops.
    rate : peak learning rate of AdamW.
    average : share of the old weights in the running average (Polyak and Juditsky, 1992).
    drop : share of crops in which one classical solution is replaced by another.
    """

    minutes: float = 45
    batch: int = 12
    size: int = 192
    rate: float = 2e-3
    decay: float = 1e-2
    average: float = 0.995
    drop: float = 0.1
    seed: int = 0


def train(
    recipe: Recipe,
    files: Sequence[Path],
    folder: Path,
    *,
    initial: Path | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> Hybrid:
    """Train on sample files, beginning with the weights of `initial`.

    Returns the network of averaged weights, which `folder`/best.pt holds too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = Hybrid(CHANNELS, ALPHAS)
    if initial is not None:
        network.load_state_dict(torch.load(initial, map_location="cpu", weights_only=True))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    begun = time.monotonic()
    with (folder / "log.csv").open("w", newline="") as log:
        rows = csv.writer(log)
        rows.writerow(["step", "seconds", "rate", "loss"])
        for step, (x, target, unknown) in enumerate(_batches(recipe, files), 1):
            part = (time.monotonic() - begun) / (60 * recipe.minutes)
            if part >= 1:
                break
            rate = recipe.rate * min(1, step / 100) * 0.5 * (1 + math.cos(math.pi * part))
            for group in optimizer.param_groups:
                group["lr"] = rate
            network.train()
            with torch.autocast("cpu", torch.bfloat16):
                alpha, doubt = network(x)
            total = loss(alpha, doubt, target, unknown)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            _average(averaged, network, min(recipe.average, step / (step + 10)))
            rows.writerow([step, round(time.monotonic() - begun, 1), f"{rate:.2e}", f"{float(total.detach()):.5f}"])
            if watch is not None:
                watch(step, float(total.detach()))
            if step % 100 == 0:
                log.flush()
                torch.save(averaged.state_dict(), folder / "best.pt")
    torch.save(averaged.state_dict(), folder / "best.pt")
    return averaged


def loss(alpha: Tensor, doubt: Tensor, target: Tensor, unknown: Tensor) -> Tensor:
    """Absolute and squared error of unknown pixels, absolute error of their differences, likelihood of the doubt.

    The doubt is the scale of a Laplace distribution of alpha's error, learnt without any pull on alpha itself (Kendall
    and Gal, NeurIPS 2017). All tensors are (N, 1, H, W).
    """
    count = unknown.sum() + 1
    error = (alpha - target) * unknown
    total = error.abs().sum() / count + 2 * error.square().sum() / count
    for level in range(3):
        weight = 0.5
        for axis in (2, 3):
            total = total + weight * error.diff(dim=axis).abs().sum() / count * 2**level
        error = nn.functional.avg_pool2d(error, 2)
    scale = doubt + 0.005
    off = ((alpha - target).abs().detach() / scale + torch.log(scale)) * unknown
    return total + 0.05 * off.sum() / count


def _average(averaged: nn.Module, network: nn.Module, share: float) -> None:
    with torch.no_grad():
        for old, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - share)
            else:
                old.copy_(new)


@dataclass(frozen=True)
class Stored:
    """A sample as it is kept: image and trimap uint8, the rest float16; `away` are the distances to known pixels."""

    image: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    alpha: NDArray[np.float16]
    alphas: NDArray[np.float16]
    pairs: NDArray[np.float16]
    away: NDArray[np.float16]


@lru_cache(maxsize=4000)
def load_sample(file: Path) -> Stored:
    """A sample that `write_samples` wrote; it stays in memory, about 2 MB each."""
    with np.load(file) as data:
        return Stored(**data, away=distances(data["trimap"]).astype(np.float16))


def frequency(sample: Stored) -> float:
    """How often a sample is drawn, before normalisation: 1 / (e + 0.01), or 0 if e > 0.06.

    e is the squared error of the mean of its classical solutions. Composites are harder than photos; unless the easier
    ones are drawn more often, a network learns for a world that is not there.
    """
    unknown = sample.trimap == 128
    mean = sample.alphas[:, unknown].astype(np.float32).mean(0)
    error = float(np.square(mean - sample.alpha[unknown].astype(np.float32)).mean())
    return 1 / (error + 0.01) if error <= 0.06 else 0.0


def crop(file: Path, recipe: Recipe, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Features (18, S, S), alpha and unknown (1, S, S) of a square about an unknown pixel, turned and recoloured."""
    sample = load_sample(file)
    places = np.flatnonzero(sample.trimap == 128)
    centre = divmod(int(places[rng.integers(len(places))]), sample.trimap.shape[1])
    jitter = rng.integers(-recipe.size // 4, recipe.size // 4 + 1, 2)
    top, left = (
        int(min(max(0, c + j - recipe.size // 2), side - recipe.size))
        for c, j, side in zip(centre, jitter, sample.trimap.shape, strict=True)
    )
    part = slice(top, top + recipe.size), slice(left, left + recipe.size)
    trimap, alpha = sample.trimap[part], sample.alpha[part].astype(np.float32)
    alphas, away = (planes[:, part[0], part[1]].astype(np.float32) for planes in (sample.alphas, sample.away))
    if rng.random() < recipe.drop:
        alphas[rng.integers(len(alphas))] = alphas[rng.integers(len(alphas))]
    order = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    gain = np.float32(rng.uniform(0.7, 1.1))
    pairs = gain * sample.pairs[part].astype(np.float32)[..., np.concatenate([order, order + 3])]
    seen = gain / 255 * sample.image[part].astype(np.float32)[..., order]
    x = features(seen, trimap, Ingredients(alphas, pairs), away)
    out = np.concatenate([x, alpha[None], (trimap == 128)[None]]).astype(np.float32)
    out = np.rot90(out, int(rng.integers(4)), (1, 2))
    if rng.random() < 0.5:
        out = out[:, :, ::-1]
    return out[:CHANNELS].copy(), out[CHANNELS : CHANNELS + 1].copy(), out[CHANNELS + 1 :].copy()


def _batches(recipe: Recipe, files: Sequence[Path]) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches, the next being made while one is used."""
    rng = np.random.default_rng(recipe.seed)
    often = np.array([frequency(load_sample(file)) for file in files])
    if not often.any():
        raise ArgumentError("samples: all are too hard to learn from")
    often /= often.sum()

    def make(seed: int) -> tuple[Tensor, Tensor, Tensor]:
        own = np.random.default_rng(seed)
        chosen = own.choice(len(files), recipe.batch, p=often)
        parts = zip(*(crop(files[i], recipe, own) for i in chosen), strict=True)
        x, target, unknown = (torch.from_numpy(np.stack(part)) for part in parts)
        return x.to(memory_format=torch.channels_last), target, unknown

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, int(rng.integers(2**31)))
        while True:
            batch = coming.result()
            coming = pool.submit(make, int(rng.integers(2**31)))
            yield batch
