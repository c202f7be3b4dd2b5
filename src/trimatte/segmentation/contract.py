"""What a network takes and gives: the part of a model's card that decides whether its answer is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from trimatte.errors import ModelError

Fit = Literal["stretch", "letterbox"]
Scaling = Literal["255", "maximum"]
Filter = Literal["bilinear", "bicubic", "lanczos"]
Kind = Literal["logits", "probability"]


@dataclass(frozen=True)
class Contract:
    """What a network takes and gives. Exactly one of `size`, `long_side` and `short_side` is set.

    Attributes
    ----------
    mean, std : (float, float, float)
        Of the channels in [0, 1], subtracted and divided.
    size : int or None
        Side in pixels of the square that the network sees, whatever the picture's aspect.
    fit : Fit
        "stretch" makes the picture square, "letterbox" centres it on black.
    long_side, short_side : int or None
        Pixels of that side of the picture as the network sees it, in the picture's own aspect.
    multiple : int
        Both sides are rounded to a multiple of this; with `size` without effect.
    scaling : "255" leaves the picture in [0, 1], "maximum" divides it by its own greatest value, as some networks
        were trained.
    resize : Filter
        The filter by which the picture is made smaller.
    index : int or str
        Which output of the network, by its number or its name.
    kind : Kind
        "logits", or "probability" if the network ends in a sigmoid.
    temperature : float
        Logits are divided by it before the sigmoid (Guo et al., ICML 2017).
    flip : bool
        Take the mean with the answer to the mirrored picture.
    long_sides : tuple of int
        Take the mean over several sizes, instead of `long_side` alone.
    second_look : float
        A subject whose box takes no more than this share of the picture is inferred once more, by itself.
    third_look : float
        A picture in more doubt than this, the sum of 4 p (1 - p) over the sum of p, is inferred once more, whole,
        mirrored and with its long side at `third_side`, and that counts twice; 0 for none.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int | None = None
    fit: Fit = "stretch"
    long_side: int | None = None
    short_side: int | None = None
    multiple: int = 32
    scaling: Scaling = "255"
    resize: Filter = "bilinear"
    index: int | str = 0
    kind: Kind = "logits"
    temperature: float = 1.0
    flip: bool = False
    long_sides: tuple[int, ...] = ()
    second_look: float = 0.0
    third_look: float = 0.0
    third_side: int | None = None

    def __post_init__(self) -> None:
        sides = {name: getattr(self, name) for name in ("size", "long_side", "short_side")}
        if sum(side is not None for side in sides.values()) != 1:
            raise ModelError(f"size: got {sides}, wanted one of them")
        for name, side in {**sides, "multiple": self.multiple}.items():
            _want(name, side, side is None or _whole(side), "a number of pixels")
        for name in ("mean", "std"):
            given = getattr(self, name)
            _want(name, given, len(given) == 3 and all(map(_number, given)), "three numbers")
        _want("std", self.std, min(self.std) > 0, "numbers above 0")
        for name, values in (("fit", Fit), ("scaling", Scaling), ("resize", Filter), ("kind", Kind)):
            _want(name, getattr(self, name), getattr(self, name) in get_args(values), " or ".join(get_args(values)))
        named = isinstance(self.index, str) or self.index == 0 or _whole(self.index)
        _want("index", self.index, named, "the number or name of an output")
        _want("temperature", self.temperature, _number(self.temperature) and self.temperature > 0, "a number above 0")
        _want("flip", self.flip, isinstance(self.flip, bool), "true or false")
        share = _number(self.second_look) and 0 <= self.second_look <= 1
        _want("second_look", self.second_look, share, "a share of the picture, 0 to 1")
        doubt = _number(self.third_look) and self.third_look >= 0
        _want("third_look", self.third_look, doubt, "a number of at least 0")
        if self.third_look or self.third_side is not None:
            _want("third_side", self.third_side, _whole(self.third_side), "a number of pixels, with third_look")
            if self.long_side is None:
                raise ModelError("third_side: goes with long_side")
        several = isinstance(self.long_sides, tuple) and all(map(_whole, self.long_sides))
        _want("long_sides", self.long_sides, several, "numbers of pixels")
        if self.long_sides and self.long_side is None:
            raise ModelError("long_sides: goes with long_side")

    def looks(self) -> list[Contract]:
        """One contract for each size that the network looks at the picture."""
        return [replace(self, long_side=side, long_sides=()) for side in self.long_sides] or [self]

    def in_doubt(self) -> Contract:
        """That of the third look, which is one look only."""
        return replace(
            self,
            long_side=self.third_side,
            long_sides=(),
            flip=False,
            second_look=0.0,
            third_look=0.0,
            third_side=None,
        )


def contract_of(tables: Mapping[str, Any]) -> Contract:
    """The contract that a card's tables `input` and `output` make.

    Raises `ModelError`, which names the entry, for one that is missing, unknown or out of range.
    """
    given: dict[str, Any] = {}
    for table in ("input", "output"):
        entries = tables.get(table, {})
        # A network whose output is as a rule (logits, the first one) may say so in words.
        given |= entries if isinstance(entries, Mapping) else {}
    names = {field.name for field in fields(Contract)}
    for name, value in given.items():
        if name not in names:
            raise ModelError(f"{name}: no such entry; there are {', '.join(sorted(names))}")
        if isinstance(value, list):
            given[name] = tuple(value)
    for name in ("mean", "std"):
        if not isinstance(given.get(name), tuple):
            raise ModelError(f"{name}: got {given.get(name)!r}, wanted three numbers in [input]")
    return Contract(**given)


def _want(name: str, value: Any, fits: bool, wanted: str) -> None:
    if not fits:
        raise ModelError(f"{name}: got {value!r}, wanted {wanted}")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
