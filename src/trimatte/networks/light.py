"""The network of the method "light": alpha from a photo and its trimap, on a CPU.

In the spirit of Deep Image Matting (Xu et al., CVPR 2017), an encoder, a decoder and a refinement by what the encoder
has lost, but light: an EfficientNet-Lite encoder that begins with ImageNet's weights, a slim decoder, and nothing
computed above half the resolution. The refinement sees 6 x 6 pixels about each 2 x 2 and gives 2 x 2 as channels
(Shi et al., CVPR 2016), so that no detail is lost.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from trimatte.networks.efficientnet_lite import EfficientNetLite, load_imagenet
from trimatte.networks.hybrid import Block, Halving, Residual
from trimatte.networks.lite import doubled


class Light(nn.Module):
    """Alpha and the absolute error to be expected of it, each (N, 1, H, W) in [0, 1].

    Input (N, channels, H, W), what `trimatte.alpha.light.features` puts together, sides multiples of 32. What is known
    is not imposed.
    """

    def __init__(
        self, channels: int, widths: tuple[int, ...] = (32, 32, 48, 64, 96), *, imagenet: bool = False
    ) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(0)
        if imagenet:
            load_imagenet(self.encoder)
        self._widen_stem(channels)
        self.lateral = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(self.encoder.channels, widths, strict=True))
        self.descend = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.enter = Halving(channels, widths[0])
        self.refine = nn.Sequential(Block(2 * widths[0], widths[0]), Residual(widths[0]))
        self.leave = nn.Conv2d(widths[0], 8, 3, padding=1)

    def _widen_stem(self, channels: int) -> None:
        """Let the encoder see more than colours, which at first changes nothing."""
        stem = self.encoder._conv_stem
        wide = nn.Conv2d(channels, stem.out_channels, 3, 2, 1, bias=False)
        with torch.no_grad():
            wide.weight.zero_()
            wide.weight[:, :3] = stem.weight
        self.encoder._conv_stem = wide

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = [lateral(level) for lateral, level in zip(self.lateral, self.encoder(x), strict=True)]
        deep = maps[-1]
        for skip, descend, merge in reversed(list(zip(maps, self.descend, self.merge, strict=False))):
            up = doubled(descend(deep))
            deep = merge(torch.relu(skip + up))
        drawn = self.refine(torch.cat([deep, self.enter(x)], 1))
        out = nn.functional.pixel_shuffle(self.leave(drawn), 2).float()
        return torch.sigmoid(out[:, :1]), 0.5 * torch.sigmoid(out[:, 1:] - 2)
