"""Training of the network of clicks on the embedded segmenter's maps.

Each picture is seen once by the segmenter, whose maps then serve several targets. A target is found click by click:
the next click lies in the largest region of error, at its middle or anywhere in it, and the answer before enters with
it (Sofiiuk et al., "Reviving iterative training with mask guidance", ICIP 2022). Half of the targets begin with the
segmenter's own answer, since that is what a person corrects.
"""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from trimatte.networks.clicks import CHANNELS, Clicks
from trimatte.networks.lite_maps import MAPS, PROMPTS
from trimatte.runtime.onnx import open_session
from trimatte.runtime.threads import limit_threads
from trimatte.segmentation.prompts import CELL, positions, prompt_maps
from trimatte.training import segmenter
from trimatte.training.augment import random_coarseness, random_colour, random_damage, random_view
from trimatte.training.export import export
from trimatte.training.items import Labelled
from trimatte.training.pointed import Pointed, scene, target, upon
from trimatte.training.scenes import Rng, Things
from trimatte.training.segmenter import Pictures, structure_loss
from trimatte.training.steps import averaging, begin_with, checked, save_state
from trimatte.training.unfold import embedded_file
from trimatte.training.views import MEAN, STD, random_shape

SAVE_SECONDS = 60.0
DEEPER = (0.3, 0.2)
"""Weights of the loss of the logits at 1/8 and 1/16."""
BOXED = 0.15
"""How often a target is boxed."""
MIDDLE = 0.5
"""How often a click is at the middle of the error."""
SEVERAL, MOST_MORE = 0.2, 4
"""How often the first prompt has more clicks than one, and how many more at most."""
SURE = 8.0
"""Logits of an answer to begin with are no farther from 0."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    steps : after so many the rate has come down to 0.
    batch : pictures a step; `targets` of each.
    rounds : the most clicks a target gets.
    composed : share of pictures that are scenes of `things`; `crowded`: of the photos, those with things laid over.
    automatic : share of targets that begin with the segmenter's answer.
    """

    sources: Sequence[Labelled]
    things: Things
    steps: int = 1600
    batch: int = 8
    targets: int = 2
    rounds: int = 4
    long_side: int = 320
    composed: float = 0.3
    crowded: float = 0.35
    automatic: float = 0.5
    rate: float = 1.5e-3
    decay: float = 0.02
    warm_up: int = 60
    average: float = 0.99
    seed: int = 0


@dataclass
class Targets:
    """The targets of a batch of pictures, `targets` of each, and the clicks so far.

    maps : the segmenter's maps of the pictures, each (B, C, h, w).
    found : (B, 1, H / 2, W / 2), the segmenter's logits.
    masks : (N, 1, H / 2, W / 2) in [0, 1].
    known : (N, 1, H / 2, W / 2) in [0, 1], how far the mask is to be judged.
    trust : (N,), the weight of each.
    """

    maps: list[Tensor]
    found: Tensor
    masks: Tensor
    known: Tensor
    trust: Tensor


