"""The whole way in Python: stages, report, photo's own alpha, colours and depth."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import maximum_filter

import trimatte
from trimatte.cutout import SubjectWarning
from trimatte.errors import ArgumentError, SolverError, SubjectNotFoundError
from trimatte.runtime.measure import KEPT_BYTES
from trimatte.sheet import make_sheet


def test_every_stage_is_there(photo: np.ndarray, truth: np.ndarray, bright: str) -> None:
    before = photo.copy()
    result = trimatte.cutout(photo, segmenter=bright)
    np.testing.assert_array_equal(photo, before)
    assert result.image.shape == result.foreground.shape == photo.shape
    for plane, dtype in ((result.probability, np.float32), (result.trimap, np.uint8), (result.alpha, np.float32)):
        assert plane is not None
        assert (plane.shape, plane.dtype) == (truth.shape, dtype)
    assert (result.alpha[result.trimap == 255] == 1).all()
    assert (result.alpha[result.trimap == 0] == 0).all()
    assert np.abs(result.alpha - truth).mean() < 0.03
    assert result.rgba().shape == (*truth.shape, 4)
    report = result.report
    assert (report.segmenter, report.subject, report.warnings) == (bright, True, [])
    assert report.band > 0
    assert (report.quality, report.alpha.method) == ("balanced", "light")
    assert report.as_dict()["alpha"]["unknown"] == np.count_nonzero(result.trimap == 128)


def test_what_is_opaque_in_the_file_has_the_photos_colours(photo: np.ndarray, truth: np.ndarray) -> None:
    unknown = maximum_filter((truth > 0) & (truth < 1), 9)
    result = trimatte.cutout(photo, trimap=np.where(unknown, 128, 255 * truth).astype(np.uint8))
    opaque = result.alpha > 254.5 / 255
    assert (result.alpha[opaque] < 1).any()
    np.testing.assert_array_equal(result.foreground[opaque], result.image[opaque])


def test_foreground_colours_are_the_subjects(photo: np.ndarray, trimap: np.ndarray, truth: np.ndarray) -> None:
    result = trimatte.cutout(photo, trimap=trimap, method="knn")
    np.testing.assert_array_equal(result.foreground[result.alpha == 1], result.image[result.alpha == 1])
    soft = (truth > 0.3) & (truth < 0.7)
    subject = np.array([0.95, 0.85, 0.75])
    assert np.abs(result.foreground[soft] - subject).mean() < 0.5 * np.abs(result.image[soft] - subject).mean()
    kept = trimatte.cutout(photo, trimap=trimap, foreground="keep")
    np.testing.assert_array_equal(kept.foreground, kept.image)


def test_colours_are_found_with_what_the_stages_before_left_given_back(
    photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds: list[int] = []
    module = import_module("trimatte.cutout")
    monkeypatch.setattr(module, "give_back_memory", lambda *, above: bounds.append(above))
    monkeypatch.setattr(module, "_colours", lambda stages, picture, alpha, report: picture.image * len(bounds))
    assert trimatte.cutout(photo, trimap=trimap).foreground.any()
    assert bounds == [KEPT_BYTES]


def test_ones_own_trimap_needs_no_segmenter(photo: np.ndarray, trimap: np.ndarray) -> None:
    result = trimatte.cutout(photo, trimap=trimap)
    assert result.probability is None
    assert result.report.segmenter == ""
    np.testing.assert_array_equal(result.trimap, trimap)


def test_a_photos_own_alpha_is_an_upper_bound(photo: np.ndarray, trimap: np.ndarray, bright: str) -> None:
    own = np.full(photo.shape[:2], 255, np.uint8)
    own[:36] = 100
    with pytest.warns(SubjectWarning, match="own alpha is an upper bound"):
        result = trimatte.cutout(np.dstack([photo, own]), trimap=trimap)
    plain = trimatte.cutout(photo, trimap=trimap)
    np.testing.assert_allclose(result.alpha, np.minimum(plain.alpha, own / np.float32(255)), atol=1e-6)


def test_the_file_has_the_photos_colours_where_it_is_opaque(
    photo: np.ndarray, trimap: np.ndarray, tmp_path: Path
) -> None:
    deep = photo.astype(np.uint16) * 257 + 13
    for image, bits in ((photo, 8), (deep, 16)):
        result = trimatte.cutout(image, trimap=trimap)
        result.save(tmp_path / f"{bits}.png")
        back = trimatte.load_picture(tmp_path / f"{bits}.png")
        assert back.bits == bits
        np.testing.assert_array_equal(back.pixels[result.alpha == 1], image[result.alpha == 1])
        assert back.alpha is not None
        np.testing.assert_allclose(back.alpha, result.alpha, atol=0.6 / 255)


def test_save_takes_a_file_object_a_crop_and_a_background(photo: np.ndarray, trimap: np.ndarray) -> None:
    result = trimatte.cutout(photo, trimap=trimap)
    stream = io.BytesIO()
    result.save(stream, format="PNG", crop=2, background=(0, 255, 0))
    picture = np.asarray(Image.open(stream))
    rows, columns = result.content(2)
    assert picture.shape == (*result.alpha[rows, columns].shape, 3)
    assert (picture[0, 0] == (0, 255, 0)).all()


@pytest.mark.filterwarnings("ignore:the trimap has no unknown pixel")
@pytest.mark.parametrize("margin", [0, 3, 1000])
def test_content_is_the_tightest_box(photo: np.ndarray, margin: int) -> None:
    trimap = np.zeros(photo.shape[:2], np.uint8)
    trimap[10:20, 30:55] = 255
    rows, columns = trimatte.cutout(photo, trimap=trimap).content(margin)
    assert rows.indices(72)[:2] == (max(0, 10 - margin), min(72, 20 + margin))
    assert columns.indices(96)[:2] == (max(0, 30 - margin), min(96, 55 + margin))


@pytest.mark.filterwarnings("ignore:the trimap has no unknown pixel")
def test_content_of_nothing_is_everything(photo: np.ndarray) -> None:
    rows, columns = trimatte.cutout(photo, trimap=np.zeros(photo.shape[:2], np.uint8)).content()
    assert (rows, columns) == (slice(None), slice(None))


def test_over_a_background(photo: np.ndarray, trimap: np.ndarray) -> None:
    result = trimatte.cutout(photo, trimap=trimap)
    over = result.over("white")
    np.testing.assert_array_equal(over[result.alpha == 0], 1)
    np.testing.assert_allclose(over[result.alpha == 1], result.image[result.alpha == 1], atol=1e-6)


def test_no_subject(bright: str) -> None:
    dark = np.zeros((30, 40, 3), np.uint8)
    with pytest.warns(SubjectWarning, match="no subject found"):
        result = trimatte.cutout(dark, segmenter=bright)
    assert not result.report.subject
    assert not result.alpha.any()
    with pytest.raises(SubjectNotFoundError):
        trimatte.cutout(dark, segmenter=bright, strict=True)


def test_a_probability_that_is_low_everywhere_is_no_subject(bright: str, tmp_path: Path) -> None:
    dim = np.full((60, 80, 3), 0.62, np.float32)  # a probability of 0.86
    with pytest.warns(SubjectWarning, match="no subject found"):
        result = trimatte.cutout(dim, segmenter=bright)
    assert result.probability is not None
    assert result.probability.max() > 0.8
    assert not result.report.subject
    assert result.report.as_dict()["warnings"] == ["no subject found"]
    result.save(tmp_path / "dim.png")
    assert not np.asarray(Image.open(tmp_path / "dim.png"))[..., 3].any()
    dim[0, 0] = 1  # one pixel of 4800 is more than a negligible share
    with pytest.warns(SubjectWarning) as caught:
        assert trimatte.cutout(dim, segmenter=bright).report.subject
    assert [str(warning.message) for warning in caught] == [
        "the subject fills the picture",
        "the trimap has no background: alpha is 1 everywhere",
    ]


def test_an_alpha_network_that_finds_nothing_is_no_subject(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    from trimatte.alpha import METHODS, AlphaMethod

    alpha = np.full(photo.shape[:2], 0.2, np.float32)

    def network(image: np.ndarray, trimap: np.ndarray | None, report: trimatte.SolveReport) -> np.ndarray:
        return alpha

    monkeypatch.setitem(METHODS, "network", AlphaMethod(function=network, needs_trimap=False))
    with pytest.warns(SubjectWarning, match="no subject found"):
        result = trimatte.cutout(photo, method="network")
    assert not result.alpha.any()
    assert result.report.warnings == ["no subject found"]
    with pytest.raises(SubjectNotFoundError):
        trimatte.cutout(photo, method="network", strict=True)
    alpha[:20] = 0.7
    assert trimatte.cutout(photo, method="network").alpha.max() == np.float32(0.7)


def test_a_solve_that_did_not_converge_is_told(
    photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimatte.alpha import METHODS, AlphaMethod

    def unsolved(image: np.ndarray, trimap: np.ndarray, report: trimatte.SolveReport) -> np.ndarray:
        report.converged = False
        return trimap / 255.0

    monkeypatch.setitem(METHODS, "unsolved", AlphaMethod(function=unsolved))
    with pytest.warns(SubjectWarning, match="not converged"):
        result = trimatte.cutout(photo, trimap=trimap, method="unsolved")
    assert not result.report.alpha.converged
    assert any("not converged" in text for text in result.report.warnings)
    with pytest.raises(SolverError):
        trimatte.cutout(photo, trimap=trimap, method="unsolved", strict=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"segmenter": "nobody"}, "segmenter: .*lite"),
        ({"method": "nothing"}, "method: .*closed-form"),
        ({"foreground": "nothing"}, "foreground: .*multilevel"),
        ({"trimap": np.zeros((3, 3), np.uint8)}, "trimap: "),
        ({"band": -1.0}, "band: got -1"),
        ({"widht": 3}, "widht"),
    ],
)
def test_bad_arguments(photo: np.ndarray, bright: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        trimatte.cutout(photo, **{"segmenter": bright, **options})


@pytest.mark.filterwarnings("ignore:the trimap has no unknown pixel")
@pytest.mark.parametrize(("height", "width"), [(72, 96), (400, 40), (900, 1400)])
def test_the_sheet_has_a_panel_for_each_stage(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    trimap = np.zeros((height, width), np.uint8)
    trimap[height // 4 : height // 2, width // 4 : width // 2] = 255
    image[trimap == 255] = (255, 0, 0)
    result = trimatte.cutout(image, trimap=trimap)
    sheet = make_sheet(result, side=200)
    assert sheet.dtype == np.uint8
    red = (sheet == (255, 0, 0)).all(axis=2)
    scale = min(1, 200 / max(height, width))
    assert red.sum() == pytest.approx(2 * height * width / 16 * scale**2, rel=0.2)  # in photo and cut-out
    assert sheet.shape[1] < 5 * 220
