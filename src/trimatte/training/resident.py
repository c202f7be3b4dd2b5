"""Batches made where the network is: pictures lie in its device's memory, and are cropped and put together there.

What happens to a picture is decided by NumPy from the seed and the step's number, and done by PyTorch, so that a run
repeats on one device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from trimatte.errors import ModelError
from trimatte.training.augment import BLURRED, BLURS, ENLARGED, ENLARGEMENTS, between
from trimatte.training.packs import Packed, Role, unpack
from trimatte.training.shapes import holed
from trimatte.training.views import MEAN, STD, kind_of

Rng = np.random.Generator
Floats = NDArray[np.float64]
Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Photos (N, 3, H, W), masks and how far they are known (N, 1, H, W), trusts (N,)."""
DRAWN = 48
"""Things with holes that are drawn when a set is loaded."""
MOST_BESIDE = 4
"""Things that are not meant in one scene, at most."""
CLOSE = 0.12
"""Share of scenes whose one subject is larger than the picture, and cut off by its borders."""
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Canvases:
    """Pictures of one kind in a device's memory, each at the top left of a square.

    planes : (N, C, side, side) uint8.
    sizes : (N, 2), width and height of each.
    """

    planes: Tensor
    sizes: Floats

    def __len__(self) -> int:
        return len(self.sizes)

    def parts(
        self, picks: NDArray[np.int64], boxes: Floats, size: tuple[int, int], mirrored: NDArray[np.bool_]
    ) -> Tensor:
        """Parts (n, C, H, W) in [0, 1] of some pictures at `size` (width, height); 0 beyond their borders.

        `boxes` (n, 4) are left, top, right and bottom, in pixels of the pictures.
        """
        side = self.planes.shape[-1]
        left, top, right, bottom = 2 * boxes.T / side - 1
        across, along = (right - left) / 2 * np.where(mirrored, -1, 1), (bottom - top) / 2
        zero = np.zeros_like(across)
        rows = [across, zero, (left + right) / 2, zero, along, (top + bottom) / 2]
        theta = torch.tensor(np.stack(rows, 1).reshape(-1, 2, 3), dtype=torch.float32, device=self.planes.device)
        parts = self.planes[torch.from_numpy(picks).to(self.planes.device)].float() / 255
        grid = functional.affine_grid(theta, [len(picks), parts.shape[1], size[1], size[0]], align_corners=False)
        return functional.grid_sample(parts, grid, align_corners=False)


