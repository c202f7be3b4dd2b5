"""The network of the method "glance": alpha from a photo alone, one encoder and two decoders.

The encoder and the first decoder, which says what the subject is, are those of the segmenter `lite` and are not changed
by its training. The second, `Focus`, draws the subject's edge from the encoder's finer maps (Li et al., "Bridging
composite and real", IJCV 2022, glance and focus so), as a correction of what the first says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from trimatte.networks.hybrid import FLOOR, Block, Halving, Residual
from trimatte.networks.lite import Lite, doubled

WIDTH = 32


class Focus(nn.Module):
    """Corrects the segmenter's answer, and says where foreground and background mix.

    Input: the picture (N, 3, H, W) as the segmenter sees it, its logits (N, 1, H, W), and its encoder's maps at 1/2,
    1/4 and 1/8. Returns alpha and the probability that a pixel is neither foreground nor background alone, each
    (N, 1, H, W) in [0, 1]. Untrained, its alpha is the segmenter's probability.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, WIDTH, 1) for count in channels)
        self.merge = Residual(WIDTH)
        self.enter = Halving(4, WIDTH)
        self.refine = nn.Sequential(Block(2 * WIDTH, WIDTH), Residual(WIDTH))
        self.leave = nn.Conv2d(WIDTH, 8, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(
        self, x: Tensor, logits: Tensor, half: Tensor, quarter: Tensor, eighth: Tensor
    ) -> tuple[Tensor, Tensor]:
        fine, middle, deep = (
            lateral(level) for lateral, level in zip(self.lateral, (half, quarter, eighth), strict=True)
        )
        middle = self.merge(torch.relu(middle + doubled(deep)))
        edges = self.enter(torch.cat([x, torch.tanh(logits / 8)], 1))
        drawn = self.refine(torch.cat([torch.relu(fine + doubled(middle)), edges], 1))
        out = nn.functional.pixel_shuffle(self.leave(drawn), 2).float()
        first = torch.sigmoid(logits.float()).clamp(FLOOR, 1 - FLOOR)
        alpha = torch.sigmoid(torch.log(first / (1 - first)) + 4 * out[:, :1])
        # What the first decoder is sure of, and the second leaves, is exactly 0 or 1.
        alpha = (alpha - 2 * FLOOR) / (1 - 4 * FLOOR)
        return alpha if self.training else alpha.clamp(0, 1), torch.sigmoid(out[:, 1:] - 2)


class Glance(nn.Module):
    """Segmenter and `Focus`: picture (N, 3, H, W), ImageNet-normalised, to alpha and what is mixed (N, 1, H, W)."""

    def __init__(self, lite: Lite) -> None:
        super().__init__()
        self.lite = lite.requires_grad_(False)
        self.focus = Focus(lite.encoder.channels[:3])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.lite.encoder(x)
        alpha, mixed = self.focus(x, self.lite.decode(maps), *maps[:3])
        return alpha, mixed

    def train(self, mode: bool = True) -> Glance:
        """Only the second decoder is ever in training."""
        super().train(mode)
        self.lite.eval()
        return self
