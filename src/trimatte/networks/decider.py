"""The network that decides what a segmenter is unsure of, pixel by pixel, by what is like it.

It has no preference of its own: with foreground and background exchanged its answer changes sign, so that it cannot
learn that one of them is the better guess.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIGNS, SURENESS = 4, 1
"""Planes that change sign when foreground and background are exchanged, the logit first, and planes that do not."""
SCALE = 3.0
"""Logits come divided by this."""
WIDTH = 24


class Decider(nn.Module):
    """Planes (N, 4, H, W) for or against foreground and (N, 1, H, W) of sureness to a logit (N, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(SIGNS + SURENESS, WIDTH, 1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, 1, 1),
        )
        nn.init.normal_(self.weigh[-1].weight, 0, 0.01)  # type: ignore[arg-type]

    def forward(self, signs: Tensor, sureness: Tensor) -> Tensor:
        swing = self.weigh(torch.cat([signs, sureness], 1)) - self.weigh(torch.cat([-signs, sureness], 1))
        out: Tensor = SCALE * signs[:, :1] + 4 * swing
        return out
