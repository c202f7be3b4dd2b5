"""Error figures of foreground probabilities, of foreground colours and of alpha sequences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trimatte.errors import ArgumentError
from trimatte.images import ImageLike, as_alpha, as_image, read_trimap
from trimatte.images.arrays import UNKNOWN
from trimatte.runtime.options import check_number, check_sequence

__all__ = ["dtssd", "f_measures", "foreground_error", "iou", "mae", "max_f_measure"]

# The thresholds of the F-measure curve: every second 8-bit level.
LEVELS: NDArray[np.float64] = np.arange(1, 255, 2) / 255


def mae(probability: ImageLike, mask: ImageLike) -> float:
    """Mean absolute error of a foreground probability against a mask, both (H, W) in [0, 1], over the whole picture."""
    p, m = _pair(probability, mask)
    return float(np.abs(p - m).mean(dtype=np.float64))


def iou(probability: ImageLike, mask: ImageLike, *, threshold: float = 0.5) -> float:
    """Intersection over union of {probability > threshold} and {mask >= 0.5}; 0 if both are empty.

    A mask that is an alpha matte counts as foreground where it covers at least half a pixel (128 of 255).
    """
    check_number("threshold", threshold, least=0, most=1)
    p, m = _pair(probability, mask)
    found, truth = p > threshold, _foreground(m)
    return float((found & truth).sum() / max(int((found | truth).sum()), 1))


def f_measures(probability: ImageLike, mask: ImageLike, *, beta2: float = 0.3) -> NDArray[np.float64]:
    """F-measure at the 127 thresholds 1/255, 3/255, .. 253/255, (1 + b) P R / (b P + R) with b = `beta2`.

    Achanta et al., "Frequency-tuned salient region detection", CVPR 2009, set b to 0.3.
    """
    check_number("beta2", beta2, above=0)
    p, m = _pair(probability, mask)
    truth = _foreground(m)

    def at_least(values: NDArray[np.float32]) -> NDArray[np.int64]:
        """How many values reach each level."""
        passed = np.searchsorted(LEVELS, values.astype(np.float64), side="right")
        return np.bincount(passed, minlength=len(LEVELS) + 1)[::-1].cumsum()[::-1][1:]

    hits, found = at_least(p[truth]), at_least(p.ravel())
    precision = hits / np.maximum(found, 1)
    recall = hits / max(int(truth.sum()), 1)
    curve: NDArray[np.float64] = (1 + beta2) * precision * recall / np.maximum(beta2 * precision + recall, 1e-9)
    return curve


def max_f_measure(probabilities: Sequence[ImageLike], masks: Sequence[ImageLike], *, beta2: float = 0.3) -> float:
    """The best of the mean F-measure curve over a set of pictures: one threshold for all of them."""
    for name, pictures in (("probabilities", probabilities), ("masks", masks)):
        check_sequence(name, pictures, "a sequence of planes (H, W)")
    if len(probabilities) != len(masks) or not len(probabilities):
        raise ArgumentError(
            f"probabilities has {len(probabilities)} entries and masks {len(masks)}, wanted as many, > 0"
        )
    curves = [f_measures(p, m, beta2=beta2) for p, m in zip(probabilities, masks, strict=True)]
    return float(np.mean(curves, axis=0).max())


def foreground_error(foreground: ImageLike, target: ImageLike, *, alpha: ImageLike) -> dict[str, float]:
    """Error of estimated foreground colours where there is foreground to see: true alpha above 0.01.

    Parameters
    ----------
    foreground, target : (H, W, 3)
        Straight (not premultiplied) colours, estimated and true.
    alpha : (H, W)
        True alpha.

    Returns
    -------
    dict
        "sad": sum of alpha-weighted absolute differences over pixels and channels, divided by 1000; "mad", "mse":
        means over the visible pixels and channels, unweighted (the convention of Robust Video Matting, WACV 2022).
    """
    a = as_alpha(alpha, name="alpha")
    f, t = as_image(foreground, name="foreground"), as_image(target, name="target")
    for name, colours in (("foreground", f), ("target", t)):
        if colours.shape[:2] != a.shape:
            raise ArgumentError(f"{name}: got shape {colours.shape}; wanted {(*a.shape, 3)}, as alpha has it")
    visible = a > 0.01
    if not visible.any():
        raise ArgumentError("alpha has no pixel above 0.01, so no foreground is visible")
    difference = (f[visible] - t[visible]).astype(np.float64)
    return {
        "sad": float((np.abs(difference) * a[visible][:, None]).sum() / 1000),
        "mad": float(np.abs(difference).mean()),
        "mse": float(np.square(difference).mean()),
    }


def dtssd(
    alphas: Sequence[ImageLike], targets: Sequence[ImageLike], *, trimaps: Sequence[ImageLike] | None = None
) -> float:
    """Flicker of a sequence: root mean square of the difference of the changes in time, times 100.

    The mean over consecutive frames of sqrt(mean(((a_t - a_s) - (g_t - g_s))^2)), after Erofeev et al., "Perceptually
    motivated benchmark for video matting", BMVC 2015. With trimaps over pixels unknown in the later frame.

    Parameters
    ----------
    alphas, targets : sequence of (H, W) arrays
        Two frames or more.
    trimaps : sequence of (H, W) arrays, optional
        One a frame.

    Raises
    ------
    ArgumentError
        if the sequences are shorter than two or not of one length, or a later frame's trimap has no unknown pixel.
    """
    lengths = [len(s) for s in (alphas, targets, *([trimaps] if trimaps is not None else []))]
    if min(lengths) < 2 or len(set(lengths)) > 1:
        raise ArgumentError(f"alphas, targets and trimaps have {lengths} frames, wanted one length of at least 2")
    drift = [a - t for a, t in (_pair(a, t, "alphas", "targets") for a, t in zip(alphas, targets, strict=True))]
    roots = []
    for i in range(1, len(drift)):
        if drift[i].shape != drift[i - 1].shape:
            raise ArgumentError(f"frame {i} is {drift[i].shape}, the one before {drift[i - 1].shape}")
        change = np.square(drift[i] - drift[i - 1])
        if trimaps is not None:
            change = change[read_trimap(trimaps[i], name=f"trimaps[{i}]", shape=change.shape) == UNKNOWN]
            if change.size == 0:
                raise ArgumentError(f"trimaps[{i}] has no unknown pixel")
        roots.append(np.sqrt(change.mean(dtype=np.float64)))
    return float(np.mean(roots) * 100)


def _pair(
    estimate: ImageLike, truth: ImageLike, name: str = "probability", truth_name: str = "mask"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    t = as_alpha(truth, name=truth_name)
    return as_alpha(estimate, name=name, shape=t.shape), t


def _foreground(mask: NDArray[np.float32]) -> NDArray[np.bool_]:
    # 128 / 255, the usual threshold of 8-bit masks, and 0.5 differ by no 8-bit value.
    return mask >= 0.5
