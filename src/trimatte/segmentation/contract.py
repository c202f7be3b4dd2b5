"""What a network takes and gives: the part of a model's card that decides whether its answer is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any, Literal, get_args

from trimatte.errors import ModelError

Fit = Literal["stretch", "letterbox", "corner"]
Scaling = Literal["255", "maximum"]
Filter = Literal["bilinear", "bicubic", "lanczos"]
Kind = Literal["logits", "probability"]
Padding = Literal["mirror", "zero"]

PLANES = {"picture": 3, "plain": 3, "trimap": 1, "one-hot": 3, "known": 2, "distances": 6}
"""What an input can be made of, and in how many channels: see `Contract.inputs`."""
OF_TRIMAP = ("trimap", "one-hot", "known", "distances")
LEAST_STEP = 32
"""A window is no smaller than four of these."""
_CHOICES = (("fit", Fit), ("scaling", Scaling), ("resize", Filter), ("kind", Kind), ("padding", Padding))
_FIXED = "a number for each, or {long_side = number}"


@dataclass(frozen=True)
class Contract:
    """What a network takes and gives. Exactly one of `size`, `long_side`, `short_side` and `window` is set.

    Attributes
    ----------
    mean, std : (float, float, float)
        Of the channels in [0, 1], subtracted and divided.
    size : int or None
        Side in pixels of the square that the network sees, whatever the picture's aspect.
    fit : Fit
        "stretch" makes the picture square, "letterbox" centres it on black, "corner" puts it at the top left there.
    long_side, short_side : int or None
        Pixels of that side of the picture as the network sees it, in the picture's own aspect.
    window : int or None
        The most pixels a side at a time of a network that gets the picture at its own resolution, and a trimap.
    multiple : int
        Both sides are rounded to a multiple of this; with `size` without effect.
    padding : Padding
        What a window has beyond the picture's end: "mirror", or "zero" in all planes, once they are normalised.
    inputs : tuple of tuple of str
        For each input what its channels are, of `PLANES`: the normalised "picture"; the "plain" one in [0, 1]; the
        "trimap" as 0, 0.5 and 1; "one-hot" background, unknown, foreground; "known" background, foreground;
        "distances" exp(-d^2 / 2 s^2) to known background, then foreground, s being 6.4, 25.6 and 51.2 pixels.
    names : tuple of str
        Names of the inputs; by default the network's own, in its order.
    fixed : mapping of str to number or table
        Inputs that hold one number, in the shape that the network says, open sides being 1; {"long_side": n} is n
        over the picture's long side, 1 at most.
    scaling : "255" leaves the picture in [0, 1], "maximum" divides it by its own greatest value, as some networks
        were trained.
    resize : Filter
        The filter by which the picture is made smaller.
    index : int or str
        Which output of the network, by its number or its name.
    channel, channels : int
        Which channel of it, counted from 0, and how many it has.
    kind : Kind
        "logits", or "probability" if the network ends in a sigmoid.
    temperature : float
        Logits are divided by it before the sigmoid (Guo et al., ICML 2017).
    flip : bool
        Take the mean with the answer to the mirrored picture.
    long_sides : tuple of int
        Take the mean over several sizes, instead of `long_side` alone.
    enlarge : float
        The most times that a picture is enlarged for `long_side`, if not for `least_side`; 0 for any.
    least_side : int
        A long side, up to `long_side`, that a picture gets however often it is enlarged: in less nothing is found.
    second_look : float
        A subject whose box takes no more than this share of the picture is inferred once more, by itself.
    third_look : float
        A picture in more doubt than this, the sum of 4 p (1 - p) over the sum of p, is inferred once more, whole,
        mirrored and with its long side at `third_side`, and that counts twice; 0 for none. A thumbnail never is.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    size: int | None = None
    fit: Fit = "stretch"
    long_side: int | None = None
    short_side: int | None = None
    window: int | None = None
    multiple: int = 32
    padding: Padding = "mirror"
    inputs: tuple[tuple[str, ...], ...] = (("picture",),)
    names: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    scaling: Scaling = "255"
    resize: Filter = "bilinear"
    index: int | str = 0
    channel: int = 0
    channels: int = 1
    kind: Kind = "logits"
    temperature: float = 1.0
    flip: bool = False
    long_sides: tuple[int, ...] = ()
    enlarge: float = 0.0
    least_side: int | None = None
    second_look: float = 0.0
    third_look: float = 0.0
    third_side: int | None = None

    def __post_init__(self) -> None:
        sides = {name: getattr(self, name) for name in ("size", "long_side", "short_side", "window")}
        if sum(side is not None for side in sides.values()) != 1:
            raise ModelError(f"size: got {sides}, wanted one of them")
        for name, side in {**sides, "multiple": self.multiple}.items():
            _want(name, side, side is None or _whole(side), "a number of pixels")
        for name in ("mean", "std"):
            given = getattr(self, name)
            _want(name, given, len(given) == 3 and all(map(_number, given)), "three numbers")
        _want("std", self.std, min(self.std) > 0, "numbers above 0")
        for name, values in _CHOICES:
            _want(name, getattr(self, name), getattr(self, name) in get_args(values), " or ".join(get_args(values)))
        named = isinstance(self.index, str) or self.index == 0 or _whole(self.index)
        _want("index", self.index, named, "the number or name of an output")
        _want("temperature", self.temperature, _number(self.temperature) and self.temperature > 0, "a number above 0")
        _want("flip", self.flip, isinstance(self.flip, bool), "true or false")
        large = _number(self.enlarge) and (self.enlarge == 0 or (self.enlarge >= 1 and self.long_side is not None))
        _want("enlarge", self.enlarge, large, "a number of at least 1, with long_side")
        if self.least_side is not None:
            _want("least_side", self.least_side, _whole(self.least_side), "a number of pixels, with enlarge")
            if not self.enlarge:
                raise ModelError("least_side: goes with enlarge")
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
        self._check_inputs()

    def _check_inputs(self) -> None:
        several = isinstance(self.inputs, tuple) and all(isinstance(planes, tuple) for planes in self.inputs)
        good = several and self.inputs and all(planes and set(planes) <= set(PLANES) for planes in self.inputs)
        _want("inputs", self.inputs, bool(good), f"for each input a list of {', '.join(PLANES)}")
        texts = isinstance(self.names, tuple) and all(isinstance(name, str) for name in self.names)
        _want("names", self.names, texts and len(self.names) in (0, len(self.inputs)), "a name for each of inputs")
        _want("fixed", self.fixed, isinstance(self.fixed, Mapping) and all(map(_fixed, self.fixed.values())), _FIXED)
        _want("channels", self.channels, _whole(self.channels), "a number of channels")
        below = self.channel == 0 or _whole(self.channel)
        _want("channel", self.channel, below and self.channel < self.channels, f"one of {self.channels}, from 0")
        if self.needs_trimap != (self.window is not None):
            raise ModelError("window: goes with a trimap among inputs, and that with a window")
        if self.window is not None:
            wide = self.window >= 4 * max(self.multiple, LEAST_STEP) and self.window % self.multiple == 0
            _want("window", self.window, wide, f"a multiple of {self.multiple}, at least four times as large, and 128")
            if self.scaling == "maximum" or self.flip or self.second_look or self.third_look:
                raise ModelError("window: goes with none of scaling, flip, second_look and third_look")

    @property
    def needs_trimap(self) -> bool:
        """Whether the network is given one."""
        return any(plane in OF_TRIMAP for planes in self.inputs for plane in planes)

    def passes(self) -> list[Contract]:
        """One contract for each size at which the network takes the picture."""
        return [replace(self, long_side=side, long_sides=()) for side in self.long_sides] or [self]

    def in_doubt(self) -> Contract:
        """That of the third pass, which has no other."""
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
            given[name] = tuple(tuple(each) if isinstance(each, list) else each for each in value)
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
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _fixed(value: Any) -> bool:
    return _number(value) or (
        isinstance(value, Mapping) and list(value) == ["long_side"] and _whole(value["long_side"])
    )
