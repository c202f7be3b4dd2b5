"""Training of the network that decides what the segmenter is unsure of, on photos with alpha that the segmenter has
not seen: minutes on one core."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trimatte.networks.decider import Decider
from trimatte.planes.resize import resized
from trimatte.segmentation import decide, segment
from trimatte.training.export import export

PIXELS = 4000
"""So many of each photo are learnt from,"""
BATCH = 4096
"""so many at a time."""
RATE, DECAY = 3e-3, 1e-4
ENTROPY = 0.025
"""What the cross-entropy counts beside the squared error."""

Plane = NDArray[np.float32]


def pixels_of(image: Plane, alpha: Plane, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """What the network sees of some pixels (n, 5) of image (H, W, 3), and their alpha (n,)."""
    probability = segment(image)
    scale = decide.SIDE / max(alpha.shape)
    size = tuple(max(decide.SHORTEST, round(side * scale)) for side in alpha.shape)
    small, found, truth = (np.clip(resized(plane, size, "box"), 0, 1) for plane in (image, probability, alpha))
    planes = np.concatenate(decide.evidence(small, found)).reshape(5, -1)
    chosen = rng.choice(planes.shape[1], min(PIXELS, planes.shape[1]), replace=False)
    return planes[:, chosen].T, truth.ravel()[chosen]


def train(photos: Iterable[tuple[Plane, Plane]], *, steps: int = 900, seed: int = 0) -> Decider:
    """The network trained on pairs of image (H, W, 3) and alpha (H, W), float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    drawn = [pixels_of(image, alpha, rng) for image, alpha in photos]
    seen, truth = (torch.tensor(np.concatenate(parts)) for parts in zip(*drawn, strict=True))
    torch.manual_seed(seed)
    network = Decider()
    optimizer = torch.optim.Adam(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = torch.randint(len(seen), (BATCH,))
        value = loss(network(seen[batch, :4, None, None], seen[batch, 4:, None, None]).flatten(), truth[batch])
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network


def loss(logits: Tensor, target: Tensor) -> Tensor:
    """Squared error of the probability, and a little cross-entropy, of tensors (N,)."""
    entropy = nn.functional.binary_cross_entropy_with_logits(logits, target)
    return nn.functional.mse_loss(torch.sigmoid(logits), target) + ENTROPY * entropy


def export_decider(network: Decider, out: Path) -> float:
    """Write the network as ONNX, as `export` does: `signs` and `sureness` to `logits`."""
    weights = out.with_suffix(".pt")
    torch.save(network.state_dict(), weights)
    inputs = {"signs": (4, 1), "sureness": (1, 1)}
    return export(Decider(), weights, out, inputs=inputs, outputs=["logits"], bits=16)
