"""From many classes to subject and background: the table of verdicts, and the sets it makes binary.

The table is TOML, one section a set. Every class of it has a verdict: "foreground" could be the subject of a photo,
"background" is what a scene is made of, and "ignore" says nothing either way, so that its pixels do not count.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trimatte.errors import ArgumentError
from trimatte.files.atomic import atomic_write, reason
from trimatte.training.augment import Pair
from trimatte.training.class_labels import read_photo, upright_size
from trimatte.training.class_layouts import ClassPhoto, ClassSet, find_set, known_classes
from trimatte.training.items import Item
from trimatte.training.toml import toml_key, toml_value

VERDICTS = ("foreground", "background", "ignore")
MOST_GREYS = 200
"""A set whose masks hold more of the 256 greys than this holds shades, not classes."""


@dataclass(frozen=True)
class ClassRow:
    """A class of a set: its name and verdict (empty where unknown), its share of all pixels, and in how many photos."""

    name: str
    verdict: str
    share: float
    pictures: int


@dataclass(frozen=True)
class ClassTable:
    """The classes of a set, by what its masks call them."""

    layout: str
    rows: Mapping[str, ClassRow]

    @property
    def verdicts(self) -> dict[str, str]:
        return {key: row.verdict for key, row in self.rows.items()}


def verdict_of(name: str) -> str:
    """Our verdict on a class of that name; empty if we have none."""
    short = name.lower().partition(",")[0].strip().removesuffix("-merged")
    return next((verdict for verdict, names in known_classes()["verdicts"].items() if short in names), "")


def survey(found: ClassSet, watch: Callable[[], object] = lambda: None) -> ClassTable:
    """Read all photos and labels of a set, and list the classes that occur, those with the most pixels first.

    `watch` is called after each photo. Raises `ArgumentError` or `ImageReadError` for the first photo or mask that is
    damaged or of another size than its partner, and for masks that hold shades rather than classes.
    """
    pixels: dict[str, int] = {}
    pictures: dict[str, int] = {}
    whole = 0
    for photo in found.photos:
        here: dict[str, int] = {}
        for key, mask, _ in photo.regions():
            here[key] = here.get(key, 0) + int(np.count_nonzero(mask))
        for key in (key for key, area in here.items() if area):
            pixels[key] = pixels.get(key, 0) + here[key]
            pictures[key] = pictures.get(key, 0) + 1
        whole += int(np.prod(upright_size(photo.photo)))
        read_photo(photo.photo, long_side=1)  # a damaged one shows itself now, not after hours of training
        watch()
    names = _names(found, set(pixels))
    rows = {
        key: ClassRow(names.get(key, ""), verdict_of(names.get(key, "")), pixels[key] / whole, pictures[key])
        for key in sorted(pixels, key=lambda key: -pixels[key])
    }
    return ClassTable(found.layout, rows)


def _names(found: ClassSet, keys: set[str]) -> Mapping[str, str]:
    """The names of a set's classes; masks of nothing but black and white are of background and foreground."""
    if found.names:
        return found.names
    if keys <= {"0", "255"}:
        return {"0": "background", "255": "foreground"}
    if len(keys) > MOST_GREYS and keys <= {str(grey) for grey in range(256)}:
        first = found.photos[0].photo.parent
        raise ArgumentError(
            f"data: the masks of the photos in {first} hold {len(keys)} greys, which are shades rather than classes; "
            "if they are mattes, call their folder alpha"
        )
    return {}


# The table


