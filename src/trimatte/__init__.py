"""trimatte: image matting without a GPU.

`cutout` goes the whole way from a photo to a clean RGBA cut-out; `segment`, `make_trimap`, `estimate_alpha`,
`estimate_foreground` and `composite` are its steps. Names are imported when first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from trimatte.runtime.lazy import first_use

__version__ = "0.1.0"

_ERRORS = (
    "ArgumentError",
    "CacheWarning",
    "ClusterWarning",
    "ConvergenceWarning",
    "ImageFormatError",
    "ImageReadError",
    "ImageTooLargeError",
    "ImageWarning",
    "ImageWriteError",
    "MissingExtraError",
    "ModelError",
    "SolverError",
    "SubjectNotFoundError",
    "SubjectWarning",
    "TrimatteError",
)

_NAMES = {
    "Cutout": "cutout",
    "CutoutReport": "cutout",
    "Cutter": "cutter",
    "Selection": "selection",
    "BatchSummary": "batch",
    "run_batch": "batch",
    "cutout": "cutout",
    "segment": "segmentation",
    "segmenters": "segmentation",
    "make_trimap": "trimap",
    "AlphaMethod": "alpha",
    "Matte": "alpha",
    "alpha_methods": "alpha",
    "estimate_alpha": "alpha",
    "prepare_alpha": "alpha.prepared",
    "PreparedAlpha": "alpha.prepared",
    "estimate_foreground": "foreground",
    "composite": "composite",
    "checkerboard": "composite",
    "load_image": "images",
    "load_picture": "images",
    "save_image": "images",
    "SolveReport": "linalg",
    "Evaluation": "evaluation.runs",
    "evaluate": "evaluation.runs",
    **dict.fromkeys(_ERRORS, "errors"),
    "errors": "",
    "metrics": "",
}

if TYPE_CHECKING:
    from trimatte import errors as errors
    from trimatte import metrics as metrics
    from trimatte.alpha import AlphaMethod as AlphaMethod
    from trimatte.alpha import Matte as Matte
    from trimatte.alpha import alpha_methods as alpha_methods
    from trimatte.alpha import estimate_alpha as estimate_alpha
    from trimatte.alpha.prepared import PreparedAlpha as PreparedAlpha
    from trimatte.alpha.prepared import prepare_alpha as prepare_alpha
    from trimatte.batch import BatchSummary as BatchSummary
    from trimatte.batch import run_batch as run_batch
    from trimatte.composite import checkerboard as checkerboard
    from trimatte.composite import composite as composite
    from trimatte.cutout import Cutout as Cutout
    from trimatte.cutout import CutoutReport as CutoutReport
    from trimatte.cutout import cutout as cutout
    from trimatte.cutter import Cutter as Cutter
    from trimatte.errors import ArgumentError as ArgumentError
    from trimatte.errors import CacheWarning as CacheWarning
    from trimatte.errors import ClusterWarning as ClusterWarning
    from trimatte.errors import ConvergenceWarning as ConvergenceWarning
    from trimatte.errors import ImageFormatError as ImageFormatError
    from trimatte.errors import ImageReadError as ImageReadError
    from trimatte.errors import ImageTooLargeError as ImageTooLargeError
    from trimatte.errors import ImageWarning as ImageWarning
    from trimatte.errors import ImageWriteError as ImageWriteError
    from trimatte.errors import MissingExtraError as MissingExtraError
    from trimatte.errors import ModelError as ModelError
    from trimatte.errors import SolverError as SolverError
    from trimatte.errors import SubjectNotFoundError as SubjectNotFoundError
    from trimatte.errors import SubjectWarning as SubjectWarning
    from trimatte.errors import TrimatteError as TrimatteError
    from trimatte.evaluation.runs import Evaluation as Evaluation
    from trimatte.evaluation.runs import evaluate as evaluate
    from trimatte.foreground import estimate_foreground as estimate_foreground
    from trimatte.images import load_image as load_image
    from trimatte.images import load_picture as load_picture
    from trimatte.images import save_image as save_image
    from trimatte.linalg import SolveReport as SolveReport
    from trimatte.segmentation import segment as segment
    from trimatte.segmentation import segmenters as segmenters
    from trimatte.selection import Selection as Selection
    from trimatte.trimap import make_trimap as make_trimap

__all__ = sorted([*_NAMES, "__version__"])


def __getattr__(name: str) -> Any:
    return first_use(globals(), _NAMES, name)


def __dir__() -> list[str]:
    return __all__


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing a submodule binds its name here; where a public function has the same name, the function wins.
        if isinstance(value, ModuleType) and _NAMES.get(name) == name:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
