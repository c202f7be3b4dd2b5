"""Photo and trimap to alpha: one file a method, and `estimate_alpha`.

A method is a function `method(image, trimap, report, **options) -> alpha`: image (H, W, 3) float32 in [0, 1],
trimap (H, W) uint8 of 0, 128 and 255 with at least one pixel of each kind (networks may get one with unknown pixels
alone, and trimap-free ones None), report a `SolveReport` to fill in, alpha (H, W) of any float type. Other packages
add theirs by the entry point group `trimatte.alpha_methods`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError, SolverError
from trimatte.images import as_image, as_trimap
from trimatte.linalg.report import SolveReport
from trimatte.runtime.measure import peak_bytes, timed
from trimatte.runtime.plugins import known, resolve

METHODS = {
    "closed-form": "trimatte.alpha.closed_form:closed_form",
    "knn": "trimatte.alpha.knn:knn",
    "learning-based": "trimatte.alpha.learning_based:learning_based",
    "large-kernel": "trimatte.alpha.large_kernel:large_kernel",
    "random-walk": "trimatte.alpha.random_walk:random_walk",
    "shared": "trimatte.alpha.shared:shared",
    "light": "trimatte.alpha.light:light",
    "hybrid": "trimatte.alpha.hybrid:hybrid",
    "deep-image-matting": "trimatte.alpha.deep:deep_image_matting",
    "glance": "trimatte.alpha.glance:glance",
    "modnet": "trimatte.alpha.deep:modnet",
    "gfm": "trimatte.alpha.deep:gfm",
}
TRIMAP_FREE = {"glance", "modnet", "gfm"}
WITHOUT_SAMPLES = {"deep-image-matting", *TRIMAP_FREE}
"""Networks that tell foreground from background by themselves; all else spreads what a trimap knows of both."""
REFINERS = {"deep-image-matting": "trimatte.alpha.deep:refine_alpha"}
ENTRY_POINTS = "trimatte.alpha_methods"


class ConvergenceWarning(UserWarning):
    """The alpha solver stopped before it reached the demanded residual."""


@dataclass(frozen=True)
class Matte:
    """An alpha matte and how it came about.

    Attributes
    ----------
    alpha : (H, W) float32 in [0, 1]; known trimap pixels are exactly 0 or 1.
    report : SolveReport
    """

    alpha: np.ndarray
    report: SolveReport


def alpha_methods() -> list[str]:
    """Names of all alpha methods, without the `pymatting:` ones."""
    return known(METHODS, ENTRY_POINTS)


def estimate_alpha(
    image: Any, trimap: Any = None, *, method: str = "closed-form", strict: bool = False, **options: Any
) -> Matte:
    """Estimate the coverage of the foreground at each pixel.

    Parameters
    ----------
    image : (H, W, 3) uint8, uint16 or float in [0, 1], a PIL image or a path.
    trimap : (H, W); 0 is background, 255 (1.0 in floats) foreground, all between unknown. Not needed by
        trimap-free methods, which keep what it knows if there is one.
    method : a name of `alpha_methods()`, or "pymatting:M" for method M of that package.
    strict : raise `SolverError` where the result would carry a warning.
    options : of the method.

    Returns
    -------
    Matte
        Known pixels are exactly 0 or 1. A trimap without foreground gives 0 everywhere, one without background 1, but
        for networks; one without unknown pixels gives itself. The report says so.

    Raises
    ------
    ArgumentError
        A wrong shape, range, method or option.
    SolverError
        With `strict`, if the solver did not converge.
    """
    matte = quiet_matte(image, trimap, method=method, strict=strict, **options)
    if not matte.report.converged:
        warnings.warn(complaint(matte.report), ConvergenceWarning, stacklevel=2)
    return matte


def quiet_matte(image: Any, trimap: Any, *, method: str, strict: bool, **options: Any) -> Matte:
    """`estimate_alpha` without the warning, which cannot be caught where threads share the process."""
    function = method_function(method)
    image = as_image(image)
    report = SolveReport(method=method)
    known_trimap = None if trimap is None else as_trimap(trimap, shape=image.shape[:2])
    if known_trimap is None and method not in TRIMAP_FREE:
        raise ArgumentError(f"trimap: got None, method {method!r} needs one of shape {image.shape[:2]}")
    _check_options(method, function, options)
    with timed(report.seconds, "alpha"):
        alpha = _estimate(function, image, known_trimap, report, options)
    report.peak_bytes = peak_bytes()
    if strict and not report.converged:
        raise SolverError(complaint(report))
    return Matte(alpha, report)


def complaint(report: SolveReport) -> str:
    """What there is to say of a solve that did not converge."""
    return f"{report.method}: not converged after {report.iterations} iterations, residual {report.residual:.1e}"


def method_function(name: str) -> Callable[..., np.ndarray]:
    """What stands behind a method's name."""
    if name.startswith("pymatting:"):
        from trimatte.alpha.peer import pymatting_method

        return partial(pymatting_method, name.removeprefix("pymatting:"))
    function: Callable[..., np.ndarray] = resolve("method", name, METHODS, ENTRY_POINTS)
    return function


def _check_options(name: str, function: Callable[..., Any], options: dict[str, Any]) -> None:
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    allowed = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in allowed:
            raise ArgumentError(f"{option}: no option of {name!r}, which has {', '.join(allowed) or 'none'}")


def _estimate(
    function: Callable[..., np.ndarray],
    image: np.ndarray,
    trimap: np.ndarray | None,
    report: SolveReport,
    options: dict[str, Any],
) -> np.ndarray:
    alpha: np.ndarray
    if trimap is None:
        alpha = np.clip(function(image, None, report, **options), 0, 1).astype(np.float32, copy=False)
        return alpha
    foreground, background = trimap == 255, trimap == 0
    unknown = ~(foreground | background)
    report.unknown = int(np.count_nonzero(unknown))
    solved = None
    by_propagation = options.get("prior") is None and report.method not in WITHOUT_SAMPLES
    if report.unknown == 0:
        report.fallbacks.append("the trimap has no unknown pixel: it is the alpha")
    elif by_propagation and not foreground.any():
        report.fallbacks.append("the trimap has no foreground: alpha is 0 everywhere")
    elif by_propagation and not background.any():
        report.fallbacks.append("the trimap has no background: alpha is 1 everywhere")
        return np.ones(trimap.shape, np.float32)
    else:
        solved = function(image, trimap, report, **options)
    alpha = foreground.astype(np.float32)
    if solved is not None:
        alpha[unknown] = np.clip(solved[unknown], 0, 1)
    return alpha
