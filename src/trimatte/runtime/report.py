"""What a stage reports: plain Python types by construction, whatever it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from inspect import get_annotations
from typing import Any, ClassVar

_PLAIN: dict[str, Callable[[Any], Any]] = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass
class PlainReport:
    """Base of all reports: a number or a flag that is assigned to a field becomes one of Python's.

    A comparison or a count of NumPy gives scalars that JSON does not know.
    """

    _conversions: ClassVar[dict[str, Callable[[Any], Any]]] = {}

    def __init_subclass__(cls) -> None:
        kinds = {name: getattr(kind, "__name__", kind) for name, kind in get_annotations(cls).items()}
        own = {name: _PLAIN[kind] for name, kind in kinds.items() if kind in _PLAIN}
        cls._conversions = {**cls._conversions, **own}

    def __setattr__(self, name: str, value: Any) -> None:
        convert = self._conversions.get(name)
        super().__setattr__(name, value if convert is None else convert(value))

    def as_dict(self) -> dict[str, Any]:
        """Plain types, for JSON. Raises `TypeError` if a list or a mapping holds something else."""
        values: dict[str, Any] = plain(asdict(self))
        return values


def plain(value: Any) -> Any:
    """The value in the types that JSON has. Raises `TypeError` for what is none of them."""
    if hasattr(value, "tolist"):  # scalars and arrays of NumPy, which need not be imported for this
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a report holds a {type(value).__name__}, which is no plain type")
