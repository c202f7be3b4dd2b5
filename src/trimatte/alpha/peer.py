"""Alpha methods of pymatting (Germer et al., JOSS 2020), for comparison and where we have none of our own."""

from __future__ import annotations

import atexit
import inspect
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from io import StringIO
from shutil import rmtree
from tempfile import mkdtemp
from types import ModuleType
from typing import Any

import numpy as np

from trimatte.errors import ArgumentError, MissingExtraError
from trimatte.images.arrays import UNKNOWN
from trimatte.linalg.report import SolveReport

NAMES = ("cf", "knn", "lbdm", "lkm", "rw", "sm")


def pymatting_method(name: str) -> Callable[..., np.ndarray]:
    """pymatting's `estimate_alpha_<name>` as a method of ours, with the same options.

    Raises `ArgumentError` for a name that there is not.
    """
    if name not in NAMES:
        raise ArgumentError(f"method: pymatting has no {name!r}, it has {', '.join(NAMES)}")
    theirs = inspect.signature(getattr(_pymatting(), f"estimate_alpha_{name}")).parameters.values()
    options = [p.replace(kind=p.KEYWORD_ONLY) for p in theirs if p.name not in ("image", "trimap")]
    function = partial(_estimate, name)
    ours = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in ("image", "trimap", "report")]
    function.__signature__ = inspect.Signature([*ours, *options])  # type: ignore[attr-defined]
    return function


def _estimate(name: str, image: np.ndarray, trimap: np.ndarray, report: SolveReport, **options: Any) -> np.ndarray:
    """Alpha (H, W) float64 by pymatting's `estimate_alpha_<name>`; its failure to converge is reported."""
    function = getattr(_pymatting(), f"estimate_alpha_{name}")
    values = np.where(trimap == UNKNOWN, 0.5, trimap / 255.0)
    report.solver = f"pymatting {name}"
    with warnings.catch_warnings(), redirect_stdout(StringIO()):  # it prints advice, where a picture may be going
        warnings.simplefilter("ignore")
        try:
            alpha = function(image.astype(np.float64), values, **options)
        except ValueError as error:
            if "converge" not in str(error):
                raise
            report.converged, report.residual = False, float("nan")
            report.fallbacks.append(f"pymatting: {error}; unknown pixels are 0.5")
            return values
    return np.asarray(alpha)


def _pymatting() -> ModuleType:
    """pymatting, whose kernels insist on a folder to be cached in: a temporary one where there is no other."""
    try:
        return import_module("pymatting")
    except ModuleNotFoundError as error:
        if error.name != "pymatting":
            raise
        raise MissingExtraError("its methods need pymatting: pip install 'trimatte[peers]'") from error
    except RuntimeError as error:
        if "locator" not in str(error):
            raise
    import numba

    folder = mkdtemp(prefix="trimatte-")
    atexit.register(rmtree, folder, ignore_errors=True)
    numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]
    return import_module("pymatting")
