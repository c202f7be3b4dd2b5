"""What holds for each method whose networks are shipped: results defined and repeatable, cards true, files small."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest

from trimatte import estimate_alpha
from trimatte.errors import ArgumentError

Edge = Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]
WEIGHTS = files("trimatte.alpha").joinpath("weights")
SEGMENTER = files("trimatte.segmentation").joinpath("weights", "lite.onnx")
with_trimap = pytest.mark.parametrize("method", ["light", "light-closed-form", "hybrid"])
each = pytest.mark.parametrize("method", ["light", "light-closed-form", "hybrid", "glance"])


@each
def test_the_same_input_gives_the_same_bytes(noisy_edge: Edge, method: str) -> None:
    image, trimap, _ = noisy_edge(40, 60)
    first, second = (estimate_alpha(image, trimap, method=method).alpha for _ in range(2))
    np.testing.assert_array_equal(first, second)


@each
def test_odd_pictures_have_a_defined_result(odd_picture: tuple[np.ndarray, np.ndarray], method: str) -> None:
    image, trimap = odd_picture
    alpha = estimate_alpha(image, trimap, method=method, strict=True).alpha
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    np.testing.assert_array_equal(alpha[trimap != 128], trimap[trimap != 128] / 255)


@with_trimap
def test_a_missing_or_wrong_trimap_is_refused(noisy_edge: Edge, method: str) -> None:
    image, trimap, _ = noisy_edge()
    with pytest.raises(ArgumentError, match="trimap"):
        estimate_alpha(image, trimap[:-1], method=method)
    with pytest.raises(ArgumentError, match="trimap: got None"):
        estimate_alpha(image, method=method)


@each
def test_an_option_it_lacks_is_refused(noisy_edge: Edge, method: str) -> None:
    image, trimap, _ = noisy_edge()
    with pytest.raises(ArgumentError, match="radius"):
        estimate_alpha(image, trimap, method=method, radius=2)


@pytest.mark.parametrize("method", ["light", "hybrid", "glance"])
def test_the_card_is_of_the_weights(method: str) -> None:
    card = tomllib.loads(WEIGHTS.joinpath(f"{method}.toml").read_text("utf-8"))
    assert card["sha256"] == hashlib.sha256(WEIGHTS.joinpath(card["file"]).read_bytes()).hexdigest()
    assert {"purpose", "weak", "licence", "data", "recipe", "figures"} <= set(card)
    if method == "glance":
        assert card["segmenter"] == hashlib.sha256(SEGMENTER.read_bytes()).hexdigest()


def test_all_that_is_shipped_is_small() -> None:
    shipped = [*(WEIGHTS.joinpath(f"{method}.onnx") for method in ("hybrid", "light", "glance")), SEGMENTER]
    assert sum(len(file.read_bytes()) for file in shipped) <= 10e6
