"""A second network that is asked, too: the sum of logits, its card and its file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from time import sleep

import numpy as np
import pytest
from tests.segmentation.test_contract import CARD

import trimatte
from trimatte.errors import ModelError
from trimatte.runtime.onnx import embedded_session
from trimatte.segmentation import onnx, registry
from trimatte.segmentation.cards import read_card
from trimatte.segmentation.prompts import read_prompts
from trimatte.segmentation.second import LEAST, SMALLEST, once, seconded

ALWAYS = (-1.0, np.inf)
PICTURE = np.random.default_rng(0).random((90, SMALLEST, 3), np.float32)
SECOND = """
[second]
file = "second.onnx"
sha256 = "0"
weight = 0.25
doubt = [0.5, 2.0]
[second.input]
size = 64
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
"""


def saying(value: float) -> onnx.Infer:
    return lambda image: np.full(image.shape[:2], value, np.float32)


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.9), (0.99, 0.2), (0.6, 0.6), (0.5, 0.01)])
def test_evidence_is_added(first: float, second: float) -> None:
    probability = seconded(saying(first), lambda: saying(second), 0.25, ALWAYS)(PICTURE)
    odds = first / (1 - first) * (second / (1 - second)) ** 0.25
    np.testing.assert_allclose(probability, odds / (1 + odds), rtol=1e-4)
    assert probability.shape == PICTURE.shape[:2]
    assert probability.dtype == np.float32


@pytest.mark.parametrize(("sure", "other"), [(0.002, 1.0), (1.0, 0.0), (0.002, 0.0), (1.0, 1.0)])
def test_what_the_first_is_sure_of_stays_so(sure: float, other: float) -> None:
    probability = seconded(saying(sure), lambda: saying(other), 0.25, ALWAYS)(PICTURE)
    assert np.isfinite(probability).all()
    assert np.abs(probability - sure).max() < 0.02
    assert LEAST**1.5 < probability.min() <= probability.max() < 1 - LEAST**1.5


@pytest.mark.parametrize(("value", "asked"), [(0.99, False), (0.7, True), (0.4, False), (0.0, False)])
def test_a_second_is_built_once_and_asked_in_doubt_alone(value: float, asked: bool) -> None:
    built = []

    def second() -> onnx.Infer:
        built.append(1)
        return saying(0.9)

    run = seconded(saying(value), once(second), 0.25, (0.5, 2))
    results = [run(PICTURE) for _ in range(2)]
    assert len(built) == asked
    for probability in results:
        assert (probability.max() > value + 0.01) == asked


def test_small_pictures_are_the_first_s_alone() -> None:
    run = seconded(saying(0.6), lambda: saying(0.9), 0.25, ALWAYS)
    assert (run(PICTURE[:, :-1]) == np.float32(0.6)).all()
    assert (run(PICTURE) > 0.6).all()


def test_lite_plus_is_what_two_networks_say() -> None:
    card = registry.card("lite-plus")
    assert card.second is not None
    assert card.second.doubt[0] == 0
    with registry.network_file(card) as one, registry.weights_file(card.second.file) as two:
        first, second = onnx.segmenter(one, card.contract), onnx.segmenter(two, card.second.contract)
        expected = seconded(first, lambda: second, card.second.weight, card.second.doubt)(PICTURE)
    np.testing.assert_array_equal(trimatte.segment(PICTURE, segmenter="lite-plus"), expected)


def test_lite_asks_the_same_second_when_in_doubt() -> None:
    lite, plus = registry.card("lite").second, registry.card("lite-plus").second
    assert lite is not None
    assert plus is not None
    larger = replace(lite.contract, size=plus.contract.size)
    assert replace(lite, doubt=(0.0, lite.doubt[1]), contract=larger) == plus
    assert lite.doubt[0] > 0
    with registry.network_file(registry.card("lite")) as one, registry.weights_file(lite.file) as two:
        assert registry.size(registry.card("lite")) == one.stat().st_size + two.stat().st_size


def test_threads_that_come_at_once_share_one() -> None:
    built, start = [], Barrier(4)

    def slowly() -> onnx.Infer:
        built.append(1)
        sleep(0.02)
        return saying(0.9)

    get = once(slowly)

    def ask(_: int) -> onnx.Infer:
        start.wait()
        return get()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1
    assert len(built) == 1


@pytest.mark.parametrize("name", registry.EMBEDDED)
def test_clicks_begin_with_what_both_networks_say(name: str) -> None:
    card = registry.card(name)
    assert card.second is not None
    always = replace(card, second=replace(card.second, doubt=(0.0, np.inf)))
    embedded = registry._built(always)
    assert isinstance(embedded, registry.Embedded)
    y, x = np.mgrid[:96, :128]
    picture = np.repeat((np.hypot(y - 48, x - 64) < 30)[..., None] * np.float32(0.7), 3, 2) + np.float32(0.1)
    opened = embedded.open(picture, automatic=True)
    found = opened.probability(None, read_prompts((), (), None, picture.shape))
    np.testing.assert_allclose(found, embedded(picture), atol=1e-5)
    assert np.abs(found - registry._built(replace(card, second=None))(picture)).max() > 0.01


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
    assert (second.weight, second.doubt, second.contract.size) == (0.25, (0.5, 2.0), 64)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("weight = 0.25", "weight = 0.0"),
        ("weight = 0.25", ""),
        ("doubt = [0.5, 2.0]", "doubt = [0.5, 0.2]"),
        ("doubt = [0.5, 2.0]", "doubt = [0.5]"),
        ('file = "second.onnx"', "file = 3"),
        ("size = 64", ""),
    ],
)
def test_a_second_network_that_is_not_all_there_is_refused(line: str, other: str) -> None:
    with pytest.raises(ModelError, match=r"second|size"):
        read_card(CARD + SECOND.replace(line, other))


def test_a_package_that_lacks_a_file_says_so() -> None:
    lite = registry.card("lite")
    assert lite.second is not None
    lacking = replace(lite, second=replace(lite.second, file="lost.onnx"))
    with pytest.raises(ModelError, match=r"lost\.onnx: a file of the package is missing"):
        registry.size(lacking)
    with pytest.raises(ModelError, match=r"lost\.onnx: a file of the package is missing"):
        embedded_session("alpha/weights/lost.onnx")


def test_the_second_s_digest_is_told_as_well() -> None:
    lite = registry.card("lite")
    assert lite.second is not None
    assert registry.verify("lite").second == lite.second.sha256
