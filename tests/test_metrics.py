"""Metrics against the reference implementation's figures, against slow twins, and at the door.

The figures in `evaluation/golden` were made by the Matlab evaluation code of Deep Image Matting (Xu et al., CVPR 2017)
under GNU Octave 7.3 with its image package.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from trimatte import metrics
from trimatte.errors import ArgumentError

GOLDEN = Path(__file__).parent / "evaluation" / "golden"
FIGURES = json.loads((GOLDEN / "figures.json").read_text())
FUNCTIONS = {
    "sad": (metrics.sad, 1),
    "mse": (metrics.mse, 1),
    "gradient": (metrics.gradient_error, 1000),
    "connectivity": (metrics.connectivity_error, 1000),
}

mattes = arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 25, 26, 51, 102, 128, 153, 204, 229, 255]))
trimaps = arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 128, 255]))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("case", FIGURES)
def test_agrees_with_the_reference(case, name):
    alpha, target, trimap = (np.asarray(Image.open(GOLDEN / f"{case}.{kind}.png")) for kind in ("pred", "gt", "trimap"))
    function, unit = FUNCTIONS[name]
    assert function(alpha, target, trimap=trimap) * unit == pytest.approx(FIGURES[case][name], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("to", [np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("case", ["plateau_153", "random", "translucent"])
def test_any_depth_gives_the_same_figures(case, to):
    alpha, target = (np.asarray(Image.open(GOLDEN / f"{case}.{kind}.png")) for kind in ("pred", "gt"))
    convert = (lambda x: x.astype(np.uint16) * 257) if to is np.uint16 else (lambda x: (x * (1 / 255)).astype(to))
    assert metrics.measure(convert(alpha), convert(target)) == pytest.approx(metrics.measure(alpha, target), rel=1e-5)


def slow_regions(mask):
    """4-connected regions by flood filling, in column order of their first pixels."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            if (y, x) not in left:
                continue
            region, front = set(), [(y, x)]
            left.discard((y, x))
            while front:
                i, j = front.pop()
                region.add((i, j))
                for near in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                    if near in left:
                        left.discard(near)
                        front.append(near)
            regions.append(region)
    return regions


def slow_connectivity(alpha, target, region, empty="no region"):
    """Integer arithmetic throughout: v >= 255 k / 10 is 10 v >= 255 k."""
    lower = np.minimum(alpha, target).astype(int)
    level = np.full(lower.shape, -1.0)
    for k in range(1, 11):
        regions = slow_regions(10 * lower >= 255 * k)
        if not regions and empty == "continue":
            continue
        largest = max(regions, key=len) if regions else set()
        for at in np.ndindex(lower.shape):
            if level[at] == -1 and at not in largest:
                level[at] = (k - 1) / 10
    level[level == -1] = 1
    total = 0.0
    for at in np.ndindex(lower.shape):
        if region[at]:
            gaps = [codes[at] / 255 - level[at] for codes in (alpha, target)]
            phi = [1 - gap * (gap >= 0.15) for gap in gaps]
            total += abs(phi[0] - phi[1])
    return total / 1000


@settings(max_examples=60)
@given(mattes, mattes, trimaps)
def test_connectivity_equals_its_slow_twin(alpha, target, trimap):
    got = metrics.connectivity_error(alpha, target, trimap=trimap)
    assert got == pytest.approx(slow_connectivity(alpha, target, trimap == 128), abs=1e-8)
    skipping = metrics.connectivity_error(alpha, target, variant="skip-empty")
    assert skipping == pytest.approx(slow_connectivity(alpha, target, trimap >= 0, "continue"), abs=1e-8)


def slow_gradient(alpha, target, region):
    """The 9x9 filters as published, applied pixel by pixel to a replicated border."""
    sigma, half = 1.4, 4
    x = np.arange(-half, half + 1)
    gauss = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    kernel = np.outer(gauss, -x * gauss / sigma**2)
    kernel /= np.sqrt((kernel**2).sum())

    def amplitude(codes):
        values = codes.astype(float)
        span = values.max() - values.min()
        values = (values - values.min()) / span if span else values * 0
        padded = np.pad(values, half, mode="edge")
        out = np.zeros(values.shape)
        for i, j in np.ndindex(values.shape):
            window = padded[i : i + 9, j : j + 9]
            out[i, j] = np.hypot((window * kernel).sum(), (window * kernel.T).sum())
        return out

    return ((amplitude(alpha) - amplitude(target)) ** 2 * region).sum() / 1000


@settings(max_examples=30)
@given(mattes, mattes, trimaps)
def test_gradient_equals_its_slow_twin(alpha, target, trimap):
    got = metrics.gradient_error(alpha, target, trimap=trimap)
    assert got == pytest.approx(slow_gradient(alpha, target, trimap == 128), rel=1e-4, abs=1e-8)


