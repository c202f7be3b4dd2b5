"""Small photos made by code, and a segmenter that finds what is bright in them."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import toy_kernels

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a suite that runs in the background; its children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("trimatte", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("trimatte")  # how long an example takes is no fault of the code on a busy machine

HEIGHT, WIDTH = 72, 96


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where several processes are to run the whole suite, compile the kernels for them first."""
    config = session.config
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        folder = Path(tempfile.mkdtemp())
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        toy_kernels.compile_all(folder)
        os.environ[toy_kernels.FOLDER] = str(folder)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # for all those processes, which would compile the same
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of one process wait while others work


def pytest_collection_finish(session: pytest.Session) -> None:
    """All that was imported stays for good: looking for garbage among it takes most of a second each time."""
    gc.collect()
    gc.freeze()


PlugIn = Callable[[str, str], str]


def subject_alpha(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Coverage (height, width) of a disc with an edge eight pixels soft."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot(y - 0.5 * height, x - 0.45 * width)
    return np.clip((0.3 * min(height, width) + 4 - distance) / 8, 0, 1)


def photo_of(alpha: np.ndarray, seed: int = 0) -> np.ndarray:
    """A photo (H, W, 3) uint8 of a light subject of the coverage `alpha` before a dark background."""
    noise = np.random.default_rng(seed).normal(0, 0.01, (*alpha.shape, 3))
    subject = np.array([0.95, 0.85, 0.75]) + noise
    background = np.array([0.05, 0.1, 0.25]) + noise
    mixed = alpha[..., None] * subject + (1 - alpha[..., None]) * background
    return np.round(np.clip(mixed, 0, 1) * 255).astype(np.uint8)


def trimap_of(alpha: np.ndarray) -> np.ndarray:
    """The trimap (H, W) uint8 that knows what of `alpha` is exactly 0 or 1."""
    return np.where(alpha == 1, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)


@pytest.fixture(autouse=True)
def same_numbers_in_any_order(request: pytest.FixtureRequest) -> None:
    """A module's RNG begins anew with each test, so that none depends on which ran before."""
    if hasattr(request.module, "RNG"):
        request.module.RNG = np.random.default_rng(0)


@pytest.fixture(scope="session", autouse=True)
def no_spinning() -> Iterator[None]:
    """The threads of ONNX Runtime wait while others work, as those of OpenMP do."""
    from trimatte.runtime import onnx

    usual = onnx._options

    def options(device: str) -> Any:
        made = usual(device)
        made.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx, "_options", options)
        yield


MakeScene = Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]


@pytest.fixture(scope="session")
def make_scene() -> MakeScene:
    """`make_scene(height, width)`: photo, alpha and trimap of that size, as `photo`, `truth` and `trimap` are."""

    def make(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        alpha = subject_alpha(height, width)
        return photo_of(alpha), alpha, trimap_of(alpha)

    return make


@pytest.fixture
def truth() -> np.ndarray:
    """The alpha (72, 96) float32 of `photo`'s subject."""
    return subject_alpha()


@pytest.fixture
def photo(truth: np.ndarray) -> np.ndarray:
    """A photo (72, 96, 3) uint8."""
    return photo_of(truth)


@pytest.fixture
def trimap(truth: np.ndarray) -> np.ndarray:
    """The trimap (72, 96) uint8 of `photo`."""
    return trimap_of(truth)


@pytest.fixture
def photo_file(tmp_path: Path, photo: np.ndarray) -> Path:
    """`photo` as photo.jpg in a folder of its own."""
    folder = tmp_path / "photos"
    folder.mkdir()
    path = folder / "photo.jpg"
    Image.fromarray(photo).save(path, quality=95)
    return path


BRIGHT = """
import numpy as np

def build():
    return lambda image: np.clip(3 * image.mean(axis=2) - 1, 0, 1).astype(np.float32)
"""


@pytest.fixture
def plug_in(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlugIn]:
    """`plug_in(name, code)`: add a segmenter made by `build` of `code`, and its alpha method `alpha` if it has one.

    Worker processes find them too.
    """
    from trimatte import alpha, segmentation
    from trimatte.segmentation import registry

    built, modules = segmentation._built, []

    def add(name: str, code: str) -> str:
        module = name.replace("-", "_") + "_segmenter"
        folder = tmp_path_factory.mktemp(module)
        (folder / f"{module}.py").write_text(code)
        metadata = folder / f"{module}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        groups = {"build": registry.ENTRY_POINTS, "alpha": alpha.ENTRY_POINTS}
        there = {what: group for what, group in groups.items() if re.search(rf"^(def )?{what}\b", code, re.M)}
        given = [f"[{group}]\n{name} = {module}:{what}\n" for what, group in there.items()]
        (metadata / "entry_points.txt").write_text("".join(given))
        monkeypatch.syspath_prepend(str(folder))
        modules.append(module)
        return name

    yield add
    built.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def bright(plug_in: PlugIn) -> str:
    """The name of a segmenter for which foreground is what is bright."""
    return plug_in("bright", BRIGHT)
