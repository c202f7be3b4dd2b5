"""Training of the segmenter and the clicks on one encoder: it repeats, goes on, and both losses reach the encoder."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from trimatte.errors import ModelError  # noqa: E402
from trimatte.networks.clicks import Clicks  # noqa: E402
from trimatte.networks.lite import Lite  # noqa: E402
from trimatte.training import clicks, segmenter  # noqa: E402
from trimatte.training.scenes import Things  # noqa: E402
from trimatte.training.together import Batches, Recipe, train  # noqa: E402
from trimatte.training.unfold import embedded_variant  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def initial(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("initial") / "clicks.pt"
    torch.save(Clicks().state_dict(), path)
    return path


@pytest.fixture
def recipe(make_set):
    root = make_set("matte")
    source, things = segmenter.Source(root / "image", root / "alpha"), Things([], [])
    return Recipe(
        segmenter.Recipe(
            [source], things=things, steps=3, batch=2, long_side=64, variant=embedded_variant(), tune=True, frozen=7,
            warm_up=1, composed=0.5,
        ),
        clicks.Recipe([source], things, batch=2, targets=1, rounds=1, long_side=64),
    )  # fmt: skip


def of(path):
    return torch.load(path, weights_only=True)


def test_broken_off_and_gone_on_it_is_as_if_it_were_not(recipe, initial, tmp_path):
    class BrokenOffError(Exception):
        pass

    def stop(step, *losses):
        if step == 2:
            raise BrokenOffError

    whole = [of(path) for path in train(recipe, tmp_path / "whole", initial=initial, every=1)]
    with pytest.raises(BrokenOffError):
        train(recipe, tmp_path / "parts", initial=initial, every=1, watch=stop)
    parts = [of(path) for path in train(recipe, tmp_path / "parts", initial=initial)]
    for one, other in zip(whole, parts, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    with (tmp_path / "parts" / "log.csv").open() as log:
        steps = {int(step): float(pointed) for step, _, pointed in csv.reader(log)}
    assert [bool(steps[step]) for step in (1, 2, 3)] == [True, False, True]
    Lite(variant=embedded_variant()).load_state_dict(whole[0])
    Clicks().load_state_dict(whole[1])


def test_what_clicks_teach_reaches_the_encoder_but_for_its_first_blocks(recipe, initial, tmp_path):
    recipe = replace(recipe, segmenter=replace(recipe.segmenter, steps=1))
    taught, untaught = (
        of(train(replace(recipe, share=share), tmp_path / str(share), initial=initial)[0]) for share in (0.7, 0.0)
    )
    moved = {name for name in taught if not torch.equal(taught[name], untaught[name])}
    assert {name for name in moved if name.startswith("encoder._blocks.1")}
    assert not {name for name in moved if name.startswith(("encoder._conv_stem", "encoder._blocks.0."))}


def test_batches_repeat(recipe):
    first, second = (Batches(recipe, start)[2 - start] for start in (0, 2))
    for one, other in zip(first, second, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert Batches(recipe, 0)[1][1] is None


def test_diverged(recipe, initial, tmp_path, monkeypatch):
    monkeypatch.setattr(segmenter, "deep_loss", lambda outputs, *truth: outputs[0].mean() * np.nan)
    with pytest.raises(ModelError, match="diverged"):
        train(recipe, tmp_path / "run", initial=initial)
    assert not (tmp_path / "run" / "clicks.pt").exists()
