"""Adding, verifying and removing models, and segmenting with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import trimatte
from trimatte.errors import ArgumentError, ModelError
from trimatte.segmentation import registry
from trimatte.segmentation.cards import read_card

Make = Callable[..., Path]
PICTURE = np.repeat(np.linspace(0, 1, 48, dtype=np.float32)[None, :, None], 32, 0).repeat(3, 2)


def files(data: Path) -> list[str]:
    return sorted(file.name for file in (data / "models").iterdir()) if (data / "models").exists() else []


def with_hash(card: str, file: Path) -> str:
    return card.replace("[licence]", f'sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}"\n[licence]', 1)


def test_a_network_with_its_own_card_becomes_a_segmenter(make: Make, grey_card: str, data: Path) -> None:
    verdict = registry.add(make(), read_card(grey_card))
    assert verdict.sha256 == hashlib.sha256(make().read_bytes()).hexdigest()
    assert not verdict.published
    assert files(data) == ["grey.onnx", "grey.sha256", "grey.toml"]
    assert (data / "models" / "grey.sha256").read_text() == f"{verdict.sha256}  grey.onnx\n"
    assert trimatte.segmenters() == ["lite", "lite-plus", "grey"]
    probability = trimatte.segment(PICTURE, segmenter="grey")
    assert np.abs(probability - PICTURE[..., 0]).max() < 0.05
    assert registry.verify("grey").sha256 == verdict.sha256
    assert "grey" in [card.name for card in registry.models()]
    registry.remove("grey")
    assert files(data) == []
    with pytest.raises(ArgumentError, match="no 'grey', there are lite"):
        trimatte.segment(PICTURE, segmenter="grey")


def test_a_cutout_by_an_added_network(make: Make, grey_card: str, photo: np.ndarray, truth: np.ndarray) -> None:
    registry.add(make(gain=20.0, offset=-10.0), read_card(grey_card.replace("probability", "logits")))
    result = trimatte.cutout(photo, segmenter="grey")
    assert result.report.segmenter == "grey"
    assert np.abs(result.alpha - truth).mean() < 0.03


def test_a_card_with_a_hash_takes_that_file_alone(make: Make, grey_card: str, data: Path) -> None:
    card = read_card(with_hash(grey_card, make("right.onnx")))
    with pytest.raises(ModelError, match=r"wrong\.onnx: its SHA-256 is [0-9a-f]{64}, the card of 'grey' says"):
        registry.add(make("wrong.onnx", gain=0.5), card)
    assert files(data) == []
    assert registry.add(make("right.onnx"), card).published


def test_a_file_that_does_not_fit_is_not_added(make: Make, grey_card: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"/network\.onnx: .* logits, it seems"):
        registry.add(make(gain=7.0), read_card(grey_card))
    with pytest.raises(ModelError, match=r"cannot copy .*missing\.onnx.*No such file"):
        registry.add(tmp_path / "missing.onnx", read_card(grey_card))
    assert files(data) == []


def test_adding_again_replaces_in_the_same_process(make: Make, grey_card: str) -> None:
    registry.add(make(), read_card(grey_card))
    assert trimatte.segment(PICTURE, segmenter="grey").max() > 0.9
    registry.add(make("dark.onnx", gain=0.25), read_card(grey_card))
    assert trimatte.segment(PICTURE, segmenter="grey").max() < 0.3


def test_a_failed_replacement_leaves_the_old_one(make: Make, grey_card: str) -> None:
    registry.add(make(), read_card(grey_card))
    with pytest.raises(ModelError):
        registry.add(make("bad.onnx", gain=9.0), read_card(grey_card))
    registry.verify("grey")
    assert trimatte.segment(PICTURE, segmenter="grey").max() > 0.9


def test_verify_tells_a_file_that_changed(make: Make, grey_card: str, data: Path) -> None:
    registry.add(make(), read_card(grey_card))
    path = data / "models" / "grey.onnx"
    path.write_bytes(make("other.onnx", gain=0.5).read_bytes())
    with pytest.raises(ModelError, match=r"grey\.onnx: its SHA-256 is .* was added: the file has changed"):
        registry.verify("grey")


def test_a_file_without_its_mark_does_not_count(make: Make, grey_card: str, data: Path) -> None:
    registry.add(make(), read_card(grey_card))
    (data / "models" / "grey.sha256").unlink()
    assert registry.added() == []
    assert trimatte.segmenters() == ["lite", "lite-plus"]


def test_a_known_model_that_is_not_added_says_how(data: Path) -> None:
    with pytest.raises(ModelError, match=r"'u2netp' is not added: `trimatte models add u2netp FILE` .* u2netp\.onnx"):
        trimatte.segment(PICTURE, segmenter="u2netp")
    with pytest.raises(ModelError, match="not added"):
        trimatte.cutout(PICTURE, segmenter="modnet")
    with pytest.raises(ArgumentError, match="`trimatte models list`"):
        trimatte.segment(PICTURE, segmenter="nobody")
    assert not data.exists()


@pytest.mark.parametrize("name", ["../grey", "a/b", "", "lite\n", "a\0b"])
def test_a_name_is_no_path(name: str, make: Make, data: Path) -> None:
    assert not registry.knows(name)
    with pytest.raises(ArgumentError, match="there is no"):
        trimatte.segment(PICTURE, segmenter=name)
    with pytest.raises(ModelError, match="there is no model"):
        registry.card(name)


@pytest.mark.parametrize(
    ("name", "words"), [("lite", "needs no file"), ("lite-plus", "needs no file"), ("u2netp", "ready-made card")]
)
def test_taken_names_are_refused(make: Make, grey_card: str, name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        registry.add(make(), read_card(grey_card.replace('"grey"', f'"{name}"')))


def test_a_card_of_one_s_own_has_no_second_network(make: Make, grey_card: str) -> None:
    table = (
        '[second]\nfile = "second.onnx"\nsha256 = "0"\nweight = 0.3\ndoubt = [0.0, 1.0]\n[second.input]\nsize = 64\n'
    )
    card = grey_card + table + "mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n"
    with pytest.raises(ModelError, match="second: only embedded"):
        registry.add(make(), read_card(card))


def test_a_card_on_the_base_of_another_takes_no_file(make: Make, grey_card: str) -> None:
    with pytest.raises(ModelError, match="base"):
        registry.add(make(), read_card(grey_card.replace('name = "grey"', 'name = "grey"\nbase = "lite"', 1)))


def test_what_is_embedded_or_absent_is_not_removed() -> None:
    for name, words in (("lite", "part of trimatte"), ("u2netp", "there are none")):
        with pytest.raises(ModelError, match=words):
            registry.remove(name)


def test_a_data_folder_that_cannot_be_made(make: Make, grey_card: str, data: Path) -> None:
    data.write_text("a file")
    with pytest.raises(ModelError, match="cannot make the folder"):
        registry.add(make(), read_card(grey_card))


def test_without_the_variable_the_platforms_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TRIMATTE_DATA")
    monkeypatch.setattr("platformdirs.user_data_path", lambda name, appauthor: tmp_path / "home" / name)
    assert registry._folder() == tmp_path / "home" / "trimatte" / "models"


def test_the_embedded_networks_are_whole() -> None:
    for name in registry.EMBEDDED:
        verdict = registry.verify(name)
        assert verdict.published
        assert verdict.remarks == ()
