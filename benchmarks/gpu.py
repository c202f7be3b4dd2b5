"""Networks on a GPU against the CPU: how far apart, how quick, how much memory. Run by `gpu.sh`.

    python benchmarks/gpu.py --out FOLDER [--small]

Weights are random, scaled layer by layer so that alpha differs from pixel to pixel. Alpha may be 2/255 apart; a row
that is farther ends the script with 1. With --small the networks and pictures are tiny and the device is the CPU.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

import trimatte
from trimatte.alpha.refine import refine_alpha
from trimatte.images import as_image
from trimatte.linalg.report import SolveReport
from trimatte.networks import dim, gfm, inference, modnet
from trimatte.networks.checkpoints import save_checkpoint
from trimatte.networks.inference import Runner
from trimatte.runtime.device import onnx_devices, torch_devices
from trimatte.runtime.onnx import open_session, session_device
from trimatte.segmentation import registry
from trimatte.synthetic import scene

ALLOWED = 2.0
"""Largest difference of alpha, in 255ths."""
SLIM = dim.DIMConfig(widths=(4, 8, 8, 8, 8), bottleneck=8, refine_width=4)


@dataclass(frozen=True)
class Sizes:
    """What is run: networks by name, megapixels that are compared and that are timed, and the window."""

    networks: dict[str, Callable[[], nn.Module]]
    compared: float
    timed: tuple[float, ...]
    window: int


FULL = Sizes(
    {
        "Deep Image Matting, paper": lambda: dim.DIM(dim.PAPER),
        "Deep Image Matting, mmagic": lambda: dim.DIM(dim.MMAGIC),
        "MODNet": lambda: modnet.MODNet(modnet.MODNetConfig()),
        "GFM, r34": lambda: gfm.GFM(gfm.GFMConfig()),
    },
    compared=1.0,
    timed=(1.0, 12.0, 24.0),
    window=512,
)
SMALL = Sizes(
    {
        "Deep Image Matting": lambda: dim.DIM(SLIM),
        "MODNet": lambda: modnet.MODNet(modnet.TINY),
        "GFM": lambda: gfm.GFM(gfm.TINY),
    },
    compared=0.02,
    timed=(0.02,),
    window=64,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    sizes, device = (SMALL, torch.device("cpu")) if given.small else (FULL, torch.device(torch_devices()[0]))
    given.out.mkdir(parents=True, exist_ok=True)
    farthest = 0.0
    with (given.out / "gpu.md").open("w") as file:
        for line, apart in report(sizes, device):
            farthest = max(farthest, apart)
            print(line, flush=True)
            print(line, file=file, flush=True)
    if farthest > ALLOWED:
        raise SystemExit(f"alpha is {farthest:.2f}/255 apart, allowed are {ALLOWED:.0f}")


Line = tuple[str, float]
"""A line of the report, and how far apart the alphas of its row are, in 255ths."""


def report(sizes: Sizes, device: torch.device) -> Iterator[Line]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    for line in (
        f"# Networks on {name} against the CPU",
        "",
        f"trimatte {trimatte.__version__}, torch {torch.__version__}; onnxruntime has {', '.join(onnx_devices())}.",
        "Largest difference of alpha in 255ths from the CPU's in single precision, whole picture.",
        "",
        f"| network | {sizes.compared:g} MP, single | windows | half | half, windows |",
        "| --- | ---: | ---: | ---: | ---: |",
    ):
        yield line, 0.0
    image, trimap = picture(sizes.compared)
    for network, build in sizes.networks.items():
        yield compared(network, build, image, trimap, sizes.window, device)
    yield "", 0.0
    yield "| network | megapixels | seconds | peak GPU memory, GB |", 0.0
    yield "| --- | ---: | ---: | ---: |", 0.0
    for network, build in sizes.networks.items():
        for megapixels in sizes.timed:
            yield timed(network, build, megapixels, sizes.window, device), 0.0
    yield "", 0.0
    yield from end_to_end(sizes, device)
    yield from onnx_file()


@cache
def picture(megapixels: float) -> tuple[np.ndarray, np.ndarray]:
    """A painted scene (H, W, 3) with sides 2 to 3, and its trimap with a band about the soft edge."""
    side = max(64, round((megapixels * 1e6 / 1.5) ** 0.5))
    small = min(1.0, 1000 / side)
    painted = scene("hair", (round(side * small), round(1.5 * side * small)), seed=0)
    size = (side, round(1.5 * side))
    image = as_image(painted.image)
    if small < 1:
        from trimatte.planes.resize import resized

        image = np.ascontiguousarray(resized(image, size))
        alpha = resized(painted.alpha, size, "nearest")
    else:
        alpha = painted.alpha
    unknown = (alpha > 0) & (alpha < 255)
    return image, np.where(unknown, 128, alpha).astype(np.uint8)


def lively(build: Callable[[], nn.Module], image: np.ndarray, trimap: np.ndarray) -> nn.Module:
    """A random network of which each convolution answers a part of the picture with unit variance."""
    torch.manual_seed(0)
    network = build().eval()

    def scale(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        spread = output.std().clamp_min(1e-6)
        module.weight.data /= spread
        if module.bias is not None:
            module.bias.data /= spread
        return output / spread

    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    hooks = []
    for module in convs:
        module.reset_parameters()
        hooks.append(module.register_forward_hook(scale))
    planes = np.concatenate([image.transpose(2, 0, 1), trimap[None] / np.float32(255)])[:, :128, :128]
    x = torch.from_numpy(np.pad(planes, [(0, 0), *((0, -n % 32) for n in planes.shape[1:])], mode="edge"))[None]
    with torch.inference_mode(), torch.no_grad():
        network(x if isinstance(network, dim.DIM) else x[:, :3])
    for hook in hooks:
        hook.remove()
    return network


def alpha_of(runner: Runner, image: np.ndarray, trimap: np.ndarray, window: int | None) -> np.ndarray:
    if isinstance(runner.network, dim.DIM):
        return inference.dim_alpha(runner, image, trimap, window=window)
    if isinstance(runner.network, modnet.MODNet):
        return inference.modnet_alpha(runner, image)
    return inference.gfm_alpha(runner, image)


def compared(
    name: str, build: Callable[[], nn.Module], image: np.ndarray, trimap: np.ndarray, window: int, device: torch.device
) -> Line:
    network = lively(build, image, trimap)
    exact = alpha_of(Runner(network, torch.device("cpu")), image, trimap, None)
    windows: tuple[int | None, ...] = (None, window) if isinstance(network, dim.DIM) else (None,)
    cells, apart = [], []
    for half in (False, True):
        for size in (None, window):
            if size not in windows or (half and device.type == "cpu"):
                cells.append("-")
                continue
            runner = Runner(network, device, half)
            apart.append(255 * float(np.abs(alpha_of(runner, image, trimap, size) - exact).max()))
            cells.append(f"{apart[-1]:.3f}{'; ' + '; '.join(runner.notes) if runner.notes else ''}")
    return f"| {name} | {' | '.join(cells)} |", max(apart)


def timed(name: str, build: Callable[[], nn.Module], megapixels: float, window: int, device: torch.device) -> str:
    image, trimap = picture(megapixels)
    runner = Runner(lively(build, image, trimap), device, device.type == "cuda")
    alpha_of(runner, *(plane[:256, :256] for plane in (image, trimap)), window)
    memory = ""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    alpha_of(runner, image, trimap, window)
    seconds = time.perf_counter() - start
    if device.type == "cuda":
        memory = f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f}"
    return f"| {name} | {megapixels:g} | {seconds:.2f} | {memory} |"


def end_to_end(sizes: Sizes, device: torch.device) -> Iterator[Line]:
    """An unsure alpha refined by Deep Image Matting, and its colours estimated: on the device and on the CPU."""
    image, trimap = picture(sizes.compared)
    name, build = next(iter(sizes.networks.items()))
    notes, alphas, colours, seconds = SolveReport(), [], [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "dim.pth")
        save_checkpoint(weights, lively(build, image, trimap), "deep-image-matting")
        for place in ("cpu", device.type):
            start = time.perf_counter()
            unsure = trimap / np.float32(255)
            options = {"device": place, "precision": "single", "window": sizes.window}
            alphas.append(refine_alpha(image, trimap, unsure, report=notes, weights=weights, **options))
            seconds = time.perf_counter() - start
            colours.append(trimatte.estimate_foreground(image, alphas[-1]))
    apart = 255 * float(np.abs(alphas[0] - alphas[1]).max())
    tint = 255 * float(np.abs(colours[0] - colours[1])[alphas[0] > 0.1].max())
    yield f"Refined by {name} on {notes.device}: alpha {apart:.3f}/255 from the CPU's, {seconds:.2f} s.", apart
    yield f"Foreground colours of both: {tint:.2f}/255 apart.", 0.0


def onnx_file() -> Iterator[Line]:
    """The embedded segmenter's file on each device that onnxruntime has."""
    x = np.random.default_rng(0).random((1, 3, 128, 128), np.float32) * 2 - 1
    answers = {}
    with registry.network_file(registry.card("lite")) as file:
        for place in ("cpu", *(each for each in onnx_devices() if each != "cpu")):
            session = open_session(file, device=place)
            answers[session_device(session)] = session.run(None, {session.get_inputs()[0].name: x})[0]
    for place, answer in answers.items():
        apart = 255 * float(np.abs(sigmoid(answer) - sigmoid(answers["cpu"])).max())
        yield f"The segmenter by onnxruntime on {place}: {apart:.3f}/255 from its CPU's.", apart


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


if __name__ == "__main__":
    main()
