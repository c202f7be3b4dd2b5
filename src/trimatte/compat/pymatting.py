"""Functions of pymatting by its names and signatures, solved by trimatte.

Known trimap pixels are those of at most 0.1 and at least 0.9, as there. Preconditioners and callbacks are refused:
trimatte has its own. Arrays come back as float64.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trimatte import cutout as _cutout
from trimatte.alpha import estimate_alpha
from trimatte.errors import ArgumentError
from trimatte.foreground import estimate_foreground
from trimatte.images import as_alpha, as_image
from trimatte.images import save_image as _save_image
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.planes.resize import FILTERS, resized

_BACKGROUND_BELOW, _FOREGROUND_ABOVE = 0.1, 0.9
_MOST_SIDE = 1 << 16
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601, as Pillow weights colours."""
_SAME_OPTIONS = {
    "closed-form": {"epsilon": "epsilon", "radius": "radius", "rtol": "rtol"},
    "knn": {"n_neighbors": "neighbours", "distance_weights": "distance_weights", "rtol": "rtol"},
    "learning-based": {"epsilon": "epsilon", "rtol": "rtol"},
    "large-kernel": {"epsilon": "epsilon", "radius": "radius", "rtol": "rtol"},
    "random-walk": {"sigma": "sigma", "rtol": "rtol"},
}
"""What an option of pymatting is called here, by method; others are refused."""


def cutout(image_path: str, trimap_path: str, cutout_path: str) -> None:
    """Cut a picture out by its trimap, file to file: closed-form alpha and multi-level colours.

    Raises `ArgumentError` if the sizes differ, and as `trimatte.cutout`.
    """
    trimap = _trimap(as_alpha(os.fspath(trimap_path), name="trimap"))
    _cutout(os.fspath(image_path), trimap=trimap).save(cutout_path)


