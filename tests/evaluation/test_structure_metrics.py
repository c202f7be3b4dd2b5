"""Structure, alignment, weighted F and boundary IoU against figures of pysodmetrics and against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter

from trimatte import metrics
from trimatte.errors import ArgumentError

# S-measure, mean E-measure and weighted F-measure by pysodmetrics 1.6.2, on the same arrays:
#   Smeasure().step(pred=p / 255, gt=m > 127, normalize=False), Emeasure (the mean of its curve), WeightedFmeasure.
CASES: dict[str, tuple[float, float, float]] = {
    "good": (0.959260, 0.944811, 0.914223),
    "noisy": (0.901152, 0.838886, 0.753699),
    "shifted": (0.685863, 0.829944, 0.613640),
    "inverted": (0.000000, 0.023530, 0.030957),
    "corner": (0.386289, 0.265270, 0.006373),
    "grey": (0.418752, 0.250050, 0.216610),
    "empty mask": (0.767263, 0.764418, 0.0),
    "full mask": (0.232737, 0.235780, 0.446263),
}


def case(name: str) -> tuple[np.ndarray, np.ndarray]:
    """A probability and a mask, (H, W) uint8."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:60, :84]
    mask = np.hypot(y - 28, (x - 45) / 1.3) < 17
    soft = gaussian_filter(mask.astype(float), 2)
    p = {
        "noisy": soft + rng.normal(0, 0.2, mask.shape),
        "shifted": np.roll(soft, (6, -9), (0, 1)),
        "inverted": 1 - soft,
        "grey": np.full(mask.shape, 0.4),
    }.get(name, soft)
    if name == "corner":
        mask = (y < 5) & (x > 78)
    elif name in ("empty mask", "full mask"):
        mask = np.full(mask.shape, name == "full mask")
    return np.rint(np.clip(p, 0, 1) * 255).astype(np.uint8), mask.astype(np.uint8) * 255


@pytest.mark.parametrize("name", CASES)
def test_figures_of_pysodmetrics(name: str) -> None:
    p, mask = case(name)
    ours = metrics.s_measure(p, mask), metrics.e_measure(p, mask), metrics.weighted_f_measure(p, mask)
    assert ours == pytest.approx(CASES[name], abs=1e-5)


@pytest.mark.parametrize("name", ["good", "noisy", "shifted", "corner"])
@pytest.mark.parametrize("width", [0.005, 0.02, 0.1])
def test_boundary_iou_by_erosion(name: str, width: float) -> None:
    p, mask = case(name)
    steps = max(1, round(width * np.hypot(*mask.shape)))

    def boundary(region: np.ndarray) -> np.ndarray:
        return region & ~binary_erosion(region, np.ones((3, 3)), iterations=steps, border_value=0)

    found, actual = boundary(p / 255 > 0.5), boundary(mask > 0)
    expected = (found & actual).sum() / (found | actual).sum()
    assert metrics.boundary_iou(p, mask, width=width) == pytest.approx(expected)


def test_perfect_and_empty() -> None:
    _, mask = case("good")
    for figure in (metrics.s_measure, metrics.weighted_f_measure, metrics.boundary_iou):
        assert figure(mask, mask) == pytest.approx(1, abs=1e-6)
    nothing = np.zeros_like(mask)
    assert metrics.boundary_iou(nothing, nothing) == 0
    assert metrics.s_measure(nothing, nothing) == 1
    assert metrics.weighted_f_measure(mask, nothing) == 0


def test_arguments() -> None:
    p, mask = case("good")
    for figure in (metrics.s_measure, metrics.e_measure, metrics.weighted_f_measure, metrics.boundary_iou):
        with pytest.raises(ArgumentError, match="probability"):
            figure(p[1:], mask)
        with pytest.raises(ArgumentError, match="two pixels"):
            figure(p[:1, :1], mask[:1, :1])
    with pytest.raises(ArgumentError, match="width"):
        metrics.boundary_iou(p, mask, width=0)
    with pytest.raises(ArgumentError, match="threshold"):
        metrics.boundary_iou(p, mask, threshold=2)
