"""Photos of three and twelve megapixels by every way in, and every branch that depends on size on small pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import trimatte
from toy_pool import ThisProcess

MakeScene = Callable[[int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]
HEIGHT, WIDTH = 1500, 2000
UNKNOWN = 10_000
"""Fewer pixels than are unknown in a thin band of that size."""
QUICK = """
import numpy as np

def build():
    def find(image):
        small = np.clip(3 * image[::4, ::4].mean(axis=2) - 1, 0, 1)
        return small.repeat(4, axis=0).repeat(4, axis=1).astype(np.float32)
    return find
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, make_scene: MakeScene) -> Path:
    """A folder with a photo of three megapixels and its trimap, of some 20,000 unknown pixels."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "photos").mkdir()
    photo, _, trimap = make_scene(HEIGHT, WIDTH)
    Image.fromarray(photo).save(folder / "photos/photo.jpg", quality=90)
    Image.fromarray(trimap).save(folder / "trimap.png", compress_level=1)
    return folder


@pytest.fixture(autouse=True)
def as_if_vast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thin band counts as that of a photo with more than a million unknown pixels."""
    monkeypatch.setattr("trimatte.alpha.closed_form.VAST", UNKNOWN)


@pytest.fixture
def quick(plug_in: Callable[[str, str], str]) -> dict[str, Any]:
    """Options with which a large photo takes little time."""
    return {"segmenter": plug_in("quick", QUICK), "band_pixels": 3.0, "foreground": "keep", "method": "closed-form"}


def check_report(report: dict[str, Any], method: str = "closed-form") -> None:
    solve = report.get("alpha", report)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert (solve["method"], solve["converged"]) == (method, True)
    assert solve["unknown"] > UNKNOWN


