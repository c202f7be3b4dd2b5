"""The network that decides what a segmenter is unsure of, trained on a few painted bushes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from trimatte.networks.decider import Decider
from trimatte.segmentation import decide
from trimatte.training import decider


def bush(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A disc of one colour before another (60, 80, 3), and its alpha."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:60, :80]
    alpha = (np.hypot(y - 30, x - 40) < 20).astype(np.float32)
    colours = rng.random((2, 3))
    image = np.where(alpha[..., None] > 0, *colours) + rng.normal(0, 0.02, (60, 80, 1))
    return np.clip(image, 0, 1).astype(np.float32), alpha


@pytest.fixture
def hesitant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter that doubts the right half of every picture."""

    def segment(image: np.ndarray) -> np.ndarray:
        found = bush(0)[1] * np.float32(0.96) + np.float32(0.02)
        found[:, 40:] = 0.5 + 0.1 * (found[:, 40:] - 0.5)
        return found

    monkeypatch.setattr(decider, "segment", segment)


@pytest.mark.usefixtures("hesitant", "one_thread")
def test_it_learns_to_go_by_colour_and_is_written_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decider, "BATCH", 1024)
    network = decider.train([bush(seed) for seed in range(1, 7)], steps=60)
    image, alpha = bush(20)
    seen, truth = decider.pixels_of(image, alpha, np.random.default_rng(0))
    with torch.no_grad():
        after = torch.sigmoid(network(*planes(seen))).flatten().numpy()
    before = 1 / (1 + np.exp(-decide.SCALE * seen[:, 0]))
    assert np.square(after - truth).mean() < 0.5 * np.square(before - truth).mean()
    assert decider.export_decider(network, tmp_path / "decider.onnx") < 1e-3


def planes(seen: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network is given of pixels (n, 5), as pictures of one pixel."""
    pixels = torch.tensor(seen)[..., None, None]
    return pixels[:, :4], pixels[:, 4:]


def test_with_the_sides_exchanged_its_answer_changes_sign() -> None:
    network = Decider()
    signs, sureness = torch.randn(1, 4, 8, 8), torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(-signs, sureness), -network(signs, sureness))
