"""What later stages need is loaded by another thread while the first picture is read."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from threading import current_thread, main_thread

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher
from PIL import Image

from trimatte import cutout, save_image
from trimatte.cli import _ahead
from trimatte.cli._ahead import loaded_ahead
from trimatte.errors import SubjectNotFoundError
from trimatte.runtime.compiling import announce, watched


@pytest.fixture(autouse=True)
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them."""
    monkeypatch.setattr(_ahead, "available_threads", lambda: 2)


@pytest.fixture
def file(tmp_path: Path, photo: np.ndarray) -> str:
    """The photo's."""
    save_image(tmp_path / "photo.png", photo)
    return str(tmp_path / "photo.png")


def signatures() -> dict[str, list[object]]:
    """Those that each kernel is loaded for."""
    modules = [module for name, module in sys.modules.items() if name.startswith("trimatte.")]
    kernels = {kernel for module in modules for kernel in vars(module).values() if isinstance(kernel, Dispatcher)}
    return {f"{kernel.py_func.__module__}.{kernel.py_func.__name__}": list(kernel.signatures) for kernel in kernels}


def test_all_that_a_picture_needs_is_loaded(photo: np.ndarray, file: str) -> None:
    with loaded_ahead(file, "balanced"):
        pass
    before = signatures()
    assert before["trimatte.planes.regions._runs"]
    assert not cutout(photo).report.warnings
    assert signatures() == before


def test_it_is_another_thread_that_loads_and_its_errors_are_left_to_the_picture(
    monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    seen = []

    def fails(*_: object, **options: object) -> None:
        seen.append((current_thread(), options["quality"], gc.isenabled()))
        raise SubjectNotFoundError("none")

    monkeypatch.setattr(sys.modules["trimatte.cutout"], "cutout", fails)
    with loaded_ahead(file, "fast"):
        pass
    ((thread, quality, looking),) = seen
    assert thread is not main_thread()
    assert (quality, looking) == ("fast", False)
    assert gc.isenabled()


def test_what_is_not_compiled_is_left_to_the_picture(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    reached: list[str] = []
    shown: list[str] = []

    def needs_a_kernel(*_: object, **__: object) -> None:
        reached.append("before")
        announce("kernel")
        reached.append("after")

    monkeypatch.setattr(sys.modules["trimatte.cutout"], "cutout", needs_a_kernel)
    with loaded_ahead(file, "fast"), watched(shown.append):
        announce("of the picture")
    assert (reached, shown) == (["before"], ["of the picture"])
    assert gc.isenabled()


def test_nothing_is_loaded_on_one_processor_nor_for_what_is_large_or_no_file_of_a_picture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
) -> None:
    monkeypatch.setattr(_ahead, "_load", pytest.fail)
    (text := tmp_path / "text.jpg").write_text("text")
    os.mkfifo(pipe := tmp_path / "pipe.jpg")
    Image.new("L", (2001, 2000)).save(large := tmp_path / "large.png")
    for other in ("-", str(text), str(pipe), str(tmp_path / "none.jpg"), str(large)):
        with loaded_ahead(other, "fast"):
            assert gc.isenabled()
    monkeypatch.setattr(_ahead, "available_threads", lambda: 1)
    with loaded_ahead(file, "fast"):
        assert gc.isenabled()
