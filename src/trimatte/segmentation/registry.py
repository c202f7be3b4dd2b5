"""The models there are: embedded ones, and ONNX files that the user has added, each with its card.

An added model lies in the user's data folder as `models/NAME.onnx`, with `NAME.sha256` as `sha256sum` writes it,
which is written last and makes the model count as added, and `NAME.toml` if its card is the user's own. The
environment variable TRIMATTE_DATA names another data folder. Nothing is downloaded unless `fetch` is called.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trimatte.errors import ArgumentError, ModelError
from trimatte.files.atomic import atomic_write, reason, sha256
from trimatte.runtime.onnx import open_session, shipped_file
from trimatte.runtime.plugins import check_name, known, meant, resolve, unknown
from trimatte.segmentation import onnx
from trimatte.segmentation.cards import Card, Second, is_name, is_shipped, read_card, shipped_card, shipped_cards
from trimatte.segmentation.second import Segmenter, once, seconded

if TYPE_CHECKING:
    from trimatte.segmentation.clicks import ClickedPhoto
    from trimatte.segmentation.fetch import Progress

SEGMENTERS = {
    "lite": "trimatte.segmentation.registry:lite",
    "lite-plus": "trimatte.segmentation.registry:lite_plus",
}
EMBEDDED = tuple(SEGMENTERS)
"""Names of what works without adding anything."""
ENTRY_POINTS = "trimatte.segmenters"


@dataclass(frozen=True)
class Verdict:
    """What is known of an added file.

    Attributes
    ----------
    sha256 : str
        Of the file.
    published : bool
        Whether the card says which SHA-256 it should be, so that it has been held against it.
    remarks : tuple of str
        What is odd about the file, in words.
    second : str
        SHA-256 of the second network's file, empty if the card names none.
    """

    sha256: str
    published: bool
    remarks: tuple[str, ...] = ()
    second: str = ""


@dataclass(frozen=True)
class Embedded:
    """An embedded segmenter: as such a function, and one that can be pointed at."""

    first: Segmenter
    card: Card
    second: Callable[[], Segmenter] | None = None

    @cached_property
    def run(self) -> Segmenter:
        """The whole segmenter."""
        return self.whole(self.first)

    def whole(self, first: Segmenter) -> Segmenter:
        """A segmenter by `first`, that is by its network however run, and by the second one that the card names."""
        if self.second is None or self.card.second is None:
            return first
        return seconded(first, self.second, self.card.second.weight, self.card.second.doubt)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.run(image)

    def open(self, image: np.ndarray, *, automatic: bool) -> ClickedPhoto:
        """The photo (H, W, 3), seen once, to be asked of clicks."""
        from trimatte.segmentation.clicks import ClickedPhoto

        return ClickedPhoto(image, self._session, self.card.contract, self.whole, automatic=automatic)

    @cached_property
    def _session(self) -> Any:
        with network_file(self.card) as path:
            return open_session(path)


def models() -> list[Card]:
    """All cards: the embedded ones, the ready-made ones, the user's own."""
    own = [card(name) for name in added() if not is_shipped(name)]
    return sorted([*shipped_cards(), *own], key=lambda each: each.name not in EMBEDDED)


def card(name: str) -> Card:
    """The card of a model. Raises `ModelError` if there is none."""
    if is_shipped(name):
        return shipped_card(name)
    own = _own_card(name)
    if not (is_name(name) and own.is_file()):
        names = [each.name for each in models()]
        raise ModelError(f"there is no model {name!r}, there are {', '.join(names)}{meant(name, names)}")
    return read_card(own.read_text("utf-8-sig"), str(own))


def knows(name: str) -> bool:
    """Whether there is a card of that name, added or not."""
    return is_shipped(name) or name in added()


def added() -> list[str]:
    """Names of the models that the user has added."""
    names = (mark.stem for mark in _folder().glob("*.sha256") if _network(mark.stem).is_file())
    return sorted(name for name in names if is_shipped(name) or _own_card(name).is_file())


def usable() -> list[str]:
    """Names of the models that can be used now."""
    return [*EMBEDDED, *added()]


def named_for(task: str) -> list[str]:
    """Names of all models for a task, added or not."""
    return [each.name for each in models() if each.task == task]


def added_for(task: str) -> list[str]:
    """Names of the models that the user has added for a task, one of `cards.TASKS`."""
    return [name for name in added() if card(name).task == task]


def builder(name: str) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    """A function that builds the segmenter.

    Raises `ModelError`, which says what to do, if it is not there yet or is a matting network.
    """
    if card(name).task != "segmentation":
        raise ModelError(f"{name!r} is a matting network, which finds no subject: give it as method, or to refine")
    return partial(_built, ready_card(name))


