"""Methods with options: NAME:OPTION=VALUE;OPTION=VALUE."""

from __future__ import annotations

import hashlib

import pytest

from trimatte.errors import ArgumentError
from trimatte.evaluation import methods
from trimatte.evaluation.methods import Outcome, _with_options, resolve_methods
from trimatte.evaluation.runs import evaluate


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


def test_results_of_other_weights_are_not_taken_for_these(benchmark, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(methods, "_run_alpha", lambda method, options, trial: Outcome(trial.alpha))
    weights = tmp_path / "w.pt"
    new: list[object] = []
    for content, made in ((None, 3), (b"first", 3), (b"first", 0), (b"second, longer", 3)):
        if content is not None and (not weights.exists() or weights.read_bytes() != content):
            weights.write_bytes(content)
        new.clear()
        run = evaluate(
            benchmark, [f"deep-image-matting:weights={weights}"], out=tmp_path / "run",
            progress=lambda record, *_: new.append(record["inputs"].get("weights")),
        )  # fmt: skip
        assert new == [content and hashlib.sha256(content).hexdigest()] * made
    assert len(run.records) == 3


def test_an_option_without_a_value_is_refused() -> None:
    with pytest.raises(ArgumentError, match="NAME=VALUE"):
        resolve_methods(["closed-form:epsilon=1;radius"])


@pytest.mark.parametrize("method", ["closed-form:epsilon=inf", "large-kernel:constraint=-1", "closed-form:zz=1"])
def test_options_that_no_picture_can_mend_are_refused_before_any(method: str) -> None:
    with pytest.raises(ArgumentError, match=r"epsilon: got inf|constraint: got -1|zz: no option"):
        resolve_methods([method])
