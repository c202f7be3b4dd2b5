"""ONNX files as bytes: a model with fewer outputs, without the package `onnx`.

A model is a protocol buffer: fields one after the other, each led by a key that holds its number and how its value is
stored. Of these only the model's graph, the graph's outputs and the outputs' names are looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

GRAPH, OUTPUT, NAME = 7, 12, 1
"""Numbers of the fields of a model, of a graph and of an output, by onnx.proto."""
_FIXED = {1: 8, 5: 4}
"""Bytes of the values that are stored in a fixed number of them."""
_COUNTED = 2
"""What is stored as its length and so many bytes."""


def giving_only(model: bytes, names: Collection[str]) -> bytes:
    """A model without its other outputs than those of these names; onnxruntime leaves out what only they need.

    Raises `ValueError` for bytes that are no model, and for a name that is none of its outputs'.
    """
    return b"".join(
        _counted(GRAPH, _graph(value, names)) if number == GRAPH else field for number, field, value in _fields(model)
    )


def _graph(graph: memoryview, names: Collection[str]) -> bytes:
    fields = [(field, _name(value) if number == OUTPUT else None) for number, field, value in _fields(graph)]
    if missing := set(names).difference(name for _, name in fields if name):
        raise ValueError(f"it has no output {min(missing)!r}")
    return b"".join(field for field, name in fields if name is None or name in names)


def _name(output: memoryview) -> str:
    return next((str(value, "utf-8", "replace") for number, _, value in _fields(output) if number == NAME), "")


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Of each field its number, the whole of it, and its value."""
    view, place = memoryview(message), 0
    while place < len(view):
        begin = place
        key, place = _number(view, place)
        kind = key & 7
        if key < 8:
            raise ValueError("no protocol buffer: a field without a number")
        if kind == 0:
            value, place = place, _number(view, place)[1]
        elif kind == _COUNTED:
            length, value = _number(view, place)
            place = value + length
        elif kind in _FIXED:
            value, place = place, place + _FIXED[kind]
        else:
            raise ValueError("no protocol buffer")
        if place > len(view):
            raise ValueError("a protocol buffer that ends too soon")
        yield key >> 3, view[begin:place], view[value:place]


def _number(view: memoryview, place: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, the least first, ten bytes at most; and the place behind it."""
    total = shift = 0
    while place < len(view) and shift < 70:
        byte = view[place]
        total |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return total, place
    raise ValueError("no protocol buffer: a number without an end")


def _counted(number: int, value: bytes) -> bytes:
    """A field that is stored as its length and its bytes."""
    head = bytearray()
    for rest in (number << 3 | _COUNTED, len(value)):
        while rest > 127:
            head.append(rest & 127 | 128)
            rest >>= 7
        head.append(rest)
    return bytes(head) + value
