"""Sessions of the editor: marks in, patches of alpha out, within bounds."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import trimatte
from trimatte.alpha import ready_methods
from trimatte.alpha.prepared import PreparedAlpha
from trimatte.errors import ArgumentError, ImageReadError, ImageTooLargeError
from trimatte.selection import Selection
from trimatte.server.editor import session as module
from trimatte.server.editor.session import Session
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
    return Session(body, "disc.png", trimap=trimap)


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


@pytest.mark.parametrize("method", ready_methods())
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
    assert close(browser.alpha, exact(photo, edited, method))


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
    solve = PreparedAlpha.solve

    def interrupted(self: PreparedAlpha) -> object:
        monkeypatch.setattr(PreparedAlpha, "solve", solve)
        browser.paint(70, 50, 5, 5, 255)
        return solve(self)

    monkeypatch.setattr(PreparedAlpha, "solve", interrupted)
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


def test_the_exact_solve_during_a_change_of_band_takes_the_new_trimap(
    body: bytes, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(body)
    browser = Browser(session)
    prepare = module.prepare_alpha  # type: ignore[attr-defined]

    def interrupted(*arrays: np.ndarray, **options: str) -> PreparedAlpha:
        assert browser.refine().exact
        assert close(browser.alpha, exact(photo, session.auto))
        return prepare(*arrays, **options)

    monkeypatch.setattr(module, "prepare_alpha", interrupted)
    before = session.auto
    session.change(band=0.2)
    assert (session.auto != before).any()


def test_large_photos_are_edited_small_and_downloaded_large(
    photo: np.ndarray, trimap: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EDIT_PIXELS", photo.shape[0] * photo.shape[1] // 4)
    session = Session(file_of(photo), trimap=trimap)
    assert (session.size, session.full_size) == ((36, 48), (72, 96))
    session.paint(0, 0, np.full((5, 5), 255, np.uint8))
    alpha = np.asarray(Image.open(io.BytesIO(session.download("alpha.png"))))
    assert alpha.shape == (72, 96)
    assert (alpha[:10, :10] == 255).all()


def test_downloads_are_what_the_library_makes(session: Session, body: bytes) -> None:
    session.paint(5, 5, np.full((6, 6), 255, np.uint8))
    trimap = np.asarray(Image.open(io.BytesIO(session.download("trimap.png"))))
    assert (trimap[5:11, 5:11] == 255).all()
    result = trimatte.cutout(body, trimap=trimap, method=session.state()["method"])
    alpha = np.asarray(Image.open(io.BytesIO(session.download("alpha.png"))))
    assert close(alpha, result.alpha)
    for name, format in (("cutout.png", "PNG"), ("cutout.webp", "WEBP")):
        picture = Image.open(io.BytesIO(session.download(name)))
        assert (picture.format, picture.mode, picture.size) == (format, "RGBA", (96, 72))
        assert close(np.asarray(picture)[..., 3], result.alpha)


def test_the_photos_own_alpha_bounds_what_is_shown(photo: np.ndarray, trimap: np.ndarray) -> None:
    own = np.full(photo.shape[:2], 255, np.uint8)
    own[:, :40] = 100
    browser = Browser(Session(file_of(np.dstack([photo, own])), trimap=trimap))
    assert browser.alpha[:, :40].max() == 100
    assert browser.alpha[:, 40:].max() == 255


def test_a_photo_without_subject_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Selection, "probability", np.zeros((40, 50), np.float32))
    session = Session(file_of(np.full((40, 50, 3), 90, np.uint8)))
    assert session.state()["notes"] == ["no subject found"]
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
    with pytest.raises(ArgumentError, match="method: got 'modnet', wanted one of closed-form"):
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
    session = Session(two(photo))
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
