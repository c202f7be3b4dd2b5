"""Intervals and tests against plain enumeration, and against what they promise of samples drawn at random."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimatte.evaluation import statistics
from trimatte.evaluation.statistics import holm, mean_interval, sign_flip_p


def names(n: int, each: int = 1) -> list[str]:
    """Clusters of so many values each."""
    return [f"{i // each}" for i in range(n)]


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9))
def test_sign_flips_are_all_counted(values: list[int]) -> None:
    totals = [
        abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in product((-1, 1), repeat=len(values))
    ]
    expected = np.mean([total >= abs(sum(values)) for total in totals])
    assert sign_flip_p(np.array(values, float), names(len(values))) == pytest.approx(expected)


def test_drawn_flips_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).normal(0.35, 1, 20)
    exact = sign_flip_p(values, names(20))
    monkeypatch.setattr(statistics, "EXACT", 4)
    monkeypatch.setattr(statistics, "FLIPS", 99_999)
    assert sign_flip_p(values, names(20)) == pytest.approx(exact, abs=0.005)


def test_different_comparisons_have_different_p() -> None:
    rng = np.random.default_rng(0)
    found = {sign_flip_p(rng.normal(0.3, 1, 14), names(14)) for _ in range(5)}
    assert len(found) == 5
    assert sign_flip_p(np.ones(14), names(14)) == 2**-13


def test_a_cluster_is_turned_as_one() -> None:
    values = np.repeat([1.0, 2.0, 3.0], 10)
    assert sign_flip_p(values, names(30, each=10)) == 0.25
    assert sign_flip_p(values, names(30)) < 1e-6


@pytest.mark.parametrize("n", [8, 14])
def test_chance_is_taken_for_a_difference_no_more_often_than_promised(n: int) -> None:
    rng = np.random.default_rng(n)
    trials = 2000
    alarms = sum(sign_flip_p(a - b, names(n)) < 0.05 for a, b in rng.lognormal(0, 1, (trials, 2, n)))
    assert 0.03 < alarms / trials < 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)


def coverage(n: int, each: int, skew: float, percentile: bool = False) -> float:
    """Share of samples, clusters of `each` equal values, whose interval holds the true mean."""
    rng = np.random.default_rng(n)
    covered = 0
    for _ in range(500):
        one_each = rng.normal(0, 1, n // each) if skew == 0 else rng.lognormal(0, skew, n // each)
        if percentile:
            means = rng.choice(one_each, (400, len(one_each))).mean(axis=1)
            low, high = np.percentile(means, [2.5, 97.5])
        else:
            low, high = mean_interval(np.repeat(one_each, each), names(n, each), resamples=400)
        covered += low <= (0 if skew == 0 else np.exp(skew**2 / 2)) <= high
    return covered / 500


@pytest.mark.parametrize(("n", "each"), [(5, 1), (8, 1), (14, 1), (60, 6)])
def test_intervals_cover_the_mean_as_often_as_promised(n: int, each: int) -> None:
    assert coverage(n, each, skew=0) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("n", [8, 14])
def test_skewed_errors_are_covered_better_than_by_percentiles(n: int) -> None:
    studentised = coverage(n, 1, skew=0.8)
    assert studentised > 0.88
    assert studentised > coverage(n, 1, skew=0.8, percentile=True) + 0.02


def test_intervals_of_what_cannot_tell() -> None:
    assert mean_interval(np.array([3.0]), ["a"]) == (-np.inf, np.inf)
    assert mean_interval(np.full(9, 3.0), names(9)) == (3.0, 3.0)
    low, high = mean_interval(np.array([1.0] * 8 + [9.0]), names(9))
    assert low < 17 / 9 < high


def test_the_same_interval_every_time() -> None:
    values = np.random.default_rng(1).gamma(2, size=20)
    assert mean_interval(values, names(20)) == mean_interval(values, names(20))


def test_holm_multiplies_the_least_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