def ready_card(name: str) -> Card:
    """The card of a model whose file is there. Raises `ModelError`, which says what to do, if it is not."""
    chosen = card(name)
    if name not in usable():
        fetch = f", or `trimatte models fetch {name}` to download it" if chosen.address else ""
        raise ModelError(
            f"the model {name!r} is not added: `trimatte models add {name} FILE` with its file "
            f"{chosen.data.get('file', '')}{fetch}"
        )
    return chosen


def recorded_digest(name: str) -> str:
    """The SHA-256 of an added model's file when it was added."""
    return _mark(name).read_text("ascii", "replace").partition(" ")[0]


def segmenters() -> list[str]:
    """Names of all segmenters that can be used now: the embedded, those of other packages, and the models added."""
    names = known(SEGMENTERS, ENTRY_POINTS)
    return [*names, *(name for name in added_for("segmentation") if name not in names)]


def find_segmenter(name: str) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    """The function that builds a segmenter.

    Raises
    ------
    ArgumentError
        For a name that there is not.
    ModelError
        For a model that is not added yet; the message says what to do.
    """
    check_name("segmenter", name)
    if name not in SEGMENTERS and name not in known(SEGMENTERS, ENTRY_POINTS):
        if knows(name):
            return builder(name)
        error = unknown("segmenter", name, segmenters(), named_for("segmentation"))
        raise ArgumentError(f"{error}; `trimatte models list` shows those that can be added")
    found: Callable[[], Callable[[np.ndarray], np.ndarray]] = resolve("segmenter", name, SEGMENTERS, ENTRY_POINTS)
    return found


def lite() -> Callable[[np.ndarray], np.ndarray]:
    """Build the embedded segmenter."""
    return builder("lite")()


def lite_plus() -> Callable[[np.ndarray], np.ndarray]:
    """Build the embedded segmenter that takes several looks and asks a second network."""
    return builder("lite-plus")()


def stamp(name: str) -> int:
    """Changes when another file is added under the name."""
    mark = _mark(name)
    return mark.stat().st_mtime_ns if is_name(name) and mark.exists() else 0


def add(file: str | os.PathLike[str], chosen: Card) -> Verdict:
    """Verify an ONNX file against a card and copy it to the user's data folder, whole or not at all.

    A model that was added under the name before is replaced.

    Raises
    ------
    ModelError
        If the file is not the one that the card names by its SHA-256, cannot be loaded, or does not fit the contract.
    """
    _check_addable(chosen)
    with _staged() as copy:
        try:
            digest = _copy(Path(file), copy)
        except OSError as error:
            raise ModelError(f"cannot copy {os.fspath(file)!r}: {reason(error)}") from error
        return _admit(chosen, copy, digest, os.fspath(file))


def fetch(chosen: Card, progress: Progress | None = None) -> Verdict:
    """Download the file of a card from the address that it names, verify it and add it.

    A download that stopped goes on where it did.

    Raises
    ------
    ModelError
        If the card has no address, the download fails, or for what `add` refuses; a file with another SHA-256 than the
        card's is discarded.
    """
    from trimatte.segmentation.fetch import discard, download

    _check_addable(chosen)
    if not chosen.address:
        raise ModelError(f"{chosen.name}: its card knows no address; get the file and `trimatte models add` it")
    _ensured(_folder())
    part = _part(chosen.name)
    download(chosen.address, part, checked=bool(chosen.sha256), progress=progress)
    digest = sha256(part)
    try:
        _check_digest(chosen, digest, chosen.address)
    except ModelError:
        discard(part)
        raise
    return _admit(chosen, part, digest, chosen.address)


def remove(name: str) -> None:
    """Delete an added model, or what a fetch has left of one. Raises `ModelError` if there is none of that name."""
    from trimatte.segmentation.fetch import discard

    if name in EMBEDDED:
        raise ModelError(f"{name!r} is part of trimatte and cannot be removed")
    if name not in added() and not (is_name(name) and _part(name).exists()):
        raise ModelError(f"no model {name!r} was added; there are {', '.join(added()) or 'none'}")
    discard(_part(name))
    for file in (_mark(name), _network(name), _own_card(name)):
        file.unlink(missing_ok=True)


def verify(name: str) -> Verdict:
    """Read a model's file again: its SHA-256 and what it takes and gives.

    Raises
    ------
    ModelError
        If it is not there, has changed since it was added, or does not fit its card.
    """
    chosen = ready_card(name)
    with network_file(chosen) as file:
        digest = sha256(file)
        if name in added():
            recorded = recorded_digest(name)
            if digest != recorded:
                raise ModelError(f"{file}: its SHA-256 is {digest}, but {recorded} was added: the file has changed")
        _check_digest(chosen, digest, str(file))
        device = "cpu" if name in EMBEDDED else "auto"
        remarks = onnx.check(file, chosen.contract, called=str(file), device=device)
        if (second := chosen.second) is not None:
            with weights_file(second.file) as other:
                if sha256(other) != second.sha256:
                    raise ModelError(f"{other}: its SHA-256 is not the one that the card of {name!r} names: damaged")
                remarks += onnx.check(other, second.contract, called=str(other))
        return Verdict(digest, bool(chosen.sha256), tuple(remarks), second.sha256 if second else "")


