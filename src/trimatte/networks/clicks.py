"""The network of clicks: what a person points at, from the segmenter's maps of a photo.

The encoder and decoder of the segmenter `lite` see the photo once and are not changed by training; this decoder answers
each prompt from their maps. Clicks, a box and the answer before enter as maps (Sofiiuk et al., "Reviving iterative
training with mask guidance", ICIP 2022), and the features at the clicks are compared with those everywhere. What is
clicked spreads over the picture by attention at a sixteenth of its size, and is drawn on the finer maps up to a half.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trimatte.networks.lite import SeparableConv, doubled
from trimatte.networks.lite_maps import PROMPTS

WIDTHS = (32, 64, 128)
"""Channels at 1/4, 1/8 and 1/16."""
FEATURES = 32
"""Of a position, by which it is compared with the clicks."""
HEADS = 4
SPREADS = 2
APART = 4.0
"""Taken from the likeness to a click that is none of a kind."""
CHANNELS = (24, 48, 120, 352, 24, 48, 64, 96)
"""Of `MAPS`, with the embedded segmenter."""


def projection(inputs: int, outputs: int) -> nn.Sequential:
    """A 1x1 convolution and its norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class Spread(nn.Module):
    """Mixes neighbours, then all positions by their likeness, then the channels of each (Vaswani et al., 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.near = nn.Sequential(
            nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False), nn.BatchNorm2d(width)
        )
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.gather = nn.Linear(width, width), nn.Linear(width, width)
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))
        # Positions of like features attend to each other from the start.
        self.key.load_state_dict(self.query.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.near(x)
        batch, width, rows, columns = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        normed = self.before(tokens)
        query, key, value = (
            part(normed).reshape(batch, rows * columns, HEADS, width // HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        gathered = nn.functional.scaled_dot_product_attention(query, key, value)
        gathered = gathered.transpose(1, 2).reshape(batch, rows * columns, width)
        tokens = tokens + self.gather(gathered)
        tokens = tokens + self.mix(self.after(tokens))
        out: Tensor = tokens.transpose(1, 2).reshape(batch, width, rows, columns)
        return out


class Clicks(nn.Module):
    """Foreground logits of what is pointed at.

    Input: the segmenter's maps of pictures (N, C, h, w), in the order of `MAPS`; prompts (N, `PROMPTS`, H / 4, W / 4);
    the position (N, K) of each click in rows of the map at 1/8, as whole numbers, and its sign (N, K): 1 to keep, -1 to
    drop, 0 for none. Returns logits (N, 1, H / 2, W / 2); in training also those at 1/8 and 1/16.
    """

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()
        f4, f8, f16, f32, d2, d4, d8, d16 = channels
        w4, w8, w16 = WIDTHS
        self.lateral4 = projection(f4 + d4 + 4 * d2, w4)
        self.lateral8 = projection(f8 + d8, w8)
        self.lateral16 = projection(f16 + d16, w16)
        self.lateral32 = projection(f32, w16)
        self.alike = nn.ModuleList((nn.Conv2d(w8, FEATURES, 1), nn.Conv2d(w16, FEATURES, 1)))
        self.prompt4 = nn.Sequential(nn.Conv2d(PROMPTS, 16, 3, padding=1), nn.ReLU())
        self.prompt8 = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
        self.prompt16 = nn.Sequential(nn.Conv2d(32 + 2, w16, 3, 2, 1), nn.ReLU(), nn.Conv2d(w16, w16, 1))
        self.spread = nn.Sequential(*(Spread(w16) for _ in range(SPREADS)))
        self.descend16, self.descend8 = projection(w16, w8), projection(w8, w4)
        self.enter8, self.enter4 = nn.Conv2d(32 + 2, w8, 1), nn.Conv2d(16, w4, 1)
        self.mix8 = nn.Sequential(SeparableConv(w8, w8), SeparableConv(w8, w8))
        self.mix4 = nn.Sequential(SeparableConv(w4, w4), SeparableConv(w4, w4))
        self.leave = nn.Conv2d(w4, 4, 3, padding=1)
        self.heads = nn.ModuleList((nn.Conv2d(w8, 1, 1), nn.Conv2d(w16, 1, 1)))

    def embed(self, *maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What of a picture no prompt changes, at 1/4, 1/8 and 1/16."""
        f4, f8, f16, f32, d2, d4, d8, d16 = maps
        fine = self.lateral4(torch.cat([f4, d4, nn.functional.pixel_unshuffle(d2, 2)], 1))
        middle = self.lateral8(torch.cat([f8, d8], 1))
        deep = torch.relu(self.lateral16(torch.cat([f16, d16], 1)) + doubled(self.lateral32(f32)))
        return fine, middle, deep

    def decide(
        self, fine: Tensor, middle: Tensor, deep: Tensor, prompts: Tensor, position: Tensor, sign: Tensor
    ) -> Tensor | list[Tensor]:
        """What `forward` gives, of what `embed` gave."""
        features = self.alike[0](middle) + doubled(self.alike[1](deep))
        near = likeness(features, position, sign)
        p4 = self.prompt4(prompts)
        p8 = torch.cat([self.prompt8(p4), near], 1)
        d16 = self.spread(deep + self.prompt16(p8))
        d8 = self.mix8(torch.relu(middle + doubled(self.descend16(d16)) + self.enter8(p8)))
        d4 = self.mix4(torch.relu(fine + doubled(self.descend8(d8)) + self.enter4(p4)))
        logits = nn.functional.pixel_shuffle(self.leave(d4), 2)
        if not self.training:
            return logits
        return [logits, self.heads[0](d8), self.heads[1](d16)]

    def forward(self, *inputs: Tensor) -> Tensor | list[Tensor]:
        return self.decide(*self.embed(*inputs[:-3]), *inputs[-3:])


def likeness(features: Tensor, position: Tensor, sign: Tensor) -> Tensor:
    """The greatest cosine of features (N, C, h, w) to those at clicks of either sign, (N, 2, h, w)."""
    flat = features.flatten(2)
    flat = flat / flat.square().sum(1, keepdim=True).clamp(min=1e-6).sqrt()
    clicked = flat.gather(2, position[:, None].expand(-1, flat.shape[1], -1))
    cosine = clicked.transpose(1, 2) @ flat
    kept, dropped = ((cosine - APART * (1 - kind * sign[..., None]).clamp(max=1)).amax(1) for kind in (1, -1))
    both = torch.stack([kept, dropped], 1).clamp(min=-1)
    return both.reshape(len(both), 2, *features.shape[2:])
