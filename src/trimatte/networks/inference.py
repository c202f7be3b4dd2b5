"""Networks on whole pictures: sizes as their authors chose them, windows where memory asks for them, devices.

Images are (H, W, 3) float32 in [0, 1], trimaps (H, W) uint8 of 0, 128 and 255, alpha (H, W) float32 in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trimatte.errors import ArgumentError
from trimatte.images.arrays import UNKNOWN
from trimatte.images.cells import OVERLAP, Box, cells, with_less_memory
from trimatte.networks import dim
from trimatte.networks.dim import DIM, receptive_radius
from trimatte.networks.gfm import GFM
from trimatte.networks.modnet import MODNet
from trimatte.runtime.device import chosen_device, torch_devices

Floats = NDArray[np.float32]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "single", "half"]

STRIDE = 32
WINDOW = 512
"""Side of the cells that a picture is cut into; what the network sees is this and its reach on either side."""


@dataclass
class Runner:
    """A network on its device, from a checkpoint of some layout. `notes` gathers departures from what was asked.

    What the device has no memory for is a `MemoryError`.
    """

    network: nn.Module
    device: torch.device
    half: bool = False
    notes: list[str] = field(default_factory=list)
    layout: str = ""

    def __post_init__(self) -> None:
        self._move()

    def _move(self) -> None:
        # Channels last is what convolutions on CPUs and tensor cores work in; it saves them their own copies.
        self.network = cast(Any, self.network).to(self.device, memory_format=torch.channels_last).eval()

    def or_on_cpu(self, compute: Callable[[], Floats]) -> Floats:
        """What a function returns that runs the network on a whole picture; on the CPU if the device lacks memory."""
        try:
            return compute()
        except MemoryError:
            if self.device.type == "cpu":
                raise
        self.notes.append(f"out of memory on {self.device.type}: computed on the CPU")
        self.device, self.half = torch.device("cpu"), False
        self._move()
        return compute()

    def __call__(self, x: Tensor) -> Tensor:
        """The network's alpha (N, 1, H, W), in single precision on the CPU."""
        return self.run(lambda y: (self.network(y),), x)[0]

    def run(self, function: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> tuple[Tensor, ...]:
        """What `function` returns on the device, in single precision on the CPU."""
        try:
            x = x.to(self.device, memory_format=torch.channels_last)
            with torch.inference_mode(), torch.autocast(self.device.type, torch.float16, enabled=self.half):
                outputs = tuple(output.float().cpu() for output in function(x))
        except RuntimeError as error:
            if "out of memory" not in str(error):  # MPS says it in a plain RuntimeError
                raise
            raise MemoryError(f"{self.device.type}: too little memory for {tuple(x.shape)}") from error
        if self.half and not all(bool(torch.isfinite(output).all()) for output in outputs):
            self.half = False
            self.notes.append("half precision overflowed, so single precision was used")
            return self.run(function, x)
        return outputs


def pick_device(device: str = "auto", precision: str = "auto") -> tuple[torch.device, bool]:
    """The device that a name stands for, and whether to compute in half precision there.

    "auto" takes CUDA, then MPS, then the CPU; and half precision on CUDA only. Raises `ArgumentError` for a device
    that is not there, and for half precision on a CPU, which would be slower and less exact there.
    """
    device, there = chosen_device(device), torch_devices()
    if device == "auto":
        device = there[0]
    if device not in there:
        raise ArgumentError(f"device: {device!r} is not available to this PyTorch; there is {', '.join(there)}")
    if precision not in ("auto", "single", "half"):
        raise ArgumentError(f"precision: got {precision!r}, wanted auto, single or half")
    if precision == "half" and device == "cpu":
        raise ArgumentError('precision: got "half", which is for GPUs; on the CPU it is "single"')
    return torch.device(device), precision == "half" or (precision == "auto" and device == "cuda")


def dim_alpha(
    runner: Runner,
    image: Floats,
    trimap: NDArray[np.uint8],
    *,
    window: int | None = WINDOW,
    sizing: Literal["mirror", "own"] = "mirror",
) -> Floats:
    """Alpha of Deep Image Matting; the network runs only where the trimap is unknown.

    The unknown band is cut into cells of `window` pixels, each seen with as much around it as the network's output can
    depend on, at places that fit its pooling: so the windows' result is that of the whole picture (`window=None`) but
    for rounding, and memory depends on the window, not on the picture. Cells are blended over `OVERLAP` pixels. Where
    the device runs out of memory, the window is halved and the runner's notes say so.

    Sides that are no multiple of 32 are mirrored, or with `sizing="own"` resized as the authors of the weights do.
    """
    if window is not None and window < 2 * OVERLAP:
        raise ArgumentError(f"window: got {window}, wanted at least {2 * OVERLAP} pixels")
    if sizing not in ("mirror", "own"):
        raise ArgumentError(f"sizing: got {sizing!r}, wanted mirror or own")
    known = (trimap / np.float32(255)).astype(np.float32, copy=False)
    rule = OWN_SIZES.get(runner.layout) if sizing == "own" else None
    if rule is None or image.shape[:2] == (size := rule.size(*image.shape[:2])):
        return _windowed(runner, image, known, trimap == UNKNOWN, window)
    codes = _interpolated(known, size, rule.trimap)
    unknown = (codes > 0) & (codes < 1)
    small = _windowed(runner, _interpolated(image, size, rule.picture), codes, unknown, window)
    alpha = _interpolated(small, image.shape[:2], rule.picture)
    return np.where(trimap == UNKNOWN, np.clip(alpha, 0, 1), known)


@dataclass(frozen=True)
class OwnSize:
    """How the authors of a form bring sides to multiples of the stride: `size(height, width)`, and by which filters."""

    size: Callable[[int, int], tuple[int, int]]
    picture: str
    trimap: str


def _cut(height: int, width: int) -> tuple[int, int]:
    return max(STRIDE, min(1600, height // STRIDE * STRIDE)), max(STRIDE, min(1600, width // STRIDE * STRIDE))


def _raised(height: int, width: int) -> tuple[int, int]:
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


OWN_SIZES = {
    "huochaitiantang": OwnSize(_cut, "bilinear", "bilinear"),
    "indexnet": OwnSize(_raised, "bicubic", "nearest"),
}
"""By the layout of the checkpoint. mmagic mirrors, and foamliu's unpooling takes sides as they are."""


def _interpolated(picture: Floats, size: tuple[int, int], how: str) -> Floats:
    """By OpenCV's rules, which the scripts use: without a blur when the picture shrinks."""
    planes = torch.from_numpy(np.atleast_3d(picture).transpose(2, 0, 1).copy())[None]
    corners = None if how == "nearest" else False
    new: Floats = torch.nn.functional.interpolate(planes, size, mode=how, align_corners=corners)[0].numpy()
    return np.clip(new, 0, 1).transpose(1, 2, 0).reshape(*size, *picture.shape[2:])


def _windowed(runner: Runner, image: Floats, known: Floats, unknown: NDArray[np.bool_], window: int | None) -> Floats:
    if window is None:
        return _in_cells(runner, image, known, unknown, None)
    compute = partial(_in_cells, runner, image, known, unknown)
    return with_less_memory(compute, window, least=2 * OVERLAP, notes=runner.notes)


def _in_cells(runner: Runner, image: Floats, known: Floats, unknown: NDArray[np.bool_], window: int | None) -> Floats:
    network = runner.network
    assert isinstance(network, DIM)
    alpha = np.where(unknown, np.float32(0), known)
    for box, weight in cells(unknown, window):
        top, bottom, left, right = box
        context = _reach(box, receptive_radius(network.config), unknown.shape)
        out = runner(_dim_input(image, known, context))[0, 0].numpy()
        part = out[top - context[0] : bottom - context[0], left - context[2] : right - context[2]]
        alpha[top:bottom, left:right] += np.where(unknown[top:bottom, left:right], weight * part, 0)
    return np.clip(alpha, 0, 1)


def _reach(box: Box, radius: int, shape: tuple[int, ...]) -> Box:
    """`box` grown by `radius`, with edges on multiples of the stride; it may end beyond the picture."""
    top, bottom, left, right = box
    height, width = (-(-n // STRIDE) * STRIDE for n in shape)
    return (
        max(0, (top - radius) // STRIDE * STRIDE),
        min(height, -(-(bottom + radius) // STRIDE) * STRIDE),
        max(0, (left - radius) // STRIDE * STRIDE),
        min(width, -(-(right + radius) // STRIDE) * STRIDE),
    )


def _dim_input(image: Floats, known: Floats, context: Box) -> Tensor:
    """(1, 4, H, W): what the network sees of the picture, which is mirrored where the window ends beyond it."""
    top, bottom, left, right = context
    view = image[top:bottom, left:right]
    codes = known[top:bottom, left:right]
    margin = ((0, bottom - top - view.shape[0]), (0, right - left - view.shape[1]))
    planes = np.empty((4, bottom - top, right - left), np.float32)
    for i in range(3):
        planes[i] = np.pad((view[..., i] - dim.MEAN[i]) / dim.STD[i], margin, mode="reflect")
    planes[3] = np.pad(codes, margin, mode="reflect")
    return torch.from_numpy(planes)[None]


def modnet_alpha(runner: Runner, image: Floats) -> Floats:
    """Alpha of MODNet, at the size its authors use (`modnet_size`), resampled as by the script of its checkpoint."""
    assert isinstance(runner.network, MODNet)
    height, width = image.shape[:2]
    small = _adaptive_means(image, modnet_size(height, width))
    x = torch.from_numpy(small.transpose(2, 0, 1).copy())[None] * 2 - 1
    alpha = _adaptive_means(runner(x)[0, 0].numpy(), (height, width))
    return np.clip(alpha, 0, 1)


def modnet_size(height: int, width: int, reference: int = 512) -> tuple[int, int]:
    """The shorter side becomes `reference` unless it lies between the two; both are cut to multiples of the stride.

    A side that would vanish becomes one stride.
    """
    if max(height, width) < reference or min(height, width) > reference:
        if width >= height:
            height, width = reference, int(width / height * reference)
        else:
            height, width = int(height / width * reference), reference
    return max(STRIDE, height // STRIDE * STRIDE), max(STRIDE, width // STRIDE * STRIDE)


def gfm_alpha(runner: Runner, image: Floats, *, sizing: Literal["hybrid", "resize"] = "hybrid") -> Floats:
    """Alpha of GFM at the sizes its authors test with.

    "resize": all at half the size. "hybrid": glance at a third, where more is in view, focus at half, joined at the
    picture's own size. Sides are cut to multiples of the stride and to 1600.
    """
    if sizing not in ("hybrid", "resize"):
        raise ArgumentError(f"sizing: got {sizing!r}, wanted hybrid or resize")
    network = runner.network
    assert isinstance(network, GFM)
    size = image.shape[:2]
    if sizing == "resize":
        return np.clip(_resize(runner(_gfm_input(image, 2))[0, 0].numpy(), size), 0, 1)
    scheme = network.config.scheme
    glance, _ = runner.run(network.predict, _gfm_input(image, 3))
    _, focus = runner.run(network.predict, _gfm_input(image, 2))
    detail = _resize(torch.sigmoid(focus)[0, 0].numpy(), size)
    likeliest = glance.argmax(1)[0].numpy() / (2 if scheme == "TT" else 1)
    verdict = _resize(likeliest.astype(np.float32), size)
    if scheme != "TT":
        joined: Floats = np.clip(verdict + detail if scheme == "FT" else verdict - detail, 0, 1)
        return joined
    unsure = (verdict > 1e-6) & (verdict < 1 - 1e-6)
    return np.where(unsure, detail, verdict)


def _gfm_input(image: Floats, divisor: int) -> Tensor:
    height, width = (max(STRIDE, min(1600, n // divisor // STRIDE * STRIDE)) for n in image.shape[:2])
    return torch.from_numpy(255 * _resize(image, (height, width)).transpose(2, 0, 1))[None].contiguous()


def _resize(picture: Floats, size: tuple[int, int]) -> Floats:
    """Bilinear, after a blur when the picture shrinks."""
    from skimage import transform

    resize: Any = transform.resize
    return np.asarray(resize(picture, size, order=1), np.float32)


def _adaptive_means(picture: Floats, size: tuple[int, int]) -> Floats:
    """Each new pixel is the mean of all old ones that it touches, as `interpolate(mode="area")` has it; both ways."""
    planes = torch.from_numpy(np.atleast_3d(picture).transpose(2, 0, 1).copy())
    means: Floats = torch.nn.functional.interpolate(planes[None], size, mode="area")[0].numpy()
    return means.transpose(1, 2, 0).reshape(*size, *picture.shape[2:])
