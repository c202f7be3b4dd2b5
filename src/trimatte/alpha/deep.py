"""Alpha methods that are networks: Deep Image Matting behind a trimap, MODNet and GFM without one.

Their weights are not shipped: `weights` names a file of one of the public checkpoints (or of our own training). Needs
the extra `torch`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from trimatte.alpha.known import keep_known
from trimatte.errors import ArgumentError, MissingExtraError, ModelError
from trimatte.images.cells import OVERLAP
from trimatte.linalg.report import SolveReport
from trimatte.runtime.options import Bounds

if TYPE_CHECKING:
    from trimatte.networks.checkpoints import Checkpoint, NetworkName
    from trimatte.networks.inference import Runner

Weights = str | PathLike[str] | None


@dataclass(frozen=True)
class KnownWeights:
    """A public checkpoint: whose it is, where to get it, on what terms, and which options it wants."""

    method: str
    name: str
    source: str
    licence: str
    options: str = ""


_ADOBE = "trained on Adobe's data set, which is for non-commercial research"

KNOWN_WEIGHTS = (
    KnownWeights(
        "deep-image-matting",
        "stage1_skip_sad_52.9.pth",
        "https://github.com/huochaitiantang/pytorch-deep-image-matting/releases",
        f"no licence stated; {_ADOBE}",
        "skips=True",
    ),
    KnownWeights(
        "deep-image-matting",
        "stage1_sad_54.4.pth",
        "https://github.com/huochaitiantang/pytorch-deep-image-matting/releases",
        f"no licence stated; {_ADOBE}",
        "skips=False",
    ),
    KnownWeights(
        "deep-image-matting",
        "dim_stage3-v16-pln of mmagic",
        "https://github.com/open-mmlab/mmagic/tree/main/configs/dim",
        f"Apache-2.0; {_ADOBE}",
    ),
    KnownWeights(
        "deep-image-matting",
        "deep_matting.pth.tar of IndexNet",
        "https://github.com/poppinace/indexnet_matting",
        "non-commercial purposes only",
    ),
    KnownWeights(
        "deep-image-matting",
        "BEST_checkpoint.tar of foamliu",
        "https://github.com/foamliu/Deep-Image-Matting-PyTorch",
        f"MIT; {_ADOBE}",
    ),
    KnownWeights(
        "modnet",
        "modnet_photographic_portrait_matting.ckpt",
        "https://github.com/ZHKKKe/MODNet",
        "Apache-2.0",
    ),
    KnownWeights(
        "gfm",
        "the checkpoints r34, r34_2b, r101 and d121",
        "https://github.com/JizhiziLi/GFM#gfm",
        "MIT",
        'for FT and BT scheme="FT" or scheme="BT"',
    ),
)


def deep_image_matting(
    image: NDArray[np.float32],
    trimap: NDArray[np.uint8] | None,
    report: SolveReport,
    *,
    weights: Weights = None,
    device: str = "auto",
    precision: Literal["auto", "single", "half"] = "auto",
    skips: bool | None = None,
    window: Annotated[int, Bounds(least=2 * OVERLAP, whole=True)] = 512,
    sizing: Literal["mirror", "own"] = "mirror",
) -> NDArray[np.float32]:
    """Deep Image Matting (Xu et al., CVPR 2017), in windows over the unknown band.

    Parameters
    ----------
    image : (H, W, 3) float32 array in [0, 1]
        The photo, sRGB.
    trimap : (H, W) uint8 array
        Values 0, 128 and 255.
    weights : str or path, optional
        A checkpoint file; see `docs/deep.md` for the public ones.
    device : str, default "auto"
        "auto", "cpu", "cuda" or "mps".
    precision : {'auto', 'single', 'half'}, default "auto"
        "half" is for GPUs; "auto" uses it on CUDA.
    skips : bool, optional
        Whether the network has skips, where the file does not tell.
    window : int, default 512
        Side in pixels of the parts that are computed at a time; memory grows with its square.
    sizing : {'mirror', 'own'}, default "mirror"
        Sides that are no multiple of 32 are mirrored, or resized as the script of the weights' authors does.

    Returns
    -------
    (H, W) float32 array in [0, 1]
        Known pixels are exactly 0 or 1.

    Raises
    ------
    MissingExtraError, ModelError, ArgumentError
        Without PyTorch; for no or unfitting weights; for a device that is not there.
    """
    if trimap is None:
        raise ArgumentError(f"trimap: got None, Deep Image Matting needs one of shape {image.shape[:2]}")
    runner = _runner("deep-image-matting", weights, device, precision, report, skips=skips)
    from trimatte.networks.inference import dim_alpha

    alpha = dim_alpha(runner, image, trimap, window=window, sizing=sizing)
    report.fallbacks += runner.notes
    return alpha


def modnet(
    image: NDArray[np.float32],
    trimap: NDArray[np.uint8] | None,
    report: SolveReport,
    *,
    weights: Weights = None,
    device: str = "auto",
    precision: Literal["auto", "single", "half"] = "auto",
) -> NDArray[np.float32]:
    """MODNet (Ke et al., AAAI 2022) for portraits, without a trimap; seen at about 512 pixels, as its authors do.

    Arguments, result and errors as for `deep_image_matting`; known pixels of a trimap, if there is one, are kept.
    """
    runner = _runner("modnet", weights, device, precision, report)
    from trimatte.networks.inference import modnet_alpha

    alpha = runner.or_on_cpu(lambda: modnet_alpha(runner, image))
    report.device = runner.device.type
    report.fallbacks += runner.notes
    return keep_known(alpha, trimap)


def gfm(
    image: NDArray[np.float32],
    trimap: NDArray[np.uint8] | None,
    report: SolveReport,
    *,
    weights: Weights = None,
    device: str = "auto",
    precision: Literal["auto", "single", "half"] = "auto",
    scheme: Literal["TT", "FT", "BT"] | None = None,
    sizing: Literal["hybrid", "resize"] = "hybrid",
) -> NDArray[np.float32]:
    """Glance and Focus Matting (Li et al., IJCV 2022), without a trimap.

    Arguments, result and errors as for `deep_image_matting`, and:

    scheme : how the decoders are joined, where the file does not tell.
    sizing : "hybrid" glances at a third of the size and focuses at half; "resize" does both at half.
    """
    runner = _runner("gfm", weights, device, precision, report, scheme=scheme)
    from trimatte.networks.inference import gfm_alpha

    alpha = runner.or_on_cpu(lambda: gfm_alpha(runner, image, sizing=sizing))
    report.device = runner.device.type
    report.fallbacks += runner.notes
    return keep_known(alpha, trimap)


def _runner(
    method: NetworkName, weights: Weights, device: str, precision: str, report: SolveReport, **variant: Any
) -> Runner:
    """The network on its device; what was inferred about it goes into the report."""
    try:
        from trimatte.networks.inference import Runner, pick_device
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "torch":
            raise
        raise MissingExtraError(
            f'method {method!r} needs PyTorch: pip install "trimatte[torch]"', name="torch"
        ) from None
    if weights is None:
        raise ModelError(_no_weights(method))
    if not isinstance(weights, (str, PathLike)):
        raise ArgumentError(f"weights: got {weights!r}, wanted a file")
    place, half = pick_device(device, precision)
    checkpoint = _load(method, Path(fspath(weights)), tuple(variant.items()))
    report.device = place.type
    report.solver = f"{checkpoint.layout} weights on {place.type}{' in half precision' if half else ''}"
    return Runner(checkpoint.network, place, half, list(checkpoint.notes), checkpoint.layout)


def _load(method: NetworkName, path: Path, variant: tuple[tuple[str, Any], ...]) -> Checkpoint:
    try:
        stamp = path.stat().st_mtime_ns
    except OSError as error:
        raise ModelError(f"weights: {path} cannot be read ({error.strerror}). {_no_weights(method)}") from None
    return _load_cached(method, path, stamp, variant)


@lru_cache(maxsize=1)
def _load_cached(method: NetworkName, path: Path, stamp: int, variant: tuple[tuple[str, Any], ...]) -> Checkpoint:
    from trimatte.networks.checkpoints import load_checkpoint

    return load_checkpoint(path, method, **dict(variant))


def _no_weights(method: str) -> str:
    """Which weights there are, on what terms, and how to give them."""
    lines = [f"method {method!r} comes without weights; give a file with weights=PATH. Known are:"]
    for known in KNOWN_WEIGHTS:
        if known.method == method:
            options = f"; with {known.options}" if known.options else ""
            lines.append(f"  {known.name} from {known.source} ({known.licence}){options}")
    lines.append("or train your own: trimatte train alpha --network " + method)
    return "\n".join(lines)
