"""Parameters: one table of names, types and meanings that checks what is given as text, and documents it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Schema = dict[str, Any]


class Kind(Protocol):
    """The type of a parameter: text to value, and the same as JSON Schema."""

    def parse(self, text: str) -> Any:
        """The value. Raises `ValueError`, which says what is wanted."""

    def schema(self) -> Schema: ...


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    values: tuple[str, ...]

    def parse(self, text: str) -> str:
        if text not in self.values:
            raise ValueError(f"one of {', '.join(self.values)}")
        return text

    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.values)}


@dataclass(frozen=True)
class Number:
    """A decimal number within bounds, both allowed."""

    least: float
    most: float

    def parse(self, text: str) -> float:
        wanted = f"a number of {self.least:g} to {self.most:g}"
        try:
            value = float(text) if text.isascii() and "_" not in text else float("nan")
        except ValueError:
            raise ValueError(wanted) from None
        if not self.least <= value <= self.most:
            raise ValueError(wanted)
        return value

    def schema(self) -> Schema:
        return {"type": "number", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Integer:
    """A whole number within bounds, both allowed."""

    least: int
    most: int

    def parse(self, text: str) -> int:
        plain = text.isascii() and text.isdigit() and len(text) < 16
        if not plain or not self.least <= int(text) <= self.most:
            raise ValueError(f"a whole number of {self.least} to {self.most}")
        return int(text)

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class WordOrInteger:
    """One of a few words, or a whole number within bounds."""

    words: Choice
    numbers: Integer

    def parse(self, text: str) -> str | int:
        if text in self.words.values:
            return text
        try:
            return self.numbers.parse(text)
        except ValueError as error:
            raise ValueError(f"one of {', '.join(self.words.values)}, or {error}") from None

    def schema(self) -> Schema:
        return {"oneOf": [self.words.schema(), self.numbers.schema()]}


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    def parse(self, text: str) -> bool:
        if text not in ("true", "false", "1", "0"):
            raise ValueError("true or false")
        return text in ("true", "1")

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Colour:
    """An opaque colour; never a path, as which `trimatte.composite` would take other words."""

    def parse(self, text: str) -> tuple[int, ...]:
        from PIL import ImageColor

        wanted = "an opaque colour such as white, #1e90ff or rgb(30, 144, 255)"
        try:
            values = ImageColor.getrgb(text) if len(text) <= 64 else ()
        except ValueError:
            raise ValueError(wanted) from None
        if len(values) not in (3, 4) or values[3:] not in ((), (255,)) or not all(0 <= v <= 255 for v in values):
            raise ValueError(wanted)
        return tuple(values[:3])

    def schema(self) -> Schema:
        return {"type": "string", "maxLength": 64, "examples": ["white", "#1e90ff", "rgb(30, 144, 255)"]}


@dataclass(frozen=True)
class WordOrColour:
    """One of a few words, or an opaque colour."""

    words: tuple[str, ...]

    def parse(self, text: str) -> str | tuple[int, ...]:
        try:
            return text if text in self.words else Colour().parse(text)
        except ValueError as error:
            raise ValueError(f"{', '.join(self.words)} or {error}") from None

    def schema(self) -> Schema:
        colour = Colour().schema()
        return {**colour, "examples": [*self.words, *colour["examples"]]}


@dataclass(frozen=True)
class Parameter:
    """A parameter's name, type, default (None for none) and what it means."""

    name: str
    kind: Kind
    default: Any
    meaning: str

    def schema(self) -> Schema:
        """JSON Schema with default and description."""
        default = {} if self.default is None else {"default": self.default}
        return {**self.kind.schema(), **default, "description": self.meaning}
