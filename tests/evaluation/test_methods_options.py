"""Methods with options: NAME:OPTION=VALUE;OPTION=VALUE."""

from __future__ import annotations

import pytest

from trimatte.errors import ArgumentError
from trimatte.evaluation.methods import _with_options, resolve_methods


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("closed-form", "closed-form", {}),
        ("pymatting:cf", "pymatting:cf", {}),
        ("closed-form:epsilon=1e-5;radius=1", "closed-form", {"epsilon": 1e-5, "radius": 1}),
        ("modnet:weights=a/b.ckpt", "modnet", {"weights": "a/b.ckpt"}),
        ("deep-image-matting:weights=x.pth;skips=true", "deep-image-matting", {"weights": "x.pth", "skips": True}),
    ],
)
def test_options_follow_the_name(text: str, name: str, options: dict[str, object]) -> None:
    assert _with_options(text) == (name, options)


def test_an_option_without_a_value_is_refused() -> None:
    with pytest.raises(ArgumentError, match="NAME=VALUE"):
        resolve_methods(["closed-form:epsilon=1;radius"])