def write_table(path: Path, tables: Mapping[str, ClassTable]) -> None:
    """Write the tables of sets, by the name under which each is given, to be edited. Raises `ImageWriteError`."""
    lines = [
        "# Give every class a verdict:",
        '# "foreground": could be the subject of a photo, which one would cut out;',
        '# "background": what a scene is made of;',
        '# "ignore": as often the one as the other, or unknown; its pixels do not count.',
    ]
    for name, table in tables.items():
        title = toml_key(name)
        lines += ["", f"[{title}]", f"layout = {toml_value(table.layout)}", "", f"[{title}.classes]"]
        for key, row in table.rows.items():
            fields = f"name = {toml_value(row.name)}, verdict = {toml_value(row.verdict)}"
            lines.append(
                f"{toml_key(key)} = {{ {fields}, percent = {100 * row.share:.4f}, pictures = {row.pictures} }}"
            )
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def read_table(path: Path) -> dict[str, ClassTable]:
    """The tables of a file by set. Raises `ArgumentError` if it is none, or holds a verdict that is none."""
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ArgumentError(f"classes: {path} is not a TOML file that can be read: {reason(error)}") from error
    try:
        tables = {
            name: ClassTable(str(entry["layout"]), {key: _row(row) for key, row in entry["classes"].items()})
            for name, entry in data.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        message = f"classes: {path} is no table of classes ({type(error).__name__} {error}): see trimatte train classes"
        raise ArgumentError(message) from error
    for name, table in tables.items():
        for key, verdict in table.verdicts.items():
            if verdict and verdict not in VERDICTS:
                raise ArgumentError(f"classes: {path}: {name}: class {key}: got {verdict!r}, wanted {_or(VERDICTS)}")
    return tables


def _row(row: Mapping[str, Any]) -> ClassRow:
    share = float(row.get("percent", 0)) / 100
    return ClassRow(str(row.get("name", "")), str(row["verdict"]), share, int(row.get("pictures", 0)))


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def table_for(name: str, layout: str, tables: Mapping[str, ClassTable]) -> ClassTable:
    """The table of the set that was given as `name`: its own, else that of the only set in the same layout.

    Raises `ArgumentError` if there is none.
    """
    if name in tables:
        return tables[name]
    alike = [table for table in tables.values() if table.layout == layout]
    if len(alike) != 1:
        raise ArgumentError(f"classes: no table for {name} (layout {layout}); there are those for {', '.join(tables)}")
    return alike[0]


# Binary sets


@dataclass(frozen=True)
class ClassSource:
    """Photos of a set with binary masks, by the verdicts on its classes.

    data : the folder or json, as given.
    photos : those of the wanted part.
    verdicts : of all its classes.
    weight, trust : how often each photo is drawn, and how much its loss counts.
    long_side : photos are kept no larger than this.
    """

    data: str
    photos: tuple[ClassPhoto, ...]
    verdicts: Mapping[str, str]
    weight: float = 1.0
    trust: float = 1.0
    long_side: int = 640

    def items(self) -> list[Item]:
        """Its photos, in order."""
        read = partial(_read, verdicts=self.verdicts, long_side=self.long_side)
        return [Item(upright_size(photo.photo), partial(read, photo)) for photo in self.photos]

    def describe(self) -> dict[str, Any]:
        """What of it decides a run."""
        return {name: value for name, value in vars(self).items() if name != "photos"} | {"photos": len(self.photos)}


def _read(photo: ClassPhoto, *, verdicts: Mapping[str, str], long_side: int) -> Pair:
    mask = Image.fromarray(binary(photo, verdicts))
    seen = read_photo(photo.photo, long_side)
    return seen, mask.resize(seen.size, Image.Resampling.BILINEAR)


def binary(photo: ClassPhoto, verdicts: Mapping[str, str]) -> NDArray[np.uint8]:
    """The binary mask (H, W, 2) of a photo: 255 for foreground, and 0 in the second channel where nothing is known.

    Where regions overlap, foreground goes before what is ignored, and that before background: the cup on the table is a
    subject. A crowd of a foreground class, outlined as a whole, is ignored. Raises `ArgumentError` for a class without
    a verdict.
    """
    ranks = {"background": 1, "ignore": 2, "foreground": 3}
    rank: NDArray[np.uint8] | None = None
    for key, mask, crowd in photo.regions():
        verdict = verdicts.get(key)
        if not verdict:
            raise ArgumentError(f"classes: no verdict on class {key}, which is in {photo.photo}")
        level = ranks["ignore" if crowd and verdict == "foreground" else verdict]
        rank = np.zeros(mask.shape, np.uint8) if rank is None else rank
        np.maximum(rank, level, out=rank, where=mask)
    assert rank is not None  # every pixel is in a region
    return np.dstack([255 * (rank == 3), 255 * (rank != 2)]).astype(np.uint8)


def gather(
    data: Mapping[str, float],
    tables: Mapping[str, ClassTable],
    *,
    validation: str | None = None,
    long_side: int = 640,
    check: bool = True,
    watch: Callable[[], object] = lambda: None,
) -> tuple[list[ClassSource], ClassSource | None]:
    """The training parts of sets, and the validation part of one.

    Parameters
    ----------
    data : mapping of str to float
        Folders or jsons, as given, and how often each of their photos is drawn.
    tables : mapping of str to ClassTable
        Their classes, as `read_table` gives them.
    validation : str, optional
        A folder or json; it may be one of `data` if that is split.
    long_side : int, default 640
        Of the photos that are kept, in pixels, at most.
    check : bool, default True
        Read all photos and labels, to find damaged ones and classes without a verdict before the training does.
    watch : callable, default lambda: None
        Called after each photo that was checked.

    Raises
    ------
    ArgumentError
        Without a verdict on every class, without photos, or without any foreground or background.
    """
    found = {name: find_set(name) for name in dict.fromkeys([*data, *([validation] if validation else [])])}
    chosen = {name: table_for(name, each.layout, tables) for name, each in found.items()}
    _refuse_missing({name: [*table.verdicts] for name, table in chosen.items()}, chosen)
    parts = [(name, found[name].split("train"), weight) for name, weight in data.items()]
    if validation:
        parts.append((validation, found[validation].split("val"), 1.0))
        if parts[-1][1] and validation in data and parts[-1][1] == found[validation].split("train"):
            raise ArgumentError(f"validation: {validation} is not split, so that nothing in it is kept from training")
    seen: dict[str, set[str]] = {}
    for name, photos, _ in parts:
        if not photos:
            raise ArgumentError(f"data: {name} has no photos for this part; its parts are train and val")
        if check:
            seen.setdefault(name, set()).update(survey(replace(found[name], photos=photos), watch).rows)
    if check:
        _refuse_missing(seen, chosen)
        _refuse_one_sided({name: seen[name] for name in data}, chosen)
    sources = [
        ClassSource(name, photos, chosen[name].verdicts, weight, long_side=long_side) for name, photos, weight in parts
    ]
    return (sources[:-1], sources[-1]) if validation else (sources, None)


def _refuse_missing(classes: Mapping[str, Collection[str]], tables: Mapping[str, ClassTable]) -> None:
    missing = []
    for name, keys in classes.items():
        rows = tables[name].rows
        for key in keys:
            if key not in rows:
                missing.append(f"{name}: {key} (not in the table)")
            elif not rows[key].verdict:
                missing.append(f"{name}: {key} {rows[key].name}".rstrip())
    if missing:
        shown = [*missing[:30], *([f"and {len(missing) - 30} more"] if len(missing) > 30 else [])]
        raise ArgumentError(f"classes: {len(missing)} without a verdict: {'; '.join(shown)}")


def _refuse_one_sided(classes: Mapping[str, Collection[str]], tables: Mapping[str, ClassTable]) -> None:
    verdicts = {tables[name].rows[key].verdict for name, keys in classes.items() for key in keys}
    for wanted in ("foreground", "background"):
        if wanted not in verdicts:
            raise ArgumentError(f"classes: no class that occurs in the data is {wanted}; there is nothing to learn")