class Scenes(torch.utils.data.Dataset[Targets]):
    """The batches of all steps from `first` on, each a pure function of its number."""

    def __init__(self, recipe: Recipe, first: int) -> None:
        self.recipe, self.first = recipe, first
        self.pictures = Pictures(segmenter.Recipe(recipe.sources))
        self._session: Any = None

    def __len__(self) -> int:
        return max(0, self.recipe.steps - self.first)

    def __getitem__(self, index: int) -> Targets:
        x, masks, known, trust = self.photos(index)
        return Targets(*self._maps(x), masks, known, trust)

    def photos(self, index: int) -> tuple[NDArray[np.float32], Tensor, Tensor, Tensor]:
        """Pictures (B, 3, H, W) of a batch as the segmenter takes them, and `masks`, `known`, `trust` of `Targets`."""
        torch.set_num_threads(1)
        rng = np.random.default_rng((self.recipe.seed, self.first + index))
        kind = int(rng.choice(3, p=[0.45, 0.3, 0.25]))
        size = random_shape(kind, self.recipe.long_side, rng)
        drawn = [self._drawn(kind, size, rng) for _ in range(self.recipe.batch)]
        x = np.stack([(np.asarray(p.photo, np.float32) / 255 - MEAN) / STD for p, _ in drawn]).transpose(0, 3, 1, 2)
        masks, known, trust = [], [], []
        for pointed, weight in drawn:
            layers, seen = [np.asarray(layer) for layer in pointed.layers], np.asarray(pointed.known)
            for _ in range(self.recipe.targets):
                mask = target(layers, rng)
                masks.append(_halved(np.zeros_like(seen) if mask is None else mask))
                known.append(_halved(seen))
                trust.append(0.0 if mask is None else weight)
        wanted, judged = (torch.from_numpy(np.stack(part))[:, None] for part in (masks, known))
        return x.astype(np.float32), wanted, judged, torch.tensor(trust)

    def _drawn(self, kind: int, size: tuple[int, int], rng: Rng) -> tuple[Pointed, float]:
        recipe, pictures = self.recipe, self.pictures
        group = pictures.groups[kind]
        if rng.random() < recipe.composed or not len(group):
            pointed, trust = scene(recipe.things, size, rng), 1.0
        else:
            chance = pictures.chance[group]
            pick = int(rng.choice(group, p=chance / chance.sum()))
            pair, trust = random_view(*pictures.read(pick), size, rng), pictures.trusts[pick]
            if rng.random() < recipe.crowded:
                pointed = upon(recipe.things, pair, rng)
            else:
                found, known = pair[1].split()
                pointed = Pointed(pair[0], [found], known)
        photo = random_damage(random_coarseness(random_colour(pointed.photo, rng), rng), rng)
        return Pointed(photo, pointed.layers, pointed.known), trust

    def _maps(self, x: NDArray[np.float32]) -> tuple[list[Tensor], Tensor]:
        """The segmenter's maps of pictures (B, 3, H, W), and its logits at half their size."""
        if self._session is None:
            limit_threads(1)
            with embedded_file() as path:
                self._session = open_session(path)
        rows = [self._session.run([*MAPS, "logits"], {"image": each[None]}) for each in x]
        *maps, logits = (torch.from_numpy(np.concatenate(part)) for part in zip(*rows, strict=True))
        return [each.half() for each in maps], answer_before(logits)


def answer_before(logits: Tensor) -> Tensor:
    """The segmenter's logits as an answer to begin with, at half the size."""
    return logits.clamp(-SURE, SURE)


