"""Benchmark folders: recognised by their layout, paired by name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trimatte.errors import ArgumentError
from trimatte.evaluation.categories import categories_of
from trimatte.evaluation.folders import File, Folder, folder_name, open_folder
from trimatte.evaluation.layouts import LAYOUTS, PICTURE, Layout


@dataclass(frozen=True)
class Sample:
    """One picture of a benchmark.

    files : role -> its files. Roles are "image", "alpha", "foreground", "background", "cutout", "trimap" or, where
        there are several, "trimap1", "trimap2", ...; only an alpha made of instances has more than one file.
    problem : what is missing or ambiguous, if anything; such a picture cannot be scored.
    category : of what kind it is, if the set says so.
    """

    name: str
    files: Mapping[str, tuple[File, ...]]
    problem: str | None = None
    category: str | None = None

    @property
    def trimaps(self) -> list[str]:
        return [role for role in self.files if role.startswith("trimap")]


@dataclass(frozen=True)
class Dataset:
    """A benchmark: its layout, its pictures in order and what is wrong with it as a whole."""

    root: str
    layout: Layout
    samples: tuple[Sample, ...]
    problems: tuple[str, ...] = ()
    backgrounds: str | None = None

    @property
    def name(self) -> str:
        """The layout's name; of the general ones, the folder's."""
        general = self.layout.name in ("plain", "masks", "synthetic")
        return (general and folder_name(self.root)) or self.layout.name

    @property
    def trimaps(self) -> list[str]:
        """The trimaps that come with the set."""
        return sorted({name for sample in self.samples for name in sample.trimaps})

    def first(self, count: int | None) -> Dataset:
        """The same set cut to its first pictures."""
        return replace(self, samples=self.samples[:count])


def open_dataset(
    root: str | os.PathLike[str],
    *,
    layout: str | None = None,
    backgrounds: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Recognise a benchmark folder and pair its files.

    Parameters
    ----------
    root : str or path
        Path or fsspec address.
    layout : str, optional
        Name of the layout (see `LAYOUTS`), if it is not to be guessed.
    backgrounds : str or path, optional
        Folder of pictures onto which foregrounds are composed, for sets that come uncomposed.

    Raises
    ------
    ArgumentError
        if there is no such folder, it is empty, or its layout is unknown; the message lists what was looked for.
    """
    folder = open_folder(root)
    chosen, above = _recognise(folder, layout)
    matched = _matches(folder, chosen, above)
    if chosen.copies:
        samples, problems = _composed(folder, chosen, matched, backgrounds)
    else:
        samples, problems = _paired(chosen, matched)
    if chosen.count is not None and len(samples) != chosen.count:
        problems.append(f"{chosen.title} has {chosen.count} pictures, this folder {len(samples)}")
    where = None if backgrounds is None else os.fspath(backgrounds)
    known = categories_of(folder)
    named = tuple(replace(sample, category=known.get(sample.name)) for sample in samples)
    return Dataset(folder.root, chosen, named, tuple(problems), where)


Matched = dict[str, dict[str, list[File]]]  # role -> picture name -> files


def _matches(folder: Folder, layout: Layout, above: str = "") -> Matched:
    found = [
        (role, match, path)
        for path in folder.names
        if (hit := next(((r, m) for r, p in layout.patterns.items() if (m := p.fullmatch(above + path))), None))
        for role, match in [hit]
    ]
    # Sets that lie side by side may share names such as "mask": what lies beside the pictures is meant.
    beside = {match["above"] for role, match, _ in found if role == layout.needs[0]}
    at_home = {role for role, match, _ in found if match["above"] in beside}
    matched: Matched = {}
    for role, match, path in found:
        if role in at_home and match["above"] not in beside:
            continue
        groups = match.groupdict()
        # "Trimap1/GT01.png" has a role of its own beside "Trimap2/GT01.png".
        name = (groups.get("trimap") or role).lower()
        matched.setdefault(name, {}).setdefault(groups.get("name", path), []).append(File(folder.root, path))
    return matched


def _recognise(folder: Folder, name: str | None) -> tuple[Layout, str]:
    """The layout, and what is to be put before a file's name: the folder's own, where its rules begin with that."""
    candidates = [layout for layout in LAYOUTS if name in (None, layout.name)]
    if not candidates:
        raise ArgumentError(f"layout: got {name!r}, wanted one of {', '.join(layout.name for layout in LAYOUTS)}")
    for above in ("", folder_name(folder.root) + "/"):
        for layout in candidates:
            if _fits(folder, layout, above):
                return layout, above
    looked_for = "\n".join(f"  {layout.name}: {layout.describe()}" for layout in candidates)
    parts = sorted({os.path.dirname(path) or "." for path in folder.names})
    listed = ", ".join(parts[:8]) + (", ..." if len(parts) > 8 else "")
    raise ArgumentError(
        f"dataset: {folder.root!r} has no layout that is known. It has files in {listed}. Looked for\n{looked_for}"
    )


