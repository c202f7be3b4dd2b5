"""The editor as people use it: `trimatte edit`, and a real browser."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]

SIZE = 240, 320
"""Height and width of the photo."""


def disc() -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) of a light disc before a dark ground, and its trimap (H, W)."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    distance = np.hypot(y - 120, x - 160)
    alpha = np.clip((74 - distance) / 8, 0, 1)[..., None]
    noise = np.random.default_rng(0).normal(0, 0.01, (*SIZE, 3))
    mixed = alpha * np.array([0.95, 0.85, 0.75]) + (1 - alpha) * np.array([0.05, 0.1, 0.25]) + noise
    trimap = np.where(distance < 62, 255, np.where(distance > 82, 0, 128)).astype(np.uint8)
    return np.round(np.clip(mixed, 0, 1) * 255).astype(np.uint8), trimap


@pytest.fixture(scope="module")
def photo_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("editor")
    photo, trimap = disc()
    Image.fromarray(photo).save(folder / "disc.png")
    Image.fromarray(trimap).save(folder / "trimap.png")
    return folder / "disc.png"


@pytest.fixture(scope="module")
def address(photo_path: Path) -> Iterator[str]:
    """Where `trimatte edit` says that it is, with the photo open."""
    trimap = photo_path.with_name("trimap.png")
    command = [sys.executable, "-m", "trimatte", "edit", str(photo_path), "--trimap", str(trimap), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/#\S+", process.stdout.readline())
        assert found
        yield found.group()
        process.terminate()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """A page of the editor that must not complain, nor ask anyone but its server."""

    def __init__(self, chromium: Any, address: str, **options: Any) -> None:
        self.address = address
        self.context = chromium.new_context(**{"viewport": {"width": 1100, "height": 760}, **options})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self) -> None:
        self.page.goto(self.address)
        self.settled()
        self.choose("brush", "255")

    def settled(self) -> None:
        """Wait until alpha is exact."""
        self.page.wait_for_selector('#pill[data-kind="exact"]', timeout=30_000)

    def until(self, holds: Callable[[], bool]) -> None:
        for _ in range(600):
            if holds():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("it never came to hold")

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen, fitted to the window as it is."""
        box = self.page.locator("#stage").bounding_box()
        margin, room = min(24, box["width"] / 24), box["height"] - min(48, box["height"] / 10)
        scale = min((box["width"] - 2 * margin) / SIZE[1], (room - 2 * margin) / SIZE[0])
        left, top = (box["width"] - SIZE[1] * scale) / 2, (room - SIZE[0] * scale) / 2
        return box["x"] + left + x * scale, box["y"] + top + y * scale

    def stroke(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=4)
        self.page.mouse.up()

    def choose(self, name: str, value: str) -> None:
        self.page.locator(f'input[name="{name}"][value="{value}"]').check(force=True)

    def download(self, what: str) -> np.ndarray:
        self.page.click("#download")
        with self.page.expect_download() as waiting:
            self.page.click(f'[data-download="{what}"]')
        assert waiting.value.suggested_filename.endswith(f"-{what}")
        return np.asarray(Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes())))

    def colour(self, x: float, y: float) -> np.ndarray:
        """What the canvas shows of a pixel of the picture."""
        box, (left, top) = self.page.locator("#stage").bounding_box(), self.place(x, y)
        return np.array(self.page.evaluate(PIXEL, [left - box["x"], top - box["y"]]))


@pytest.fixture
def make_page(chromium: Any, address: str) -> Iterator[Callable[..., Page]]:
    """`make_page(viewport=...)`: a page with the photo; at the end its complaints and requests are looked at."""
    pages: list[Page] = []

    def make(**options: Any) -> Page:
        pages.append(Page(chromium, options.pop("address", address), **options))
        return pages[-1]

    yield make
    for page in pages:
        page.context.close()
        assert page.complaints == []
        origin = address.partition("#")[0]
        assert all(url.startswith((origin, "blob:" + origin)) for url in page.asked)


def near(colour: np.ndarray, wanted: tuple[int, int, int]) -> bool:
    return bool(np.abs(colour - wanted).max() <= 24)


PIXEL = """([x, y]) => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
  const copy = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const [left, top] = [x, y].map((at) => Math.floor(at * devicePixelRatio));
  copy.drawImage(document.getElementById('stage'), -left, -top);
  resolve([...copy.getImageData(0, 0, 1, 1).data].slice(0, 3));
})))"""
"""What the canvas shows at a place, once it is drawn."""

