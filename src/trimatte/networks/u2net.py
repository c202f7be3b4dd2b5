"""The small U2-Net (Qin, Zhang, Huang, Dehghan, Zaiane and Jagersand, Pattern Recognition 2020, arXiv 2005.09007).

Each stage of this encoder and decoder is a small encoder and decoder itself, so that every scale sees far around. Every
batch norm is folded into the convolution before it, as in the published ONNX file: at low rates it needs none.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from trimatte.errors import ModelError
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


class Encoder(nn.ModuleList):
    """The blocks of the encoder."""

    def first(self, blocks: int) -> nn.ModuleList:
        """The first so many of them."""
        return nn.ModuleList(list(self)[:blocks])


class U2Net(nn.Module):
    """Logits of foreground.

    Input (N, 3, H, W), RGB normalised by ImageNet's mean and deviation; H and W multiples of 32. In training `forward`
    returns the logits (N, 1, H, W) and those of the six maps from which they are mixed, else the logits alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder(Block(OUTPUTS if i else 3, *stage) for i, stage in enumerate(STAGES))
        self.decoder = nn.ModuleList(Block(2 * OUTPUTS, *stage) for stage in reversed(STAGES[:-1]))
        self.sides = nn.ModuleList(nn.Conv2d(OUTPUTS, 1, 3, padding=1) for _ in STAGES)
        self.last = nn.Conv2d(len(STAGES), 1, 1)

    def forward(self, x: Tensor) -> list[Tensor] | Tensor:
        maps = []
        for i, block in enumerate(self.encoder):
            x = block(_halved(x) if i else x)
            maps.append(x)
        drawn = [maps.pop()]
        for block in self.decoder:
            drawn.append(block(torch.cat((doubled(drawn[-1]), maps.pop()), 1)))
        sides = [_enlarged(side(y), i) for i, (side, y) in enumerate(zip(self.sides, reversed(drawn), strict=True))]
        logits: Tensor = self.last(torch.cat(sides, 1))
        return [logits, *sides] if self.training else logits


def load_published(network: U2Net, path: Path) -> None:
    """Fill a network with the weights of an ONNX file of it. Raises `ModelError` for a file of another network."""
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(path).graph
    except Exception as error:  # whatever the parser makes of a file that is not its own
        raise ModelError(f"{path.name}: no ONNX file") from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    given = [[arrays.get(name) for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    wanted = [module for module in network.modules() if isinstance(module, nn.Conv2d)]  # in the order of computation
    shapes = [[tuple(p.shape) for p in (module.weight, module.bias) if p is not None] for module in wanted]
    if [[array.shape for array in pair if array is not None] for pair in given] != shapes:
        raise ModelError(f"{path.name}: not the small U2-Net with its norms folded into its convolutions")
    for module, (weight, bias) in zip(wanted, given, strict=True):
        module.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})


def _convolution(inputs: int, outputs: int, step: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=step, dilation=step), nn.ReLU(inplace=True))


def _halved(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(x, 2)


def _enlarged(x: Tensor, times: int) -> Tensor:
    """A map doubled so many times, in one step."""
    return nn.functional.interpolate(x, scale_factor=2.0**times, mode="bilinear", align_corners=False) if times else x