class Resident:
    """A packed set in a device's memory.

    Raises `ModelError` if it holds no photo.
    """

    def __init__(self, folder: Path, device: torch.device, *, side: int = 448, seed: int = 0) -> None:
        found: dict[Role, list[Packed]] = {"photo": [], "cutout": [], "background": []}
        for each in unpack(folder, tuple(found)):
            found[each.role].append(each)
        if not found["photo"]:
            raise ModelError(f"pack: {folder} holds no photo to train on")
        rng = np.random.default_rng([seed, 1])
        found["cutout"] += [Packed("cutout", holed(rng, 256), group="drawn here") for _ in range(DRAWN)]
        self.device = device
        self.photos = _canvases([_five(each) for each in found["photo"]], side, device)
        self.cutouts = _canvases([each.picture for each in found["cutout"]], side, device)
        self.backgrounds = _canvases([each.picture for each in found["background"]], side, device)
        self.chance = np.array([each.weight for each in found["photo"]])
        self.trusts = np.array([each.trust for each in found["photo"]])
        self.of_cutout = _evenly([each.group for each in found["cutout"]])
        kinds = np.array([kind_of((width, height)) for width, height in self.photos.sizes])
        self.kinds = [np.flatnonzero(kinds == kind) for kind in range(3)]

    def kind(self, rng: Rng) -> int:
        """Wide (0), tall (1) or square (2), as often as its photos are drawn."""
        share = np.array([self.chance[kind].sum() for kind in self.kinds])
        return int(rng.choice(3, p=share / share.sum()))

    def batch(
        self, kind: int, size: tuple[int, int], count: int, composed: float, rng: Rng, *, crowded: float = 0.0
    ) -> Batch:
        """`count` samples of a kind at `size` (width, height), a share `composed` of them scenes put together.

        A share `crowded` of the photos get one more thing behind their subject.
        """
        scenes = int(rng.binomial(count, composed)) if len(self.backgrounds) else 0
        if not len(self.kinds[kind]):
            scenes = count
        parts = [self._photos(kind, size, count - scenes, crowded, rng)] if count > scenes else []
        parts += [self._scenes(size, scenes, rng)] if scenes else []
        x, mask, known, trust = (torch.cat(part) for part in zip(*parts, strict=True))
        x = damaged(coloured(x, rng), rng)
        mean, std = (torch.tensor(values, device=self.device).view(3, 1, 1) for values in (MEAN, STD))
        x = ((x - mean) / std).contiguous(memory_format=torch.channels_last)
        return x, mask, known, trust

    def _photos(self, kind: int, size: tuple[int, int], count: int, crowded: float, rng: Rng) -> Batch:
        group = self.kinds[kind]
        picks = rng.choice(group, count, p=self.chance[group] / self.chance[group].sum())
        sizes = self.photos.sizes[picks]
        kept = np.where(rng.random((count, 1)) < 0.25, 1, rng.uniform(0.6, 1, (count, 2)) ** 0.7)
        corner = rng.random((count, 2)) * (1 - kept) * sizes
        boxes = np.concatenate([corner, corner + kept * sizes], 1)
        x = self.photos.parts(picks, boxes, size, rng.random(count) < 0.5)
        known = x[:, 4:]
        mask = torch.where(known > 0, x[:, 3:4] / known.clamp(min=1e-6), 0).clamp(0, 1)
        photo = x[:, :3]
        if crowded:
            thing = self._thing(size, rng.uniform(0.08, 0.3, count), rng.random((count, 2)) * size, rng)
            free = torch.minimum(1 - mask, known) * self._row(rng.random(count) < crowded)[:, None, None, None]
            photo = _behind(photo, thing, free, float(rng.uniform(0.5, 4)))
        return photo, mask, known, self._row(self.trusts[picks])

    def _scenes(self, size: tuple[int, int], count: int, rng: Rng) -> Batch:
        picks = rng.integers(len(self.backgrounds), size=count)
        sizes = self.backgrounds.sizes[picks]
        scale = np.minimum(*(sizes / size).T)[:, None] * rng.uniform(0.6, 1, (count, 1))
        kept = scale * size
        corner = rng.random((count, 2)) * (sizes - kept)
        boxes = np.concatenate([corner, corner + kept], 1)
        x = self.backgrounds.parts(picks, boxes, size, rng.random(count) < 0.5)
        mask = x.new_zeros(count, 1, size[1], size[0])
        blurred = rng.random(count) < 0.5
        share = rng.uniform(0.35, 0.95, count)
        empty = rng.random(count) < 0.12
        beside = np.where(empty, 0, rng.integers(0, MOST_BESIDE + 1, count))
        for number in range(MOST_BESIDE):
            middle = rng.random((count, 2)) * size
            thing = self._thing(size, share * rng.uniform(0.15, np.where(blurred, 0.6, 0.4)), middle, rng)
            thing[:, :3] *= self._row(np.where(rng.random(count) < 0.4, rng.uniform(0.4, 0.9, count), 1))[
                :, None, None, None
            ]
            x = _over(x, thing, self._row(number < beside))
        x = torch.where(self._row(blurred)[:, None, None, None] > 0, softened(x, float(rng.uniform(1, 5))), x)
        close = rng.random(count) < CLOSE
        several = ~close & (rng.random(count) < 0.15)
        share = np.where(close, rng.uniform(1, 1.6, count), share)
        for number in range(2):
            shift = np.where(several, (number - 0.5) * 0.4, 0)
            middle = np.stack([rng.uniform(0.3, 0.7, count) + shift, rng.uniform(0.4, 0.65, count)], 1) * size
            thing = self._thing(size, share * np.where(several, 0.65, 1), middle, rng)
            there = self._row(~empty & (several | (number == 0)))
            x = _over(x, thing, there)
            mask = torch.maximum(mask, thing[:, 3:] * there[:, None, None, None])
        return x, mask, torch.ones_like(mask), self._row(np.ones(count))

    def _thing(self, size: tuple[int, int], share: Floats, middle: Floats, rng: Rng) -> Tensor:
        """A cut-out in each scene (n, 4, H, W), which fills `share` (n,) of it one way, about `middle` (n, 2)."""
        picks = rng.choice(len(self.of_cutout), len(share), p=self.of_cutout)
        sizes = self.cutouts.sizes[picks]
        scale = np.maximum(*(sizes / size).T) / share  # pixels of the cut-out in one of the scene
        corner = sizes / 2 - middle * scale[:, None]
        boxes = np.concatenate([corner, corner + scale[:, None] * size], 1)
        return self.cutouts.parts(picks, boxes, size, rng.random(len(share)) < 0.5)

    def _row(self, values: NDArray[np.generic]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=self.device)


