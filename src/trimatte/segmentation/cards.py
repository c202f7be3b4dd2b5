"""Cards of models: what a network is for, on what terms, which file it is, and its contract."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from trimatte.errors import ModelError
from trimatte.segmentation.contract import Contract, contract_of

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

USES = {
    "permissive": "code, weights and training data may be used for any purpose",
    "permissive-weights": "code and weights may, as their authors say; the training data have no or a narrower licence",
    "copyleft": "any purpose; what contains the code or the weights must be passed on under the same licence",
    "non-commercial": "the weights may not be used commercially without an agreement",
    "unstated": "nobody says on what terms the weights are given",
}
"""What may be done with a model: our short reading of its licences, never more than that."""
TASKS = ("segmentation", "matting")
"""What a model is for: to find the subject, or to estimate its alpha, with a trimap or without."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TEXTS = ("name", "task", "purpose", "file", "sha256", "address", "base", "weak", "source")


@dataclass(frozen=True)
class Second:
    """A second embedded network, whose logits count beside the first's: see `trimatte.segmentation.second`.

    Attributes
    ----------
    file, sha256 : str
        Its name among the embedded weights, and its digest.
    weight : float
        How much a logit of it counts.
    doubt : (float, float)
        It is asked of pictures whose doubt lies between these.
    contract : Contract
        What it takes and gives.
    """

    file: str
    sha256: str
    weight: float
    doubt: tuple[float, float]
    contract: Contract


@dataclass(frozen=True)
class Card:
    """The card of a model.

    Attributes
    ----------
    name : str
        The segmenter's or alpha method's name.
    contract : Contract
        What the network takes and gives.
    data : mapping
        Everything that the card says, as read from TOML.
    text : str
        The card itself.
    second : Second or None
        The network that is asked, too; only embedded models have one.
    """

    name: str
    contract: Contract
    data: Mapping[str, Any]
    text: str
    second: Second | None = None

    @property
    def purpose(self) -> str:
        """What the network is for."""
        return str(self.data.get("purpose", ""))

    @property
    def task(self) -> str:
        """One of `TASKS`."""
        return str(self.data.get("task", TASKS[0]))

    @property
    def licence(self) -> Mapping[str, str]:
        """Terms of `code`, `weights` and `data`."""
        licence: Mapping[str, str] = self.data.get("licence", {})
        return licence

    @property
    def use(self) -> str:
        """What may be done with it, one of `USES`."""
        return self.licence.get("use", "unstated")

    @property
    def sha256(self) -> str:
        """The file's SHA-256 in lower case, empty if nobody has published it."""
        return str(self.data.get("sha256", "")).lower()

    @property
    def size(self) -> int | None:
        """The file's bytes, if known."""
        return self.data.get("bytes")

    @property
    def address(self) -> str:
        """Where the file can be had, empty if nowhere known."""
        return str(self.data.get("address", ""))

    @property
    def base(self) -> str:
        """The model whose file this one shares, empty if it has its own."""
        return str(self.data.get("base", ""))


def read_card(text: str, origin: str = "card") -> Card:
    """A card from TOML.

    Raises `ModelError`, which names `origin` and the entry, if it is none.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"{origin}: not TOML: {error}") from error
    try:
        _check(data)
        inherited = _below(shipped_card(data["base"]).data, data) if data.get("base") else data
        contract = contract_of(inherited)
        if contract.needs_trimap and inherited.get("task") != "matting":
            raise ModelError('task: a network that gets a trimap is none for segmentation; wanted task = "matting"')
        return Card(data["name"], contract, inherited, text, _second(inherited.get("second")))
    except ModelError as error:
        raise ModelError(f"{origin}: {error}") from error


def shipped_cards() -> list[Card]:
    """Cards of the embedded network and of all that are ready to be added, by name; the embedded one first."""
    names = [file.name.removesuffix(".toml") for file in _folder("cards").iterdir() if file.name.endswith(".toml")]
    return [shipped_card(name) for name in ["lite", *sorted(names)]]


def shipped_card(name: str) -> Card:
    """The card that comes with trimatte under a name. Raises `ModelError` if there is none."""
    file = _file(name)
    if file is None:
        raise ModelError(f"there is no card of {name!r}")
    return read_card(file.read_text("utf-8"), f"card of {name!r}")


def is_shipped(name: str) -> bool:
    """Whether a card of that name comes with trimatte."""
    return _file(name) is not None


def is_name(name: str) -> bool:
    """Whether it can be a model's name: small letters, digits, dots, hyphens and underscores."""
    return _NAME.fullmatch(name) is not None


def _file(name: str) -> Traversable | None:
    if is_name(name):
        for folder in ("weights", "cards"):
            file = _folder(folder) / f"{name}.toml"
            if file.is_file():
                return file
    return None


def _folder(name: str) -> Traversable:
    return files("trimatte.segmentation") / name


def _second(data: Any) -> Second | None:
    """The second network that a card's table names. Raises `ModelError` if something is missing or of another kind."""
    if data is None:
        return None
    wanted = "file, sha256, a weight above 0, doubt = [least, most], and a table input"
    match data:
        case {"file": str(file), "sha256": str(digest), "weight": float(weight), "doubt": [float(least), float(most)]}:
            if weight > 0 and 0 <= least < most:
                return Second(file, digest, weight, (least, most), contract_of(data))
    raise ModelError(f"second: got {data!r}, wanted {wanted}")


def _check(data: Mapping[str, Any]) -> None:
    for name in _TEXTS:
        if not isinstance(data.get(name, ""), str):
            raise ModelError(f"{name}: got {data[name]!r}, wanted text")
    if not is_name(data.get("name", "")):
        raise ModelError(f"name: got {data.get('name', '')!r}, wanted small letters, digits, dots, hyphens")
    if data.get("task", TASKS[0]) not in TASKS:
        raise ModelError(f"task: got {data['task']!r}, wanted {' or '.join(TASKS)}")
    if not re.fullmatch(r"([0-9a-fA-F]{64})?", data.get("sha256", "")):
        raise ModelError(f"sha256: got {data['sha256']!r}, wanted 64 hexadecimal digits")
    if not re.match(r"https?://|$", data.get("address", "")):
        raise ModelError(f"address: got {data['address']!r}, wanted one that begins with https:// or http://")
    if not isinstance(data.get("bytes", 1), int):
        raise ModelError(f"bytes: got {data['bytes']!r}, wanted a whole number")
    licence = data.get("licence", {})
    if not (isinstance(licence, Mapping) and all(isinstance(text, str) for text in licence.values())):
        raise ModelError("licence: wanted a table of texts: code, weights, data, use")
    if licence.get("use", "unstated") not in USES:
        raise ModelError(f"licence.use: got {licence['use']!r}, wanted {' or '.join(USES)}")


def _below(base: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """A card on the base of another: its entries over the base's, tables entry by entry."""
    inherited = ("task", "file", "sha256", "licence", "data", "input", "output", "second")
    merged = {name: base[name] for name in inherited if name in base}
    for name, value in data.items():
        below = merged.get(name)
        merged[name] = {**below, **value} if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
