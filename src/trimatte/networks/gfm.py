"""Glance and Focus Matting (Li, Zhang, Maybank and Tao, IJCV 2022, arXiv 2010.16188): alpha from the picture alone.

One encoder; a glance decoder that says what is foreground, background and transition, a focus decoder that sees the
detail of the transition, and a rule that joins them. Module names are those of the public checkpoints, which hold the
encoder twice: as the ImageNet network it came from, and cut into `encoder0` to `encoder6`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

STRIDE = 32
"""Height and width of the input must be multiples of this."""

BackboneName = Literal["r34", "r34_2b", "r101", "d121"]
Scheme = Literal["TT", "FT", "BT"]

_DENSE_BLOCKS = (6, 12, 24, 16)
_RESIDUAL_BLOCKS: dict[str, tuple[int, int, int, int]] = {
    "r34": (3, 4, 6, 3),
    "r34_2b": (3, 4, 6, 3),
    "r101": (3, 4, 23, 3),
}


@dataclass(frozen=True)
class GFMConfig:
    """Which of the published forms.

    Attributes
    ----------
    backbone : BackboneName
        ResNet-34, ResNet-34 with a stem that keeps the size and two more stages, ResNet-101, or DenseNet-121.
    scheme : what the decoders say. TT: glance tells background, transition and foreground. FT: glance tells
        foreground, focus adds the transition. BT: glance tells all but background, focus takes from the transition.
    width : int
        Channels of the stem; all others follow from it. 64 as published.
    blocks : (int, int, int, int) or None
        Of the backbone's four stages; None for the published numbers.
    """

    backbone: BackboneName = "r34"
    scheme: Scheme = "TT"
    width: int = 64
    blocks: tuple[int, int, int, int] | None = None

    @property
    def glances(self) -> int:
        """Classes that the glance decoder tells apart."""
        return 3 if self.scheme == "TT" else 2

    @property
    def stages(self) -> tuple[int, int, int, int]:
        """Blocks of the backbone's four stages."""
        return self.blocks or _RESIDUAL_BLOCKS.get(self.backbone, _DENSE_BLOCKS)


TINY = GFMConfig(width=8, blocks=(1, 1, 1, 1))


