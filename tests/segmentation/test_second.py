"""A second network that is asked, too: the mean of logits, its card and its file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.segmentation.test_contract import CARD

import trimatte
from trimatte.errors import ModelError
from trimatte.segmentation import onnx, registry
from trimatte.segmentation.cards import read_card
from trimatte.segmentation.second import LEAST, agreed

PICTURE = np.random.default_rng(0).random((60, 80, 3), np.float32)
SECOND = """
[second]
file = "second.onnx"
sha256 = "0"
share = 0.25
[second.input]
size = 64
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


def saying(value: float) -> onnx.Infer:
    return lambda image: np.full(image.shape[:2], value, np.float32)


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.9), (0.999, 0.2), (0.6, 0.6), (0.5, 0.01)])
def test_the_mean_is_of_logits(first: float, second: float) -> None:
    probability = agreed(saying(first), saying(second), 0.25)(PICTURE)
    odds = (first / (1 - first)) ** 0.75 * (second / (1 - second)) ** 0.25
    np.testing.assert_allclose(probability, odds / (1 + odds), rtol=1e-5)
    assert probability.shape == PICTURE.shape[:2]
    assert probability.dtype == np.float32


@pytest.mark.parametrize(("sure", "other"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0)])
def test_what_two_are_sure_of_stays_a_number_and_the_first_s(sure: float, other: float) -> None:
    probability = agreed(saying(sure), saying(other), 0.25)(PICTURE)
    assert np.isfinite(probability).all()
    assert np.abs(probability - sure).max() < 0.05
    assert LEAST / 2 < probability.min() <= probability.max() < 1 - LEAST / 2


def test_lite_plus_is_what_two_networks_say() -> None:
    card = registry.card("lite-plus")
    assert card.second is not None
    with registry.network_file(card) as one, registry.weights_file(card.second.file) as two:
        first, second = onnx.segmenter(one, card.contract), onnx.segmenter(two, card.second.contract)
        expected = agreed(first, second, card.second.share)(PICTURE)
    np.testing.assert_array_equal(trimatte.segment(PICTURE, segmenter="lite-plus"), expected)
    assert registry.size(card) == registry.size(registry.card("lite")) + 2_496_722


def test_the_second_network_s_file_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    card = registry.card("lite-plus")
    assert card.second is not None
    damaged = replace(card, second=replace(card.second, sha256="0" * 64))
    monkeypatch.setattr(registry, "ready_card", lambda name: damaged)
    with pytest.raises(ModelError, match=r"second\.onnx: its SHA-256 is not"):
        registry.verify("lite-plus")


def test_a_card_says_all_of_its_second_network() -> None:
    second = read_card(CARD + SECOND).second
    assert second is not None
    assert (second.share, second.contract.size) == (0.25, 64)


@pytest.mark.parametrize(
    ("line", "other"),
    [("share = 0.25", "share = 1.5"), ("share = 0.25", ""), ('file = "second.onnx"', "file = 3"), ("size = 64", "")],
)
def test_a_second_network_that_is_not_all_there_is_refused(line: str, other: str) -> None:
    with pytest.raises(ModelError, match=r"second|size"):
        read_card(CARD + SECOND.replace(line, other))
