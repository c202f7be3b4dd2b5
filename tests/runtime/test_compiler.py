"""Kernels are the same bits cold and warm, and no state of the cache on the disk costs more than compiling anew."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

import toy_kernels
from trimatte.errors import CacheWarning
from trimatte.runtime.compiler import KernelCache


def test_the_first_process_gives_the_bits_of_all_later_ones(tmp_path: Path) -> None:
    folder = Path(os.environ.get(toy_kernels.FOLDER, tmp_path))
    if folder == tmp_path:
        toy_kernels.cut_out(folder, "cold.npy")
    assert list((folder / "cache").rglob("*.nbc"))
    toy_kernels.cut_out(folder, "warm.npy")
    np.testing.assert_array_equal(np.load(folder / "cold.npy"), np.load(folder / "warm.npy"))


KERNELS = """
from trimatte.runtime.jit import njit
from {inner} import half

WEIGHT = {weight}

@njit()
def scaled(x):
    return WEIGHT * half(x)
"""
INNER = """
from trimatte.runtime.jit import njit

@njit()
def half(x):
    return x / {divisor}
"""
Load = Callable[..., ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`load(weight=..., divisor=...)`: a module with a kernel that calls one of another, as a new process has it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)  # the cache lies beside the module
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")

    def load(weight: float = 6.0, divisor: float = 2.0) -> ModuleType:
        for name, text in (("inner_toy", INNER), ("outer_toy", KERNELS)):
            text = text.format(inner="inner_toy", weight=weight, divisor=divisor)
            if not (tmp_path / f"{name}.py").exists() or (tmp_path / f"{name}.py").read_text() != text:
                (tmp_path / f"{name}.py").write_text(text)
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("outer_toy")

    return load


def hits(module: ModuleType) -> int:
    """How many kernels a call of `scaled` found in the cache; it has to be right in any case."""
    assert module.scaled(5.0) == 15.0
    return sum(module.scaled.stats.cache_hits.values())


def test_a_kernel_is_compiled_once(load: Load) -> None:
    assert [hits(load()), hits(load())] == [0, 1]


def test_a_changed_constant_or_callee_is_compiled_in(load: Load) -> None:
    assert hits(load()) == 0
    assert load(divisor=4.0).scaled(5.0) == 7.5  # the file of `scaled` is as it was
    assert load(weight=12.0, divisor=4.0).scaled(5.0) == 15.0


def empty(path: Path) -> None:
    path.write_bytes(b"")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [empty, torn, zeroed, Path.unlink])
def test_damaged_files_are_compiled_anew(
    load: Load, tmp_path: Path, suffix: str, damage: Callable[[Path], Any]
) -> None:
    hits(load())
    files = list(tmp_path.rglob(f"*{suffix}"))
    assert len(files) == 2
    for path in files:
        damage(path)
    assert [hits(load()), hits(load())] == [0, 1]


def test_a_cache_that_cannot_be_mended_names_its_folder(load: Load, tmp_path: Path) -> None:
    hits(load())
    for path in tmp_path.rglob("*.nbi"):
        path.unlink()
        path.mkdir()
    with pytest.warns(CacheWarning, match=r"cannot be kept in .*__pycache__.*delete that folder"):
        assert hits(load()) == 0


def test_a_full_disk_costs_no_picture(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
    with pytest.warns(CacheWarning, match="No space left on device"):
        assert hits(load()) == 0


def test_warming_up_says_what_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimatte.cli import doctor

    def warm(name: str) -> Callable[..., Any]:
        return lambda *arguments, **options: warnings.warn(f"{name} cannot be kept", CacheWarning, stacklevel=1)

    monkeypatch.setattr("trimatte.estimate_alpha", warm("alpha"))
    monkeypatch.setattr("trimatte.estimate_foreground", warm("foreground"))
    seconds, complaints = doctor._warm_up(["knn", "foreground"])
    assert list(seconds) == ["knn", "foreground"]
    assert set(complaints) == {"alpha cannot be kept", "foreground cannot be kept"}  # of each method of colours


def test_every_kernel_has_this_cache() -> None:
    from trimatte.alpha import closed_form, knn, shared  # noqa: F401 - for their kernels

    modules = [module for name, module in list(sys.modules.items()) if name.startswith("trimatte.")]
    kernels = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
    assert len(kernels) > 20
    assert all(isinstance(kernel._cache, KernelCache) for kernel in kernels)  # type: ignore[attr-defined]
