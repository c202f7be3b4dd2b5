"""From the trained weights of the method "hybrid" to the ONNX file that ships in the package."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch

from trimatte.alpha.hybrid import ALPHAS, CHANNELS
from trimatte.networks.hybrid import Hybrid
from trimatte.training.export import store_half

TOLERANCE = 0.005
"""Largest difference of alpha that half-precision storage may make."""


def export_hybrid(weights: Path, out: Path) -> float:
    """Write the network of `weights` as ONNX, its larger weights stored in half precision.

    Input `features` (1, 18, h, w), h and w multiples of 16; outputs `alpha` and `doubt` (1, 1, h, w). Returns the
    largest difference of alpha from torch on noise of two shapes; above `TOLERANCE` that is a `ValueError`.
    """
    network = Hybrid(CHANNELS, ALPHAS)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    axes = {2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.rand(1, CHANNELS, 64, 96),),
            str(out),
            input_names=["features"],
            output_names=["alpha", "doubt"],
            dynamic_axes={"features": axes, "alpha": axes, "doubt": axes},
            opset_version=17,
            dynamo=False,
        )
    onnx.save(store_half(onnx.load(out)), out)
    return _largest_difference(network, out)


def _largest_difference(network: Hybrid, path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for shape in ((64, 96), (160, 112)):
        x = torch.rand(1, CHANNELS, *shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            want = network(x)[0].numpy()
        worst = max(worst, float(np.abs(session.run(None, {"features": x.numpy()})[0] - want).max()))
    if worst > TOLERANCE:
        raise ValueError(f"{path.name}: alpha differs from the network's by {worst:.4f}")
    return worst
