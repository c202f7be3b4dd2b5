"""Deep Image Matting (Xu, Price, Cohen and Huang, CVPR 2017, arXiv 1703.03872), in the paper's form and in its ports'.

A VGG16 encoder sees the picture and the trimap; a light decoder puts its features back where max-pooling took them
from; a refinement stage of four convolutions corrects the result. Ports differ in the convolution behind the encoder,
in skips, in batch norm, and in whether the residual is added to alpha or to its logit: `DIMConfig` names each choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trimatte.errors import ArgumentError

STRIDE = 32
"""Height and width of the input must be multiples of this."""

CONVS_PER_LEVEL = (2, 2, 3, 3, 3)

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DIMConfig:
    """Which of the published forms.

    Attributes
    ----------
    widths : (int, int, int, int, int)
        Channels of the encoder's five levels.
    conv6 : {1, 3, 7}
        Side of the convolution behind the encoder's last pooling: 7 in the paper (VGG16's fc6), 1 or 3 in ports.
    bottleneck : int
        Its channels: 4096 in the paper, 512 in ports.
    skips : bool
        Add the encoder's features to the unpooled ones.
    norm : bool
        Batch norm after the encoder's convolutions.
    segnet : bool
        No conv6, no activation in the decoder, batch norm after every convolution, and the last unpooled map is the
        prediction (overrides `conv6`, `bottleneck`, `skips` and `norm`).
    output : {'clip', 'sigmoid'}
        How the raw prediction becomes alpha: clipped to [0, 1] as in the paper, or by a sigmoid.
    refine : {'alpha', 'logit'} or None
        Whether the residual of the refinement stage is added to alpha (the paper) or to the raw prediction before the
        sigmoid (ports); None for a network without that stage.
    refine_width : int
        Its channels.
    """

    widths: tuple[int, int, int, int, int] = (64, 128, 256, 512, 512)
    conv6: Literal[1, 3, 7] = 7
    bottleneck: int = 4096
    skips: bool = False
    norm: bool = False
    segnet: bool = False
    output: Literal["clip", "sigmoid"] = "clip"
    refine: Literal["alpha", "logit"] | None = "alpha"
    refine_width: int = 64

    def __post_init__(self) -> None:
        if self.refine == "logit" and self.output != "sigmoid":
            raise ArgumentError('refine="logit" adds to a logit, so it wants output="sigmoid", got output="clip"')


PAPER = DIMConfig()
INDEXNET = DIMConfig(norm=True, refine=None)
HUOCHAITIANTANG = DIMConfig(conv6=3, bottleneck=512, output="sigmoid", refine=None)
MMAGIC = DIMConfig(conv6=1, bottleneck=512, output="sigmoid", refine="logit")
FOAMLIU = DIMConfig(segnet=True, output="sigmoid", refine=None)
TINY = DIMConfig(
    widths=(12, 16, 24, 32, 32),
    conv6=3,
    bottleneck=32,
    skips=True,
    output="sigmoid",
    refine="logit",
    refine_width=12,
)
"""Small enough to train on a CPU in seconds; with skips, since unpooling alone leaves so few channels little to say."""


class DIM(nn.Module):
    """Alpha of a picture and its trimap.

    Input (N, 4, H, W): RGB normalised with `MEAN` and `STD`, and the trimap in [0, 1]; H and W multiples of `STRIDE`.
    `forward` returns alpha (N, 1, H, W) of the last stage there is; `stages` that of both. In training a clipped output
    is left unclipped, for a clipped pixel would have no gradient.
    """

    def __init__(self, config: DIMConfig = PAPER) -> None:
        super().__init__()
        self.config = config
        self._build_encoder()
        self._build_decoder()
        if config.refine is not None:
            for name, inputs, outputs in _refine_layers(config.refine_width):
                self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        self.reset_parameters()

    def _build_encoder(self) -> None:
        inputs = 4
        for level, (width, convs) in enumerate(zip(self.config.widths, CONVS_PER_LEVEL, strict=True), 1):
            for i in range(1, convs + 1):
                self.add_module(f"conv{level}_{i}", nn.Conv2d(inputs, width, 3, padding=1))
                if self.config.norm or self.config.segnet:
                    self.add_module(f"bn{level}_{i}", nn.BatchNorm2d(width))
                inputs = width
        if not self.config.segnet:
            side = self.config.conv6
            self.add_module("conv6_1", nn.Conv2d(inputs, self.config.bottleneck, side, padding=side // 2))

    def _build_decoder(self) -> None:
        w1, w2, w3, w4, w5 = self.config.widths
        if self.config.segnet:
            for name, inputs, outputs in _segnet_decoder(self.config.widths):
                self.add_module(name, nn.Conv2d(inputs, outputs, 5, padding=2))
                self.add_module(f"bn_{name}", nn.BatchNorm2d(outputs))
            return
        self.add_module("deconv6_1", nn.Conv2d(self.config.bottleneck, w5, 1))
        for level, inputs, outputs in ((5, w5, w4), (4, w4, w3), (3, w3, w2), (2, w2, w1), (1, w1, w1)):
            self.add_module(f"deconv{level}_1", nn.Conv2d(inputs, outputs, 5, padding=2))
        self.add_module("deconv1", nn.Conv2d(w1, 1, 5, padding=2))

    def reset_parameters(self) -> None:
        """Xavier; the trimap's channel of the first convolution and the last of the refinement start at zero.

        The paper zeroes the former and takes the encoder from VGG16 (see `load_vgg16`); that the residual starts at
        nothing is ours.
        """
        if self._layer("conv1_1").weight.is_meta:
            return  # to draw no numbers, torch would load its compiler, which takes two seconds
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self._layer("conv1_1").weight[:, 3] = 0
            if self.config.refine is not None:
                nn.init.zeros_(self._layer("refine_pred").weight)

    def _layer(self, name: str) -> nn.Conv2d:
        layer = self.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        return layer

    def forward(self, x: Tensor) -> Tensor:
        coarse, refined = self.stages(x)
        return coarse if refined is None else refined

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Alpha of the encoder-decoder, and of the refinement stage if there is one."""
        raw = self._decode(*self._encode(x))
        coarse = torch.sigmoid(raw) if self.config.output == "sigmoid" else self._clip(raw)
        if self.config.refine is None:
            return coarse, None
        if self.config.refine == "logit":
            return coarse, torch.sigmoid(raw + self._residual(torch.cat((x[:, :3], coarse), 1)))
        mean, std = (x.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        levels = 255 * torch.cat((x[:, :3] * std + mean, coarse), 1)
        return coarse, self._clip(coarse + self._residual(levels))

    def _clip(self, alpha: Tensor) -> Tensor:
        return alpha if self.training else alpha.clamp(0, 1)

    def _encode(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        places, features = [], []
        for level, convs in enumerate(CONVS_PER_LEVEL, 1):
            for i in range(1, convs + 1):
                x = self._conv_norm(f"conv{level}_{i}", f"bn{level}_{i}", x).relu_()
            if self.config.skips:
                features.append(x)
            x, place = nn.functional.max_pool2d(x, 2, return_indices=True)
            places.append(place)
        return x, places, features

    def _decode(self, x: Tensor, places: list[Tensor], features: list[Tensor]) -> Tensor:
        """The raw prediction; empties `places` and `features` on the way, so that memory is free as early as can be."""
        if self.config.segnet:
            for name, _, _ in _segnet_decoder(self.config.widths):
                x = self._conv_norm(name, f"bn_{name}", unpool(x, places.pop()))
            return x
        x = self._layer("conv6_1")(x).relu_()
        x = self._layer("deconv6_1")(x).relu_()
        for level in (5, 4, 3, 2, 1):
            x = unpool(x, places.pop())
            if self.config.skips:
                x = x + features.pop()
            x = self._layer(f"deconv{level}_1")(x).relu_()
        out: Tensor = self._layer("deconv1")(x)
        return out

    def _conv_norm(self, conv: str, norm: str, x: Tensor) -> Tensor:
        x = self._layer(conv)(x)
        if self.config.norm or self.config.segnet:
            x = self.get_submodule(norm)(x)
        return x

    def _residual(self, x: Tensor) -> Tensor:
        for name in ("refine_conv1", "refine_conv2", "refine_conv3"):
            x = self._layer(name)(x).relu_()
        out: Tensor = self._layer("refine_pred")(x)
        return out


def unpool(x: Tensor, places: Tensor) -> Tensor:
    """Undo a 2x2 max-pooling: values (N, C, H, W) go back to their `places` in (N, C, 2H, 2W), zeros elsewhere."""
    if x.device.type == "mps" or torch.onnx.is_in_onnx_export():  # neither of which has the other
        return _scatter_unpool(x, places)
    return nn.functional.max_unpool2d(x, places, [2, 2])


def _scatter_unpool(x: Tensor, places: Tensor) -> Tensor:
    n, c, h, w = x.shape
    flat = x.new_zeros(n, c, 4 * h * w).scatter_(2, places.flatten(2), x.flatten(2))
    return flat.view(n, c, 2 * h, 2 * w)


def _refine_layers(width: int) -> tuple[tuple[str, int, int], ...]:
    return (
        ("refine_conv1", 4, width),
        ("refine_conv2", width, width),
        ("refine_conv3", width, width),
        ("refine_pred", width, 1),
    )


def _segnet_decoder(widths: tuple[int, int, int, int, int]) -> tuple[tuple[str, int, int], ...]:
    w1, w2, w3, w4, w5 = widths
    return (
        ("deconv5_1", w5, w4),
        ("deconv4_1", w4, w3),
        ("deconv3_1", w3, w2),
        ("deconv2_1", w2, w1),
        ("deconv1", w1, 1),
    )


def receptive_radius(config: DIMConfig) -> int:
    """How far, in pixels, an output pixel can see at most.

    A k x k convolution at 1/s of the input reaches s * (k - 1) / 2 further; a pooled value stands for its whole cell,
    and its place can be any in it, which adds one cell.
    """
    scales = (1, 2, 4, 8, 16)
    encoder = sum(convs * s + s for convs, s in zip(CONVS_PER_LEVEL, scales, strict=True))
    decoder = sum(2 * s for s in scales)
    if config.segnet:
        return encoder + decoder
    bottleneck = 32 * (config.conv6 // 2)
    refinement = 4 if config.refine is not None else 0
    return encoder + bottleneck + decoder + 2 + refinement


def load_vgg16(network: DIM, state: dict[str, Tensor]) -> None:
    """Start the encoder from VGG16's ImageNet weights, as the paper does.

    `state` has the usual keys `features.N.weight` (with batch norm if the network has it) and, for the paper's 7x7
    conv6 of 4096 channels, `classifier.0.weight`. The trimap's input channel becomes zero.
    Raises `ArgumentError` when a key is missing or has another shape.
    """
    with_norm = network.config.norm or network.config.segnet
    index = 0
    with torch.no_grad():
        for level, convs in enumerate(CONVS_PER_LEVEL, 1):
            for i in range(1, convs + 1):
                _fill(network, f"conv{level}_{i}", state, f"features.{index}")
                if with_norm:
                    _fill(network, f"bn{level}_{i}", state, f"features.{index + 1}")
                index += 3 if with_norm else 2
            index += 1
        if not network.config.segnet and (network.config.conv6, network.config.bottleneck) == (7, 4096):
            _fill(network, "conv6_1", state, "classifier.0")


def _fill(network: DIM, name: str, state: dict[str, Tensor], source: str) -> None:
    for key, target in network.get_submodule(name).state_dict().items():
        if key == "num_batches_tracked":
            continue
        value = state.get(f"{source}.{key}")
        if value is None:
            raise ArgumentError(f"state: has no {source}.{key}, so it is not VGG16's")
        if (name, key) == ("conv1_1", "weight"):
            value = nn.functional.pad(value, (0, 0, 0, 0, 0, 1))
        if value.numel() != target.numel():
            raise ArgumentError(f"state: {source}.{key} is {tuple(value.shape)}, wanted {tuple(target.shape)}")
        target.copy_(value.reshape(target.shape))