def _five(each: Packed) -> Image.Image | NDArray[np.uint8]:
    """A photo, what of its mask is known, and how far: (H, W, 5)."""
    found, known = np.moveaxis(np.asarray(cast(Image.Image, each.mask)), 2, 0)
    weighed = np.rint(found * (known / 255.0)).astype(np.uint8)
    return np.dstack([np.asarray(each.picture), weighed, known])


def _canvases(pictures: Sequence[Image.Image | NDArray[np.uint8]], side: int, device: torch.device) -> Canvases:
    arrays = [_within(np.asarray(picture), side) for picture in pictures]
    channels = arrays[0].shape[2] if arrays else 3
    planes = torch.zeros((len(arrays), channels, side, side), dtype=torch.uint8)
    for plane, array in zip(planes, arrays, strict=True):
        plane[:, : array.shape[0], : array.shape[1]] = torch.from_numpy(array).permute(2, 0, 1)
    sizes = np.array([array.shape[1::-1] for array in arrays], float).reshape(-1, 2)
    return Canvases(planes.to(device), sizes)


def _within(array: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A picture (H, W, C) with both sides at most `side`."""
    scale = side / max(array.shape[:2])
    if scale >= 1:
        return np.array(array)  # Pillow's arrays may not be written to
    size = max(1, round(array.shape[1] * scale)), max(1, round(array.shape[0] * scale))
    planes = [
        Image.fromarray(np.ascontiguousarray(plane)).resize(size, Image.Resampling.BOX)
        for plane in np.moveaxis(array, 2, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def _evenly(groups: Sequence[str]) -> Floats:
    """Chances that draw each group equally often."""
    sizes = {group: groups.count(group) for group in set(groups)}
    return np.array([1 / sizes[group] for group in groups]) / len(sizes)


def _over(x: Tensor, thing: Tensor, there: Tensor) -> Tensor:
    alpha = thing[:, 3:] * there[:, None, None, None]
    return torch.lerp(x, thing[:, :3], alpha)


def _behind(x: Tensor, thing: Tensor, free: Tensor, radius: float) -> Tensor:
    """Pictures with a thing (N, 4, H, W) out of focus by `radius` where they are `free` (N, 1, H, W) for it."""
    alpha = thing[:, 3:]
    layer = softened(torch.cat([thing[:, :3] * alpha, alpha], 1), radius)
    return x * (1 - layer[:, 3:] * free) + layer[:, :3] * free


def softened(x: Tensor, radius: float) -> Tensor:
    """Pictures (N, C, H, W) blurred by a Gaussian of `radius` pixels, one axis after the other."""
    reach = max(1, round(2.5 * radius))
    kernel = torch.exp(-torch.arange(-reach, reach + 1, device=x.device).square() / (2 * radius**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    padded = functional.pad(x, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel[:, :, None], groups=x.shape[1])
    return functional.conv2d(rows, kernel[..., None], groups=x.shape[1])


def coloured(x: Tensor, rng: Rng) -> Tensor:
    """Pictures (N, 3, H, W) in [0, 1] in other light: of other brightness, contrast, saturation, white balance."""
    count = len(x)

    def each(values: NDArray[np.generic]) -> Tensor:
        return torch.tensor(values, dtype=x.dtype, device=x.device).reshape(count, -1, 1, 1)

    luma = torch.tensor(LUMA, dtype=x.dtype, device=x.device).view(1, 3, 1, 1)
    x = (x * each(rng.uniform(0.65, 1.35, count))).clamp(0, 1)
    middle = (x * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    x = (middle + (x - middle) * each(rng.uniform(0.65, 1.35, count))).clamp(0, 1)
    grey = (x * luma).sum(1, keepdim=True)
    saturation = np.where(rng.random(count) < 0.05, 0, rng.uniform(0.65, 1.35, count))
    x = grey + (x - grey) * each(saturation)
    gains = np.where(rng.random((count, 1)) < 0.3, rng.uniform(0.85, 1.15, (count, 3)), 1)
    x = (x * each(gains)).clamp(0, 1)
    gammas = np.where(rng.random(count) < 0.08, rng.uniform(1.5, 3, count), 1)
    return x.clamp(min=1e-4) ** each(gammas)


def damaged(x: Tensor, rng: Rng) -> Tensor:
    """Some of the pictures (N, 3, H, W) blurred, enlarged from a small one, noisy or with the blocks of JPEG."""
    count = len(x)

    def where(share: float, changed: Tensor) -> Tensor:
        chosen = torch.tensor(rng.random(count) < share, device=x.device).view(-1, 1, 1, 1)
        return torch.where(chosen, changed, x)

    x = where(0.08, softened(x, float(rng.uniform(0.5, 2))))
    x = where(BLURRED, softened(x, between(*BLURS, rng)))
    x = where(ENLARGED, enlarged(x, between(*ENLARGEMENTS, rng)))
    noise = torch.Generator(x.device).manual_seed(int(rng.integers(2**31)))
    grain = torch.randn(x.shape, generator=noise, device=x.device, dtype=x.dtype)
    x = where(0.08, (x + grain * float(rng.uniform(2, 12)) / 255).clamp(0, 1))
    return where(0.1, blocky(x, float(rng.uniform(0.04, 0.25))))


def enlarged(x: Tensor, times: float) -> Tensor:
    """Pictures (N, C, H, W) made `times` smaller and as large as before again."""
    height, width = x.shape[2:]
    small = max(4, round(height / times)), max(4, round(width / times))
    less = functional.interpolate(x, small, mode="bilinear", antialias=True)
    return functional.interpolate(less, (height, width), mode="bilinear")


def blocky(x: Tensor, step: float) -> Tensor:
    """Pictures (N, C, H, W), sides multiples of 8, as after JPEG: the cosines of each block in whole steps.

    The steps grow with the frequency, as in the tables of the standard.
    """
    n, c, height, width = x.shape
    k = torch.arange(8, device=x.device, dtype=x.dtype)
    cosines = torch.cos((2 * k[None] + 1) * k[:, None] * torch.pi / 16) / 2
    cosines[0] /= 2**0.5
    blocks = x.view(n, c, height // 8, 8, width // 8, 8).transpose(3, 4)
    steps = step * (1 + k[:, None] + k[None])
    whole = torch.round(cosines @ blocks @ cosines.T / steps) * steps
    back = cosines.T @ whole @ cosines
    return back.transpose(3, 4).reshape(n, c, height, width).clamp(0, 1)
