"""Photo and alpha to the foreground's own colours: one file a method, and `estimate_foreground`.

A method is a function `method(image, alpha, report, **options) -> foreground`: image and foreground (H, W, 3) float32
in [0, 1], alpha (H, W) float32 in [0, 1], report a `SolveReport` to fill in. Other packages add theirs by the entry
point group `trimatte.foreground_methods`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError, ConvergenceWarning, SolverError
from trimatte.images import as_alpha
from trimatte.images.hidden import visible_image
from trimatte.linalg.report import SolveReport
from trimatte.runtime.options import check_flag, check_options
from trimatte.runtime.plugins import resolve

METHODS = {
    "multilevel": "trimatte.foreground.multilevel:multilevel",
    "closed-form": "trimatte.foreground.closed_form:closed_form",
}
ENTRY_POINTS = "trimatte.foreground_methods"


def estimate_foreground(
    image: Any, alpha: Any, *, method: str = "multilevel", strict: bool = False, **options: Any
) -> np.ndarray:
    """Estimate the foreground's straight colours, freed of the background that shines through.

    Parameters
    ----------
    image : image-like
        (H, W, 3) uint8, uint16 or float in [0, 1], a PIL image or a path.
    alpha : (H, W) array
        Of the same size.
    method : str, default "multilevel"
        "multilevel" (Germer et al., 2020), or "closed-form" (Levin et al., 2008), slower and exact.
    strict : bool, default False
        Raise `SolverError` where a warning would be given.
    **options : Any
        Of the method.

    Returns
    -------
    (H, W, 3) float32 array in [0, 1]
        Where alpha is 1 it is the image itself.

    Raises
    ------
    ArgumentError
        A wrong shape, range, method or option.
    SolverError
        With `strict`, if the solver did not converge.

    Warns
    -----
    ConvergenceWarning
        If the solver did not converge.
    """
    report = SolveReport(method=method)
    foreground = quiet_foreground(image, alpha, method=method, strict=strict, report=report, **options)
    if not report.converged:
        warnings.warn(complaint(report), ConvergenceWarning, stacklevel=2)
    return foreground


def quiet_foreground(
    image: Any, alpha: Any, *, method: str, strict: bool, report: SolveReport, **options: Any
) -> np.ndarray:
    """`estimate_foreground` without the warning, which cannot be caught where threads share the process."""
    check_flag("strict", strict)
    function = foreground_method(method, kind="method")
    check_options(method, function, options)
    image = visible_image(image)
    alpha = as_alpha(alpha, shape=image.shape[:2])
    foreground: np.ndarray = function(image, alpha, report, **options)
    if method not in METHODS:
        foreground = np.array(foreground, np.float32)  # a plug-in may give its input, or what it keeps
        if foreground.shape != image.shape:
            raise ArgumentError(f"foreground: {method!r} gave colours {foreground.shape}, wanted {image.shape}")
    if strict and not report.converged:
        raise SolverError(complaint(report))
    return foreground


def complaint(report: SolveReport) -> str:
    """What there is to say of a solve that did not converge."""
    return f"foreground: not converged after {report.iterations} iterations, residual {report.residual:.1e}"


def foreground_method(name: str, *, kind: str = "foreground") -> Callable[..., np.ndarray]:
    """The function behind a method's name: `function(image, alpha, report, **options) -> foreground`.

    Raises `ArgumentError` for an unknown name; `kind` is what the message calls it.
    """
    function: Callable[..., np.ndarray] = resolve(kind, name, METHODS, ENTRY_POINTS)
    return function
