"""Alpha from a photo and its trimap by a small network alone, run by onnxruntime.

The network (`trimatte.networks.light`) looks at windows of the band. It is shipped; how it was trained is in
`trimatte.training.light`, on what in `weights/light.toml`.
"""

from __future__ import annotations

import numpy as np

from trimatte._measure import timed
from trimatte.alpha._network import Part, distances, looked_at_in_windows, network_session, padded
from trimatte.linalg.report import SolveReport
from trimatte.trimap import BACKGROUND, FOREGROUND

CHANNELS = 7
MULTIPLE = 32
"""The network wants sides that are multiples of this."""


def light(image: np.ndarray, trimap: np.ndarray, report: SolveReport) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W)."""
    with timed(report.seconds, "network"):
        return looked_at(image, trimap)[0]


def looked_at(image: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The network's alpha (H, W) and its expected absolute error (H, W), both float32 and exact where known."""
    x = features(image, trimap)

    def look(seen: Part) -> np.ndarray:
        answer = network_session("light").run(None, {"features": padded(x[:, seen[0], seen[1]], MULTIPLE)[None]})
        planes: np.ndarray = np.concatenate(answer)[:, 0]
        return planes

    return looked_at_in_windows(trimap, MULTIPLE, look)


def features(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """What the network sees of (a part of) a picture, (7, H, W) float32.

    Colour, known foreground and background, and the distances to both.
    """
    planes = [*np.moveaxis(image, -1, 0), trimap == FOREGROUND, trimap == BACKGROUND, *distances(trimap)]
    out: np.ndarray = np.stack(planes).astype(np.float32, copy=False)
    return out
