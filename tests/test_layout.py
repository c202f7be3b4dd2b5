"""The rooms of the package, and that imports run downwards only, lazy ones included.

`FLOORS` is the order that the design names. Each room may import from those of earlier floors, and modules of one room
from each other as long as no circle arises.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import trimatte

ROOT = Path(trimatte.__file__).parent
FLOORS = (
    {"errors"},
    {"files", "runtime"},
    {"planes"},
    {"images", "linalg"},
    {"composite", "foreground", "networks", "output", "synthetic", "trimap"},
    {"segmentation"},
    {"alpha"},
    {"backdrop", "confidence", "quality"},
    {"stages"},
    {"cutout"},
    {"cutter", "evaluation", "selection", "sheet"},
    {"metrics"},
    {"compat", "batch", "training"},
    {"server"},
    {"cli"},
    {"__main__"},
)
MODULES = {"composite", "confidence", "cutout", "cutter", "errors", "metrics", "quality", "selection", "sheet"} | {
    "stages",
    "trimap",
}


def name_of(path: Path) -> str:
    """The dotted name of a module inside the package, such as alpha.knn; of a package its own."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in ROOT.rglob("*.py")}


def imports_of(path: Path) -> Iterator[str]:
    """The modules of trimatte that a module names in its import statements, wherever they stand."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "trimatte":
            module = node.module.partition(".")[2]
            for alias in node.names:
                inner = f"{module}.{alias.name}".lstrip(".")
                yield inner if inner in NAMES else module
        elif isinstance(node, ast.Import):
            yield from (a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == "trimatte")


def links() -> Iterator[tuple[str, str]]:
    """(importer, imported) of every import within the package; the top of the package, which imports lazily, aside."""
    for path in sorted(ROOT.rglob("*.py")):
        importer = name_of(path)
        if importer != "__init__":
            yield from ((importer, imported) for imported in imports_of(path) if imported not in ("", importer))


def room_of(module: str) -> str:
    return module.split(".")[0]


def test_the_rooms_are_those_of_the_design() -> None:
    visible = [path for path in ROOT.iterdir() if path.name != "py.typed" and path.name != "__pycache__"]
    assert {p.stem for p in visible if p.suffix == ".py" and not p.name.startswith("__")} == MODULES
    assert {p.stem for p in visible} - {"__init__"} <= set().union(*FLOORS)


def test_imports_run_downwards() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upwards = {
        f"{importer} imports {imported}"
        for importer, imported in links()
        if room_of(importer) != room_of(imported) and floor[room_of(imported)] >= floor[room_of(importer)]
    }
    assert not upwards


def test_no_circle_of_modules() -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported in links():
        graph.setdefault(importer, set()).add(imported)
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle
