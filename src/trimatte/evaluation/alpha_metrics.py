"""The five error figures of alpha mattes, as the field's reference implementation defines them.

SAD, MSE, gradient and connectivity error are those of Rhemann et al., "A perceptually motivated online benchmark for
image matting", CVPR 2009, in the form in which Xu et al., "Deep Image Matting", CVPR 2017, published their evaluation.
The arithmetic is single precision, as there; only sums are gathered in double precision.

With a trimap every figure is gathered over its unknown pixels, without one over the whole picture. SAD, gradient and
connectivity are divided by 1000, as papers print them; MSE and MAD are plain means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.images import ImageLike, as_alpha, read_trimap
from trimatte.images.arrays import UNKNOWN, Box, bounding_box, grown
from trimatte.runtime.options import check_sequence

__all__ = ["VARIANTS", "connectivity_error", "gradient_error", "mad", "measure", "mse", "sad", "sad_by_region"]

FloatMap = NDArray[np.float32]
Mask = NDArray[np.bool_]
GradientVariant = Literal["reference", "no-stretch", "gaussian-filter"]
ConnectivityVariant = Literal["reference", "skip-empty", "float64", "label-zero"]

VARIANTS = (
    *(f"gradient:{name}" for name in get_args(GradientVariant)[1:]),
    *(f"connectivity:{name}" for name in get_args(ConnectivityVariant)[1:]),
)
"""Names of the figures of published ports that deviate from the reference."""

# Two floats that stand for the same 8-bit value may differ in the last bit, depending on who divided by 255.
_TIE = np.float32(1e-6)


def sad(alpha: ImageLike, target: ImageLike, *, trimap: ImageLike | None = None) -> float:
    """Sum of absolute differences, divided by 1000.

    Parameters
    ----------
    alpha, target : (H, W) uint8, uint16 or float in [0, 1]
        The estimated and the true alpha matte.
    trimap : (H, W), optional
        Sum over its unknown pixels only; over the whole picture if None.

    Raises
    ------
    ArgumentError
        (a ValueError) if shapes differ, a value is not in [0, 1] or not finite.
    """
    return _sad(*_at_the_door(alpha, target, trimap))


def mse(alpha: ImageLike, target: ImageLike, *, trimap: ImageLike | None = None) -> float:
    """Mean squared error; not scaled (papers print it raw or times 1000).

    Arguments as for `sad`. Raises ArgumentError also if the trimap has no unknown pixel, over which no mean exists.
    """
    return _mse(*_at_the_door(alpha, target, trimap))


def mad(alpha: ImageLike, target: ImageLike, *, trimap: ImageLike | None = None) -> float:
    """Mean absolute difference; not scaled. Arguments and errors as for `mse`."""
    return _mad(*_at_the_door(alpha, target, trimap))


def gradient_error(
    alpha: ImageLike,
    target: ImageLike,
    *,
    trimap: ImageLike | None = None,
    variant: GradientVariant = "reference",
) -> float:
    """Sum of squared differences of the gradient amplitudes, divided by 1000.

    Arguments and errors as for `sad`, and

    variant : str
        - "reference": both mattes are stretched to [0, 1] each on its own; derivatives of a Gaussian of sigma 1.4,
          9x9 taps with an L2 norm of 1, the border replicated.
        - "no-stretch": the same without stretching, as the Python evaluation of GCA Matting and MatteFormer has it.
        - "gaussian-filter": stretched; SciPy's `gaussian_filter` derivatives (13 taps, no L2 norm, border
          reflected), the sum divided by 10: the figure that IndexNet's Python code and papers built on it (GFM, AIM,
          P3M) print. In the interior it is the reference's divided by 0.9656.
    """
    _check_variant("variant", variant, GradientVariant)
    return _gradient(*_at_the_door(alpha, target, trimap), variant=variant)


def connectivity_error(
    alpha: ImageLike,
    target: ImageLike,
    *,
    trimap: ImageLike | None = None,
    variant: ConnectivityVariant = "reference",
) -> float:
    """Sum of differences of the degree of connectedness, divided by 1000.

    A pixel is as connected as the highest of ten thresholds at which it still belongs to the largest 4-connected region
    that lies above that threshold in both mattes; falling short by less than 0.15 does not count.

    Arguments and errors as for `sad`, and

    variant : str
        - "reference".
        - "skip-empty": a threshold that no pixel reaches in both mattes is passed over (IndexNet's evaluation).
        - "float64": thresholds in double precision, so that the 8-bit value 153 misses level 0.6 (mmagic, others).
        - "label-zero": the largest region may be what lies below the threshold (the Python evaluation of GCA Matting,
          MGMatting and MatteFormer, about 5 % too small).
    """
    _check_variant("variant", variant, ConnectivityVariant)
    return _connectivity(*_at_the_door(alpha, target, trimap), variant=variant)


def sad_by_region(alpha: ImageLike, target: ImageLike, *, trimap: ImageLike | None = None) -> dict[str, float]:
    """SAD of foreground, background and transition, each divided by 1000: what sums to the whole picture's SAD.

    Regions are those of the trimap (known foreground, known background, unknown), as in Li et al., "Bridging Composite
    and Real: Towards End-to-end Deep Image Matting" (GFM), IJCV 2022, and the works that follow it; without a trimap
    those of the true alpha: 1, 0, and between.

    Returns
    -------
    dict
        "sad_foreground", "sad_background", "sad_transition".

    Arguments and errors as for `sad`.
    """
    a, t, _ = _at_the_door(alpha, target, None)
    known = t if trimap is None else read_trimap(trimap, name="trimap", shape=t.shape) / np.float32(255)
    difference, front, back = np.abs(a - t), known == 1, known == 0
    regions = {"foreground": front, "background": back, "transition": ~(front | back)}
    return {f"sad_{name}": _total(difference, region) / 1000 for name, region in regions.items()}


def measure(
    alpha: ImageLike, target: ImageLike, *, trimap: ImageLike | None = None, variants: Sequence[str] = ()
) -> dict[str, float]:
    """All five figures at once: "sad", "mse", "mad", "gradient", "connectivity".

    `variants` adds figures of published ports by their names, such as "gradient:gaussian-filter" (see `VARIANTS`).
    Other arguments and errors as for `mse`.
    """
    a, t, region = _at_the_door(alpha, target, trimap)
    figures = {
        "sad": _sad(a, t, region),
        "mse": _mse(a, t, region),
        "mad": _mad(a, t, region),
        "gradient": _gradient(a, t, region),
        "connectivity": _connectivity(a, t, region),
    }
    for name in variants:
        figures[name] = _variant(name, a, t, region)
    return figures


def check_variants(variants: Sequence[str]) -> None:
    """Raise `ArgumentError` for what is no sequence, or a name that is not among `VARIANTS`."""
    check_sequence("variants", variants, "a sequence of names")
    for name in variants:
        if name not in VARIANTS:
            raise ArgumentError(f"variants: got {name!r}, wanted some of {', '.join(VARIANTS)}")


def _variant(name: str, a: FloatMap, t: FloatMap, region: Mask | None) -> float:
    check_variants([name])
    metric, _, variant = name.partition(":")
    if metric == "gradient":
        return _gradient(a, t, region, cast("GradientVariant", variant))
    return _connectivity(a, t, region, cast("ConnectivityVariant", variant))


def _at_the_door(
    alpha: ImageLike, target: ImageLike, trimap: ImageLike | None
) -> tuple[FloatMap, FloatMap, Mask | None]:
    """Both mattes as float32, and the unknown pixels (None: all)."""
    t = as_alpha(target, name="target")
    a = as_alpha(alpha, name="alpha", shape=t.shape)
    if trimap is None:
        return a, t, None
    return a, t, read_trimap(trimap, name="trimap", shape=t.shape) == UNKNOWN


def _check_variant(name: str, value: str, choices: object) -> None:
    if value not in get_args(choices):
        raise ArgumentError(f"{name}: got {value!r}, wanted one of {', '.join(get_args(choices))}")


def _total(values: FloatMap, region: Mask | None) -> float:
    return float(np.sum(values if region is None else values[region], dtype=np.float64))


def _count(values: FloatMap, region: Mask | None) -> int:
    count = values.size if region is None else int(np.count_nonzero(region))
    if count == 0:
        raise ArgumentError("trimap has no unknown pixel, so a mean over unknown pixels does not exist")
    return count


def _sad(a: FloatMap, t: FloatMap, region: Mask | None) -> float:
    return _total(np.abs(a - t), region) / 1000


def _mse(a: FloatMap, t: FloatMap, region: Mask | None) -> float:
    return _total(np.square(a - t), region) / _count(t, region)


def _mad(a: FloatMap, t: FloatMap, region: Mask | None) -> float:
    return _total(np.abs(a - t), region) / _count(t, region)


def _gradient(a: FloatMap, t: FloatMap, region: Mask | None, variant: GradientVariant = "reference") -> float:
    if variant != "no-stretch":
        a, t = _stretched(a), _stretched(t)
    amplitude, reach, unit = (
        (_scipy_amplitude, 6, 10.0) if variant == "gaussian-filter" else (_reference_amplitude, 4, 1000.0)
    )
    if region is not None:
        window = _window(region, reach)
        a, t, region = a[window], t[window], region[window]
    if a.size == 0:
        return 0.0
    return _total(np.square(amplitude(a) - amplitude(t)), region) / unit


def _window(region: Mask, reach: int) -> Box:
    """The rows and columns that a filter of that reach looks at from within the region."""
    box = bounding_box(region)
    return np.s_[:0, :0] if box is None else grown(box, (reach, reach), region.shape)


def _stretched(alpha: FloatMap) -> FloatMap:
    low, high = alpha.min(), alpha.max()
    # A constant matte has no gradient, whatever it is stretched to.
    return (alpha - low) / (high - low) if high > low else np.zeros_like(alpha)


def _reference_amplitude(alpha: FloatMap, sigma: float = 1.4, epsilon: float = 1e-2) -> FloatMap:
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    smooth = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    slope = -x * smooth / sigma**2
    # The 9x9 filter is the outer product of these two, so its L2 norm is the product of theirs.
    smooth /= np.linalg.norm(smooth)
    slope /= np.linalg.norm(slope)

    down = _filtered(_filtered(alpha, slope, 0), smooth, 1)
    across = _filtered(_filtered(alpha, smooth, 0), slope, 1)
    return np.sqrt(down * down + across * across)


def _filtered(values: FloatMap, taps: NDArray[np.float64], axis: int) -> FloatMap:
    """Correlation along an axis, border replicated; whole pictures at a time, five times as fast as SciPy's."""
    half, length = len(taps) // 2, values.shape[axis]
    padded = np.pad(values, [(half, half) if i == axis else (0, 0) for i in range(2)], mode="edge")
    total = np.zeros_like(values)
    for i, tap in enumerate(taps):
        total += np.float32(tap) * (padded[i : i + length] if axis == 0 else padded[:, i : i + length])
    return total


def _scipy_amplitude(alpha: FloatMap, sigma: float = 1.4) -> FloatMap:
    from scipy.ndimage import gaussian_filter

    return np.hypot(gaussian_filter(alpha, sigma, order=(0, 1)), gaussian_filter(alpha, sigma, order=(1, 0)))


def _connectivity(a: FloatMap, t: FloatMap, region: Mask | None, variant: ConnectivityVariant = "reference") -> float:
    level = _connected_level(np.minimum(a, t), variant)
    return _total(np.abs(_connectedness(a, level) - _connectedness(t, level)), region) / 1000


def _connectedness(alpha: FloatMap, level: FloatMap) -> FloatMap:
    short = alpha - level
    return 1 - short * (short >= 0.15)


def _connected_level(lower: FloatMap, variant: ConnectivityVariant) -> FloatMap:
    """The highest threshold up to which a pixel stays in the largest region; `lower` is the lesser of both mattes."""
    lower = np.ascontiguousarray(lower.T)  # regions are told apart column by column, as Matlab does
    level = np.full(lower.shape, -1, np.float32)
    labels = np.empty(lower.shape, np.int32)
    doubles = _divided_in_doubles(lower) if variant == "float64" else lower
    for k in range(1, 11):
        above = lower >= np.float32(k / 10) - _TIE if variant != "float64" else doubles >= np.arange(0, 1.1, 0.1)[k]
        if variant == "skip-empty" and not above.any():
            continue
        level[(level == -1) & ~_largest_region(above, labels, variant == "label-zero")] = np.float32((k - 1) / 10)
    level[level == -1] = 1
    return np.ascontiguousarray(level.T)


def _divided_in_doubles(values: FloatMap) -> NDArray[np.float64]:
    """8-bit codes over 255 as they come out in double precision; other values as they are."""
    codes = np.rint(values.astype(np.float64) * 255) / 255
    return np.where(np.abs(codes - values) < _TIE, codes, values)


def _largest_region(mask: Mask, labels: NDArray[np.int32], outside_counts: bool = False) -> Mask:
    """The largest 4-connected region; of equal ones that which begins in the first row. `labels` is written to."""
    from scipy.ndimage import label

    count = label(mask, output=labels)
    if count == 0 and not outside_counts:
        return np.zeros_like(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    if not outside_counts:
        sizes[0] = 0
    largest: Mask = labels == sizes.argmax()
    return largest
