"""Another method's alpha, redone by a network where it is unsure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from trimatte.alpha.known import keep_known, narrow_trimap
from trimatte.alpha.methods import METHODS, AlphaMethod, alpha_methods, find_method
from trimatte.errors import ArgumentError
from trimatte.images import as_alpha, as_image, read_trimap
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.linalg.report import SolveReport
from trimatte.runtime.options import Bounds, check_options, signature_of
from trimatte.runtime.plugins import check_name, known, resolve, unknown

ENTRY_POINTS = "trimatte.refiners"


def refiners() -> list[str]:
    """Names of what can redo an alpha: our networks that take a trimap, and those that were added."""
    own = [name for name, row in METHODS.items() if row.refines]
    return [*own, *(name for name in alpha_methods() if name not in METHODS and _is_added(name))]


def find_refiner(name: str) -> Callable[..., NDArray[np.float32]]:
    """The function that stands behind a refiner's name: `refine_alpha` by that method, with the method's options.

    Raises
    ------
    ArgumentError
        For a name that there is not, a method that cannot refine, or a plug-in that cannot be used.
    ModelError
        For a network that is not added yet, or takes no trimap; the message says what to do.
    """
    check_name("refine", name)
    if name in METHODS and METHODS[name].refines:
        return _by(name, METHODS[name])
    from trimatte.segmentation import registry

    if name not in METHODS and registry.knows(name):
        row = find_method(name)
        if not row.needs_trimap:
            raise ArgumentError(f"refine: {name!r} takes no trimap, so that it cannot redo a part: give it as method")
        return _by(name, row)
    names = known(dict.fromkeys(refiners()), ENTRY_POINTS)
    if name not in names:
        raise unknown("refine", name, names, registry.named_for("matting"))
    found: Callable[..., NDArray[np.float32]] = resolve("refine", name, {}, ENTRY_POINTS)
    return found


def refine_alpha(
    image: Any,
    trimap: Any,
    alpha: Any,
    *,
    method: str = "deep-image-matting",
    report: SolveReport | None = None,
    sure: float = 0.98,
    margin: int = 8,
    **options: Any,
) -> NDArray[np.float32]:
    """Let a network redo an alpha matte where it is unsure.

    Parameters
    ----------
    image, trimap, alpha : (H, W, 3), (H, W) and (H, W) array
        Of one size; alpha from any other method.
    method : str, default "deep-image-matting"
        A name of `refiners()`.
    report : SolveReport, optional
        Filled in if given: `unknown` becomes the number of pixels that were redone.
    sure, margin : float, int
        See `trimatte.alpha.known.narrow_trimap`.
    **options : Any
        Of the method, such as `weights` and `device`.

    Returns
    -------
    (H, W) float32 array
        The network's alpha where the narrowed trimap is unknown, the given one elsewhere; pixels that the given trimap
        knows are exactly 0 or 1.

    Raises
    ------
    ArgumentError
        For an unknown refiner or option, `sure` that is not above 0.5 and at most 1, or `margin` that is no whole
        number of 0 to 10,000.
    """
    refine = find_refiner(method)
    check_options(method, refine, {"sure": sure, "margin": margin, **options})
    return refine(image, trimap, alpha, report=report, sure=sure, margin=margin, **options)


def _by(name: str, row: AlphaMethod) -> Callable[..., NDArray[np.float32]]:
    """`_refined` by a method, with a signature that names the method's own options."""
    function = row.load()
    refine = partial(_refined, name, row, function)
    own = [p for p in signature_of(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    shared = signature_of(refine).parameters.values()
    named = [p for p in shared if p.kind is not p.VAR_KEYWORD]
    refine.__signature__ = inspect.Signature([*named, *own])  # type: ignore[attr-defined]
    return refine


def _refined(
    name: str,
    row: AlphaMethod,
    function: Callable[..., np.ndarray],
    image: Any,
    trimap: Any,
    alpha: Any,
    *,
    report: SolveReport | None = None,
    sure: Annotated[float, Bounds(above=0.5, most=1)] = 0.98,
    margin: Annotated[int, Bounds(least=0, most=10_000, whole=True)] = 8,
    **options: Any,
) -> NDArray[np.float32]:
    image = as_image(image)
    trimap = read_trimap(trimap, shape=image.shape[:2])
    alpha = as_alpha(alpha, shape=image.shape[:2])
    narrow = narrow_trimap(trimap, alpha, sure=sure, margin=margin)
    report = report if report is not None else SolveReport(method=name)
    report.unknown = int(np.count_nonzero(narrow == UNKNOWN))
    if report.unknown == 0:
        report.fallbacks.append("the alpha is sure everywhere: nothing to refine")
        return keep_known(alpha, trimap)
    if row.needs_samples and not all((narrow == value).any() for value in (FOREGROUND, BACKGROUND)):
        report.fallbacks.append(f"{name} needs known foreground and background to refine: the alpha is left as it is")
        return keep_known(alpha, trimap)
    refined = np.clip(function(image, narrow, report, **options), 0, 1)
    return keep_known(np.where(narrow == UNKNOWN, refined, alpha), trimap)


def _is_added(name: str) -> bool:
    from trimatte.segmentation import registry

    return registry.knows(name) and registry.card(name).contract.needs_trimap
