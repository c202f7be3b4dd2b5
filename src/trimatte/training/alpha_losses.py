"""Losses of Deep Image Matting, MODNet and GFM.

Tensors are (N, C, H, W) float32 with values in [0, 1], logits where a name says so. Where a loss is of unknown pixels,
`unknown` is (N, 1, H, W), 1 there and 0 elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from trimatte.networks.gfm import Scheme, collaborate
from trimatte.networks.modnet import MODNet

_EPS2 = 1e-12


@dataclass(frozen=True)
class Batch:
    """Composites and the truth about them.

    image : (N, 3, H, W), what the network sees, which may have been damaged by noise and compression.
    alpha, trimap : (N, 1, H, W); the trimap is 0, 128/255 or 1.
    foreground, background : (N, 3, H, W), of which the undamaged image is made.
    """

    image: Tensor
    alpha: Tensor
    trimap: Tensor
    foreground: Tensor
    background: Tensor

    @property
    def unknown(self) -> Tensor:
        """1 where the trimap is unknown."""
        return ((self.trimap > 0) & (self.trimap < 1)).to(self.alpha.dtype)

    def compose(self, alpha: Tensor) -> Tensor:
        """The foreground over the background with this alpha."""
        return alpha * self.foreground + (1 - alpha) * self.background

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items()})


def alpha_loss(alpha: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """sqrt((a - t)^2 + eps^2), averaged over where `weight` is 1 (Xu et al. 2017, eq. 1)."""
    return (_distance(alpha, target) * weight).sum() / (weight.sum() + 1)


def composition_loss(alpha: Tensor, batch: Batch, weight: Tensor) -> Tensor:
    """The same distance between the composites with this alpha and with the true one, averaged over colours too."""
    error = _distance(batch.compose(alpha), batch.compose(batch.alpha)).mean(1, keepdim=True)
    return (error * weight).sum() / (weight.sum() + 1)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return torch.sqrt((a - b) ** 2 + _EPS2)


def dim_loss(coarse: Tensor, refined: Tensor | None, batch: Batch) -> Tensor:
    """Deep Image Matting: alpha and composition loss, half each, of the first stage; alpha loss of the refinement.

    `coarse` or `refined` is left out of the sum when that stage is not trained: pass the first stage detached, and None
    for the second.
    """
    loss = batch.alpha.new_zeros(())
    if coarse.requires_grad:
        loss = loss + 0.5 * alpha_loss(coarse, batch.alpha, batch.unknown)
        loss = loss + 0.5 * composition_loss(coarse, batch, batch.unknown)
    if refined is not None:
        loss = loss + alpha_loss(refined, batch.alpha, batch.unknown)
    return loss


def modnet_loss(semantics: Tensor, detail: Tensor, alpha: Tensor, batch: Batch) -> Tensor:
    """MODNet: semantics at 1/16, detail in the transition, alpha everywhere and four times as much in the transition.

    As in the published code, the last is taken of alpha and of the image, in [-1, 1], times alpha.
    """
    known = batch.unknown == 0
    coarse = nn.functional.interpolate(batch.alpha, scale_factor=1 / 16, mode="bilinear", align_corners=False)
    semantic_loss = 10 * nn.functional.mse_loss(semantics, _blur(coarse))
    detail_loss = 10 * nn.functional.l1_loss(
        torch.where(known, batch.trimap, detail), torch.where(known, batch.trimap, batch.alpha)
    )
    image = 2 * batch.image - 1
    transition = torch.where(known, batch.trimap, alpha)
    matte_loss = sum(
        (
            weight * (nn.functional.l1_loss(a, batch.alpha) + nn.functional.l1_loss(image * a, image * batch.alpha))
            for weight, a in ((1.0, alpha), (4.0, transition))
        ),
        start=alpha.new_zeros(()),
    )
    return semantic_loss + detail_loss + matte_loss


def modnet_consistency_loss(network: MODNet, before: MODNet, image: Tensor) -> Tensor:
    """Self-supervision on pictures without truth: branches agree with one another, and detail with the network before.

    `image` is (N, 3, H, W) in [-1, 1]; `before` is a frozen copy of the trained network (Ke et al., section 4.3).
    """
    semantics, detail, alpha = network.predict(image)
    with torch.no_grad():
        _, detail_before, alpha_before = before.predict(image)
        subject = (alpha > 0.1).float()
        subject *= nn.functional.interpolate((semantics > 0.1).float(), scale_factor=16, mode="bilinear")
        side = max(1, int(sum(image.shape[2:]) / 2 * 0.05) // 2)
        grown, shrunk = (_widened(sign * subject, side) for sign in (1, -1))
        edge = (grown + shrunk != 0).float()
    coarse = _blur(nn.functional.interpolate(alpha, scale_factor=1 / 16, mode="bilinear"))
    loss = nn.functional.mse_loss(semantics, _clean(coarse)) + nn.functional.mse_loss(coarse, _clean(semantics))
    errors = (detail - detail_before).abs() + (alpha - alpha_before).abs()
    return 100 * loss + (errors * edge).sum() / edge.sum().clamp(min=1)


def _widened(x: Tensor, radius: int) -> Tensor:
    return nn.functional.max_pool2d(x, 2 * radius + 1, 1, radius)


def _clean(target: Tensor) -> Tensor:
    """A target that no gradient flows to, without its faint parts."""
    target = target.detach()
    return target * (target > 0.01)


def _blur(x: Tensor) -> Tensor:
    """3x3 Gaussian of sigma 0.8, mirrored at the edge."""
    mode = "reflect" if min(x.shape[2:]) > 1 else "replicate"
    padded = nn.functional.pad(x, (1, 1, 1, 1), mode=mode)
    return nn.functional.conv2d(padded, _gaussian().to(x.device))


@lru_cache
def _gaussian() -> Tensor:
    line = torch.exp(-(torch.tensor([-1.0, 0.0, 1.0]) ** 2) / (2 * 0.8**2))
    return torch.outer(line, line)[None, None] / line.sum() ** 2


def gfm_loss(glance_logits: Tensor, focus_logits: Tensor, batch: Batch, scheme: Scheme) -> Tensor:
    """GFM: a quarter each for glance, focus in the transition, their union, and the composite with it.

    The cross-entropy is of logits, as the paper has it; the published code applies it to sigmoid outputs. The targets
    of FT and BT are those that make the union right: what is surely foreground, and what is not surely background.
    """
    unknown = batch.unknown
    foreground = (batch.trimap == 1).long()
    possible = (batch.trimap > 0).long()
    target = {"TT": foreground + possible, "FT": foreground, "BT": possible}[scheme][:, 0]
    glance_loss = nn.functional.cross_entropy(glance_logits, target)
    detail = torch.sigmoid(focus_logits)
    truth = 1 - batch.alpha if scheme == "BT" else batch.alpha
    focus_loss = alpha_loss(detail, truth, unknown) + laplacian_loss(detail * unknown, truth * unknown)
    alpha = collaborate(glance_logits, focus_logits, scheme)
    everywhere = torch.ones_like(unknown)
    alpha_part = alpha_loss(alpha, batch.alpha, everywhere) + laplacian_loss(alpha, batch.alpha)
    return 0.25 * (glance_loss + focus_loss + alpha_part + composition_loss(alpha, batch, everywhere))


def laplacian_loss(alpha: Tensor, target: Tensor, levels: int = 5) -> Tensor:
    """Mean absolute difference of Laplacian pyramids, level l weighted by 2^l (Hou and Liu, ICCV 2019)."""
    difference = alpha - target
    loss = alpha.new_zeros(())
    for level in range(levels):
        if min(difference.shape[2:]) < 2:
            break
        smaller = nn.functional.avg_pool2d(difference, 2, ceil_mode=True)
        back = nn.functional.interpolate(smaller, size=difference.shape[2:], mode="bilinear", align_corners=False)
        loss = loss + 2**level * (difference - back).abs().mean()
        difference = smaller
    return loss