@settings(max_examples=60)
@given(mattes, mattes, trimaps)
def test_sums_and_means(alpha, target, trimap):
    difference = np.abs(alpha.astype(float) - target) / 255
    assert metrics.sad(alpha, target) == pytest.approx(difference.sum() / 1000, rel=1e-5, abs=1e-9)
    assert metrics.mad(alpha, target) == pytest.approx(difference.mean(), rel=1e-5, abs=1e-9)
    assert metrics.mse(alpha, target) == pytest.approx((difference**2).mean(), rel=1e-5, abs=1e-9)
    region = trimap == 128
    assert metrics.sad(alpha, target, trimap=trimap) == pytest.approx(difference[region].sum() / 1000, abs=1e-8)
    if region.any():
        everything = metrics.measure(alpha, target, trimap=trimap)
        assert everything["mse"] == pytest.approx((difference[region] ** 2).mean(), rel=1e-5, abs=1e-9)
        assert everything["connectivity"] == metrics.connectivity_error(alpha, target, trimap=trimap)


@settings(max_examples=30)
@given(mattes)
def test_a_matte_has_no_error_against_itself(alpha):
    assert set(metrics.measure(alpha, alpha).values()) == {0.0}


def test_arguments_are_left_alone():
    rng = np.random.default_rng(0)
    alpha, target = rng.random((20, 20), np.float32), rng.random((20, 20), np.float32)
    before = alpha.copy(), target.copy()
    metrics.measure(alpha, target)
    assert np.array_equal(alpha, before[0])
    assert np.array_equal(target, before[1])


def test_gradient_variants_relate_as_their_filters_do():
    rng = np.random.default_rng(1)
    alpha, target = np.zeros((2, 64, 64), np.uint8)
    alpha[20:44, 20:44] = rng.integers(0, 256, (24, 24))
    target[20:44, 20:44] = rng.integers(0, 256, (24, 24))
    alpha[30, 30] = target[30, 30] = 255
    reference = metrics.gradient_error(alpha, target)
    # Away from the border the ports' filter is the same but for its norm and two taps more at each end.
    assert metrics.gradient_error(alpha, target, variant="gaussian-filter") * 0.9656 == pytest.approx(
        reference, rel=5e-3
    )
    assert metrics.gradient_error(alpha, target, variant="no-stretch") == pytest.approx(reference, rel=1e-6)
    assert metrics.gradient_error(alpha // 2, target, variant="no-stretch") != pytest.approx(reference, rel=0.01)


def test_a_plateau_at_153_reaches_the_level_of_0_6_in_single_precision_only():
    alpha, target = np.full((10, 10), 200, np.uint8), np.full((10, 10), 153, np.uint8)
    exceeds = 200 / 255
    assert metrics.connectivity_error(alpha, target) == pytest.approx(100 * (exceeds - 0.6) / 1000)
    assert metrics.connectivity_error(alpha, target, variant="float64") == pytest.approx(100 * (exceeds - 0.5) / 1000)


def test_label_zero_takes_the_background_for_the_largest_region():
    alpha, target = np.zeros((2, 20, 20), np.uint8)
    target[5:9, 5:9] = 255
    alpha[5:9, 5:9] = 128
    # The block hangs together up to level 0.5, which the target exceeds by 0.5 and alpha by next to nothing.
    assert metrics.connectivity_error(alpha, target) == pytest.approx(16 * 0.5 / 1000)
    # With the background as "largest region" the block counts as cut off at once.
    expected = 16 * (255 - 128) / 255 / 1000
    assert metrics.connectivity_error(alpha, target, variant="label-zero") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("function", [metrics.mse, metrics.mad, metrics.measure])
def test_a_mean_over_no_pixels_is_an_error(function):
    flat = np.zeros((4, 4), np.uint8)
    with pytest.raises(ArgumentError, match="no unknown pixel"):
        function(flat, flat, trimap=flat)
    assert metrics.sad(flat, flat, trimap=flat) == 0
    assert metrics.gradient_error(flat, flat, trimap=flat) == 0


@pytest.mark.parametrize(
    ("alpha", "target", "message"),
    [
        (np.zeros((4, 5), np.uint8), np.zeros((5, 4), np.uint8), "alpha.*size"),
        (np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8), "alpha.*shape"),
        (np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint8), "target.*shape"),
        (np.full((4, 5), 2.0), np.zeros((4, 5)), "alpha"),
        (np.full((4, 5), np.nan), np.zeros((4, 5)), "alpha"),
        (np.zeros((4, 5), np.int64), np.zeros((4, 5)), "alpha"),
    ],
)
def test_bad_mattes(alpha, target, message):
    with pytest.raises(ArgumentError, match=message):
        metrics.sad(alpha, target)


def test_bad_trimap_and_variant():
    flat = np.zeros((4, 5), np.uint8)
    with pytest.raises(ArgumentError, match="trimap"):
        metrics.sad(flat, flat, trimap=np.zeros((5, 4), np.uint8))
    with pytest.raises(ArgumentError, match=r"variant.*reference"):
        metrics.gradient_error(flat, flat, variant="python")
    with pytest.raises(ArgumentError, match=r"variant.*skip-empty"):
        metrics.connectivity_error(flat, flat, variant="python")


probabilities = arrays(np.float32, (6, 7), elements=st.sampled_from([np.float32(k / 255) for k in range(0, 256, 5)]))