def _fits(folder: Folder, layout: Layout, above: str) -> bool:
    if layout.needs == ("cutout",):
        pictures = [path for path in folder.names if layout.patterns["cutout"].fullmatch(path)]
        # Colour type 6 in a PNG's header is RGBA: any other folder of pictures is no set of cut-outs.
        return (
            bool(pictures)
            and not any("/" in p for p in pictures)
            and File(folder.root, pictures[0]).read()[25:26] == b"\x06"
        )
    matched = _matches(folder, layout, above)
    return all(any(role == need or role.startswith(need) for role in matched) for need in layout.needs)


def _paired(layout: Layout, matched: Matched) -> tuple[list[Sample], list[str]]:
    names = sorted(set(matched["image"]) | set(matched["alpha"]))
    samples = []
    for name in names:
        files = {role: tuple(found[name]) for role, found in matched.items() if name in found}
        samples.append(Sample(name, files, _problem(layout, files)))
    strays = [
        f"{role} {name} belongs to no image"
        for role, found in matched.items()
        if role.startswith(("trimap", "foreground", "background"))
        for name in sorted(set(found) - set(names))
    ]
    gaps = [
        f"{name} has no {role}"
        for role, found in matched.items()
        if role.startswith("trimap")
        for name in sorted(set(names) - set(found))
    ]
    return samples, strays + gaps


def _problem(layout: Layout, files: Mapping[str, tuple[File, ...]]) -> str | None:
    for role, article in (("image", "an"), ("alpha", "an")):
        if role not in files:
            other = next(iter(files.values()))[0].name
            return f"{other} lies without {article} {role} of the same name"
    for role, found in files.items():
        if len(found) > 1 and not (role == "alpha" and layout.alphas == "many"):
            return f"several files are its {role}: {', '.join(file.name for file in found)}"
    return None


def _composed(
    folder: Folder, layout: Layout, matched: Matched, backgrounds: str | os.PathLike[str] | None
) -> tuple[list[Sample], list[str]]:
    """Each foreground on `copies` backgrounds in turn: foreground i takes backgrounds i N .. i N + N - 1."""
    role = "cutout" if "cutout" in layout.needs else "foreground"
    behind, problems = _backgrounds(folder, backgrounds)
    samples = []
    for i, name in enumerate(_in_order(folder, "test_fg_names.txt", matched[role])):
        own = {r: tuple(matched[r][name]) for r in (role, "alpha") if name in matched.get(r, {})}
        problem = None if role == "cutout" or len(own) == 2 else f"{name} lacks its foreground or its alpha"
        for k in range(layout.copies):
            files = dict(own)
            if behind and (background := behind[(i * layout.copies + k) % len(behind)]):
                files["background"] = (background,)
            # A trimap is named after the composite, `<foreground>_<k>.png`.
            if trimap := matched.get("trimap", {}).get(f"{name}_{k}"):
                files["trimap"] = tuple(trimap)
            absent = None if "background" in files else "its background is missing"
            samples.append(Sample(f"{name}_{k}" if layout.copies > 1 else name, files, problem or absent))
    if "trimap" in matched:
        problems += [f"{sample.name} has no trimap" for sample in samples if "trimap" not in sample.files]
    wanted = len(samples)
    if behind and len(behind) < wanted:
        problems.append(f"{wanted} backgrounds are wanted, each used once; there are {len(behind)}, used in turn")
    return samples, problems


def _backgrounds(folder: Folder, where: str | os.PathLike[str] | None) -> tuple[list[File | None], list[str]]:
    """Backgrounds in the order of the set's list, None where one is missing: a gap must not shift all later ones."""
    if where is None:
        return [], ["its foregrounds are to be composed: name a folder of backgrounds (--backgrounds DIR)"]
    source = open_folder(where)
    pictures = {_stem(path): File(source.root, path) for path in source.names if re.search(PICTURE + "$", path, re.I)}
    order = _in_order(folder, "test_bg_names.txt", pictures)
    missing = [name for name in order if name not in pictures]
    problems = [f"{len(missing)} of {len(order)} listed backgrounds are missing, first {missing[0]}"] if missing else []
    return [pictures.get(name) for name in order], problems


def _in_order(folder: Folder, listing: str, found: Mapping[str, Any]) -> Sequence[str]:
    """Names in the order of the set's own list, if it has one, else sorted."""
    return _listed(folder, listing) or sorted(found)


def _listed(folder: Folder, listing: str) -> list[str]:
    path = next((path for path in folder.names if path.endswith(listing)), None)
    if path is None:
        return []
    lines = File(folder.root, path).read().decode("utf-8-sig").splitlines()
    return [_stem(line.strip()) for line in lines if line.strip()]


def _stem(path: str) -> str:
    return os.path.splitext(path.rpartition("/")[2])[0]
