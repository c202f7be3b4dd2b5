"""What a card may say, and how it is told when it says something else."""

from __future__ import annotations

import numpy as np
import pytest

from trimatte.errors import ModelError
from trimatte.segmentation import registry
from trimatte.segmentation.cards import USES, read_card, shipped_cards

CARD = """
name = "mine"
[input]
size = 32
mean = [0.5, 0.5, 0.5]
std = [1, 1, 1]
"""


def test_a_card_of_few_entries_has_defaults() -> None:
    card = read_card(CARD)
    contract = card.contract
    assert (contract.size, contract.kind, contract.index, contract.scaling, contract.fit) == (
        32,
        "logits",
        0,
        "255",
        "stretch",
    )
    assert (card.use, card.sha256, card.size, card.address, card.purpose) == ("unstated", "", None, "", "")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "mine"', "name =", "card: not TOML"),
        ('name = "mine"', "", "card: name: got ''"),
        ('name = "mine"', 'name = "../mine"', "name: got '../mine'"),
        ('name = "mine"', 'name = "Mine"', "name: got 'Mine'"),
        ('name = "mine"', 'name = "mine"\nsha256 = "12"', "sha256: got '12'"),
        ('name = "mine"', 'name = "mine"\nsha256 = 12', "sha256: got 12, wanted text"),
        ('name = "mine"', 'name = "mine"\naddress = "file:///etc/passwd"', "address: got 'file"),
        ('name = "mine"', 'name = "mine"\nbytes = "many"', "bytes: got 'many'"),
        ('name = "mine"', 'name = "mine"\nlicence = "MIT"', "licence: wanted a table"),
        ('name = "mine"', 'name = "mine"\nlicence = {use = "free"}', "licence.use: got 'free'"),
        ('name = "mine"', 'name = "mine"\nbase = "nobody"', "no card of 'nobody'"),
        ("size = 32", "", "size: got .*, wanted one of them"),
        ("size = 32", "size = 32\nlong_side = 32", "size: got .*, wanted one of them"),
        ("size = 32", "size = 0", "size: got 0"),
        ("size = 32", "size = 32\nenlarge = 5", "enlarge: got 5, wanted a number of at least 1, with long_side"),
        ("size = 32", "long_side = 32\nenlarge = inf", "enlarge: got inf, wanted"),
        ("size = 32", "long_side = 32\nenlarge = 0.5", "enlarge: got 0.5, wanted"),
        ("size = 32", "long_side = 32\nenlarge = 5\nleast_side = 0.5", "least_side: got 0.5, wanted a number"),
        ("size = 32", "long_side = 32\nleast_side = 16", "least_side: goes with enlarge"),
        ("size = 32", "size = 32.5", "size: got 32.5"),
        ("size = 32", "long_side = 32\nmultiple = 0", "multiple: got 0"),
        ("size = 32", "size = 32\nwidth = 3", "width: no such entry; there are .*size"),
        ("size = 32", 'size = 32\nscaling = "127"', "scaling: got '127', wanted 255 or maximum"),
        ("size = 32", 'size = 32\nresize = "box"', "resize: got 'box'"),
        ("size = 32", 'size = 32\nfit = "crop"', "fit: got 'crop'"),
        ("size = 32", "size = 32\nindex = -1", "index: got -1"),
        ("size = 32", "size = 32\nindex = 1.5", "index: got 1.5"),
        ("size = 32", "long_side = 32\nlong_sides = 32", "long_sides: got 32"),
        ("size = 32", 'size = 32\nkind = "mask"', "kind: got 'mask', wanted logits or probability"),
        ("size = 32", "size = 32\ntemperature = 0", "temperature: got 0"),
        ("size = 32", "size = 32\nflip = 1", "flip: got 1, wanted true or false"),
        ("size = 32", "size = 32\nlong_sides = [32]", "long_sides: goes with long_side"),
        ("size = 32", "long_side = 32\nlong_sides = [0]", "long_sides: got"),
        ("mean = [0.5, 0.5, 0.5]", "mean = [0.5]", "mean: got"),
        ("mean = [0.5, 0.5, 0.5]", "mean = 0.5", "mean: got 0.5"),
        ("mean = [0.5, 0.5, 0.5]", "", "mean: got None"),
        ("std = [1, 1, 1]", "std = [1, 1, 0]", "std: got"),
    ],
)
def test_a_wrong_entry_is_named(old: str, new: str, words: str) -> None:
    assert old in CARD
    with pytest.raises(ModelError, match=words):
        read_card(CARD.replace(old, new))


UNPUBLISHED = {"fba", "rvm-mobilenetv3", "rvm-resnet50", "birefnet-matting", "birefnet-hr-matting"}
"""Of their files no checksum is published that we know."""


def test_every_shipped_card_says_what_an_auditor_asks() -> None:
    cards = shipped_cards()
    names = [card.name for card in cards]
    assert len(set(names)) == len(names)
    assert {"lite", "lite-plus", "u2net", "u2netp", "u2net_human_seg", "silueta", "isnet-general-use"} <= set(names)
    assert {"isnet-anime", "bria-rmbg", "modnet", "birefnet-general", "birefnet-general-lite"} <= set(names)
    for card in cards:
        assert card.purpose
        assert len(card.sha256) == (0 if card.name in UNPUBLISHED else 64), card.name
        assert {"code", "weights"} <= set(card.licence), card.name
        assert "data" in card.licence or "data" in card.data, card.name
        assert card.licence["use"] in USES, card.name
        assert ("GPL" in card.licence["weights"]) == (card.licence["use"] == "copyleft"), card.name
        if card.task == "matting":
            assert card.data["source"].startswith("https://"), card.name
        elif card.name not in registry.EMBEDDED:
            assert card.address.startswith("https://"), card.name
            assert card.size
            assert card.size > 1_000_000


def test_modnet_gives_alpha_and_birefnet_logits() -> None:
    assert registry.card("modnet").contract.kind == "probability"
    assert registry.card("birefnet-general").contract.kind == "logits"
    assert registry.card("u2net").contract.scaling == "maximum"


def test_lite_plus_stands_on_lite() -> None:
    lite, plus = registry.card("lite"), registry.card("lite-plus")
    assert plus.contract.second_look > lite.contract.second_look
    assert plus.contract.long_side > lite.contract.long_side
    assert (plus.contract.mean, plus.contract.temperature) == (lite.contract.mean, lite.contract.temperature)
    assert plus.sha256 == lite.sha256
    assert plus.licence == lite.licence


def test_temperature_may_stand_in_either_table() -> None:
    for table in ("[input]", "[output]"):
        text = CARD if table == "[input]" else CARD + "[output]\n"
        assert read_card(text + "temperature = 2.0\n").contract.temperature == 2.0


def test_looks_are_one_for_each_size() -> None:
    card = read_card(CARD.replace("size = 32", "long_side = 32\nlong_sides = [32, 48]"))
    assert [one.long_side for one in card.contract.passes()] == [32, 48]
    assert np.all([one.passes() == [one] for one in card.contract.passes()])