class GFM(nn.Module):
    """Alpha of a picture.

    Input (N, 3, H, W), RGB from 0 to 255, not normalised; H and W multiples of `STRIDE`. `forward` returns alpha
    (N, 1, H, W); `predict` the logits of both decoders too.
    """

    def __init__(self, config: GFMConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GFMConfig()
        maps = self._build_densenet(config) if config.backbone == "d121" else self._build_resnet(config)
        self._build_decoders(config, maps)

    def _build_resnet(self, config: GFMConfig) -> list[int]:
        """Encoder of ResNet stages; returns the channels of its maps, from the finest."""
        w = config.width
        resnet = self.resnet = ResNet(w, config.stages, bottleneck=config.backbone == "r101")
        deep = config.backbone == "r34_2b"
        if deep:
            self.encoder0 = nn.Sequential(nn.Conv2d(3, w, 3, padding=1), nn.BatchNorm2d(w), nn.ReLU(inplace=True))
            self.encoder1: nn.Module = resnet.layer1
        else:
            self.encoder0 = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu)
            self.encoder1 = nn.Sequential(resnet.maxpool, resnet.layer1)
        self.encoder2: nn.Module = resnet.layer2
        self.encoder3: nn.Module = resnet.layer3
        self.encoder4: nn.Module = resnet.layer4
        maps = [w, *resnet.channels]
        if deep:
            self.encoder5 = _extra_stage(maps[4])
            self.encoder6 = _extra_stage(maps[4])
            maps += [maps[4], maps[4]]
        return maps

    def _build_densenet(self, config: GFMConfig) -> list[int]:
        self.densenet = DenseNet(config.width, config.stages)
        layers = self.densenet.features
        self.encoder0 = nn.Sequential(*(layers.get_submodule(name) for name in ("conv0", "norm0", "relu0")))
        for i in (1, 2, 3):
            pair = (layers.get_submodule(f"denseblock{i}"), layers.get_submodule(f"transition{i}"))
            self.add_module(f"encoder{i}", nn.Sequential(*pair))
        deepest = 8 * config.width
        self.encoder4 = nn.Sequential(
            layers.get_submodule("denseblock4"),
            nn.Conv2d(self.densenet.channels[3], deepest, 3, padding=1),
            nn.BatchNorm2d(deepest),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2, ceil_mode=True),
        )
        return [config.width, *self.densenet.channels[:3], deepest]

    def _build_decoders(self, config: GFMConfig, maps: list[int]) -> None:
        w, deepest = config.width, maps[-1]
        deep = config.backbone == "r34_2b"
        plans = _decoder_plans(config)
        self.psp_module = PyramidPooling(deepest)
        self.bridge_block = _bridge(deepest)
        inputs = deepest
        for level in sorted(plans, reverse=True):
            first, second, outputs = plans[level]
            up = not (deep and level == 1)
            self.add_module(f"decoder{level}_g", _decoder(2 * inputs, first, second, outputs, up=up))
            self.add_module(f"decoder{level}_f", _decoder(inputs + maps[level], first, second, outputs, up=up))
            # The deep encoder keeps the size in its stem and so needs no pyramid map for its last decoder, but has one.
            scale = 2 ** (max(plans) + 1 - level) if not (deep and level == 1) else 32
            self.add_module(f"psp{level}", _pyramid_map(deepest, outputs, scale))
            inputs = outputs
        for branch, outputs in (("g", config.glances), ("f", 1)):
            if deep:
                head = nn.Sequential(nn.Conv2d(w, outputs, 3, padding=1))
            else:
                head = _decoder(2 * w, w, w, outputs, up=True, last=True)
            self.add_module(f"decoder0_{branch}", head)

    def forward(self, image: Tensor) -> Tensor:
        glance, focus = self.predict(image)
        return collaborate(glance, focus, self.config.scheme)

    def predict(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of glance (N, 3 or 2, H, W) and of focus (N, 1, H, W)."""
        maps = [image]
        for i in range(self._depth + 1):
            maps.append(self.get_submodule(f"encoder{i}")(maps[-1]))
        return self._glance(maps[1:]), self._focus(maps[1:])

    @property
    def _depth(self) -> int:
        return 6 if self.config.backbone == "r34_2b" else 4

    def _glance(self, maps: list[Tensor]) -> Tensor:
        pyramid = self.psp_module(maps[-1])
        x = self.get_submodule(f"decoder{self._depth}_g")(torch.cat((pyramid, maps[-1]), 1))
        for level in range(self._depth - 1, 0, -1):
            context = self.get_submodule(f"psp{level + 1}")(pyramid)
            x = self.get_submodule(f"decoder{level}_g")(torch.cat((context, x), 1))
        if self.config.backbone != "r34_2b":
            x = torch.cat((self.get_submodule("psp1")(pyramid), x), 1)
        out: Tensor = self.get_submodule("decoder0_g")(x)
        return out

    def _focus(self, maps: list[Tensor]) -> Tensor:
        x = self.bridge_block(maps[-1])
        for level in range(self._depth, 0, -1):
            x = self.get_submodule(f"decoder{level}_f")(torch.cat((x, maps[level]), 1))
        if self.config.backbone != "r34_2b":
            x = torch.cat((x, maps[0]), 1)
        out: Tensor = self.get_submodule("decoder0_f")(x)
        return out


def collaborate(glance: Tensor, focus: Tensor, scheme: Scheme) -> Tensor:
    """Join what the decoders say (their logits) into alpha (N, 1, H, W): the likeliest class rules, focus fills in.

    TT: focus in the transition, 0 and 1 elsewhere. FT: foreground plus focus. BT: non-background minus focus.
    """
    verdict = glance.argmax(1, keepdim=True).to(focus.dtype)
    detail = torch.sigmoid(focus)
    if scheme == "TT":
        return detail * (verdict == 1) + (verdict == 2)
    if scheme == "FT":
        return (verdict + detail).clamp(max=1)
    return (verdict - detail).clamp(min=0)


def _decoder_plans(config: GFMConfig) -> dict[int, tuple[int, int, int]]:
    """Channels of the three convolutions of each decoder, from level 1 (finest) to the deepest."""
    w = config.width
    if config.backbone == "r101":
        return {1: (4 * w, 2 * w, w), 2: (8 * w, 4 * w, 4 * w), 3: (16 * w, 8 * w, 8 * w), 4: (32 * w, 16 * w, 16 * w)}
    plans = {1: (w, w, w), 2: (2 * w, 2 * w, w), 3: (4 * w, 4 * w, 2 * w), 4: (8 * w, 8 * w, 4 * w)}
    if config.backbone == "r34_2b":
        plans |= {5: (8 * w, 8 * w, 8 * w), 6: (8 * w, 8 * w, 8 * w)}
    return plans


def _decoder(inputs: int, first: int, second: int, outputs: int, *, up: bool, last: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, first, 3, padding=1),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, 3, padding=1),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
        nn.Conv2d(second, outputs, 3, padding=1),
    ]
    if not last:
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    if up:
        layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
    return nn.Sequential(*layers)


def _pyramid_map(inputs: int, outputs: int, scale: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Upsample(scale_factor=scale, mode="bilinear"),
    )


def _bridge(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(3):
        layers += [
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _extra_stage(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.MaxPool2d(2, 2, ceil_mode=True), *(BasicBlock(channels, channels) for _ in range(3)))


class PyramidPooling(nn.Module):
    """Means over a coarse grid, spread again over the map (Zhao et al., CVPR 2017)."""

    def __init__(self, channels: int, sizes: tuple[int, ...] = (1, 3, 5)) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(GridMeans(size), nn.Conv2d(channels, channels, 1, bias=False)) for size in sizes
        )
        self.bottleneck = nn.Conv2d(channels * (len(sizes) + 1), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        spread = [
            nn.functional.interpolate(stage(x), size=size, mode="bilinear", align_corners=True) for stage in self.stages
        ]
        out: Tensor = self.bottleneck(torch.cat((*spread, x), 1)).relu_()
        return out


class GridMeans(nn.Module):
    """`AdaptiveAvgPool2d` as two products of matrices, which an ONNX file can hold for maps of any size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self._shares(x, axis) for axis in (-2, -1))
        return rows @ x @ columns.T

    def _shares(self, x: Tensor, axis: int) -> Tensor:
        """(size, n): cell i is the mean of places floor(i n / size) to ceil((i + 1) n / size)."""
        n, size = x.shape[axis], self.size
        place = torch.arange(n, device=x.device)
        # Not -(-a // b), which the ONNX exporter rounds towards zero.
        cells = [(place >= i * n // size) & (place < ((i + 1) * n + size - 1) // size) for i in range(size)]
        inside = torch.stack(cells).to(x.dtype)
        return inside / inside.sum(1, keepdim=True)


class ResNet(nn.Module):
    """ResNet's layers under their usual names (He et al., CVPR 2016); the classifier is there for the file's sake."""

    def __init__(self, width: int, blocks: tuple[int, int, int, int], *, bottleneck: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels = [width * 2**i * (4 if bottleneck else 1) for i in range(4)]
        inputs = width
        stages = []
        for i, (count, outputs) in enumerate(zip(blocks, self.channels, strict=True)):
            block = Bottleneck if bottleneck else BasicBlock
            first = block(inputs, outputs, 1 if i == 0 else 2)
            stages.append(nn.Sequential(first, *(block(outputs, outputs) for _ in range(count - 1))))
            inputs = outputs
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(inputs, 1000)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y))
        out: Tensor = (y + (x if self.downsample is None else self.downsample(x))).relu_()
        return out


class Bottleneck(nn.Module):
    """1x1 to a quarter of the channels, 3x3 (which strides), 1x1 back, and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        hidden = outputs // 4
        self.conv1 = nn.Conv2d(inputs, hidden, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3 = nn.Conv2d(hidden, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu_()
        y = self.bn2(self.conv2(y)).relu_()
        y = self.bn3(self.conv3(y))
        out: Tensor = (y + (x if self.downsample is None else self.downsample(x))).relu_()
        return out


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class DenseNet(nn.Module):
    """DenseNet's layers under their usual names (Huang et al., CVPR 2017); its end is there for the file's sake.

    Each layer adds half the stem's width, as in DenseNet-121; `channels`: after each transition and at the end.
    """

    def __init__(self, width: int, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        growth = width // 2
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, width, 7, 2, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(width))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        self.channels = []
        inputs = width
        for i, layers in enumerate(blocks, 1):
            self.features.add_module(f"denseblock{i}", DenseBlock(inputs, growth, layers))
            inputs += growth * layers
            if i < len(blocks):
                self.features.add_module(f"transition{i}", _transition(inputs, inputs // 2))
                inputs //= 2
            self.channels.append(inputs)
        self.features.add_module("norm5", nn.BatchNorm2d(inputs))
        self.classifier = nn.Linear(inputs, 1000)


class DenseBlock(nn.ModuleDict):
    """Layers that each see the maps of all before them."""

    def __init__(self, inputs: int, growth: int, layers: int) -> None:
        super().__init__({f"denselayer{i + 1}": DenseLayer(inputs + i * growth, growth) for i in range(layers)})

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat((x, layer(x)), 1)
        return x


class DenseLayer(nn.Module):
    """Norm, 1x1, norm, 3x3: `growth` more channels."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.norm1(x).relu_())
        out: Tensor = self.conv2(self.norm2(x).relu_())
        return out


def _transition(inputs: int, outputs: int) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("norm", nn.BatchNorm2d(inputs))
    layers.add_module("relu", nn.ReLU(inplace=True))
    layers.add_module("conv", nn.Conv2d(inputs, outputs, 1, bias=False))
    layers.add_module("pool", nn.AvgPool2d(2, 2))
    return layers
