"""The small U2-Net (Qin, Zhang, Huang, Dehghan, Zaiane and Jagersand, Pattern Recognition 2020, arXiv 2005.09007).

Each stage of this encoder and decoder is a small encoder and decoder itself, so that every scale sees far around. Every
batch norm is folded into the convolution before it, as in the published ONNX file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trimatte.networks.lite import doubled

STAGES = ((7, True), (6, True), (5, True), (4, True), (4, False), (4, False))
"""How deep the block of each stage is, and whether it halves its maps on the way or dilates its filters instead."""
MIDDLE, OUTPUTS = 16, 64
"""Channels within a block, and of what it gives."""


class Block(nn.Module):
    """A residual U-block: what an encoder and decoder of `depth` make of its first convolution's map is added to it."""

    def __init__(self, inputs: int, depth: int, halving: bool) -> None:
        super().__init__()
        steps = [1] * (depth - 1) + [2] if halving else [1 << i for i in range(depth)]
        self.halving = halving
        self.first = _convolution(inputs, OUTPUTS)
        self.down = nn.ModuleList(_convolution(MIDDLE if i else OUTPUTS, MIDDLE, step) for i, step in enumerate(steps))
        self.up = nn.ModuleList(
            _convolution(2 * MIDDLE, MIDDLE if i else OUTPUTS, step) for i, step in reversed([*enumerate(steps[:-1])])
        )

    def forward(self, x: Tensor) -> Tensor:
        x = y = self.first(x)
        maps = []
        for i, convolution in enumerate(self.down):
            if self.halving and 0 < i < len(self.down) - 1:
                y = _halved(y)
            y = convolution(y)
            maps.append(y)
        maps.pop()
        for i, convolution in enumerate(self.up):
            y = convolution(torch.cat((doubled(y) if self.halving and i else y, maps.pop()), 1))
        out: Tensor = x + y
        return out


class U2Net(nn.Module):
    """Logits of foreground.

    Input (N, 3, H, W), RGB normalised by ImageNet's mean and deviation; H and W multiples of 32. Returns logits
    (N, 1, H, W); `drawn` gives those of which they are mixed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(Block(OUTPUTS if i else 3, *stage) for i, stage in enumerate(STAGES))
        self.decoder = nn.ModuleList(Block(2 * OUTPUTS, *stage) for stage in reversed(STAGES[:-1]))
        self.sides = nn.ModuleList(nn.Conv2d(OUTPUTS, 1, 3, padding=1) for _ in STAGES)
        self.last = nn.Conv2d(len(STAGES), 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.cat(self.drawn(x), 1))
        return logits

    def drawn(self, x: Tensor, finest: int = 0) -> list[Tensor]:
        """Logits of each stage from `finest` on, at the size of that one's maps, which is halved so many times."""
        maps = []
        for i, block in enumerate(self.encoder):
            x = block(_halved(x) if i else x)
            maps.append(x)
        results = [maps.pop()]
        while len(maps) > finest:
            block = self.decoder[len(results) - 1]
            results.append(block(torch.cat((doubled(results[-1]), maps.pop()), 1)))
        sides = list(self.sides)[finest:]
        return [_enlarged(side(y), i) for i, (side, y) in enumerate(zip(sides, reversed(results), strict=True))]


def _convolution(inputs: int, outputs: int, step: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=step, dilation=step), nn.ReLU(inplace=True))


def _halved(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 2)


def _enlarged(x: Tensor, times: int) -> Tensor:
    """A map doubled so many times, in one step."""
    return nn.functional.interpolate(x, scale_factor=2.0**times, mode="bilinear", align_corners=False) if times else x
