"""Where a whole pipeline loses: segmentation, trimap and matting judged apart and together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimatte.evaluation import mask_metrics, structure_metrics
from trimatte.images.arrays import UNKNOWN

Alpha = NDArray[np.float32]
Trimap = NDArray[np.uint8]


def judge_stages(
    target: Alpha,
    alpha: Alpha,
    probability: Alpha | None,
    trimap: Trimap | None,
    matting: Callable[[Trimap], Alpha] | None = None,
) -> dict[str, Any]:
    """Figures of each stage of a pipeline, (H, W) arrays all.

    Returns
    -------
    dict
        "segmentation": of the probability against the true alpha, MAE, IoU, best F-measure ("max_f"), S-measure, mean
        E-measure, weighted F-measure and boundary IoU.
        "trimap": "unknown", the share of the picture that is left to matting; "covered", the share of the truly mixed
        pixels (0 < alpha < 1) that it holds; "wrong", the SAD of what is called known and is not so.
        "matting_alone": SAD of the alpha method on the trimap that the true alpha gives.
        "loss": the whole picture's SAD as a sum: "trimap", what the trimap stage calls wrongly known when it is given
        the true alpha; "segmentation", what is wrongly known beyond that; "matting", the error among unknown
        pixels; "total". Segmentation's part can be slightly negative, where its trimap is wider than the true alpha's.
        All SAD are divided by 1000.
    """
    figures: dict[str, Any] = {}
    if probability is not None:
        figures["segmentation"] = {
            "mae": mask_metrics.mae(probability, target),
            "iou": mask_metrics.iou(probability, target),
            "max_f": mask_metrics.max_f_measure([probability], [target]),
            "s_measure": structure_metrics.s_measure(probability, target),
            "e_measure": structure_metrics.e_measure(probability, target),
            "weighted_f": structure_metrics.weighted_f_measure(probability, target),
            "boundary_iou": structure_metrics.boundary_iou(probability, target),
        }
    if trimap is None:
        return figures
    from trimatte.trimap import SPECK, make_trimap

    true_trimap = make_trimap(target, speck=SPECK)
    mixed = (target > 0) & (target < 1)
    unknown = trimap == UNKNOWN
    figures["trimap"] = {
        "unknown": float(unknown.mean()),
        "covered": float(unknown[mixed].mean()) if mixed.any() else 1.0,
        "wrong": _wrongly_known(trimap, target),
    }
    if matting is not None:
        figures["matting_alone"] = _sad(matting(true_trimap), target)
    own = _wrongly_known(true_trimap, target)
    figures["loss"] = {
        "trimap": own,
        "segmentation": _sad(alpha, target, ~unknown) - own,
        "matting": _sad(alpha, target, unknown),
        "total": _sad(alpha, target),
    }
    return figures


def _wrongly_known(trimap: Trimap, target: Alpha) -> float:
    return _sad((trimap == 255).astype(np.float32), target, trimap != UNKNOWN)


def _sad(alpha: Alpha, target: Alpha, where: NDArray[np.bool_] | None = None) -> float:
    difference = np.abs(alpha - target)
    return float(np.sum(difference if where is None else difference[where], dtype=np.float64)) / 1000