SUBJECT, GROUND = (242, 217, 191), (13, 26, 64)


def test_a_stroke_shows_at_once_and_is_undone(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    page.choose("backdrop", "#ffffff")
    assert near(page.colour(160, 120), SUBJECT)
    assert near(page.colour(20, 20), (255, 255, 255))
    page.page.evaluate("addEventListener('trimatte-alpha', (event) => (window.shown ??= []).push(event.detail))")
    page.choose("brush", "0")
    page.stroke((130, 120), (190, 120))
    page.until(lambda: page.page.evaluate("!!window.shown?.at(-1)?.exact"))
    first = page.page.evaluate("shown[0]")
    assert (first["exact"], first["ms"] >= 0) == (False, True)
    page.page.mouse.move(5, 5)
    page.until(lambda: near(page.colour(160, 120), (255, 255, 255)))
    page.page.keyboard.press("Control+z")
    page.until(lambda: near(page.colour(160, 120), SUBJECT))
    page.page.keyboard.press("Control+Shift+z")
    page.until(lambda: near(page.colour(160, 120), (255, 255, 255)))
    page.page.click("#clear")
    page.until(lambda: near(page.colour(160, 120), SUBJECT))
    page.page.click("#undo")
    page.until(lambda: near(page.colour(160, 120), (255, 255, 255)))
    page.page.click("#clear")
    page.settled()


def test_the_removed_part_shows_faintly(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    checks = [(255, 255, 255), (226, 226, 226)]

    def faint(colour: np.ndarray) -> bool:
        return any(np.abs(colour - (0.75 * np.array(check) + 0.25 * np.array(GROUND))).max() <= 8 for check in checks)

    assert near(page.colour(160, 120), SUBJECT)
    assert faint(page.colour(20, 20))
    page.choose("brush", "255")
    page.stroke((20, 20), (60, 20))
    page.until(lambda: near(page.colour(40, 20), GROUND))
    page.page.click("#clear")
    page.until(lambda: faint(page.colour(40, 20)))
    page.settled()
    page.choose("backdrop", "#ffffff")
    assert near(page.colour(20, 20), (255, 255, 255))
    page.choose("backdrop", "checks")
    page.page.keyboard.press("r")
    assert any(np.abs(page.colour(20, 20) - check).max() <= 2 for check in checks)
    assert not page.page.locator("#removed").is_checked()


def test_without_a_subject_the_photo_is_there_to_paint_on(
    make_page: Callable[..., Page], address: str, tmp_path: Path
) -> None:
    ground = (120, 140, 90)
    Image.new("RGB", SIZE[::-1], ground).save(tmp_path / "nothing.png")
    page = make_page(address=address.partition("#")[0])
    page.page.goto(page.address)
    page.page.set_input_files("#photo-file", tmp_path / "nothing.png")
    page.settled()
    assert "o subject" in (page.page.text_content("#trouble-text") or "")
    for backdrop in ("checks", "#000000"):
        page.choose("backdrop", backdrop)
        assert near(page.colour(160, 120), ground)
    page.page.click("#again")
    page.choose("brush", "255")
    page.stroke((150, 120), (170, 120))
    page.choose("brush", "0")
    page.stroke((20, 20), (60, 20))
    page.until(lambda: near(page.colour(40, 20), (0, 0, 0)))
    assert near(page.colour(160, 120), ground)
    page.page.click("#clear")
    page.until(lambda: near(page.colour(40, 20), ground))


def two_discs(folder: Path) -> Path:
    """A photo of two discs alike."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    disc = np.minimum(np.hypot(y - 120, x - 80), np.hypot(y - 120, x - 240)) < 60
    noise = np.random.default_rng(0).normal(0, 4, (*SIZE, 3))
    photo = np.where(disc[..., None], SUBJECT, GROUND) + noise
    Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).save(folder / "two.png")
    return folder / "two.png"


def open_two(page: Page, folder: Path) -> None:
    page.page.goto(page.address)
    page.page.set_input_files("#photo-file", two_discs(folder))
    page.settled()
    page.choose("backdrop", "#ffffff")
    page.page.mouse.move(2, 2)


WHITE = (255, 255, 255)
LEFT, RIGHT = (80, 120), (240, 120)


def shows(page: Page, left: bool, right: bool) -> bool:
    """Whether of the two discs these are kept, looked at beside the clicks."""
    kept = [
        near(page.colour(x + 25, y + 25), SUBJECT if keep else WHITE) for (x, y), keep in ((LEFT, left), (RIGHT, right))
    ]
    return all(kept)


def test_clicks_say_what_the_subject_is(make_page: Callable[..., Page], address: str, tmp_path: Path) -> None:
    page = make_page(address=address.partition("#")[0])
    open_two(page, tmp_path)
    assert page.page.is_checked('input[name="brush"][value="click"]')
    page.page.evaluate("addEventListener('trimatte-alpha', (event) => (window.shown ??= []).push(event.detail))")
    page.page.mouse.click(*page.place(*LEFT))
    page.page.mouse.click(*page.place(*RIGHT), button="right")
    page.until(lambda: shows(page, left=True, right=False))
    assert page.page.evaluate("shown[0].ms") >= 0
    page.settled()
    page.page.keyboard.press("Control+z")
    page.page.keyboard.press("Control+z")
    page.page.keyboard.down("Alt")
    page.page.mouse.click(*page.place(*LEFT))
    page.page.keyboard.up("Alt")
    page.page.mouse.click(*page.place(*RIGHT))
    page.until(lambda: shows(page, left=False, right=True))
    page.page.reload()
    page.settled()
    page.choose("backdrop", "#ffffff")
    page.until(lambda: shows(page, left=False, right=True))
    page.page.click("#clear")
    page.page.keyboard.down("Shift")
    page.stroke((12, 50), (150, 190))
    page.page.keyboard.up("Shift")
    page.until(lambda: near(page.colour(105, 145), SUBJECT))
    page.settled()
    assert page.download("trimap.png")[145, 105] == 255


def test_clicks_by_keyboard_and_by_finger(make_page: Callable[..., Page], address: str, tmp_path: Path) -> None:
    page = make_page(address=address.partition("#")[0], has_touch=True)
    open_two(page, tmp_path)
    page.page.touchscreen.tap(*page.place(*LEFT))
    page.choose("pointing", "remove")
    page.page.touchscreen.tap(*page.place(*RIGHT))
    page.until(lambda: shows(page, left=True, right=False))
    page.page.click("#clear")
    page.choose("brush", "255")
    page.page.locator("#stage").focus()
    page.page.keyboard.press("p")
    assert page.page.is_checked('input[name="brush"][value="click"]')
    page.choose("pointing", "add")
    page.page.locator("#stage").focus()
    for _ in range(8):
        page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("Shift+Enter")
    assert page.page.text_content("#live") == "Removed."
    page.settled()
    page.page.keyboard.press("Enter")
    page.settled()
    assert not page.page.is_disabled("#undo")


def test_views_backdrops_and_the_slider(make_page: Callable[..., Page], tmp_path: Path) -> None:
    page = make_page()
    page.open()
    for mode, subject, ground in (
        ("alpha", (255, 255, 255), (0, 0, 0)),
        ("photo", SUBJECT, GROUND),
        ("cutout", SUBJECT, (0, 0, 0)),
    ):
        page.choose("mode", mode)
        page.choose("backdrop", "#000000")
        assert near(page.colour(160, 120), subject)
        assert near(page.colour(20, 20), ground)
    page.choose("mode", "marks")
    blue, orange = page.colour(160, 120) - SUBJECT, page.colour(20, 20) - GROUND
    assert blue.argmax() == 2
    assert orange.argmax() == 0
    page.choose("mode", "cutout")
    page.page.check("#compare")
    page.page.locator("#split").press("End")
    assert near(page.colour(20, 20), GROUND)
    page.page.locator("#split").press("Home")
    assert near(page.colour(20, 20), (0, 0, 0))
    handle, to = page.page.locator("#split span").bounding_box(), page.place(80, 120)
    page.page.mouse.move(handle["x"] + 19, handle["y"] + 19)
    page.page.mouse.down()
    page.page.mouse.move(*to)
    page.page.mouse.up()
    assert page.page.get_attribute("#split", "aria-valuenow") == "25"
    assert near(page.colour(20, 20), GROUND)
    assert near(page.colour(300, 20), (0, 0, 0))
    Image.new("RGB", (30, 20), (200, 30, 60)).save(tmp_path / "red.png")
    with page.page.expect_file_chooser() as chooser:
        page.choose("backdrop", "image")
    chooser.value.set_files(tmp_path / "red.png")
    page.until(lambda: near(page.colour(300, 20), (200, 30, 60)))


def test_the_fitted_picture_lies_clear_of_the_buttons(make_page: Callable[..., Page]) -> None:
    page = make_page(viewport={"width": 1100, "height": 560})
    page.open()
    _, below = page.place(0, SIZE[0])
    assert all(below <= page.page.locator(what).bounding_box()["y"] for what in (".zoom", "#pill"))


def test_downloads_hold_the_strokes(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    page.stroke((20, 20), (60, 20))
    assert page.download("trimap.png")[20, 40] == 255
    assert page.download("alpha.png")[20, 40] == 255
    for what in ("cutout.png", "cutout.webp"):
        cutout = page.download(what)
        assert cutout.shape == (*SIZE, 4)
        assert cutout[20, 40, 3] == 255
        assert cutout[220, 300, 3] == 0
    page.page.click("#clear")
    page.settled()


def test_a_download_as_shown(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()

    def exported(**values: str) -> Image.Image:
        page.page.click("#download")
        page.page.click("#export-open")
        for name, value in values.items():
            field = page.page.locator(f'#export-form [name="{name}"]')
            if name == "crop":
                field.set_checked(value == "true", force=True)
            elif field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        with page.page.expect_download() as waiting:
            page.page.click("#export-form .primary")
        page.page.wait_for_selector("#export", state="hidden")
        return Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes()))

    page.choose("backdrop", "#000000")
    shown = exported(format="jpg", crop="true", margin="10%", size="120x100")
    assert (shown.format, shown.size) == ("JPEG", (120, 100))
    assert page.page.is_hidden("#trouble")
    picture = np.asarray(shown)
    assert picture[0].max() < 12
    assert picture[50, 60].min() > 150
    wide = exported(
        format="avif", crop="true", margin="10, 20, 10%, 7,5%", size="", aspect="2:1", dpi="300", outline="300"
    )
    assert (wide.format, round(wide.width / wide.height, 1)) == ("AVIF", 2)
    page.choose("backdrop", "checks")
    page.page.click("#download")
    page.page.click("#export-open")
    page.page.select_option("#export-preset", "marketplace")
    assert not page.page.is_visible("#export-form [name=crop]")  # it crops, whatever the switch says
    assert page.page.get_attribute("#export-form [name=margin]", "placeholder") == "as the preset"
    assert [page.page.input_value(f'#export-form [name="{name}"]') for name in ("margin", "size")] == ["", ""]
    assert page.page.input_value('#export-form [name="format"]') == "jpg"
    page.page.keyboard.press("Escape")
    page.choose("backdrop", "checks")
    sticker = exported(preset="sticker", format="jpg")
    assert (sticker.format, sticker.size, sticker.getpixel((0, 0))) == ("JPEG", (512, 512), (255, 255, 255))
    shop = exported(preset="marketplace", size="90x90", margin="")
    assert np.asarray(shop)[0].min() > 243
    page.page.reload()
    page.settled()
    page.page.click("#download")
    page.page.click("#export-open")
    assert page.page.input_value("#export-preset") == "marketplace"
    page.page.fill('#export-form [name="size"]', "60000x60000")
    page.page.click("#export-form .primary")
    page.until(lambda: "60000" in (page.page.text_content("#export-trouble") or ""))
    page.complaints = [text for text in page.complaints if "400" not in text]  # the browser's own line


def test_a_lasso_marks_what_it_goes_round(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    before = page.download("trimap.png")
    page.choose("brush", "0")
    page.page.keyboard.press("l")
    page.stroke((130, 90), (190, 90), (190, 150), (130, 150))
    page.settled()
    after = page.download("trimap.png")
    changed = np.argwhere(after != before)
    assert (after[95:145, 135:185] == 0).all()
    assert changed.min(0).tolist() == pytest.approx([90, 130], abs=2)
    assert changed.max(0).tolist() == pytest.approx([149, 189], abs=2)
    page.page.click("#undo")
    page.settled()
    np.testing.assert_array_equal(page.download("trimap.png"), before)
    page.stroke((20, 20), (20, 20))  # no area: nothing to undo
    assert page.page.is_disabled("#undo")


def test_a_soft_rim_is_unknown(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    page.page.fill("#soft", "50")
    page.page.fill("#size", "60")
    page.stroke((30, 30), (30, 200))
    page.settled()
    row = page.download("trimap.png")[110, :60]
    core, rim = np.flatnonzero(row == 255), np.flatnonzero(row == 128)
    assert core.size > 4
    assert rim[0] < core[0] < core[-1] < rim[-1]
    assert core.size == pytest.approx(rim.size, abs=3)


def test_the_cutout_is_copied(make_page: Callable[..., Page]) -> None:
    page = make_page(permissions=["clipboard-read", "clipboard-write"])
    page.open()
    page.choose("backdrop", "#ffffff")
    page.page.keyboard.press("Control+c")
    page.until(lambda: page.page.inner_text("#live") == "The cut-out is copied.")
    copied = page.page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          return [...new Uint8Array(await (await item.getType("image/png")).arrayBuffer())];
        }"""
    )
    image = np.asarray(Image.open(io.BytesIO(bytes(copied))).convert("RGB"))
    assert image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(image[5, 5], 255)
    assert near(image[120, 160], SUBJECT)


def test_several_photos_are_stepped_through(make_page: Callable[..., Page], tmp_path: Path) -> None:
    page = make_page()
    page.open()
    assert page.page.is_hidden("#strip")
    page.choose("brush", "0")
    page.stroke((150, 120), (170, 120))
    page.settled()
    marked = page.download("trimap.png")
    files = []
    for name in ("second.png", "third.png"):
        Image.fromarray(disc()[0][:, ::-1]).save(tmp_path / name)
        files.append(str(tmp_path / name))
    page.page.set_input_files("#photo-file", files)
    page.until(lambda: "second.png" in page.page.inner_text("#file"))
    page.settled()
    strip = page.page.locator("#strip .photo")
    assert strip.all_inner_texts() == ["disc.png", "second.png", "third.png"]
    page.page.keyboard.press("PageUp")
    page.until(lambda: "disc.png" in page.page.inner_text("#file"))
    page.settled()
    assert strip.nth(0).get_attribute("aria-current") == "true"
    np.testing.assert_array_equal(page.download("trimap.png"), marked)
    strip.nth(2).click()
    page.until(lambda: "third.png" in page.page.inner_text("#file"))
    page.settled()
    page.page.keyboard.press("PageDown")  # there is none
    assert "third.png" in page.page.inner_text("#file")
    page.page.click("#clear")
    strip.nth(0).click()
    page.until(lambda: "disc.png" in page.page.inner_text("#file"))
    page.settled()
    page.page.click("#clear")  # the module's session as it was
    page.settled()


def test_of_several_photos_those_that_cannot_be_read_are_named(make_page: Callable[..., Page], tmp_path: Path) -> None:
    page = make_page()
    page.open()
    for name in ("odd.png", "torn.png"):
        (tmp_path / name).write_text("no picture")
    Image.fromarray(disc()[0][:, ::-1]).save(tmp_path / "second.png")
    files = [str(tmp_path / name) for name in ("odd.png", "torn.png", "second.png")]
    page.page.set_input_files("#photo-file", files)
    page.until(lambda: "second.png" in page.page.inner_text("#file"))
    page.settled()
    page.until(
        lambda: "odd.png: " in page.page.inner_text("#trouble") and "torn.png: " in page.page.inner_text("#trouble")
    )
    strip = page.page.locator("#strip .photo")
    assert strip.all_inner_texts() == ["disc.png", "second.png"]
    assert strip.nth(1).get_attribute("aria-current") == "true"
    page.page.set_input_files("#photo-file", files[:1])
    page.until(
        lambda: "odd.png: " in page.page.inner_text("#trouble") and "torn" not in page.page.inner_text("#trouble")
    )
    assert strip.nth(1).get_attribute("aria-current") == "true"
    page.page.set_input_files("#photo-file", [files[2], files[1]])  # the second of which is not opened yet
    page.until(lambda: strip.all_inner_texts() == ["disc.png", "second.png", "second.png", "⚠ torn.png"])
    page.settled()
    page.complaints = [text for text in page.complaints if "status of 4" not in text]  # the browser's own lines


def test_photos_are_taken_out_of_the_strip(make_page: Callable[..., Page], tmp_path: Path) -> None:
    page = make_page()
    page.open()
    files = []
    for name in ("second.png", "third.png"):
        Image.fromarray(disc()[0][:, ::-1]).save(tmp_path / name)
        files.append(str(tmp_path / name))
    page.page.set_input_files("#photo-file", files)
    page.until(lambda: "second.png" in page.page.inner_text("#file"))
    page.settled()
    page.choose("brush", "0")
    page.stroke((150, 120), (170, 120))
    page.settled()
    marked = page.download("trimap.png")
    strip = page.page.locator("#strip .photo")
    with page.page.expect_response(lambda answer: answer.request.method == "DELETE") as ended:
        page.page.get_by_role("button", name="Take out second.png").click()  # the open one: the next takes its place
    assert ended.value.status == 204
    page.until(lambda: strip.all_inner_texts() == ["disc.png", "third.png"])
    assert "third.png" in page.page.inner_text("#file")
    assert page.page.inner_text("#trouble-text") == "second.png is taken out."
    for width in (390, 1100):
        page.page.set_viewport_size({"width": width, "height": 760})
        note, photos = (page.page.locator(part).bounding_box() for part in ("#trouble", "#strip"))
        assert note["x"] >= 0
        assert note["x"] + note["width"] <= width
        assert note["y"] >= photos["y"] + photos["height"]
    page.page.click("#again")  # Put back
    assert strip.all_inner_texts() == ["disc.png", "second.png", "third.png"]
    strip.nth(1).click()
    page.until(lambda: "second.png" in page.page.inner_text("#file"))
    page.settled()
    np.testing.assert_array_equal(page.download("trimap.png"), marked)
    strip.nth(2).focus()
    page.page.keyboard.press("Delete")  # not the open one
    page.until(lambda: strip.all_inner_texts() == ["disc.png", "second.png"])
    assert page.page.evaluate("document.activeElement.title") == "second.png"
    page.page.keyboard.press("Delete")
    page.page.wait_for_selector("#strip", state="hidden")
    page.until(lambda: "disc.png" in page.page.inner_text("#file"))
    assert page.page.evaluate("document.activeElement.id") == "stage"
    page.page.keyboard.press("Delete")  # the last one stays
    assert "disc.png" in page.page.inner_text("#file")


GREY = (212, 210, 205)


def before_grey(folder: Path, name: str) -> str:
    """A photo of a blue disc before grey, with its shadow; another way round where the name says so."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    fall = np.exp(-(((x - 160) / 80) ** 2 + ((y - 196) / 16) ** 2))[..., None]
    ground = np.array(GREY) * (1 - 0.5 * fall) + np.random.default_rng(0).normal(0, 1, (*SIZE, 3))
    alpha = np.clip(70 - np.hypot(y - 120, x - 160), 0, 1)[..., None]
    shading = 1 - 0.3 * np.clip((y - 50) / 140, 0, 1)[..., None]
    photo = alpha * np.array((30, 70, 190)) * shading + (1 - alpha) * ground
    photo = np.round(np.clip(photo, 0, 255)).astype(np.uint8)
    Image.fromarray(photo if "other" not in name else photo[:, ::-1]).save(folder / name)
    return str(folder / name)


def test_a_plain_backdrop_is_found_picked_and_undone(
    make_page: Callable[..., Page], address: str, tmp_path: Path
) -> None:
    page = make_page(address=address.partition("#")[0])
    page.page.goto(page.address)
    files = [before_grey(tmp_path, name) for name in ("first.png", "other.png")]
    page.page.set_input_files("#photo-file", files[0])
    page.settled()
    note = page.page.locator("#plain-note")
    assert page.page.is_checked('input[name="plain"][value="off"]')
    assert page.page.is_disabled("#shadow")
    page.choose("plain", "auto")
    page.until(lambda: "of the border is of one colour" in note.inner_text())
    page.settled()
    assert page.page.is_disabled("#method")
    place = np.s_[198, 160]
    assert page.download("cutout.png")[(*place, 3)] < 40
    page.page.locator("#shadow").check()
    page.until(lambda: page.page.get_attribute("#pill", "data-kind") == "exact")
    page.settled()
    cut = page.download("cutout.png")
    assert cut[(*place, 3)] > 60
    assert cut[place][:3].max() < 30
    page.page.set_input_files("#photo-file", files[1])  # the next photo, by the same settings
    page.until(lambda: "other.png" in page.page.inner_text("#file"))
    page.settled()
    assert page.page.is_checked('input[name="plain"][value="auto"]')
    assert page.page.is_checked("#shadow")
    assert "of one colour" in note.inner_text()
    page.page.locator("#plain-pick").focus()  # the pipette, by keyboard
    page.page.keyboard.press("Enter")
    assert page.page.get_attribute("#plain-pick", "aria-pressed") == "true"
    page.page.keyboard.press("Escape")
    assert page.page.get_attribute("#plain-pick", "aria-pressed") == "false"
    page.page.keyboard.press("i")
    page.page.keyboard.press("Enter")  # on the middle of the picture, which is the subject's
    page.until(lambda: "Not taken" in note.inner_text())
    assert note.get_attribute("data-kind") == "refused"
    assert page.page.is_enabled("#method")
    page.page.click("#plain-pick")
    page.page.mouse.click(*page.place(20, 20))
    page.until(lambda: "of the colour given" in note.inner_text())
    picked = page.page.input_value("#plain-colour")
    assert near(np.array([int(picked[at : at + 2], 16) for at in (1, 3, 5)]), GREY)
    page.settled()
    for words in ("Not taken", "of one colour"):
        page.page.locator("#stage").focus()
        page.page.keyboard.press("Control+z")
        page.until(lambda: words in note.inner_text())  # noqa: B023
    page.page.keyboard.press("Control+Shift+z")
    page.page.keyboard.press("Control+Shift+z")
    page.until(lambda: "of the colour given" in note.inner_text())
    page.page.reload()
    page.settled()
    assert page.page.is_checked('input[name="plain"][value="colour"]')
    assert page.page.input_value("#plain-colour") == picked
    page.page.set_viewport_size({"width": 390, "height": 780})
    page.page.click('.tabs button[data-tab="edge"]')
    assert page.page.locator("#plain-pick").is_visible()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_settings_are_remembered(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    page.page.fill("#size", "60")
    page.page.fill("#soft", "30")
    page.page.locator("#lasso").check()
    page.choose("backdrop", "#000000")
    page.page.locator("#removed").uncheck()
    page.page.reload()
    page.settled()
    assert page.page.input_value("#size") == "60"
    assert page.page.input_value("#soft") == "30"
    assert page.page.is_checked("#lasso")
    assert not page.page.is_checked("#removed")
    assert page.page.is_checked('input[name="backdrop"][value="#000000"]')
    assert near(page.colour(5, 5), (0, 0, 0))
    assert page.page.is_checked('input[name="brush"][value="click"]')


def test_by_keyboard_alone(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    keys = page.page.keyboard
    page.page.locator("#open").focus()
    order = []
    for _ in range(16):
        order.append(page.page.evaluate("document.activeElement.id || document.activeElement.name"))
        keys.press("Tab")
    places = [order.index(name) for name in ("open", "download", "stage", "hand", "clear", "brush", "size", "mode")]
    assert places == sorted(places)
    page.page.locator("#stage").focus()
    keys.press("2")
    assert page.page.locator('input[name="brush"][value="0"]').is_checked()
    keys.press("]")
    keys.press("Enter")
    for _ in range(6):
        keys.press("ArrowRight")
    keys.press("Enter")
    page.until(lambda: page.page.locator("#undo").is_enabled())
    page.settled()
    keys.press("v")
    assert page.page.locator('input[name="mode"][value="marks"]').is_checked()
    keys.press("v")
    keys.press("Escape")
    page.page.evaluate("document.activeElement.blur()")
    assert near(page.colour(160, 120), (0, 0, 0))
    keys.press("Control+z")
    page.until(lambda: near(page.colour(160, 120), (255, 255, 255)))
    keys.press("?")
    assert page.page.locator("#keys").is_visible()
    keys.press("Escape")
    assert not page.page.locator("#keys").is_visible()


def test_fingers_paint_and_pinch(make_page: Callable[..., Page]) -> None:
    page = make_page(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True, device_scale_factor=2)
    page.open()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    hand = page.context.new_cdp_session(page.page)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(fingers)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    (x, y), middle = page.place(20, 20), page.place(160, 120)
    touch("touchStart", (x, y))
    touch("touchMove", (x + 40, y))
    touch("touchEnd")
    page.until(lambda: page.page.locator("#undo").is_enabled())
    page.page.click("#undo")
    page.settled()
    before = page.page.text_content("#zoom-level")
    touch("touchStart", middle)
    touch("touchStart", middle, (middle[0] + 30, middle[1]))
    touch("touchMove", (middle[0] - 30, middle[1]), (middle[0] + 60, middle[1]))
    touch("touchEnd")
    page.until(lambda: page.page.text_content("#zoom-level") != before)
    assert page.page.locator("#undo").is_disabled()
    page.page.click('.tabs button[data-tab="view"]')
    assert page.page.locator("#compare").is_visible()
    assert not page.page.locator("#size").is_visible()


def test_a_photo_is_picked_and_kept_over_a_reload(
    make_page: Callable[..., Page], address: str, photo_path: Path
) -> None:
    page = make_page(address=address.partition("#")[0])
    page.page.goto(page.address)
    assert page.page.locator("#pick").is_visible()
    with page.page.expect_file_chooser() as chooser:
        page.page.click("#pick")
    chooser.value.set_files(photo_path)
    page.settled()
    assert "disc.png" in page.page.title()
    page.page.locator("#band").press("ArrowRight")
    page.until(lambda: page.page.text_content("#band-out") == "5.5 %")
    page.page.select_option("#method", "large-kernel")
    page.stroke((20, 20), (60, 20))
    page.settled()
    page.page.reload()
    page.settled()
    assert page.page.input_value("#method") == "large-kernel"
    assert page.page.input_value("#band") == "0.055"
    assert page.download("trimap.png")[20, 40] == 255


def test_what_is_no_picture_is_told(make_page: Callable[..., Page], address: str, tmp_path: Path) -> None:
    page = make_page(address=address.partition("#")[0])
    page.page.goto(page.address)
    (tmp_path / "letter.jpg").write_text("Dear all")
    page.page.set_input_files("#photo-file", tmp_path / "letter.jpg")
    page.until(lambda: "annot read" in (page.page.text_content("#trouble-text") or ""))
    assert page.page.locator("#pick").is_visible()
    page.complaints = [text for text in page.complaints if "415" not in text]  # the browser's own line


def test_a_broken_network_is_told_and_overcome(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    page.page.route("**/marks*", lambda route: route.abort())
    page.stroke((20, 20), (60, 20))
    page.page.wait_for_selector("#trouble:not([hidden])")
    assert "cannot be reached" in page.page.text_content("#trouble-text")
    page.stroke((20, 60), (60, 60))
    page.page.unroute("**/marks*")
    page.page.click("#again")
    page.settled()
    assert page.page.locator("#trouble").is_hidden()
    trimap = page.download("trimap.png")
    assert (trimap[20, 40], trimap[60, 40]) == (255, 255)
    page.page.click("#clear")
    page.settled()
    page.complaints = [text for text in page.complaints if "ERR_FAILED" not in text]


def test_back_on_line_it_goes_on_by_itself(make_page: Callable[..., Page]) -> None:
    page = make_page()
    page.open()
    page.context.set_offline(True)
    page.stroke((20, 20), (60, 20))
    page.page.wait_for_selector("#trouble:not([hidden])")
    page.context.set_offline(False)
    page.settled()
    assert page.page.locator("#trouble").is_hidden()
    page.page.click("#clear")
    page.settled()
    page.complaints = [text for text in page.complaints if "ERR_INTERNET_DISCONNECTED" not in text]


def test_a_session_that_has_ended_starts_again_with_its_marks(
    make_page: Callable[..., Page], address: str, photo_path: Path
) -> None:
    page = make_page(address=address.partition("#")[0])
    page.page.goto(page.address)
    page.page.set_input_files("#photo-file", photo_path)
    page.settled()
    page.stroke((20, 20), (60, 20))
    page.settled()
    id = page.page.url.partition("#")[2]
    page.page.evaluate("(id) => fetch(`v1/edit/sessions/${id}`, { method: 'DELETE' })", id)
    page.stroke((20, 60), (60, 60))
    page.page.click("text=Start again")
    page.settled()
    trimap = page.download("trimap.png")
    assert (trimap[20, 40], trimap[60, 40]) == (255, 255)
    unknown = """(id) => import('/editor/api.js').then((api) => api.reopen(id))
        .then((session) => session.download('cutout.tiff')).catch((error) => error.kind)"""
    assert page.page.evaluate(unknown, page.page.url.partition("#")[2]) == "refused"  # but not "gone"
    page.complaints = [text for text in page.complaints if "404" not in text and "410" not in text]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_and_controls_have_names(make_page: Callable[..., Page], scheme: str) -> None:
    page = make_page(color_scheme=scheme, reduced_motion="reduce")
    page.open()
    assert page.page.evaluate(CONTRASTS) == []
    assert page.page.evaluate(NAMELESS) == []


CONTRASTS = """() => {
  const rgb = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgb(getComputedStyle(element).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgb('white');
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!words || !element.checkVisibility({ opacityProperty: true }) || element.closest(':disabled')) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort();
    if ((b + 0.05) / (a + 0.05) < 4.5) poor.push(`${element.id || element.className}: ${element.textContent.trim()}`);
  }
  return poor;
}"""
"""Elements whose words have a contrast below 4.5 (WCAG 2.2, 1.4.3)."""

NAMELESS = """() => [...document.querySelectorAll('button, input, select, canvas, [role]')]
  .filter((element) => !element.closest('[aria-hidden="true"]') && !['alert', 'status'].includes(element.role))
  .filter((element) => !(element.ariaLabel || element.textContent.trim() || element.labels?.[0]?.textContent.trim() ||
    element.getAttribute('aria-labelledby')))
  .map((element) => element.outerHTML)"""
"""Controls without a name for those who cannot see them."""
