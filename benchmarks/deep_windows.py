"""How far Deep Image Matting's windows are from the whole picture, with full-size networks.

    python benchmarks/deep_windows.py [--megapixels 2] [--window 640] [--forms paper mmagic ...]

The weights are random, scaled layer by layer on a picture so that alpha differs from pixel to pixel: the spread of the
whole picture's alpha over the unknown pixels is in the table, and so is what a margin of 64 pixels in place of the
network's reach would give. Needs some 4 GB a megapixel for the whole picture.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from unittest import mock

import numpy as np
import torch
from common import RESULTS, heading
from scipy import ndimage

from trimatte.images import as_image
from trimatte.networks import dim, inference
from trimatte.synthetic import scene

FORMS = {
    "paper": dim.PAPER,
    "indexnet": dim.INDEXNET,
    "huochaitiantang": dim.HUOCHAITIANTANG,
    "mmagic": dim.MMAGIC,
    "foamliu": dim.FOAMLIU,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, default=2)
    parser.add_argument("--window", type=int, default=640)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    given = parser.parse_args()
    text = "\n".join(report(given)) + "\n"
    print(text)
    (RESULTS / "deep-windows.md").write_text(text)


def report(given: argparse.Namespace) -> Iterator[str]:
    side = round((given.megapixels * 1e6 / 1.5) ** 0.5)
    picture = scene("hair", (side, round(1.5 * side)), seed=0)
    image, trimap = as_image(picture.image), wide_trimap(picture.alpha)
    yield from heading("Deep Image Matting: windows against the whole picture")
    yield ""
    unknown = np.count_nonzero(trimap == 128)
    yield f"{image.shape[1]} x {image.shape[0]} pixels, {unknown} unknown; torch {torch.__version__}."
    yield f"Windows of {given.window} pixels. Differences are of alpha in [0, 1]; promised are 2/255 = 0.0078."
    yield ""
    yield "| form | spread of alpha | largest difference | with a margin of 64 | whole, s | windows, s |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in given.forms:
        yield row(name, image, trimap, given.window)
        print(name, "done", flush=True)


def row(name: str, image: np.ndarray, trimap: np.ndarray, window: int) -> str:
    runner = inference.Runner(lively(FORMS[name], image, trimap), torch.device("cpu"))
    start = time.perf_counter()
    whole = inference.dim_alpha(runner, image, trimap, window=None)
    between = time.perf_counter()
    windows = inference.dim_alpha(runner, image, trimap, window=window)
    end = time.perf_counter()
    with mock.patch.object(inference, "receptive_radius", return_value=64):
        narrow = inference.dim_alpha(runner, image, trimap, window=window)
    far, narrow_far = (float(np.abs(other - whole).max()) for other in (windows, narrow))
    spread = float(whole[trimap == 128].std())
    return f"| {name} | {spread:.2f} | {far:.1e} | {narrow_far:.3f} | {between - start:.0f} | {end - between:.0f} |"


def lively(config: dim.DIMConfig, image: np.ndarray, trimap: np.ndarray) -> dim.DIM:
    """A random network of which each convolution answers a part of the picture with unit variance."""
    torch.manual_seed(0)
    network = dim.DIM(config).eval()
    clipped = config.output == "clip"
    gains = {"deconv1": 0.25, "refine_pred": 0.05} if clipped else {"deconv1": 1.5, "refine_pred": 0.3}

    def scale(module: torch.nn.Conv2d, inputs: object, output: torch.Tensor) -> torch.Tensor:
        spread, mean = output.std(), output.mean()
        module.weight.data /= spread
        module.bias.data[:] = (module.bias - mean) / spread
        return (output - mean) / spread

    convs = {name: module for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)}
    for module in convs.values():
        module.reset_parameters()  # the refinement's last one begins with zeros
    hooks = [module.register_forward_hook(scale) for module in convs.values()]
    top, left = (max(0, n // 2 - 256) for n in trimap.shape)
    part = inference._dim_input(image, trimap / np.float32(255), (top, top + 512, left, left + 512))
    with torch.no_grad():
        network(part)
        for hook in hooks:
            hook.remove()
        for name, module in convs.items():
            if name in gains:
                module.weight.data *= gains[name]
                module.bias.data[:] = gains[name] * module.bias + (0.5 if name == "deconv1" and clipped else 0)
    return network


def wide_trimap(alpha: np.ndarray, width: int = 20) -> np.ndarray:
    """Unknown (128) up to `width` pixels from where alpha is neither 0 nor 255."""
    unknown = ndimage.distance_transform_cdt((alpha == 0) | (alpha == 255), "chessboard") <= width
    return np.where(unknown, 128, alpha).astype(np.uint8)


if __name__ == "__main__":
    main()
