"""Labelled photos, as the training of a segmenter draws them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trimatte.training.augment import Pair


@dataclass(frozen=True)
class Item:
    """A photo and its mask, read when they are drawn.

    size : (width, height) of the photo.
    read : gives the photo (RGB) and the mask (LA): L is 255 where the foreground is, A is 0 where nothing is known.
        PIL resizes such a pair as the mean of what is known.
    """

    size: tuple[int, int]
    read: Callable[[], Pair]


class Labelled(Protocol):
    """A set of labelled photos. `weight` scales how often each is drawn, `trust` its loss."""

    @property
    def weight(self) -> float: ...

    @property
    def trust(self) -> float: ...

    def items(self) -> Sequence[Item]:
        """All its photos, in an order that does not change."""

    def describe(self) -> dict[str, Any]:
        """What of it decides a run, for the record: where it is, `data`, how many `photos` it has, and more."""
