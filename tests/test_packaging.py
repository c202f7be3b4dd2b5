"""What pyproject.toml asks for: all that is imported, in versions that are safe, and those that are tested with."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
FOR_USERS = [line for extra in EXTRAS if extra not in ("docs", "dev") for line in EXTRAS[extra]]
DECLARED = {canonicalize_name(r.name): r for r in map(Requirement, [*PROJECT["dependencies"], *FOR_USERS])}


def imported() -> set[str]:
    """Top-level names of all modules that the package's code imports, lazily too."""
    names = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"trimatte"}


def test_whatever_is_imported_is_declared() -> None:
    providers = packages_distributions()
    unknown = {
        name
        for name in imported()
        if name in providers and not {canonicalize_name(one) for one in providers[name]} & set(DECLARED)
    }
    assert not unknown


@pytest.mark.parametrize("version", ["2.4.1", "2.5.1", "2.6.0", "2.9.1"])
def test_versions_of_torch_whose_weights_can_run_code_are_left_out(version: str) -> None:
    assert version not in DECLARED["torch"].specifier


def pins_of(name: str) -> list[tuple[str, str]]:
    """Names and versions in a file of constraints."""
    return re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)


def test_what_is_tested_with_is_what_is_asked_for() -> None:
    pins = pins_of("constraints.txt")
    assert len(pins) > 20
    for name, version in pins:
        known = DECLARED.get(canonicalize_name(name))
        assert known is None or version in known.specifier, name


def test_the_oldest_versions_are_those_that_are_asked_for() -> None:
    pins = dict(pins_of("lowest.txt"))
    for line in PROJECT["dependencies"]:
        wanted = Requirement(line)
        if wanted.specifier and "win32" not in wanted.extras:
            (floor,) = (Version(one.version) for one in wanted.specifier if one.operator == ">=")
            assert Version(pins[wanted.name]).release[: len(floor.release)] == floor.release, line


def test_weights_are_loaded_as_weights_only() -> None:
    found = 0
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert keywords.get("weights_only") == "True", f"{path.name}:{node.lineno}"
                found += 1
    assert found
