"""Options: from text, and held to the types of the function that takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimatte.errors import ArgumentError
from trimatte.runtime.options import RESIDUAL, Bounds, check_options, parse_options

if TYPE_CHECKING:
    from fractions import Fraction


def solve(
    image: Any,
    *,
    rtol: Annotated[float, RESIDUAL] = 1e-6,
    most: Annotated[int | None, Bounds(least=0, whole=True)] = None,
    counts: Annotated[Sequence[int], Bounds(least=2, whole=True, each=True)] = (20, 10),
    accuracy: Literal["exact", "fast"] = "exact",
    guess: np.ndarray | None = None,
    weight: Annotated[float | np.ndarray, Bounds(least=0)] = 0.01,
    strength: Annotated[float, Bounds(above=0, infinite=True)] = 100.0,
    note: Any = None,
) -> None:
    """A method with options of every kind."""


def unreadable(*, thing: Fraction | None = None, rtol: Annotated[float, RESIDUAL] = 1e-6) -> None:
    """A plug-in whose types only type checkers know."""


def misspelt(*, gain: np.nosuchthing = 1, rtol: float = 1e-6) -> None:  # type: ignore[name-defined]
    """A plug-in whose types nobody knows."""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rtol": 0.5},
        {"rtol": np.float32(1e-3), "most": None},
        {"most": 0},
        {"counts": [2]},
        {"counts": np.array([5, 3])},
        {"accuracy": "fast", "guess": None},
        {"guess": np.zeros((2, 2))},
        {"guess": [[0.0]]},
        {"guess": "guess.png"},
        {"weight": np.full((2, 2), -1.0)},
        {"weight": 0, "strength": math.inf},
        {"note": math.nan},
    ],
)
def test_what_the_types_allow(options: dict[str, Any]) -> None:
    check_options("solve", solve, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rtl": 1},
            "rtl: no option of 'solve', which has rtol, most, counts, accuracy, guess",
        ),
        ({"rtol": 0}, "rtol: got 0, wanted a finite number, at least 1e-16 and at most 0.5"),
        ({"rtol": None}, "rtol: got None"),
        ({"rtol": "1e-3"}, "rtol: got '1e-3'"),
        ({"rtol": True}, "rtol: got True"),
        ({"most": -1}, "most: got -1, wanted a whole number, at least 0"),
        ({"most": 10**400}, r"most: got 10{39}\.\.\. \(401 characters\)"),
        ({"most": 10**5000}, "most: got a number of thousands of digits"),
        ({"weight": -1}, "weight: got -1, wanted a finite number, at least 0"),
        ({"weight": "heavy"}, "weight: got 'heavy'"),
        ({"strength": -math.inf}, "strength: got -inf"),
        ({"strength": math.nan}, "strength: got nan"),
        ({"counts": []}, "counts: got none"),
        ({"most": 1.0}, "most: got 1.0, wanted a whole number"),
        ({"counts": 5}, "counts: got 5, wanted a list of numbers"),
        ({"counts": "55"}, "counts: got '55', wanted a list of numbers"),
        ({"counts": [5, 1]}, "counts: got 1, wanted a whole number, at least 2"),
        ({"accuracy": "high"}, "accuracy: got 'high', wanted one of exact, fast"),
        ({"accuracy": np.array(["exact", "fast"])}, "accuracy: got array"),
        ({"accuracy": ["exact"]}, r"accuracy: got \['exact'\]"),
        ({"guess": 0.5}, r"guess: got 0.5, wanted an array \(H, W\)"),
    ],
)
def test_what_they_do_not(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        check_options("solve", solve, options)


@given(value=st.floats() | st.integers(), least=st.none() | st.integers(-5, 5), most=st.none() | st.integers(-5, 5))
def test_bounds_let_through_finite_numbers_between_them(value: float, least: int | None, most: int | None) -> None:
    inside = math.isfinite(value) and (least is None or value >= least) and (most is None or value <= most)
    try:
        Bounds(least=least, most=most).check("n", value)
    except ArgumentError:
        assert not inside
    else:
        assert inside


def test_names_alone_are_checked_where_types_cannot_be_read() -> None:
    check_options("unreadable", unreadable, {"thing": 1, "rtol": 7})
    check_options("misspelt", misspelt, {"gain": 1})
    with pytest.raises(ArgumentError, match="no option of 'unreadable'"):
        check_options("unreadable", unreadable, {"other": 1})


def test_text_is_taken_for_numbers_and_truth_values() -> None:
    assert parse_options(["a=inf", "b=-inf", "c=Infinity"]) == {"a": math.inf, "b": -math.inf, "c": math.inf}
    assert math.isnan(parse_options(["a=nan"])["a"])
    deep = "[" * 100_000
    assert parse_options([f"a={deep}"]) == {"a": deep}
    given = ["rtol=1e-3", "most=4", "strict=true", "counts=[5, 3]", "weights=a=b.pth", "none=null"]
    assert parse_options(given) == {
        "rtol": 1e-3,
        "most": 4,
        "strict": True,
        "counts": [5, 3],
        "weights": "a=b.pth",
        "none": None,
    }
    for wrong in ("rtol", "=3", ""):
        with pytest.raises(ArgumentError, match="wanted NAME=VALUE"):
            parse_options([wrong])