def call(*arguments: object) -> dict[str, Any]:
    """The line of JSON that a verb prints of its one picture."""
    from trimatte.cli import main

    result = CliRunner().invoke(main, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    line: dict[str, Any] = json.loads(result.stdout)
    assert line["done"]
    return line["report"]


def test_the_verbs(large: Path, quick: dict[str, Any], tmp_path: Path) -> None:
    photo, trimap = large / "photos/photo.jpg", large / "trimap.png"
    fast = ("--format", "jpeg", "--segmenter", "quick")
    check_report(call("alpha", photo, trimap, "-o", tmp_path / "alpha.png"))
    assert call("segment", photo, "-o", tmp_path / "probability.jpg", *fast)["subject"] is True
    assert call("trimap", photo, "-o", tmp_path / "trimap.png", "--segmenter", "quick")["band"] > 0
    with Image.open(tmp_path / "alpha.png") as alpha:
        assert alpha.size == (WIDTH, HEIGHT)
    call("composite", photo, "--alpha", tmp_path / "alpha.png", "-o", tmp_path / "over.jpg", "--background", "teal")
    options = ("--background", "teal", "--trimap", trimap, "--keep-colours", "--quality", "fast")
    check_report(call("cutout", photo, "-o", tmp_path / "cut.jpg", *fast, *options))


def test_twelve_megapixels(large: Path, quick: dict[str, Any], tmp_path: Path) -> None:
    for name in ("photos/photo.jpg", "trimap.png"):
        with Image.open(large / name) as image:
            image.resize((2 * WIDTH, 2 * HEIGHT), Image.Resampling.NEAREST).save(tmp_path / Path(name).name)
    arguments = (tmp_path / "photo.jpg", "-o", tmp_path / "cut.png", "--trimap", tmp_path / "trimap.png")
    check_report(call("cutout", *arguments, "--quality", "fast"))
    with Image.open(tmp_path / "cut.png") as cut:
        assert (cut.mode, cut.size) == ("RGBA", (4000, 3000))


def test_a_folder(large: Path, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.batch.local.Pool", ThisProcess)
    options = {**quick, "format": "jpeg", "background": "teal"}
    summary = trimatte.run_batch(large / "photos", tmp_path / "out", **options)
    assert (summary.done, summary.failed) == (1, {})
    (record,) = map(json.loads, (tmp_path / "out/manifest.jsonl").read_text().splitlines())
    check_report(record["report"])


def test_cutter(large: Path, quick: dict[str, Any]) -> None:
    (result,) = trimatte.Cutter(**quick).map([large / "photos/photo.jpg"])
    assert isinstance(result, trimatte.Cutout)
    check_report(result.report.as_dict())


def test_the_service(large: Path) -> None:
    pytest.importorskip("starlette")
    from trimatte.server import work, worker

    files = {"image": (large / "photos/photo.jpg").read_bytes(), "trimap": (large / "trimap.png").read_bytes()}
    values = {"method": "closed-form", "strict": True, "bits": "8", "max_pixels": 25_000_000, "work_seconds": 60.0}
    head, body = worker._answer(work, "alpha", files, values)
    assert head.get("error", "") == ""
    check_report(head["report"])
    assert body.startswith(b"\x89PNG")


def test_evaluation(large: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for folder, name in (("image", "photo.jpg"), ("alpha", "photo.png"), ("trimap", "photo.png")):
        (root / folder).mkdir(parents=True)
        source = large / ("photos/photo.jpg" if folder == "image" else "trimap.png")
        os.link(source, root / folder / name)
    evaluation = trimatte.evaluate(root, ["closed-form"], out=tmp_path / "run")
    (record,) = evaluation.records
    assert record["status"] == "ok", record["error"]
    check_report(json.loads((tmp_path / "run/records.jsonl").read_text())["report"])


SIZES: dict[str, tuple[str, list[tuple[str, Any]]]] = {
    "closed_form, beyond a million": ("closed-form", [("trimatte.alpha.closed_form.VAST", 100)]),
    "closed_form, far beyond": ("closed-form", [("trimatte.alpha.closed_form.VAST", 1)]),
    "stencils, beyond 300,000": ("learning-based", [("trimatte.linalg.solve.LARGE", 100)]),
    "hybrid, beyond 200,000": ("hybrid", [("trimatte.alpha.hybrid.KNN_PIXELS", 100)]),
    "hybrid, beyond 500,000": ("hybrid", [("trimatte.alpha.coarse_to_fine.MOST", 100)]),
    "light-closed-form, beyond 250,000": ("light-closed-form", [("trimatte.alpha.light.SMALL", 100)]),
    "light-closed-form, beyond 500,000": ("light-closed-form", [("trimatte.alpha.coarse_to_fine.MOST", 100)]),
    **{
        f"nodes {spacing} pixels apart": (method, [("trimatte.linalg.solve.QUICKEST", ((float("inf"), spacing),))])
        for spacing in (3, 4, 5, 6)
        for method in ("closed-form",)
    },
}


@pytest.mark.parametrize("size", SIZES)
def test_branches_by_size(
    size: str, photo: np.ndarray, trimap: np.ndarray, truth: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    method, lowered = SIZES[size]
    learnt = method in ("hybrid", "light-closed-form")
    exact = trimatte.estimate_alpha(photo, trimap, method=method, **({} if learnt else {"rtol": 1e-10}))
    for name, value in lowered:
        monkeypatch.setattr(name, value)
    matte = trimatte.estimate_alpha(photo, trimap, method=method)
    report = matte.report.as_dict()
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert type(matte.report.converged) is bool
    assert matte.report.converged
    assert np.abs(matte.alpha - exact.alpha).max() < (0.1 if learnt else 0.01)
    assert np.abs(matte.alpha - truth).mean() < 0.02


@pytest.mark.parametrize(
    ("unknown", "spacing", "rtol"),
    [(149_999, 3, 3e-6), (200_000, 4, 3e-6), (300_000, 4, 1e-5), (800_000, 5, 1e-5), (2_200_000, 6, 1e-5)],
)
def test_what_is_chosen_by_size(unknown: int, spacing: int, rtol: float) -> None:
    from trimatte.linalg.solve import default_rtol, plan_spacing

    assert (plan_spacing(unknown, None), default_rtol(unknown)) == (spacing, rtol)


def test_a_band_of_more_than_a_million_pixels(make_scene: MakeScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    photo, alpha, _ = make_scene(1200, 1600)
    y, x = np.mgrid[:1200, :1600]
    distance = np.hypot(y - 600, x - 720)
    trimap = np.where(distance < 260, 255, np.where(distance > 680, 0, 128)).astype(np.uint8)
    assert np.count_nonzero(trimap == 128) > 1_000_000
    matte = trimatte.estimate_alpha(photo, trimap)
    check_report(matte.report.as_dict())
    assert np.abs(matte.alpha - alpha).mean() < 0.01
