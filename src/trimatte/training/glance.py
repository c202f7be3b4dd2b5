"""Training of the network of the method "glance" on whole photos with alpha: the second decoder learns, alone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from trimatte.networks.glance import Focus, Glance
from trimatte.networks.lite import Lite
from trimatte.training import segmenter
from trimatte.training.augment import Pair
from trimatte.training.export import TAPS, export
from trimatte.training.fit import Batch, Recipe, alpha_loss, fit
from trimatte.training.items import Item
from trimatte.training.segmenter import Pictures
from trimatte.training.unfold import embedded_file, unfold, variant_of

RATE = 2e-3
LONG_SIDE = 512
"""Of the photos, about, in pixels."""
ELSEWHERE = 0.4
"""What a pixel counts that is not near an edge."""
REACH = 9
"""Pixels are near an edge within a window of so many a side."""
SOFT = 0.02
"""Alpha is mixed so far from 0 and 1."""


@dataclass(frozen=True)
class Kept:
    """Samples that `write_samples` wrote, as whole photos with alpha."""

    files: Sequence[Path]
    weight: float = 1.0
    trust: float = 1.0

    def items(self) -> list[Item]:
        """A photo and its alpha for each."""
        return [Item(_size(file), partial(_read, file)) for file in self.files]

    def describe(self) -> dict[str, Any]:
        """What of it decides a run."""
        return {"data": "samples", "photos": len(self.files), "weight": self.weight, "trust": self.trust}


def _size(file: Path) -> tuple[int, int]:
    with np.load(file) as data:
        height, width = data["trimap"].shape
    return width, height


def _read(file: Path) -> Pair:
    with np.load(file) as data:
        alpha = np.rint(255 * data["alpha"].astype(np.float32)).astype(np.uint8)
        return Image.fromarray(data["image"]), Image.fromarray(alpha).convert("LA")


def train(
    recipe: Recipe,
    pictures: segmenter.Recipe,
    folder: Path,
    *,
    initial: Path | None = None,
    watch: Callable[[int, float], None] | None = None,
) -> Glance:
    """Train the second decoder on `pictures`, behind the embedded segmenter, or on from the weights of `initial`.

    Returns the network of averaged weights, which `folder`/best.pt holds too.
    """
    drawn = Pictures(pictures)
    network = fit(with_embedded(drawn), recipe, _batches(drawn), folder, loss=loss, initial=initial, watch=watch)
    assert isinstance(network, Glance)
    return network


def with_embedded(pictures: Pictures) -> Glance:
    """The network with the embedded segmenter's weights, whose norms are measured on some pictures."""
    with embedded_file() as path:
        lite = Lite(variant=variant_of(path))
        unfold(path, lite, (pictures.batch(index)[0] for index in range(2)))
    return Glance(lite)


def _batches(pictures: Pictures) -> Generator[Batch, None, None]:
    loader = torch.utils.data.DataLoader(segmenter.Steps(pictures, 0), batch_size=None, num_workers=1)
    for x, alpha, known, _ in loader:
        yield x, alpha, known * weight_of(alpha)


def weight_of(alpha: Tensor) -> Tensor:
    """What each pixel of alpha (N, 1, H, W) counts: 1 near an edge, `ELSEWHERE` else."""
    high, low = (nn.functional.max_pool2d(sign * alpha, REACH, 1, REACH // 2) for sign in (1, -1))
    return torch.where(high + low > 0.05, 1.0, ELSEWHERE)


def loss(alpha: Tensor, mixed: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """`alpha_loss`, and the cross-entropy of what mixes, all tensors (N, 1, H, W)."""
    truth = ((target > SOFT) & (target < 1 - SOFT)).float()
    entropy = nn.functional.binary_cross_entropy(mixed.clamp(1e-4, 1 - 1e-4), truth)
    return alpha_loss(alpha, target, weight) + entropy


def export_focus(network: Glance, out: Path, *, bits: int = 8) -> float:
    """Write the second decoder as ONNX, as `export` does: picture, logits and maps to alpha and what is mixed."""
    weights = out.with_suffix(".pt")
    torch.save(network.focus.state_dict(), weights)
    channels = network.lite.encoder.channels[:3]
    maps = {name: (count, 2 << i) for i, (name, count) in enumerate(zip(TAPS, channels, strict=True))}
    inputs = {"image": (3, 1), "logits": (1, 1), **maps}
    return export(Focus(channels), weights, out, inputs=inputs, outputs=("alpha", "mixed"), bits=bits)
