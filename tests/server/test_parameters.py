"""One table checks requests and documents them: what the OpenAPI document says is what is accepted."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("starlette")

from hypothesis import given
from hypothesis import strategies as st

from trimatte.runtime.parameters import Choice, Colour, Flag, Integer, Kind, Number, Parameter
from trimatte.server.openapi import document
from trimatte.server.operations import Operation, operations
from trimatte.server.parameters import parse_parameters
from trimatte.server.problems import PROBLEMS, Problem
from trimatte.server.removebg import PARAMETERS, BareColour, Base64, Lengths

KINDS = [
    Choice(("a", "b")),
    Number(-0.5, 2),
    Integer(0, 7),
    Flag(),
    Colour(),
    Base64(),
    Lengths((1, 4), 90),
    BareColour(),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@given(text=st.one_of(st.text(max_size=70), st.from_regex(r"[-+]?[0-9._einfa]{1,9}"), st.floats().map(str)))
def test_any_text_is_a_value_or_refused(kind: Kind, text: str) -> None:
    try:
        value = kind.parse(text)
    except ValueError:
        return
    schema = kind.schema()
    if "enum" in schema:
        assert value in schema["enum"]
    if "minimum" in schema:
        assert schema["minimum"] <= value <= schema["maximum"]
    if schema["type"] == "boolean":
        assert text in ("true", "false", "1", "0")


@given(value=st.floats(-0.5, 2))
def test_numbers_within_their_bounds(value: float) -> None:
    assert Number(-0.5, 2).parse(repr(value)) == value


@given(value=st.integers())
def test_whole_numbers(value: int) -> None:
    if 0 <= value <= 700:
        assert Integer(0, 700).parse(str(value)) == value
    else:
        with pytest.raises(ValueError, match="0 to 700"):
            Integer(0, 700).parse(str(value))


@pytest.mark.parametrize("text", ["1_0", "١", "²", " 1", "1e0", "+1", "0x1", ""])
def test_whole_numbers_in_other_dress(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        Integer(0, 700).parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("white", (255, 255, 255)), ("#1e90ff", (30, 144, 255)), ("#fff", (255, 255, 255)), ("rgb(1, 2, 3)", (1, 2, 3))],
)
def test_colours(text: str, value: tuple[int, ...]) -> None:
    assert Colour().parse(text) == value


@pytest.mark.parametrize("text", ["/etc/passwd.png", "a.png", "#12345678", "rgba(0, 0, 0, 0)", "", "hsl(" * 99])
def test_what_is_no_opaque_colour(text: str) -> None:
    with pytest.raises(ValueError, match="opaque colour"):
        Colour().parse(text)


def test_defaults_and_names() -> None:
    table = (Parameter("a", Integer(0, 9), 4, "A."), Parameter("b", Flag(), None, "B."))
    assert parse_parameters(table, []) == {"a": 4, "b": None}
    assert parse_parameters(table, [("b", "true")]) == {"a": 4, "b": True}
    for given_, name in (([("c", "1")], "c"), ([("a", "1"), ("a", "1")], "a"), ([("a", "ten")], "a")):
        with pytest.raises(Problem) as caught:
            parse_parameters(table, given_)
        assert (caught.value.code, caught.value.parameter) == ("bad-parameter", name)


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(operations(), PARAMETERS, token=False)


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
def test_the_document_describes_each_operation(described: dict[str, Any], operation: Operation) -> None:
    post = described["paths"][operation.address]["post"]
    assert [each["name"] for each in post["parameters"]] == [p.name for p in operation.parameters]
    form = post["requestBody"]["content"]["multipart/form-data"]["schema"]
    # The service refuses a parameter that is in both, so that the document must not offer both.
    assert set(form["properties"]) == {*operation.required, *operation.optional}
    assert form["required"] == list(operation.required)
    for each in post["parameters"]:
        schema = each["schema"]
        values = schema.get("enum", [schema[end] for end in ("minimum", "maximum") if end in schema])
        for value in [*values, *([schema["default"]] if "default" in schema else [])]:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            assert parse_parameters(operation.parameters, [(each["name"], text)])[each["name"]] == value
        for value in [
            "no such value",
            *(str(schema[e] + s) for e, s in (("minimum", -1), ("maximum", 1)) if e in schema),
        ]:
            with pytest.raises(Problem):
                parse_parameters(operation.parameters, [(each["name"], value)])


def test_the_document_knows_every_problem(described: dict[str, Any]) -> None:
    known = described["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    assert known == [f"/problems/{code}" for code in PROBLEMS]
    told = {
        code
        for path in described["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
        for code in PROBLEMS
        if f"{code}: " in response["description"]
    }
    assert told == set(PROBLEMS) - {"not-found", "method-not-allowed", "session-ended"}


def test_the_document_is_served(client: Any, described: dict[str, Any]) -> None:
    assert client.get("/v1/openapi.json").json() == described


def test_served_methods_are_methods() -> None:
    from trimatte.alpha import find_method

    chosen = {each.name: p.kind for each in operations() for p in each.parameters if p.name == "method"}
    assert isinstance(chosen["cutout"], Choice)
    assert isinstance(chosen["alpha"], Choice)
    assert "closed-form" in chosen["alpha"].values
    assert all(find_method(name).ready for name in chosen["alpha"].values)
    more = set(chosen["cutout"].values) - set(chosen["alpha"].values)
    assert "glance" in more
    assert not any(find_method(name).needs_trimap or find_method(name).needs_weights for name in more)