@settings(max_examples=40)
@given(probabilities, arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 127, 128, 255])))
def test_mask_figures_equal_their_slow_twins(p, mask):
    truth = mask >= 128
    assert metrics.mae(p, mask) == pytest.approx(np.abs(p - mask / 255).mean(), abs=1e-6)
    assert metrics.iou(p, mask) == ((p > 0.5) & truth).sum() / max(((p > 0.5) | truth).sum(), 1)
    curve = []
    for level in np.arange(1, 255, 2) / 255:
        found = p >= level
        hits = (found & truth).sum()
        precision, recall = hits / max(found.sum(), 1), hits / max(truth.sum(), 1)
        curve.append(1.3 * precision * recall / max(0.3 * precision + recall, 1e-9))
    assert metrics.f_measures(p, mask) == pytest.approx(np.array(curve))
    assert metrics.max_f_measure([p, p], [mask, mask]) == pytest.approx(max(curve))


def test_the_best_threshold_is_one_for_all_pictures():
    mask = np.array([[1.0, 1.0, 0.0, 0.0]])
    sure, shy = np.array([[0.9, 0.9, 0.8, 0.0]]), np.array([[0.3, 0.3, 0.1, 0.0]])
    assert metrics.f_measures(sure, mask).max() == pytest.approx(1)
    assert metrics.f_measures(shy, mask).max() == pytest.approx(1)
    assert metrics.max_f_measure([sure, shy], [mask, mask]) < 0.9
    with pytest.raises(ArgumentError, match="as many"):
        metrics.max_f_measure([sure], [])


def test_foreground_error_counts_what_is_seen():
    target = np.zeros((4, 4, 3))
    foreground = target.copy()
    foreground[0, 0] = 0.5
    foreground[3, 3] = 1.0
    alpha = np.zeros((4, 4))
    alpha[0, :2] = 0.5
    got = metrics.foreground_error(foreground, target, alpha=alpha)
    assert got == pytest.approx({"sad": 0.5 * 0.5 * 3 / 1000, "mad": 0.25, "mse": 0.125})
    with pytest.raises(ArgumentError, match="foreground"):
        metrics.foreground_error(np.zeros((4, 5, 3)), target, alpha=alpha)
    with pytest.raises(ArgumentError, match="no pixel above"):
        metrics.foreground_error(foreground, target, alpha=np.zeros((4, 4)))


def test_regions_of_sad_add_up_to_the_whole():
    rng = np.random.default_rng(0)
    alpha, target = rng.random((2, 9, 12)).astype(np.float32)
    target[:3], target[3:5] = 0, 1
    trimap = rng.choice(np.array([0, 128, 255], np.uint8), target.shape)
    for known, kinds in ((trimap, (255, 0, 128)), (None, (1, 0, None))):
        parts = metrics.sad_by_region(alpha, target, trimap=known)
        assert sum(parts.values()) == pytest.approx(metrics.sad(alpha, target), rel=1e-6)
        plane = target if known is None else known
        masks = [plane == kinds[0], plane == kinds[1]]
        expected = [np.abs(alpha - target)[mask].sum() / 1000 for mask in masks]
        assert [parts["sad_foreground"], parts["sad_background"]] == pytest.approx(expected, rel=1e-5)


def test_variants_by_name():
    rng = np.random.default_rng(1)
    alpha, target = rng.random((2, 20, 30)).astype(np.float32)
    figures = metrics.measure(alpha, target, variants=["gradient:no-stretch", "connectivity:label-zero"])
    assert figures["gradient:no-stretch"] == metrics.gradient_error(alpha, target, variant="no-stretch")
    assert figures["connectivity:label-zero"] == metrics.connectivity_error(alpha, target, variant="label-zero")
    assert [*figures][:5] == ["sad", "mse", "mad", "gradient", "connectivity"]
    with pytest.raises(ArgumentError, match="variants: got 'gradient', wanted some of gradient:no-stretch"):
        metrics.measure(alpha, target, variants=["gradient"])


def test_dtssd_sees_flicker_and_not_a_constant_error():
    truth = [np.full((5, 5), v) for v in (0.2, 0.4, 0.6)]
    assert metrics.dtssd([t + 0.1 for t in truth], truth) == pytest.approx(0, abs=1e-4)
    flicker = [t + d for t, d in zip(truth, (0, 0.1, 0), strict=True)]
    assert metrics.dtssd(flicker, truth) == pytest.approx(10, rel=1e-5)
    trimap = np.zeros((5, 5), np.uint8)
    trimap[0] = 128
    half = [f.copy() for f in flicker]
    half[1][0] = truth[1][0]
    assert metrics.dtssd(half, truth, trimaps=[trimap] * 3) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("count", "options", "message"),
    [
        (1, {}, "at least 2"),
        (2, {"trimaps": [np.full((5, 5), 128, np.uint8)]}, "one length"),
        (2, {"trimaps": [np.zeros((5, 5), np.uint8)] * 2}, "no unknown"),
    ],
)
def test_dtssd_bad_sequences(count, options, message):
    frames = [np.zeros((5, 5))] * count
    with pytest.raises(ArgumentError, match=message):
        metrics.dtssd(frames, frames, **options)