def _estimator(method: str, doc: str) -> Callable[..., np.ndarray]:
    def estimate(
        image: Any,
        trimap: Any,
        preconditioner: None = None,
        laplacian_kwargs: Mapping[str, Any] | None = None,
        cg_kwargs: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        if preconditioner is not None:
            raise ArgumentError("preconditioner: got one; wanted None, since trimatte has its own")
        names, options = _SAME_OPTIONS[method], {}
        for option, value in {**(laplacian_kwargs or {}), **(cg_kwargs or {})}.items():
            if option not in names:
                raise ArgumentError(f"{option}: no option here; wanted some of {', '.join(names)}")
            options[names[option]] = value
        matte = estimate_alpha(as_image(image), _trimap(as_alpha(trimap, name="trimap")), method=method, **options)
        return matte.alpha.astype(np.float64)

    estimate.__doc__ = f"""Estimate alpha by {doc}.

    Parameters
    ----------
    image : (H, W, 3) array
        Floats in [0, 1].
    trimap : (H, W) array
        Floats in [0, 1].
    preconditioner : None
        Others are refused.
    laplacian_kwargs, cg_kwargs : mapping, optional
        Options as of pymatting, where trimatte has the same.

    Returns
    -------
    (H, W) float64 array in [0, 1]
    """
    return estimate


estimate_alpha_cf = _estimator("closed-form", "closed-form matting (Levin et al., 2008)")
estimate_alpha_knn = _estimator("knn", "KNN matting (Chen et al., 2013)")
estimate_alpha_lbdm = _estimator("learning-based", "learning-based matting (Zheng and Kambhamettu, 2009)")
estimate_alpha_rw = _estimator("random-walk", "random-walk matting (Grady et al., 2005)")


def estimate_alpha_lkm(
    image: Any,
    trimap: Any,
    laplacian_kwargs: Mapping[str, Any] | None = None,
    cg_kwargs: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Estimate alpha by large-kernel matting (He et al., 2010): as `estimate_alpha_cf`, without a preconditioner."""
    return _large_kernel(image, trimap, None, laplacian_kwargs, cg_kwargs)


_large_kernel = _estimator("large-kernel", "large-kernel matting (He et al., 2010)")


def estimate_alpha_sm(image: Any, trimap: Any) -> np.ndarray:
    """Estimate alpha (H, W) float64 by shared matting (Gastal and Oliveira, 2010)."""
    return estimate_alpha(as_image(image), _trimap(as_alpha(trimap, name="trimap")), method="shared").alpha.astype(
        np.float64
    )


def estimate_foreground_ml(
    image: Any,
    alpha: Any,
    regularization: float = 1e-5,
    n_small_iterations: int = 10,
    n_big_iterations: int = 2,
    small_size: int = 32,
    return_background: bool = False,
    gradient_weight: float = 1.0,
) -> Any:
    """The subject's colours (H, W, 3) float64 by the multi-level method; with `return_background` a pair of both.

    What it depends on is fixed here: other values than pymatting's own raise `ArgumentError`.
    """
    _check_usual("regularization", regularization, 1e-5)
    _check_usual("n_small_iterations", n_small_iterations, 10)
    _check_usual("n_big_iterations", n_big_iterations, 2)
    _check_usual("small_size", small_size, 32)
    _check_usual("gradient_weight", gradient_weight, 1.0)
    if return_background:
        from trimatte.foreground.multilevel import both_layers

        foreground, background = both_layers(as_image(image), as_alpha(alpha), everywhere=True)
        return foreground.astype(np.float64), background.astype(np.float64)
    return estimate_foreground(image, alpha, method="multilevel").astype(np.float64)


def estimate_foreground_cf(
    image: Any, alpha: Any, regularization: float = 1e-5, rtol: float = 1e-5, *, return_background: bool = False
) -> np.ndarray:
    """The subject's colours (H, W, 3) float64 by the closed-form method.

    Another `regularization` than pymatting's own, and a background, raise `ArgumentError`.
    """
    _check_usual("regularization", regularization, 1e-5)
    _check_usual("return_background", return_background, False)
    return estimate_foreground(image, alpha, method="closed-form", rtol=rtol).astype(np.float64)


def _check_usual(name: str, value: Any, usual: Any) -> None:
    if value != usual:
        raise ArgumentError(f"{name}: got {value!r}; wanted {usual!r}, which is fixed here")


def load_image(path: str, mode: str | None = None, size: Any = None, resample: str = "box") -> np.ndarray:
    """A picture as float64 in [0, 1].

    Parameters
    ----------
    path : str
        Of its file.
    mode : {None, 'RGB', 'GRAY'}
        Colours (H, W, 3), or their luma (H, W).
    size : float or (int, int), optional
        How many times as large, or width and height.
    resample : {'box', 'nearest', 'bilinear', 'bicubic', 'lanczos'}
        How its size is changed.

    Raises
    ------
    ArgumentError
        For a value that is another.
    ImageReadError
        If it cannot be read.
    """
    wanted = mode.upper() if isinstance(mode, str) else mode
    if wanted not in (None, "RGB", "GRAY"):
        raise ArgumentError(f"mode: got {mode!r}; wanted None, 'RGB' or 'GRAY'")
    if resample not in FILTERS:
        raise ArgumentError(f"resample: got {resample!r}; wanted one of {', '.join(FILTERS)}")
    image = as_image(path)
    if wanted == "GRAY":
        image = image @ _LUMA
    if size is not None:
        image = resized(image, _height_and_width(size, image.shape), resample)
    return np.ascontiguousarray(image, np.float64)


def _height_and_width(size: Any, shape: Sequence[int]) -> tuple[int, int]:
    try:
        width, height = (size * shape[1], size * shape[0]) if np.ndim(size) == 0 else size
        if 0 < min(width, height) <= max(width, height) <= _MOST_SIDE:
            return max(1, int(height)), max(1, int(width))
    except (TypeError, ValueError, OverflowError):
        pass
    raise ArgumentError(f"size: got {size!r}; wanted a factor, or width and height")


def save_image(path: str | os.PathLike[str], image: Any, make_directory: bool = True) -> None:
    """Write a picture (H, W), (H, W, 3) or (H, W, 4) of 8 bits a channel; its folder is made if it is not there."""
    if make_directory and (folder := os.path.dirname(os.fspath(path))):
        os.makedirs(folder, exist_ok=True)
    _save_image(os.fspath(path), image, bits=8)


def stack_images(*images: Any) -> np.ndarray:
    """Planes and pictures side by side along the last axis, such as colours and alpha."""
    return np.concatenate([np.atleast_3d(np.asarray(image)) for image in images], axis=2)


def blend(foreground: Any, background: Any, alpha: Any) -> np.ndarray:
    """alpha F + (1 - alpha) B, (H, W, 3) float64; the background may be a colour of three floats."""
    share = as_alpha(alpha)[..., None]
    mixed: np.ndarray = share * np.asarray(foreground, np.float64) + (1 - share) * np.asarray(background, np.float64)
    return mixed


def _trimap(values: np.ndarray) -> np.ndarray:
    trimap = np.full(values.shape, UNKNOWN, np.uint8)
    trimap[values <= _BACKGROUND_BELOW], trimap[values >= _FOREGROUND_ABOVE] = BACKGROUND, FOREGROUND
    return trimap


__all__ = [
    "blend",
    "cutout",
    "estimate_alpha_cf",
    "estimate_alpha_knn",
    "estimate_alpha_lbdm",
    "estimate_alpha_lkm",
    "estimate_alpha_rw",
    "estimate_alpha_sm",
    "estimate_foreground_cf",
    "estimate_foreground_ml",
    "load_image",
    "save_image",
    "stack_images",
]
