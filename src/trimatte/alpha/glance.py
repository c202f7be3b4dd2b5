"""Alpha from a photo alone, by the segmenter's encoder and a second decoder, run by onnxruntime.

The segmenter `lite` says what the subject is, in the looks that it takes. Then its encoder sees the photo with its long
side at `LONG_SIDE`, and the finer maps go to the second decoder (`trimatte.networks.glance`), which draws the edge.
Both are shipped; how the second was trained is in `trimatte.training.glance`, on what in `weights/glance.toml`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from trimatte.alpha._network import network_session
from trimatte.linalg.report import SolveReport
from trimatte.planes.resize import resized
from trimatte.runtime.measure import timed
from trimatte.runtime.onnx import open_session
from trimatte.segmentation import registry, segment
from trimatte.segmentation.contract import Contract
from trimatte.segmentation.onnx import network_input
from trimatte.trimap import UNKNOWN

LONG_SIDE = 512
SURE = np.float32(1e-4)
"""Probabilities are kept so far from 0 and 1 before their logit is taken."""
MAPS = ("half", "quarter", "eighth")
"""What is asked of the segmenter's file."""


def glance(image: np.ndarray, trimap: np.ndarray | None, report: SolveReport) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3); known pixels of a trimap (H, W), if there is one, are kept."""
    with timed(report.seconds, "network"):
        alpha = _predict(image)[0]
    report.solver = "network"
    if trimap is None:
        return alpha
    return np.where(trimap == UNKNOWN, alpha, trimap / np.float32(255)).astype(np.float32)


def mixed_pixels(image: np.ndarray, probability: np.ndarray | None = None) -> np.ndarray:
    """The probability that a pixel is neither foreground nor background alone, (H, W) float32 in [0, 1].

    Of image (H, W, 3) float32 in [0, 1], about the subject of `probability` (H, W), or the one that `lite` finds.
    """
    return _predict(image, probability)[1]


def _predict(image: np.ndarray, probability: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (H, W) of image (H, W, 3), and the probability that a pixel is mixed (H, W), both float32 in [0, 1]."""
    segmenter, contract = _segmenter()
    x, _ = network_input(image, contract)
    maps = dict(zip(MAPS, segmenter.run(list(MAPS), {"image": x}), strict=True))
    probability = segment(image) if probability is None else probability
    found = np.clip(resized(probability, x.shape[2:]), SURE, 1 - SURE)
    given = {"image": x, "logits": np.log(found / (1 - found))[None, None], **maps}
    answers = network_session("glance").run(["alpha", "mixed"], given)
    alpha, mixed = (np.clip(resized(answer[0, 0], image.shape), 0, 1) for answer in answers)
    return alpha, mixed


@lru_cache(maxsize=1)
def _segmenter() -> tuple[Any, Contract]:
    """The session of the segmenter's file, and its contract with a longer side."""
    card = registry.card("lite")
    with registry.network_file(card) as path:
        return open_session(path, outputs=MAPS), replace(card.contract, long_side=LONG_SIDE)