def _halved(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows, columns = mask.shape
    mean: NDArray[np.float32] = mask.reshape(rows // 2, 2, columns // 2, 2).mean((1, 3), dtype=np.float32) / 255
    return mean


@dataclass
class Prompt:
    """What was pointed at so far for one target, in pixels of the network's input."""

    points: list[tuple[float, float]] = field(default_factory=list)
    signs: list[int] = field(default_factory=list)
    box: tuple[float, float, float, float] | None = None
    before: NDArray[np.float32] | None = None

    def point(self, mask: NDArray[np.bool_], known: NDArray[np.bool_], rng: Rng) -> None:
        """Click where the answer before is wrong, if it is somewhere."""
        answer = np.zeros_like(mask) if self.before is None else self.before > 0
        regions = [(*_largest((mask & ~answer) & known), 1), (*_largest((answer & ~mask) & known), -1)]
        region, area, sign = max(regions, key=lambda each: each[1])
        if area == 0:
            return
        y, x = _inside(region, rng)
        self.points.append((2 * x + 1, 2 * y + 1))
        self.signs.append(sign)

    def scatter(self, mask: NDArray[np.bool_], known: NDArray[np.bool_], rng: Rng) -> None:
        """Click at some places more, in what is meant or beside it."""
        for _ in range(int(rng.integers(1, MOST_MORE + 1))):
            sign = 1 if rng.random() < 0.6 else -1
            places = np.flatnonzero((mask if sign > 0 else ~mask) & known)
            if len(places):
                y, x = divmod(int(rng.choice(places)), mask.shape[1])
                self.points.append((2 * x + 1, 2 * y + 1))
                self.signs.append(sign)


def _largest(wrong: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """The largest connected region, and its pixels."""
    numbers, count = ndimage.label(wrong)
    if not count:
        return wrong, 0
    areas = np.bincount(numbers.ravel())
    areas[0] = 0
    return numbers == areas.argmax(), int(areas.max())


def _inside(region: NDArray[np.bool_], rng: Rng) -> tuple[int, int]:
    """The middle of a region, or a place in it whose distance to the edge is at least a share of the middle's."""
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    if rng.random() < MIDDLE:
        place = int(depth.argmax())
    else:
        place = int(rng.choice(np.flatnonzero(depth >= rng.uniform(0.1, 0.7) * depth.max())))
    y, x = divmod(place, region.shape[1])
    return y, x


def boxed(mask: NDArray[np.bool_], rng: Rng) -> tuple[float, float, float, float] | None:
    """A box about a mask at half size, as a hand would draw it, in pixels of the network's input."""
    if not mask.any():
        return None
    y, x = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    corners = 2 * np.array([x[0], y[0], x[-1] + 1, y[-1] + 1], float)
    sides = np.tile(corners[2:] - corners[:2], 2)
    left, top, right, bottom = corners + sides * rng.normal(0, 0.04, 4) + np.array([-1, -1, 1, 1]) * 2
    return left, top, right, bottom


def learn(network: Clicks, batch: Targets, recipe: Recipe, rng: Rng) -> Tensor:
    """The loss of a batch, summed over rounds of clicks."""
    each = [n // recipe.targets for n in range(len(batch.masks))]
    maps = (part.float().contiguous(memory_format=torch.channels_last) for part in batch.maps)
    fine, middle, deep = (part[each] for part in network.embed(*maps))
    size = 2 * batch.masks.shape[2], 2 * batch.masks.shape[3]
    device = batch.masks.device
    masks, known = (part[:, 0].cpu().numpy() > 0.5 for part in (batch.masks, batch.known))
    prompts = [Prompt() for _ in each]
    for number, prompt in enumerate(prompts):
        if rng.random() < recipe.automatic:
            prompt.before = batch.found[each[number], 0].cpu().numpy()
        if rng.random() < BOXED:
            prompt.box = boxed(masks[number], rng)
    total = torch.zeros((), device=device)
    rounds = int(rng.integers(1, recipe.rounds + 1))
    for _ in range(rounds):
        for number, prompt in enumerate(prompts):
            first = not prompt.points
            if not (first and prompt.box and rng.random() < 0.5):
                prompt.point(masks[number], known[number], rng)
            if first and rng.random() < SEVERAL:
                prompt.scatter(masks[number], known[number], rng)
        outputs = network.decide(fine, middle, deep, *(part.to(device) for part in tensors(prompts, size)))
        assert isinstance(outputs, list)
        total = total + loss(outputs, batch) / rounds
        for prompt, answer in zip(prompts, outputs[0].detach()[:, 0].cpu().numpy(), strict=True):
            prompt.before = answer
    return total


def tensors(prompts: Sequence[Prompt], size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, positions and signs of prompts as the network takes them."""
    most = max(1, *(len(prompt.points) for prompt in prompts))
    maps, where, signs = [], np.zeros((len(prompts), most), np.int64), np.zeros((len(prompts), most), np.float32)
    for row, prompt in enumerate(prompts):
        points, sign = np.array(prompt.points, float).reshape(-1, 2), np.array(prompt.signs, np.float32)
        maps.append(prompt_maps(size, points, sign, prompt.box, prompt.before))
        where[row, : len(points)], signs[row, : len(points)] = positions(size, points), sign
    return torch.from_numpy(np.stack(maps)), torch.from_numpy(where), torch.from_numpy(signs)


def loss(outputs: list[Tensor], batch: Targets) -> Tensor:
    """`structure_loss` of the logits, and less of the deeper ones."""
    total = structure_loss(outputs[0], batch.masks, batch.known, batch.trust)
    for logits, weight in zip(outputs[1:], DEEPER, strict=True):
        factor = batch.masks.shape[-1] // logits.shape[-1]
        known = nn.functional.avg_pool2d(batch.known, factor)
        mask = nn.functional.avg_pool2d(batch.known * batch.masks, factor) / known.clamp(min=1e-6)
        total = total + weight * structure_loss(logits, mask.clamp(0, 1), known, batch.trust)
    return total


def train(
    recipe: Recipe, folder: Path, *, initial: Path | None = None, watch: Callable[[int, float], None] | None = None
) -> Clicks:
    """Run or resume `recipe` in `folder`, at first from the weights of `initial` if it is given.

    Returns the network of averaged weights, which `folder`/best.pt holds too. Raises `ModelError` for a loss that is no
    number: what was saved stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = Clicks()
    if initial is not None:
        begin_with(network, initial)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = averaging(network, recipe.average)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    step, before = _resume(folder / "checkpoint.pt", network, averaged, optimizer)
    begun = saved = time.monotonic()
    for batch in _batches(recipe, step):
        part = step / recipe.steps
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * min(1, (step + 1) / recipe.warm_up) * 0.5 * (1 + math.cos(math.pi * part))
        network.train()
        total = learn(network, batch, recipe, np.random.default_rng((recipe.seed, 1, step)))
        value = checked(total, step + 1)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        averaged.update_parameters(network)
        seconds = before + time.monotonic() - begun
        with (folder / "log.csv").open("a", newline="") as log:
            csv.writer(log).writerow([step, round(seconds, 1), f"{value:.5f}"])
        if watch is not None:
            watch(step, value)
        if time.monotonic() - saved > SAVE_SECONDS:
            _save(folder, step, seconds, network, averaged, optimizer)
            saved = time.monotonic()
    _save(folder, step, before + time.monotonic() - begun, network, averaged, optimizer)
    return cast(Clicks, averaged.module)


def export_clicks(weights: Path, out: Path, *, bits: int = 8) -> float:
    """Write the network as ONNX, as `export` does: the segmenter's maps and prompts to logits at half the size."""
    inputs = {name: (count, MAPS[name]) for name, count in zip(MAPS, CHANNELS, strict=True)}
    inputs["prompts"] = PROMPTS, CELL
    clicked = {"position": torch.tensor([[3, 0, 7]]), "sign": torch.tensor([[1.0, -1.0, 0.0]])}
    return export(Clicks(), weights, out, inputs=inputs, outputs=["logits"], bits=bits, stride=2, more=clicked)


def _batches(recipe: Recipe, first: int) -> Iterator[Targets]:
    yield from torch.utils.data.DataLoader(Scenes(recipe, first), batch_size=None, num_workers=1, prefetch_factor=4)


def _save(folder: Path, step: int, seconds: float, network: Clicks, averaged: AveragedModel, optimizer: Any) -> None:
    parts = {"network": network, "averaged": averaged, "optimizer": optimizer}
    state = {name: part.state_dict() for name, part in parts.items()} | {"step": step, "seconds": seconds}
    save_state(state, folder / "checkpoint.pt")
    save_state(averaged.module.state_dict(), folder / "best.pt")


def _resume(file: Path, network: Clicks, averaged: AveragedModel, optimizer: Any) -> tuple[int, float]:
    if not file.exists():
        return 0, 0.0
    state = torch.load(file, map_location="cpu", weights_only=True)
    for name, part in (("network", network), ("averaged", averaged), ("optimizer", optimizer)):
        part.load_state_dict(state[name])
    return int(state["step"]), float(state["seconds"])
