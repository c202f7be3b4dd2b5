"""Options: given as text, NAME=VALUE, as on a command line, and checked."""

from __future__ import annotations

import inspect
import json
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from trimatte.errors import ArgumentError


@dataclass(frozen=True)
class Bounds:
    """What an option's number may be: metadata of its type, `Annotated`, to which `check_options` holds it.

    Attributes
    ----------
    least, most, above, whole : optional
        As of `check_number`.
    each : bool
        Whether they are those of each number of a sequence, which is not empty.
    infinite : bool
        Whether it may also be infinite.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    whole: bool = False
    each: bool = False
    infinite: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise `ArgumentError` for a value of that name that is out of bounds."""
        if self.each:
            check_sequence(name, value, "a list of numbers")
            if not len(value):
                raise ArgumentError(f"{name}: got none, wanted a list of numbers")
        for number in value if self.each else [value]:
            if self.infinite and isinstance(number, float) and number == math.inf:
                continue
            check_number(name, number, least=self.least, most=self.most, above=self.above, whole=self.whole)


EPSILON = Bounds(least=1e-20, most=1)
"""Of a regularisation, beside variances of colours in [0, 1]."""
RESIDUAL = Bounds(least=1e-16, most=0.5)
"""Of a relative residual; with a larger one, what the iteration starts from is taken for the solution."""


_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def parse_options(given: Iterable[str]) -> dict[str, Any]:
    """Options by name: numbers, lists and truth values as such, all else as text.

    Raises `ArgumentError` for one that is not NAME=VALUE.
    """
    options: dict[str, Any] = {}
    for part in given:
        name, equals, value = part.partition("=")
        if not (name and equals):
            raise ArgumentError(f"option: got {part!r}, wanted NAME=VALUE")
        try:
            options[name] = _NOT_FINITE[value] if value in _NOT_FINITE else json.loads(value)
        except (ValueError, RecursionError):
            options[name] = value
    return options


def check_number(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    whole: bool = False,
) -> None:
    """Raise `ArgumentError` for what is no finite number, or one out of its range; truth values are no numbers.

    Parameters
    ----------
    name : str
        What the message calls it.
    value : object
        What was given.
    least, most, above : float, optional
        The bounds; `least` and `most` are allowed themselves, `above` is not.
    whole : bool
        Whether it must be an integer.
    """
    kind = numbers.Integral if whole else numbers.Real
    good = not _is_flag(value) and isinstance(value, kind) and _is_finite(value)
    if good and least is not None:
        good = value >= least
    if good and above is not None:
        good = value > above
    if good and most is not None:
        good = value <= most
    if not good:
        bounds = [("at least", least), ("above", above), ("at most", most)]
        wanted = " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)
        what = "a whole number" if whole else "a finite number"
        raise ArgumentError(f"{name}: got {shown(value)}, wanted {what}{', ' if wanted else ''}{wanted}")


def check_sequence(name: str, value: Any, wanted: str) -> None:
    """Raise `ArgumentError` for what is no sequence or array; text is none."""
    array = hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0
    if isinstance(value, (str, bytes)) or not (array or isinstance(value, Sequence)):
        raise ArgumentError(f"{name}: got {value!r}, wanted {wanted}")


def check_flag(name: str, value: Any) -> None:
    """Raise `ArgumentError` for what is neither True nor False."""
    if not _is_flag(value):
        raise ArgumentError(f"{name}: got {value!r}, wanted True or False")


def check_options(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise `ArgumentError` for an option that the function of that name does not take, listing those it takes, and for
    a value that is not of its type: a number out of its `Bounds`, a word that is none of a few, no array."""
    if not options:
        return
    parameters = signature_of(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    allowed = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}
    for option, value in options.items():
        if option not in allowed:
            raise ArgumentError(f"{option}: no option of {name!r}, which has {', '.join(allowed) or 'none'}")
        if not (value is None and allowed[option].default is None):
            _check_type(option, value, allowed[option].annotation)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """A function's signature with its types as such; as text if they name what is known to type checkers alone."""
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # whatever a plug-in's types raise
        return inspect.signature(function)


def _check_type(name: str, value: Any, wanted: Any) -> None:
    plain, *notes = get_args(wanted) if get_origin(wanted) is Annotated else [wanted]
    arrays = any(getattr(part, "__name__", "") == "ndarray" for part in get_args(plain))
    if arrays and not isinstance(value, (numbers.Number, str)):
        return  # which is seen when the picture's shape is known
    for bounds in notes:
        if isinstance(bounds, Bounds):
            bounds.check(name, value)
    choices = get_args(wanted) if get_origin(wanted) is Literal else ()
    if choices and not any(isinstance(value, type(choice)) and value == choice for choice in choices):
        raise ArgumentError(f"{name}: got {shown(value)}, wanted one of {', '.join(map(str, choices))}")
    if arrays and not notes and isinstance(value, numbers.Number):
        raise ArgumentError(f"{name}: got {shown(value)}, wanted an array (H, W)")


def shown(value: object) -> str:
    """A value as a message shows it, shortened."""
    try:
        text = repr(value)
    except ValueError:  # of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def _is_finite(value: Any) -> bool:
    """Whether a float can hold it."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_flag(value: object) -> bool:
    """Whether it is True or False, NumPy's too, which need not be imported for this."""
    return type(value).__name__ in ("bool", "bool_")
