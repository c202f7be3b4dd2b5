"""Error figures for mattes, masks, foreground colours and sequences.

    from trimatte import metrics
    metrics.sad(alpha, target, trimap=trimap)

`sad`, `mse`, `mad`, `gradient_error` and `connectivity_error` agree with the field's reference implementation; other
codes' deviations are there under the name of a `variant`. Every figure is gathered over the unknown pixels if a trimap
is given and over the whole picture if not; `sad`, `gradient_error` and `connectivity_error` are divided by 1000.
"""

from trimatte.evaluation.alpha_metrics import (
    connectivity_error,
    gradient_error,
    mad,
    measure,
    mse,
    sad,
    sad_by_region,
)
from trimatte.evaluation.mask_metrics import dtssd, f_measures, foreground_error, iou, mae, max_f_measure
from trimatte.evaluation.structure_metrics import boundary_iou, e_measure, s_measure, weighted_f_measure

__all__ = [
    "boundary_iou",
    "connectivity_error",
    "dtssd",
    "e_measure",
    "f_measures",
    "foreground_error",
    "gradient_error",
    "iou",
    "mad",
    "mae",
    "max_f_measure",
    "measure",
    "mse",
    "s_measure",
    "sad",
    "sad_by_region",
    "weighted_f_measure",
]
