"""`lite`, the embedded segmenter: an EfficientNet-Lite encoder and a slim pyramid decoder.

The deepest map is given a view of the whole picture (means over the picture and over a 2x2 and 3x3 grid, after
Zhao et al., CVPR 2017), then features are merged upwards by depthwise convolutions to a quarter of the
input, where the subject is decided, and once more at half the input, where its edge is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trimatte.networks.efficientnet_lite import DepthwiseConv2d, EfficientNetLite


class SeparableConv(nn.Sequential):
    """Depthwise 5x5, then 1x1, each followed by batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 5) -> None:
        super().__init__(
            DepthwiseConv2d(inputs, kernel),
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class PyramidPooling(nn.Module):
    """Adds means over a coarse grid to each position."""

    def __init__(self, inputs: int, outputs: int, bins: tuple[int, ...] = (1, 2, 3)) -> None:
        super().__init__()
        part = outputs // 4
        self.bins = bins
        self.reduce = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
        )
        self.parts = nn.ModuleList(nn.Sequential(nn.Conv2d(outputs, part, 1), nn.ReLU(inplace=True)) for _ in bins)
        self.merge = SeparableConv(outputs + part * len(bins), outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        size = x.shape[-2:]
        maps = [x]
        for bins, part in zip(self.bins, self.parts, strict=True):
            pooled = part(grid_mean(x, bins))
            maps.append(nn.functional.interpolate(pooled, size=size, mode="bilinear", align_corners=False))
        out: Tensor = self.merge(torch.cat(maps, 1))
        return out


def grid_mean(x: Tensor, bins: int) -> Tensor:
    """Means of (N, C, H, W) over a bins x bins grid, by matrix products so that it exports at any size."""
    if bins == 1:
        return x.mean((2, 3), keepdim=True)
    rows, columns = _cells(x.shape[2], bins, x), _cells(x.shape[3], bins, x)
    return rows @ x @ columns.transpose(0, 1)


def _cells(length: int, bins: int, like: Tensor) -> Tensor:
    position = torch.arange(length, device=like.device)
    cell = torch.div(position * bins, length, rounding_mode="floor")
    member = (cell[None, :] == torch.arange(bins, device=like.device)[:, None]).to(like.dtype)
    return member / member.sum(1, keepdim=True).clamp(min=1)


class Merge(nn.Module):
    """Upsamples the deeper map, adds the encoder's map of that scale, mixes twice."""

    def __init__(self, deeper: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(nn.Conv2d(skip, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.descend = nn.Sequential(nn.Conv2d(deeper, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.mix = nn.Sequential(SeparableConv(outputs, outputs), SeparableConv(outputs, outputs))

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        out: Tensor = self.mix(nn.functional.relu(doubled(self.descend(deep)) + self.lateral(skip)))
        return out


class Head(nn.Conv2d):
    """A 3x3 convolution to one channel of logits.

    Out of training each channel is filtered by itself and then all are added, which is the same: onnxruntime computes
    no fewer than eight or sixteen channels of a convolution.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        each = nn.functional.conv2d(x, self.weight.transpose(0, 1), padding=1, groups=self.in_channels)
        return nn.functional.conv2d(each, torch.ones_like(self.weight[..., :1, :1]), self.bias)


def doubled(x: Tensor) -> Tensor:
    """(N, C, H, W) at twice the size, bilinear: a scale that is written in the ONNX file keeps onnxruntime fast."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Lite(nn.Module):
    """Foreground logits of a picture.

    Input (N, 3, H, W), ImageNet-normalised RGB, H and W multiples of 32. Returns logits (N, 1, H, W); in training
    a list of them, the final ones first, then those seen at 1/4, 1/8, 1/16 and 1/32, at their own sizes.
    """

    def __init__(self, widths: tuple[int, int, int, int, int] = (24, 48, 64, 96, 128), variant: int = 0) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(variant)
        w2, w4, w8, w16, w32 = widths
        c2, c4, c8, c16, c32 = self.encoder.channels
        self.context = PyramidPooling(c32, w32)
        self.merge16 = Merge(w32, c16, w16)
        self.merge8 = Merge(w16, c8, w8)
        self.merge4 = Merge(w8, c4, w4)
        self.merge2 = Merge(w4, c2, w2)
        self.heads = nn.ModuleList(Head(w) for w in widths)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        return self.decode(self.encoder(x))

    def decode(self, maps: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """What `forward` gives, from the encoder's maps of a picture."""
        drawn = self.draw(maps)
        final = doubled(self.heads[0](drawn[0]))
        if not self.training:
            return final
        return [final, *(head(d) for head, d in zip(list(self.heads)[1:], drawn[1:], strict=True))]

    def draw(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The decoder's maps at 1/2, 1/4, 1/8, 1/16 and 1/32, from the encoder's."""
        f2, f4, f8, f16, f32 = maps
        d32 = self.context(f32)
        d16 = self.merge16(d32, f16)
        d8 = self.merge8(d16, f8)
        d4 = self.merge4(d8, f4)
        return [self.merge2(d4, f2), d4, d8, d16, d32]
