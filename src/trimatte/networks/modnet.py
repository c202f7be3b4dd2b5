"""MODNet (Ke, Sun, Li, Yan and Lau, AAAI 2022, arXiv 2011.11961): portrait alpha from the picture alone.

One MobileNetV2 encoder; a low-resolution branch that knows where the subject is, a high-resolution branch that sees the
detail, and their fusion. Module names are those of the public checkpoint; like that one it re-weights the
deepest map by squeeze-and-excitation, where the printed paper has an atrous pyramid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

STRIDE = 32
"""Height and width of the input must be multiples of this."""

REPEATS = (1, 2, 3, 4, 3, 3, 1)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_TAP_ENDS = (2, 4, 7, 14, 19)


@dataclass(frozen=True)
class MODNetConfig:
    """Widths: of the encoder's first convolution, its seven stages, its last 1x1 convolution, and of the branches.

    All even, since half of each map's channels are normalised one way and half the other.
    """

    stem: int = 32
    stages: tuple[int, int, int, int, int, int, int] = (16, 24, 32, 64, 96, 160, 320)
    last: int = 1280
    branch: int = 32


PUBLISHED = MODNetConfig()
TINY = MODNetConfig(stem=8, stages=(8, 8, 8, 8, 16, 16, 16), last=32, branch=16)


class MODNet(nn.Module):
    """Alpha of a picture.

    Input (N, 3, H, W), RGB in [-1, 1]; H and W multiples of `STRIDE`. `forward` returns alpha (N, 1, H, W);
    `predict` also what the two branches say.
    """

    def __init__(self, config: MODNetConfig = PUBLISHED) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        channels = [config.stages[0], config.stages[1], config.stages[2], config.stages[4], config.last]
        self.lr_branch = LowResolution(self.backbone, channels)
        self.hr_branch = HighResolution(config.branch, channels)
        self.f_branch = Fusion(config.branch, channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> Tensor:
        low, (half, quarter) = self.lr_branch(image)
        alpha: Tensor = self.f_branch(image, low, self.hr_branch(image, half, quarter, low))
        return alpha

    def predict(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Semantics at 1/16 of the size, detail and alpha at full size, all in [0, 1]."""
        low, (half, quarter) = self.lr_branch(image)
        detail = self.hr_branch(image, half, quarter, low)
        semantics = torch.sigmoid(self.lr_branch.conv_lr(low))
        return semantics, self.hr_branch.head(image, detail), self.f_branch(image, low, detail)


