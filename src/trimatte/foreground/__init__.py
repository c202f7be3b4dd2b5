"""Photo and alpha to the foreground's own colours: one file a method, and `estimate_foreground`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from trimatte.images import as_alpha, as_image
from trimatte.runtime.plugins import resolve

METHODS = {
    "multilevel": "trimatte.foreground.multilevel:multilevel",
    "closed-form": "trimatte.foreground.closed_form:closed_form",
}
ENTRY_POINTS = "trimatte.foreground_methods"


def estimate_foreground(image: Any, alpha: Any, *, method: str = "multilevel", **options: Any) -> np.ndarray:
    """Estimate the foreground's straight colours, freed of the background that shines through.

    Parameters
    ----------
    image : (H, W, 3) uint8, uint16 or float in [0, 1], a PIL image or a path.
    alpha : (H, W) of the same size.
    method : "multilevel" (Germer et al., 2020), or "closed-form" (Levin et al., 2008), slower and exact.
    options : of the method.

    Returns
    -------
    (H, W, 3) float32 in [0, 1]; where alpha is 1 it is the image itself.
    """
    function = _method(method)
    image = as_image(image)
    alpha = as_alpha(alpha, shape=image.shape[:2])
    foreground: np.ndarray = function(image, alpha, **options)
    return foreground


def _method(name: str) -> Callable[..., np.ndarray]:
    function: Callable[..., np.ndarray] = resolve("foreground", name, METHODS, ENTRY_POINTS)
    return function