def size(chosen: Card) -> int | None:
    """Bytes of a model's files: as they lie here, or else as its card says, if it does."""
    if chosen.name not in usable():
        return chosen.size
    with network_file(chosen) as file:
        own = file.stat().st_size
    if chosen.second is None:
        return own
    with weights_file(chosen.second.file) as other:
        return own + other.stat().st_size


@contextmanager
def network_file(chosen: Card) -> Iterator[Path]:
    """The ONNX file of a model that is embedded or added."""
    if chosen.name in EMBEDDED:
        with weights_file(chosen.data["file"]) as path:
            yield path
    else:
        yield _network(chosen.name)


def weights_file(name: str) -> AbstractContextManager[Path]:
    """A file of the embedded weights. Raises `ModelError` if the installation lacks it."""
    return shipped_file(f"segmentation/weights/{name}")


def _built(chosen: Card) -> Callable[[np.ndarray], np.ndarray]:
    with network_file(chosen) as path:
        if chosen.name not in EMBEDDED:
            return onnx.segmenter(path, chosen.contract, "auto")
        run = onnx.segmenter(path, chosen.contract, outputs=["logits"])
    return Embedded(run, chosen, once(partial(_second, chosen.second)) if chosen.second else None)


def _second(second: Second) -> Callable[[np.ndarray], np.ndarray]:
    with weights_file(second.file) as path:
        return onnx.segmenter(path, second.contract)


def open_model(name: str, device: str = "auto") -> onnx.Network:
    """The network of a model, on a device. Raises `ModelError` if it is not there, `ArgumentError` for the device."""
    chosen = ready_card(name)
    with network_file(chosen) as path:
        return onnx.open_network(path, chosen.contract, called=name, device=device)


def _admit(chosen: Card, file: Path, digest: str, origin: str) -> Verdict:
    """Move a file of the models' folder to its name there, if it is what the card says."""
    _check_digest(chosen, digest, origin)
    remarks = onnx.check(file, chosen.contract, called=origin, device="auto")
    name = chosen.name
    _mark(name).unlink(missing_ok=True)
    if not is_shipped(name):
        with atomic_write(_own_card(name)) as stream:
            stream.write(chosen.text.encode())
    try:
        os.replace(file, _network(name))
    except OSError as error:
        raise ModelError(f"cannot write {str(_network(name))!r}: {reason(error)}") from error
    with atomic_write(_mark(name)) as stream:
        stream.write(f"{digest}  {name}.onnx\n".encode())
    return Verdict(digest, bool(chosen.sha256), tuple(remarks))


def _check_addable(chosen: Card) -> None:
    if chosen.name in known(SEGMENTERS, ENTRY_POINTS):
        raise ModelError(f"{chosen.name!r} is the name of a segmenter that needs no file; give the card another one")
    if is_shipped(chosen.name) and chosen.text != shipped_card(chosen.name).text:
        raise ModelError(f"{chosen.name!r} is the name of a ready-made card; give your own another one")
    if chosen.base:
        raise ModelError(f"{chosen.name}: base: only embedded models can stand on the file of another")
    if chosen.second is not None:
        raise ModelError(f"{chosen.name}: second: only embedded models can ask a second network")


def _check_digest(chosen: Card, digest: str, file: str) -> None:
    if chosen.sha256 and digest != chosen.sha256:
        raise ModelError(
            f"{file}: its SHA-256 is {digest}, the card of {chosen.name!r} says {chosen.sha256}: it is damaged, or "
            f"another file, which needs a card of its own, begun with `trimatte models show {chosen.name}`"
        )


def _copy(source: Path, target: Path) -> str:
    """Copy a file; its SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as given, target.open("xb") as taken:
        while chunk := given.read(1 << 20):
            digest.update(chunk)
            taken.write(chunk)
    return digest.hexdigest()


@contextmanager
def _staged() -> Iterator[Path]:
    """A new path in the models' folder; what is left there in the end is deleted."""
    path = _ensured(_folder()) / f".{secrets.token_hex(8)}.tmp"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _ensured(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(f"cannot make the folder {str(folder)!r}: {reason(error)}") from error
    return folder


def _folder() -> Path:
    from platformdirs import user_data_path

    chosen = os.environ.get("TRIMATTE_DATA")
    return (Path(chosen) if chosen else user_data_path("trimatte", appauthor=False)) / "models"


def _network(name: str) -> Path:
    return _folder() / f"{name}.onnx"


def _mark(name: str) -> Path:
    return _folder() / f"{name}.sha256"


def _part(name: str) -> Path:
    return _folder() / f".{name}.part"


def _own_card(name: str) -> Path:
    return _folder() / f"{name}.toml"
