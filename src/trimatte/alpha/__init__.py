"""Photo and trimap to alpha: one file a method, and `estimate_alpha`.

A method is a function `method(image, trimap, report, **options) -> alpha`: image (H, W, 3) float32 in [0, 1],
trimap (H, W) uint8 of 0, 128 and 255 with at least one pixel of each kind (networks may get one with unknown pixels
alone, and trimap-free ones None), report a `SolveReport` to fill in, alpha (H, W) of any float type. All are rows of
one table, `trimatte.alpha.methods`; other packages add theirs by the entry point group `trimatte.alpha_methods`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from trimatte.alpha.methods import ENTRY_POINTS, METHODS, AlphaMethod, alpha_methods, find_method, ready_methods
from trimatte.errors import ArgumentError, ConvergenceWarning, SolverError
from trimatte.images import as_alpha, read_trimap
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.images.hidden import visible_image
from trimatte.linalg.report import SolveReport
from trimatte.runtime.measure import peak_bytes, timed
from trimatte.runtime.options import check_flag, check_options

__all__ = [
    "ENTRY_POINTS",
    "METHODS",
    "AlphaMethod",
    "ConvergenceWarning",
    "Matte",
    "alpha_methods",
    "complaints",
    "estimate_alpha",
    "find_method",
    "quiet_matte",
    "ready_methods",
]


@dataclass(frozen=True)
class Matte:
    """An alpha matte and how it came about.

    Attributes
    ----------
    alpha : (H, W) float32 array in [0, 1]
        Known trimap pixels are exactly 0 or 1.
    report : SolveReport
        How it came about.
    """

    alpha: np.ndarray
    report: SolveReport


def estimate_alpha(
    image: Any, trimap: Any = None, *, method: str = "closed-form", strict: bool = False, **options: Any
) -> Matte:
    """Estimate the coverage of the foreground at each pixel.

    Parameters
    ----------
    image : image-like
        (H, W, 3) uint8, uint16 or float in [0, 1], a PIL image or a path. Colours under an alpha of 0 are not used.
    trimap : (H, W); 0 is background, 255 (1.0 in floats) foreground, all between unknown. Not needed by
        trimap-free methods, which keep what it knows if there is one.
    method : str, default "closed-form"
        A name of `alpha_methods()`, or "pymatting:M" for method M of that package.
    strict : bool, default False
        Raise `SolverError` where the result would carry a warning.
    **options : Any
        Of the method.

    Returns
    -------
    Matte
        Known pixels are exactly 0 or 1. Without foreground in the trimap alpha is 0 everywhere, without background 1;
        networks decide for themselves. Without unknown pixels it is the trimap. The report says so.

    Raises
    ------
    ArgumentError
        A wrong shape, range, method or option; with `strict`, a trimap without known foreground or background if the
        method needs both.
    SolverError
        With `strict`, if the solver did not converge, or alpha is undetermined somewhere.

    Warns
    -----
    ConvergenceWarning
        Where `strict` raises `SolverError`.
    """
    matte = quiet_matte(image, trimap, method=method, strict=strict, **options)
    for complaint in complaints(matte.report):
        warnings.warn(complaint, ConvergenceWarning, stacklevel=2)
    return matte


def quiet_matte(image: Any, trimap: Any, *, method: str, strict: bool, given: bool = True, **options: Any) -> Matte:
    """`estimate_alpha` without the warning, which cannot be caught where threads share the process.

    `given`: the trimap is the caller's own, which `strict` refuses if it lacks a kind that the method needs.
    """
    check_flag("strict", strict)
    row = find_method(method)
    function = row.load()
    image = visible_image(image)
    report = SolveReport(method=method)
    known_trimap = None if trimap is None else read_trimap(trimap, shape=image.shape[:2])
    if known_trimap is None and row.needs_trimap:
        raise ArgumentError(f"trimap: got None, method {method!r} needs one of shape {image.shape[:2]}")
    check_options(method, function, options)
    if row.sees_map and options.get("probability") is not None:
        options["probability"] = as_alpha(options["probability"], name="probability", shape=image.shape[:2])
    spreads = row.needs_trimap and row.needs_samples and options.get("prior") is None
    if strict and given and spreads and known_trimap is not None:
        _check_kinds(known_trimap)
    with timed(report.seconds, "alpha"):
        alpha = _estimate(partial(function, **options), image, known_trimap, report, spreads)
    if spreads and report.unknown and known_trimap is not None:
        with timed(report.seconds, "undetermined"):
            _count_undetermined(image, known_trimap, report, local=row.local)
    report.peak_bytes = peak_bytes()
    if strict and (faults := complaints(report)):
        raise SolverError("; ".join(faults))
    return Matte(alpha, report)


def remarks(report: SolveReport) -> list[str]:
    """What the user should know of a result: what is wrong with it, and each departure from the plain way."""
    return [*complaints(report), *report.fallbacks]


def complaints(report: SolveReport) -> list[str]:
    """What is wrong with a result: that the solver did not converge, or that nothing known determines some pixels."""
    faults = []
    if not report.converged:
        faults.append(
            f"{report.method}: not converged after {report.iterations} iterations, residual {report.residual:.1e}"
        )
    if report.undetermined:
        faults.append(
            f"{report.method}: nothing known determines {report.undetermined} of {report.unknown} unknown pixels: "
            "mark some of them in the trimap"
        )
    return faults


def _count_undetermined(image: np.ndarray, trimap: np.ndarray, report: SolveReport, *, local: bool) -> None:
    """Put the number of pixels that nothing known determines into the report, if the method itself has found less."""
    from trimatte.alpha.undetermined import undetermined

    if all((trimap == value).any() for value in (FOREGROUND, BACKGROUND)):
        count = int(np.count_nonzero(undetermined(image, trimap, local=local)))
        report.undetermined = max(report.undetermined, count)


def _check_kinds(trimap: np.ndarray) -> None:
    """Raise `ArgumentError` for a trimap in which there is nothing to spread."""
    for name, value in (("foreground", FOREGROUND), ("background", BACKGROUND)):
        if (trimap == UNKNOWN).any() and not (trimap == value).any():
            raise ArgumentError(f"trimap: it has no known {name}, so that alpha would be the same everywhere")


def _estimate(
    function: Callable[..., np.ndarray],
    image: np.ndarray,
    trimap: np.ndarray | None,
    report: SolveReport,
    spreads: bool,
) -> np.ndarray:
    """Alpha by a method's function; `spreads`: it needs known pixels of both kinds, and is not called without."""
    alpha: np.ndarray
    if trimap is None:
        alpha = np.clip(function(image, None, report), 0, 1).astype(np.float32, copy=False)
        return alpha
    foreground, background = (np.any(trimap == value) for value in (FOREGROUND, BACKGROUND))
    report.unknown = int(np.count_nonzero(trimap == UNKNOWN))
    solved = None
    if report.unknown == 0:
        report.fallbacks.append("the trimap has no unknown pixel: it is the alpha")
    elif spreads and not foreground:
        report.fallbacks.append("the trimap has no foreground: alpha is 0 everywhere")
    elif spreads and not background:
        report.fallbacks.append("the trimap has no background: alpha is 1 everywhere")
        return np.ones(trimap.shape, np.float32)
    else:
        solved = function(image, trimap, report)
    alpha = (trimap == FOREGROUND).astype(np.float32)
    if solved is not None:
        places = np.flatnonzero(trimap == UNKNOWN)  # numpy is slower by a mask of two axes
        alpha.put(places, np.clip(solved.take(places), 0, 1))
    return alpha