class Backbone(nn.Module):
    """MobileNetV2 without its classifier (Sandler et al., CVPR 2018): maps at 1/2, 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, config: MODNetConfig) -> None:
        super().__init__()
        self.model = nn.Module()
        layers: list[nn.Module] = [_conv_norm_relu6(3, config.stem, 3, 2)]
        inputs = config.stem
        for stage, (width, repeats, stride) in enumerate(zip(config.stages, REPEATS, _STRIDES, strict=True)):
            for i in range(repeats):
                layers.append(InvertedResidual(inputs, width, stride if i == 0 else 1, 1 if stage == 0 else 6))
                inputs = width
        layers.append(_conv_norm_relu6(inputs, config.last, 1, 1))
        self.model.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        layers = self.model.get_submodule("features")
        assert isinstance(layers, nn.Sequential)
        for i, layer in enumerate(layers, 1):
            x = layer(x)
            if i in _TAP_ENDS:
                maps.append(x)
        return maps


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, project; with a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [] if expansion == 1 else list(_conv_norm_relu6(inputs, hidden, 1, 1))
        self.conv = nn.Sequential(
            *expand,
            *_conv_norm_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


def _conv_norm_relu6(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class IBNorm(nn.Module):
    """Batch norm over the first half of the channels, instance norm over the second."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnorm = nn.BatchNorm2d(channels // 2)
        self.inorm = nn.InstanceNorm2d(channels - channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        half = self.bnorm.num_features
        return torch.cat((self.bnorm(x[:, :half]), self.inorm(x[:, half:])), 1)


class Conv(nn.Module):
    """Convolution, then `IBNorm` and ReLU unless it is `plain`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, plain: bool = False) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        rest = [] if plain else [IBNorm(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(conv, *rest)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class SqueezeExcite(nn.Module):
    """Re-weight channels by their mean over the picture (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.fc(x.mean((2, 3)))
        return x * weight[:, :, None, None]


class LowResolution(nn.Module):
    """Where the subject is: (N, 3, H, W) -> map at 1/8, and the encoder's maps at 1/2 and 1/4."""

    def __init__(self, backbone: Backbone, channels: list[int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.se_block = SqueezeExcite(channels[4])
        self.conv_lr16x = Conv(channels[4], channels[3], 5)
        self.conv_lr8x = Conv(channels[3], channels[2], 5)
        self.conv_lr = Conv(channels[2], 1, 3, 2, plain=True)

    def forward(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        maps = self.backbone(image)
        low = self.conv_lr16x(scaled(self.se_block(maps[4]), 2))
        return self.conv_lr8x(scaled(low, 2)), (maps[0], maps[1])


class HighResolution(nn.Module):
    """Detail, at half the size."""

    def __init__(self, width: int, channels: list[int]) -> None:
        super().__init__()
        self.tohr_enc2x = Conv(channels[0], width, 1)
        self.conv_enc2x = Conv(width + 3, width, 3, 2)
        self.tohr_enc4x = Conv(channels[1], width, 1)
        self.conv_enc4x = Conv(2 * width, 2 * width, 3)
        self.conv_hr4x = nn.Sequential(
            Conv(2 * width + channels[2] + 3, 2 * width, 3), Conv(2 * width, 2 * width, 3), Conv(2 * width, width, 3)
        )
        self.conv_hr2x = nn.Sequential(
            Conv(2 * width, 2 * width, 3), Conv(2 * width, width, 3), Conv(width, width, 3), Conv(width, width, 3)
        )
        self.conv_hr = nn.Sequential(Conv(width + 3, width, 3), Conv(width, 1, 1, plain=True))

    def forward(self, image: Tensor, half: Tensor, quarter: Tensor, low: Tensor) -> Tensor:
        half = self.tohr_enc2x(half)
        x = self.conv_enc2x(torch.cat((scaled(image, 1 / 2), half), 1))
        x = self.conv_enc4x(torch.cat((x, self.tohr_enc4x(quarter)), 1))
        x = self.conv_hr4x(torch.cat((x, scaled(low, 2), scaled(image, 1 / 4)), 1))
        out: Tensor = self.conv_hr2x(torch.cat((scaled(x, 2), half), 1))
        return out

    def head(self, image: Tensor, detail: Tensor) -> Tensor:
        """The detail map as alpha at full size; needed for the loss only."""
        return torch.sigmoid(self.conv_hr(torch.cat((scaled(detail, 2), image), 1)))


class Fusion(nn.Module):
    """Alpha from what the two branches say."""

    def __init__(self, width: int, channels: list[int]) -> None:
        super().__init__()
        self.conv_lr4x = Conv(channels[2], width, 5)
        self.conv_f2x = Conv(2 * width, width, 3)
        self.conv_f = nn.Sequential(Conv(width + 3, width // 2, 3), Conv(width // 2, 1, 1, plain=True))

    def forward(self, image: Tensor, low: Tensor, detail: Tensor) -> Tensor:
        low = scaled(self.conv_lr4x(scaled(low, 2)), 2)
        x = scaled(self.conv_f2x(torch.cat((low, detail), 1)), 2)
        return torch.sigmoid(self.conv_f(torch.cat((x, image), 1)))


def scaled(x: Tensor, factor: float) -> Tensor:
    """Bilinear, as all resampling in the network is."""
    return nn.functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
