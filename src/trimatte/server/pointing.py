"""Parameters of requests that say where the subject is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimatte.errors import ArgumentError
from trimatte.runtime.parameters import Parameter, Schema
from trimatte.segmentation.prompts import parse_box, parse_point, read_prompts


@dataclass(frozen=True)
class Points:
    """Points of the upright photo."""

    def parse(self, text: str) -> list[list[float | str]]:
        wanted = "points X,Y apart by spaces, in pixels or percent, such as 120,80 30%,40%"
        try:
            points = [parse_point(part) for part in text.split()]
            read_prompts(points, None, None)
        except ArgumentError:
            raise ValueError(wanted) from None
        return points

    def schema(self) -> Schema:
        return {"type": "string", "examples": ["120,80", "120,80 30%,40%"]}


@dataclass(frozen=True)
class Box:
    """A box in the upright photo."""

    def parse(self, text: str) -> list[float | str]:
        try:
            box = parse_box(text)
            read_prompts(None, None, box)
        except ArgumentError:
            raise ValueError("X0,Y0,X1,Y1 with X0 < X1 and Y0 < Y1, in pixels or percent") from None
        return box

    def schema(self) -> Schema:
        return {"type": "string", "examples": ["10,20,300,200", "10%,20%,50%,90%"]}


PROMPTS = (
    Parameter("points", Points(), None, "Points of what is wanted, in pixels of the upright photo or percent of it."),
    Parameter("not_points", Points(), None, "Points of what is not; alone, they correct what is found."),
    Parameter("box", Box(), None, "A box about what is wanted: left, top, right, bottom."),
)


def prompts_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a request says where the subject is, as options of `trimatte.cutout`."""
    return {parameter.name: values[parameter.name] or None for parameter in PROMPTS}
