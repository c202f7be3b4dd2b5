"""How sure a mean over few pictures is, and whether two methods differ by more than chance.

Pictures that share an alpha (one foreground on many backgrounds) are no independent witnesses: they are one cluster,
and resampled, or turned round, together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
STUDENT = 6
"""Up to this many clusters an interval is Student's: so few cannot tell their own distribution."""
EXACT = 32
"""Up to this many clusters all ways to turn signs are counted."""
FLIPS = 999_999
"""So many are drawn among more clusters."""
FAR = 1e6
"""Standard errors that a resample of one cluster alone is away."""
AS_FAR = 1 - 1e-9
"""What rounding may take from a sum that is as far from zero as another."""

Interval = tuple[float, float]


def mean_interval(values: NDArray[np.float64], clusters: Sequence[str], resamples: int = RESAMPLES) -> Interval:
    """The interval that covers the mean of values (N,) with a probability of 95 %.

    Studentised bootstrap of clusters (Hall, "The Bootstrap and Edgeworth Expansion", 1992): what is resampled is how
    many standard errors a mean is away, so that skewed errors of few pictures are covered, too. Of one cluster nothing
    can be said: the interval is without bounds.
    """
    sums, counts = _by_cluster(values, clusters)
    mean, k = float(values.mean()), len(sums)
    if k < 2:
        return -np.inf, np.inf
    error = float(_standard_error(sums, counts, np.array(mean)))
    if error <= 1e-12 * abs(mean):
        return mean, mean
    if k <= STUDENT:
        from scipy.stats import t

        reach = float(t.ppf((1 + LEVEL) / 2, k - 1)) * error
        return mean - reach, mean + reach
    low, high = np.quantile(_away(sums, counts, mean, resamples), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return mean - float(high) * error, mean - float(low) * error


def sign_flip_p(differences: NDArray[np.float64], clusters: Sequence[str]) -> float:
    """The probability of a mean difference as far from zero, if each cluster's could as well have the other sign.

    Fisher's randomisation test, "The Design of Experiments", 1935: exact for any distribution that is symmetric about
    zero, as that of a paired difference is where two methods are exchangeable. All 2^k ways are counted for up to
    `EXACT` clusters, else `FLIPS` drawn ones and the one at hand (Phipson and Smyth, 2010).
    """
    sums, _ = _by_cluster(differences, clusters)
    sums = sums[sums != 0]
    if len(sums) == 0:
        return 1.0
    far = abs(float(sums.sum())) * AS_FAR
    if len(sums) <= EXACT:
        return _share_as_far(sums, far)
    rng, count, block = np.random.default_rng(0), 1, 1_000_000 // len(sums) + 1
    for start in range(0, FLIPS, block):
        signs = rng.integers(0, 2, (min(block, FLIPS - start), len(sums)), dtype=np.int8)
        count += int(np.count_nonzero(np.abs((2 * signs - 1) @ sums) >= far))
    return count / (FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm, "A simple sequentially rejective multiple test procedure", 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = largest
    return corrected


def _by_cluster(
    values: NDArray[np.float64], clusters: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each cluster's sum and number of values."""
    names, index = np.unique(np.asarray(clusters), return_inverse=True)
    sums = np.bincount(index, values, len(names)).astype(np.float64)
    return sums, np.bincount(index, minlength=len(names)).astype(np.float64)


def _standard_error(
    sums: NDArray[np.float64], counts: NDArray[np.float64], mean: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Of the mean of all values, by the spread of the clusters' sums (..., k) about it, linearised."""
    k = sums.shape[-1]
    spread = np.square(sums - mean[..., None] * counts).sum(axis=-1) * k / (k - 1)
    error: NDArray[np.float64] = np.sqrt(spread) / counts.sum(axis=-1)
    return error


def _away(sums: NDArray[np.float64], counts: NDArray[np.float64], mean: float, resamples: int) -> NDArray[np.float64]:
    """How many of their own standard errors the means of resamples are above the mean."""
    rng, k = np.random.default_rng(0), len(sums)
    away, block = np.empty(resamples), max(1, 4_000_000 // k)
    for start in range(0, resamples, block):
        drawn = rng.integers(0, k, (min(block, resamples - start), k))
        many, weights = sums[drawn], counts[drawn]
        means = many.sum(axis=-1) / weights.sum(axis=-1)
        errors = _standard_error(many, weights, means)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (means - mean) / errors
        away[start : start + len(drawn)] = np.where(errors > 0, part, np.sign(means - mean) * FAR)
    return away


def _share_as_far(sums: NDArray[np.float64], far: float) -> float:
    """Of all ways to give signs to sums, the share whose total is `far` from zero or farther: by halves."""
    half = len(sums) // 2
    one, other = _signed_totals(sums[:half]), np.sort(_signed_totals(sums[half:]))
    above = len(other) - np.searchsorted(other, far - one, side="left")
    below = np.searchsorted(other, -far - one, side="right")
    both = int(above.sum() + below.sum()) if far > 0 else len(one) * len(other)
    return both / (len(one) * len(other))


def _signed_totals(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The totals (2^k,) of all ways to give signs to k sums."""
    totals = np.zeros(1)
    for value in sums:
        totals = np.concatenate([totals + value, totals - value])
    return totals
