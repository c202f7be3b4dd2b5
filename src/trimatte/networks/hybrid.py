"""The network inside the method "hybrid": it weighs classical solutions and corrects them.

A small U-net (Ronneberger et al., MICCAI 2015) that begins at half the resolution: its first convolution sees 6 x 6
pixels about each 2 x 2, and each 2 x 2 of the result come out of channels (Shi et al., CVPR 2016).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from trimatte.networks.lite import doubled

MULTIPLE = 16
"""Both sides of the input are multiples of this."""
FLOOR = 0.01
"""The weighed mean is kept so far from 0 and 1 before its logit is taken."""


class Block(nn.Sequential):
    """A 3x3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Halving(nn.Sequential):
    """A 6x6 convolution to half the size, batch norm, ReLU.

    It is a `Block` of each 2 x 2 pixels as channels, without the time that onnxruntime takes to move them there.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 6, 2, 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )


class Residual(nn.Module):
    """Two 3x3 convolutions about a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = Block(width, width), Block(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(x))
        return out


class Hybrid(nn.Module):
    """Alpha from what `trimatte.alpha.hybrid.features` puts together.

    Input (N, channels, H, W), sides multiples of 16; `alphas` are the channels of the classical solutions. Returns
    alpha and the absolute error to be expected of it, each (N, 1, H, W) in [0, 1]. Untrained, it gives the plain mean.
    """

    def __init__(self, channels: int, alphas: slice, widths: tuple[int, ...] = (32, 48, 64, 96)) -> None:
        super().__init__()
        self.alphas = alphas
        self.methods = alphas.stop - alphas.start
        self.enter = nn.Conv2d(channels, 12, 1)
        self.stem = Halving(12, widths[0])
        self.down = nn.ModuleList(nn.Sequential(Block(a, b, 2), Residual(b)) for a, b in pairwise(widths))
        self.lateral = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(Block(width, width) for width in widths[:-1])
        self.leave = nn.Conv2d(widths[0], 4 * (self.methods + 2), 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = [self.stem(torch.relu(self.enter(x)))]
        for down in self.down:
            maps.append(down(maps[-1]))
        deep = maps[-1]
        for skip, lateral, merge in reversed(list(zip(maps, self.lateral, self.merge, strict=False))):
            up = doubled(lateral(deep))
            deep = merge(skip + up)
        out = nn.functional.pixel_shuffle(self.leave(deep), 2).float()
        mean = weighed(x[:, self.alphas], out[:, : self.methods]).clamp(FLOOR, 1 - FLOOR)
        alpha = torch.sigmoid(torch.log(mean / (1 - mean)) + out[:, -2:-1])
        return alpha, 0.5 * torch.sigmoid(out[:, -1:] - 2)


def weighed(planes: Tensor, logits: Tensor) -> Tensor:
    """The mean (N, 1, H, W) of planes (N, K, H, W), weighed by the softmax of logits (N, K, H, W).

    In steps: for a softmax over channels onnxruntime moves them behind the pixels and back.
    """
    weights = torch.exp(logits - logits.amax(1, keepdim=True))
    return (weights * planes).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
