"""Importing trimatte, and asking the command line for help, stays light."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "scipy", "numba", "PIL", "onnxruntime", "torch", "skimage", "pymatting", "tifffile", "tqdm"}
VERBS = [
    *("cutout", "segment", "trimap", "alpha", "composite"),
    *("evaluate", "compare", "datasets", "models", "serve", "train", "doctor"),
]


def imported_by(code: str) -> set[str]:
    """The modules that a fresh interpreter imports for `code`, beyond those that it has anyway."""
    script = (
        f"import sys, json; before = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(process.stdout.splitlines()[-1]))


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_import_trimatte() -> None:
    modules = imported_by("import trimatte")
    assert not roots(modules) & HEAVY
    assert len(modules) < 30


def test_what_a_cut_out_imports_at_first() -> None:
    """Kernels, networks and stages that nobody asked for are loaded where they are used."""
    modules = imported_by("import trimatte.cutout, trimatte.server.operations")
    assert not roots(modules) & (HEAVY - {"PIL", "numpy"})
    assert not modules & {f"trimatte.backdrop.{name}" for name in ("colours", "field", "keying", "known", "shadow")}


def test_kernels_from_the_cache_load_nothing_to_compile_with_until_somebody_compiles() -> None:
    code = """
import numpy as np, numba
from trimatte import estimate_foreground, make_trimap
square = np.zeros((32, 32), np.float32)
square[8:24, 8:24] = 1
make_trimap(square)
estimate_foreground(np.zeros((32, 32, 3), np.float32), square / 2)
"""
    imported_by(code)  # from here on the kernels are in the cache
    compiling = {"scipy.linalg", "numba.np.linalg", "numba.typed.typeddict"}
    assert not imported_by(code) & compiling
    product = """
@numba.njit
def product(a, b):
    return a @ b

assert product(np.ones((3, 3)), np.ones((3, 3)))[0, 0] == 3"""
    assert imported_by(code + product) > compiling


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS if verb != "datasets")]
)
def test_help(arguments: list[str]) -> None:
    modules = imported_by(f"from trimatte.cli import main\nmain({arguments!r}, standalone_mode=False)")
    assert not roots(modules) & HEAVY
    assert roots(modules) & {"click"}
    assert len(modules) < 150


@pytest.mark.parametrize("verb", ["cutout", "segment", "trimap", "composite"])
def test_a_file_that_is_not_there_imports_nothing_heavy(verb: str) -> None:
    more = ["--background", "white"] if verb == "composite" else []
    call = f"main({[verb, 'not-there.jpg', *more]!r}, standalone_mode=False)"
    code = f"from trimatte.cli import main\ntry:\n    {call}\nexcept SystemExit as end:\n    assert end.code == 1"
    assert not roots(imported_by(code)) & (HEAVY if verb == "cutout" else HEAVY - {"numpy", "PIL"})


def test_a_picture_that_is_none_imports_no_kernels(tmp_path: Path) -> None:
    (path := tmp_path / "text.jpg").write_text("text")
    call = f"main(['cutout', {str(path)!r}], standalone_mode=False)"
    code = f"from trimatte.cli import main\ntry:\n    {call}\nexcept SystemExit as end:\n    assert end.code == 1"
    assert not roots(imported_by(code)) & (HEAVY - {"PIL", "numpy"})


def test_help_lists_every_verb_and_every_verb_has_help() -> None:
    from click.testing import CliRunner

    from trimatte.cli import main

    listed = CliRunner().invoke(main, ["--help"])
    assert listed.exit_code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in listed.stdout
        told = CliRunner().invoke(main, [verb, "--help"])
        assert told.exit_code == 0
        assert told.stdout.startswith("Usage: ")


def test_a_verb_without_a_module_is_left_out() -> None:
    from click.testing import CliRunner

    from trimatte.cli import Verbs

    group = Verbs({"doctor": "There.", "no-such-verb": "Not there."}, name="group")
    listed = CliRunner().invoke(group, ["--help"])
    assert listed.exit_code == 0
    assert "There." in listed.stdout
    assert "no-such-verb" not in listed.stdout
    assert CliRunner().invoke(group, ["no-such-verb"]).exit_code == 2


def test_all_public_names_are_there() -> None:
    import trimatte

    for name in trimatte.__all__:
        assert getattr(trimatte, name) is not None
    assert callable(trimatte.cutout)
    assert callable(trimatte.composite)
    with pytest.raises(AttributeError, match="no attribute 'cutuot'"):
        trimatte.cutuot  # noqa: B018


def test_python_m() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "trimatte", "--version"], capture_output=True, text=True, check=True
    )
    assert process.stdout.startswith("trimatte, version ")
