"""Sessions of the editor: marks in, patches of alpha out, within bounds."""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import trimatte
from trimatte.alpha import ready_methods
from trimatte.errors import ArgumentError, ImageReadError, ImageTooLargeError
from trimatte.images import read_picture
from trimatte.output.finish import NO_CONTACT
from trimatte.quality import USUAL, WAYS, chosen
from trimatte.server.editor import session as module
from trimatte.server.editor.session import DOWNLOADS, Session
from trimatte.server.editor.sessions import NoSessionError, Sessions, SessionsFullError


def file_of(pixels: np.ndarray, format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


@pytest.fixture
def body(photo: np.ndarray) -> bytes:
    return file_of(photo)


@pytest.fixture
def session(body: bytes, trimap: np.ndarray) -> Session:
    return Session(body, "disc.png", method="closed-form", trimap=trimap)


class Browser:
    """What a browser shows: alpha, put together from patches."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.alpha = np.full(session.size, 77, np.uint8)
        self.version = -1
        self.take(session.refine(-1))

    def take(self, patch: module.Patch) -> module.Patch:
        height, width = patch.alpha.shape
        self.alpha[patch.y : patch.y + height, patch.x : patch.x + width] = patch.alpha
        self.version = patch.version
        return patch

    def paint(self, x: int, y: int, width: int, height: int, value: int) -> module.Patch:
        return self.take(self.session.paint(x, y, np.full((height, width), value, np.uint8), self.version))

    def refine(self) -> module.Patch:
        return self.take(self.session.refine(self.version))


def exact(photo: np.ndarray, trimap: np.ndarray, method: str = "closed-form") -> np.ndarray:
    return trimatte.estimate_alpha(photo, trimap, method=method).alpha


def close(alpha: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.abs(alpha / 255 - wanted).max() <= 0.01)


def test_first_patch_is_the_whole_alpha(session: Session, photo: np.ndarray, trimap: np.ndarray) -> None:
    browser = Browser(session)
    assert close(browser.alpha, exact(photo, trimap))


def test_a_stroke_changes_what_is_about_it(session: Session, photo: np.ndarray, trimap: np.ndarray) -> None:
    browser = Browser(session)
    before = browser.alpha.copy()
    patch = browser.paint(2, 3, 8, 5, 255)
    assert not patch.exact
    assert (browser.alpha[3:8, 2:10] == 255).all()
    outside = np.ones(before.shape, bool)
    outside[patch.y : patch.y + patch.alpha.shape[0], patch.x : patch.x + patch.alpha.shape[1]] = False
    assert (browser.alpha[outside] == before[outside]).all()
    edited = trimap.copy()
    edited[3:8, 2:10] = 255
    assert browser.refine().exact
    assert close(browser.alpha, exact(photo, edited))


@pytest.mark.parametrize("method", [*ready_methods(), *WAYS])
def test_every_method_follows_strokes_at_once_and_ends_exact(
    body: bytes, photo: np.ndarray, trimap: np.ndarray, method: str
) -> None:
    browser = Browser(Session(body, method=method, trimap=trimap))
    edited = trimap.copy()
    for x, y, value in ((20, 20, 0), (40, 30, 255), (60, 10, 128)):
        browser.paint(x, y, 7, 6, value)
        edited[y : y + 6, x : x + 7] = value
        known = edited != 128
        assert (browser.alpha[known] == edited[known]).all()
    assert browser.refine().exact
    assert close(browser.alpha, exact(photo, edited, chosen(method, drawn=True).method if method in WAYS else method))


def test_erased_marks_give_back_the_automatic_trimap(session: Session) -> None:
    browser = Browser(session)
    before = browser.alpha.copy()
    browser.paint(30, 20, 9, 9, 0)
    assert (browser.alpha != before).any()
    browser.paint(30, 20, 9, 9, 1)
    browser.refine()
    assert np.abs(browser.alpha.astype(int) - before).max() <= 2


def test_a_lost_answer_brings_the_whole(session: Session) -> None:
    browser = Browser(session)
    session.paint(0, 0, np.full((4, 4), 255, np.uint8), browser.version)  # its answer never arrives
    patch = session.paint(0, 0, np.full((4, 4), 255, np.uint8), browser.version)
    assert patch.alpha.shape == session.size
    browser.take(patch)
    assert (browser.alpha[:4, :4] == 255).all()


def test_the_same_marks_again_change_nothing(session: Session) -> None:
    browser = Browser(session)
    browser.paint(10, 10, 5, 5, 255)
    browser.refine()
    patch = browser.paint(10, 10, 5, 5, 255)
    assert patch.alpha.size == 0
    assert patch.exact


def test_a_stroke_during_the_exact_solve_is_not_lost(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(session)
    browser.paint(10, 10, 5, 5, 255)
    solve = module.quiet_cutout  # type: ignore[attr-defined]

    def interrupted(*arguments: object) -> object:
        monkeypatch.setattr(module, "quiet_cutout", solve)
        browser.paint(70, 50, 5, 5, 255)
        return solve(*arguments)

    monkeypatch.setattr(module, "quiet_cutout", interrupted)
    assert not browser.refine().exact
    assert (browser.alpha[50:55, 70:75] == 255).all()
    assert browser.refine().exact


def test_band_and_method_change_while_marks_stay(body: bytes) -> None:
    session = Session(body)
    browser = Browser(session)
    browser.paint(0, 0, 6, 6, 255)
    unknown = np.count_nonzero(session.auto == 128)
    session.change(band=0.2)
    session.change(method="large-kernel")
    browser.refine()
    assert np.count_nonzero(session.auto == 128) > unknown
    assert (session.state()["method"], session.state()["band"]) == ("large-kernel", 0.2)
    assert (browser.alpha[:6, :6] == 255).all()


def test_a_stroke_during_a_change_of_band_is_not_lost(
    body: bytes, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(body, method="closed-form")
    browser = Browser(session)
    solve = module.quiet_cutout  # type: ignore[attr-defined]

    def interrupted(*arguments: object) -> object:
        monkeypatch.setattr(module, "quiet_cutout", solve)
        browser.paint(70, 50, 5, 5, 255)
        return solve(*arguments)

    monkeypatch.setattr(module, "quiet_cutout", interrupted)
    before = session.auto
    session.change(band=0.2)
    assert (session.auto != before).any()
    assert browser.refine().exact
    assert (browser.alpha[50:55, 70:75] == 255).all()
    edited = session.auto.copy()
    edited[50:55, 70:75] = 255
    assert close(browser.alpha, exact(photo, edited))


def test_large_photos_are_edited_small_and_downloaded_large(
    photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EDIT_PIXELS", photo.shape[0] * photo.shape[1] // 4)
    session = Session(file_of(photo), trimap=trimap)
    assert (session.size, session.full_size) == ((36, 48), (72, 96))
    session.paint(0, 0, np.full((5, 5), 255, np.uint8))
    alpha = np.asarray(Image.open(io.BytesIO(session.download("alpha.png").body)))
    assert alpha.shape == (72, 96)
    assert (alpha[:10, :10] == 255).all()


def test_downloads_keep_the_resolution_and_say_what_they_lack() -> None:
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[20:, 30:50] = 240
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG", dpi=(300, 300))
    session = Session(stream.getvalue(), trimap=np.where(photo[..., 0] > 0, 255, 0).astype(np.uint8))
    for name in DOWNLOADS:
        options: dict[str, Any] = {"background": "white"} if name.endswith("jpg") else {}
        file = session.download(name, **options)
        assert read_picture(file.body).metadata.dpi == (300, 300)
        assert not file.notes
    assert session.download("cutout.png", cast_shadow="contact").notes == [NO_CONTACT]


def test_downloads_are_what_the_library_makes(session: Session, body: bytes) -> None:
    session.paint(5, 5, np.full((6, 6), 255, np.uint8))
    trimap = np.asarray(Image.open(io.BytesIO(session.download("trimap.png").body)))
    assert (trimap[5:11, 5:11] == 255).all()
    result = trimatte.cutout(body, trimap=trimap, method="closed-form")
    alpha = np.asarray(Image.open(io.BytesIO(session.download("alpha.png").body)))
    assert close(alpha, result.alpha)
    for name, format in (("cutout.png", "PNG"), ("cutout.webp", "WEBP")):
        picture = Image.open(io.BytesIO(session.download(name).body))
        assert (picture.format, picture.mode, picture.size) == (format, "RGBA", (96, 72))
        assert close(np.asarray(picture)[..., 3], result.alpha)


def test_the_photos_own_alpha_bounds_what_is_shown(photo: np.ndarray, trimap: np.ndarray) -> None:
    own = np.full(photo.shape[:2], 255, np.uint8)
    own[:, :40] = 100
    browser = Browser(Session(file_of(np.dstack([photo, own])), trimap=trimap))
    assert browser.alpha[:, :40].max() == 100
    assert browser.alpha[:, 40:].max() == 255


def test_a_photo_without_subject_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        importlib.import_module("trimatte.cutout"),
        "segment",
        lambda image, **options: np.zeros(image.shape[:2], np.float32),
    )
    session = Session(file_of(np.full((40, 50, 3), 90, np.uint8)))
    assert session.state()["notes"] == ["no subject found"]
    assert session.state()["unsure"] is True
    browser = Browser(session)
    assert browser.alpha.max() == 0
    browser.paint(10, 10, 10, 10, 255)
    assert (browser.alpha[10:20, 10:20] == 255).all()


def test_foreground_and_photo_are_jpegs_of_the_edited_size(session: Session) -> None:
    for data in (session.photo(), session.foreground()):
        picture = Image.open(io.BytesIO(data))
        assert (picture.format, picture.size) == ("JPEG", (96, 72))


@pytest.mark.parametrize(
    ("x", "y", "marks", "said"),
    [
        (-1, 0, np.ones((2, 2), np.uint8), "x, width"),
        (95, 0, np.ones((2, 2), np.uint8), "x, width"),
        (0, 71, np.ones((2, 2), np.uint8), "y, height"),
        (0, 0, np.ones((0, 2), np.uint8), "x, width"),
        (0, 0, np.full((2, 2), 7, np.uint8), "marks: got 7"),
    ],
)
def test_bad_marks_are_refused_and_change_nothing(
    session: Session, x: int, y: int, marks: np.ndarray, said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        session.paint(x, y, marks)
    assert (session.marks == 1).all()


def test_bad_options_are_refused(body: bytes, trimap: np.ndarray, session: Session) -> None:
    with pytest.raises(ArgumentError, match="method: got 'modnet', wanted one of balanced, fast, best, closed-form"):
        Session(body, method="modnet")
    with pytest.raises(ArgumentError, match=r"band: got 0\.9, wanted 0\.005 to 0\.3"):
        Session(body, band=0.9)
    with pytest.raises(ArgumentError, match="band: got nan"):
        session.change(band=float("nan"))
    with pytest.raises(ArgumentError, match="the trimap was given"):
        session.change(band=0.1)
    with pytest.raises(ArgumentError, match="trimap"):
        Session(body, trimap=trimap[1:])


def test_bad_photos_are_refused(body: bytes) -> None:
    with pytest.raises(ImageReadError):
        Session(b"no picture")
    with pytest.raises(ImageTooLargeError):
        Session(body, max_pixels=100)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_sessions_end_when_idle(body: bytes, trimap: np.ndarray) -> None:
    clock = Clock()
    sessions = Sessions(idle_seconds=60, clock=clock)
    first, second = (sessions.open(body, trimap=trimap) for _ in range(2))
    clock.now = 50
    assert sessions[first].name == "photo"
    clock.now = 100
    assert sessions[first]
    with pytest.raises(NoSessionError):
        sessions[second]
    sessions.close(first)
    sessions.close(first)
    assert len(sessions) == 0


def test_sessions_are_bounded_in_number(body: bytes, trimap: np.ndarray) -> None:
    clock = Clock()
    sessions = Sessions(most=2, spare_seconds=10, clock=clock)
    first = sessions.open(body, trimap=trimap)
    clock.now = 5
    second = sessions.open(body, trimap=trimap)
    with pytest.raises(SessionsFullError):
        sessions.open(body, trimap=trimap)
    clock.now = 12
    third = sessions.open(body, trimap=trimap)
    assert sessions[second] is not sessions[third]
    with pytest.raises(NoSessionError):
        sessions[first]


def test_sessions_are_bounded_in_memory(body: bytes, trimap: np.ndarray) -> None:
    size = Session(body, trimap=trimap).nbytes()
    assert size > 20 * trimap.size
    sessions = Sessions(max_bytes=2 * size)
    for _ in range(2):
        sessions.open(body, trimap=trimap)
    with pytest.raises(SessionsFullError):
        sessions.open(body, trimap=trimap)
    assert len(sessions) == 2


def test_a_bad_photo_takes_no_place(body: bytes, trimap: np.ndarray) -> None:
    sessions = Sessions(most=1)
    with pytest.raises(ImageReadError):
        sessions.open(b"no picture")
    assert sessions[sessions.open(body, trimap=trimap)]


def test_ids_are_long_and_differ(body: bytes, trimap: np.ndarray) -> None:
    sessions = Sessions()
    ids = {sessions.open(body, trimap=trimap) for _ in range(8)}
    assert len(ids) == 8
    assert min(map(len, ids)) >= 24


def test_kernels_run_one_by_one_where_threads_cannot_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = "workqueue"
    monkeypatch.setattr("numba.np.ufunc.parallel.threading_layer", lambda: layer)
    with module._kernels():
        assert module._one_by_one.locked()
    layer = "omp"
    with module._kernels():
        assert not module._one_by_one.locked()


def two(photo: np.ndarray) -> bytes:
    """A file of two subjects alike, side by side."""
    return file_of(np.concatenate([photo, photo], axis=1))


def test_clicks_choose_the_subject_and_are_taken_back(photo: np.ndarray) -> None:
    session = Session(two(photo), method="closed-form")
    width, browser = photo.shape[1], Browser(session)
    before, trimap = browser.alpha.copy(), session.auto
    clicks: list[module.Click] = [("add", 48, 36), ("remove", width + 48, 36)]
    patch = browser.take(session.click(clicks, browser.version))
    assert not patch.exact
    shown = browser.alpha.copy()
    assert browser.refine().exact
    for alpha in (shown, browser.alpha):
        assert alpha[:, :width].mean() > 3 * alpha[:, width:].mean()
    exact_alpha = exact(np.concatenate([photo, photo], axis=1), session.auto)
    assert close(browser.alpha, exact_alpha)
    browser.take(session.click([("box", 0, 0, width, 72)], browser.version))
    assert browser.alpha[:, :width].mean() > 3 * browser.alpha[:, width:].mean()
    browser.take(session.click([], browser.version))
    np.testing.assert_array_equal(session.auto, trimap)
    browser.refine()
    np.testing.assert_allclose(browser.alpha, before, atol=2)


def test_strokes_hold_over_clicks_and_the_band_goes_with_them(photo: np.ndarray) -> None:
    session = Session(two(photo))
    browser = Browser(session)
    browser.paint(0, 0, 10, 10, 255)
    browser.take(session.click([("add", 48, 36)], browser.version))
    browser.paint(20, 0, 10, 10, 255)
    assert (browser.alpha[:10, [0, 9, 20, 29]] == 255).all()
    before = (session.auto == 128).sum()
    session.change(band=0.2)
    assert (session.auto == 128).sum() > before
    browser.refine()
    assert (browser.alpha[:10, [0, 9, 20, 29]] == 255).all()


def test_clicks_after_a_trimap_begin_with_nothing(session: Session, photo: np.ndarray, truth: np.ndarray) -> None:
    browser, given = Browser(session), session.auto
    assert session.state()["band"] is None
    browser.take(session.click([("add", 48, 36)], browser.version))
    assert session.state()["band"] == 0.05
    assert np.abs(browser.alpha / 255 - truth).mean() < 0.1
    session.click([])
    np.testing.assert_array_equal(session.auto, given)


def test_a_click_outside_is_refused_and_the_session_goes_on(session: Session) -> None:
    before = session.nbytes()
    with pytest.raises(ArgumentError, match=r"outside of the photo of 96 x 72 pixels"):
        session.click([("add", 96, 5)])
    assert session.click([("add", 48, 36)]).alpha.any()
    assert session.nbytes() > before


def test_the_first_answer_is_that_of_the_library(body: bytes) -> None:
    """By the same quality, with what colours decide."""
    wanted = trimatte.cutout(body)
    assert wanted.report.decided > 0
    session = Session(body)
    assert session.state()["method"] == USUAL == wanted.report.quality
    browser = Browser(session)
    assert close(browser.alpha, wanted.alpha)
    np.testing.assert_array_equal(session.auto, wanted.trimap)
    assert close(pixels_of(session.download("cutout.png").body)[..., 3], wanted.alpha)
    session.paint(0, 0, np.full((4, 4), 255, np.uint8))
    session.refine()
    session.paint(0, 0, np.full((4, 4), 1, np.uint8))
    assert close(browser.take(session.refine()).alpha, wanted.alpha)


def test_what_is_said_of_a_photos_file_is_no_doubt_in_the_cut_out(photo: np.ndarray, trimap: np.ndarray) -> None:
    Image.fromarray(photo).save(stream := io.BytesIO(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + bytes(20))
    session = Session(stream.getvalue(), trimap=file_of(trimap))
    assert "some of its EXIF is damaged" in session.state()["notes"][0]
    assert session.state()["unsure"] is False


def test_a_picture_cut_out_already_begins_as_it_is(photo: np.ndarray, truth: np.ndarray) -> None:
    own = np.round(255 * truth).astype(np.uint8)
    session = Session(file_of(np.dstack([photo, own])), backdrop="auto")
    np.testing.assert_array_equal(Browser(session).alpha, own)
    assert session.state()["backdrop"] is None
    assert "kept" in session.state()["notes"][0]


def test_a_large_picture_with_holes_of_its_own(photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.kron(photo, np.ones((4, 4, 1), np.uint8))
    monkeypatch.setattr(module, "EDIT_PIXELS", photo.shape[0] * photo.shape[1] // 4)
    own = np.full(photo.shape[:2], 255, np.uint8)
    own[120:160, 160:200] = 0
    browser = Browser(Session(file_of(np.dstack([photo, own]))))
    assert browser.alpha[62:78, 82:98].max() == 0
    assert browser.alpha[104, 84] == 255


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


GREY = (200, 201, 199)


def before_grey(shadow: bool = False) -> np.ndarray:
    """A photo (90, 120, 3) of two dark discs before grey, the first with its shadow below."""
    y, x = np.mgrid[:90, :120].astype(np.float32)
    ground = np.broadcast_to(np.float32(GREY), (90, 120, 3)) + np.random.default_rng(0).normal(0, 1, (90, 120, 3))
    if shadow:
        fall = np.exp(-(((x - 35) / 22) ** 2 + ((y - 66) / 9) ** 2))
        ground = ground * (1 - 0.5 * fall[..., None])
    alpha = np.clip(21 - np.minimum(np.hypot(y - 42, x - 35), np.hypot(y - 42, x - 90) + 6), 0, 1)[..., None]
    return np.round(np.clip(alpha * (40, 60, 140) + (1 - alpha) * ground, 0, 255)).astype(np.uint8)


@pytest.fixture
def sees_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter that is sure of both discs."""

    def segment(image: np.ndarray, **options: object) -> np.ndarray:
        return np.where(image[..., 2] - image[..., 0] > 0.15, 0.98, 0.01).astype(np.float32)

    monkeypatch.setattr(importlib.import_module("trimatte.cutout"), "segment", segment)


@pytest.mark.usefixtures("sees_both")
def test_a_plain_backdrop_is_found_and_cut_away_as_by_the_library() -> None:
    body = file_of(before_grey())
    session = Session(body, backdrop="auto")
    wanted = trimatte.cutout(body, backdrop="auto")
    state = session.state()
    assert state["found"] == wanted.report.backdrop != ""
    assert state["foundNote"] == wanted.report.backdrop_note == "100% of the border is of one colour"
    browser = Browser(session)
    assert close(browser.alpha, wanted.alpha)
    assert close(pixels_of(session.download("cutout.png").body)[..., 3], wanted.alpha)
    colours = pixels_of(session.foreground()).astype(int)
    assert np.abs(colours - 255 * wanted.foreground)[wanted.alpha > 0.5].mean() < 4
    session.change(backdrop="off")
    assert session.state()["found"] == ""
    assert close(browser.take(session.refine()).alpha, trimatte.cutout(body).alpha)


@pytest.mark.usefixtures("sees_both")
def test_marks_and_clicks_hold_before_a_plain_backdrop() -> None:
    session = Session(file_of(before_grey()), backdrop="auto")
    browser = Browser(session)
    before = browser.alpha.copy()
    patch = browser.paint(30, 38, 8, 6, 0)
    assert not patch.exact
    browser.paint(2, 2, 6, 5, 255)
    browser.paint(86, 38, 8, 8, 128)
    kept = np.ones(before.shape, bool)
    for part in (np.s_[38:44, 30:38], np.s_[2:7, 2:8], np.s_[38:46, 86:94]):
        kept[part] = False
    for alpha in (browser.alpha, browser.take(session.refine()).alpha, alpha_of(session)):
        assert (alpha[38:44, 30:38] == 0).all()
        assert (alpha[2:7, 2:8] == 255).all()
        assert np.abs(alpha.astype(int) - before)[kept].max() <= 20
    assert (session.auto[38:46, 86:94] == 128).all()
    browser.paint(0, 0, 120, 90, 1)
    browser.refine()
    np.testing.assert_array_equal(browser.alpha, before)
    browser.take(session.click([("add", 35, 42), ("remove", 90, 42)], browser.version))
    browser.refine()
    for alpha in (browser.alpha, alpha_of(session)):
        assert alpha[42, 35] == 255
        assert alpha[20:64, 70:].max() < 30


def alpha_of(session: Session) -> np.ndarray:
    return pixels_of(session.download("cutout.png").body)[..., 3]


@pytest.mark.usefixtures("sees_both")
def test_shadows_are_kept_or_dropped_and_can_be_painted_away() -> None:
    session = Session(file_of(before_grey(shadow=True)), backdrop="auto")
    place = np.s_[64:68, 30:40]
    browser = Browser(session)
    assert browser.alpha[place].max() < 30
    session.change(shadow="keep")
    browser.refine()
    assert browser.alpha[place].min() > 60
    cut = pixels_of(session.download("cutout.png").body)
    assert cut[(*place, 3)].min() > 60
    assert cut[place][..., :3].max() < 30
    assert pixels_of(session.foreground())[place].max() < 60
    browser.paint(30, 64, 10, 4, 0)
    for alpha in (browser.alpha, browser.take(session.refine()).alpha, alpha_of(session)):
        assert alpha[place].max() == 0


@pytest.mark.usefixtures("sees_both")
def test_a_backdrop_that_the_photo_has_not_is_none_and_says_why() -> None:
    body = file_of(before_grey())
    session = Session(body, backdrop="#00ff00")
    state = session.state()
    assert (state["backdrop"], state["found"]) == ("#00ff00", "")
    assert "which 0% of the picture's border has" in state["foundNote"]
    ordinary = trimatte.cutout(body).alpha
    assert close(Browser(session).alpha, ordinary)
    assert close(alpha_of(session), ordinary)
    session.change(backdrop="#c8c9c7")
    assert session.state()["found"] != ""
    noisy = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    session = Session(file_of(noisy), backdrop="auto")
    assert session.state()["found"] == ""
    assert "wanted 50%" in session.state()["foundNote"]


def test_bad_backdrops_are_refused(body: bytes, trimap: np.ndarray, session: Session) -> None:
    for wrong in ("mauvish", "#12", ""):
        with pytest.raises(ArgumentError, match="backdrop: got"):
            Session(body, backdrop=wrong)
    with pytest.raises(ArgumentError, match="shadow: got 'long', wanted drop or keep"):
        Session(body, shadow="long")
    with pytest.raises(ArgumentError, match="backdrop: the trimap was given"):
        Session(body, trimap=trimap, backdrop="auto")
    session.click([("add", 48, 36)])
    with pytest.raises(ArgumentError, match="backdrop: the trimap was given"):
        session.change(backdrop="auto")
    assert session.state()["backdrop"] is None
