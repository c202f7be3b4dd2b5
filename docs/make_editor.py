"""Make the picture of the editor: open three photos in it, and look at it in Chromium.

python docs/make_editor.py

It needs playwright and Chromium, as the editor's tests do.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import skimage.data
from PIL import Image
from playwright.sync_api import Page, sync_playwright

RESULT = Path(__file__).resolve().parent / "images" / "editor.webp"
PHOTOS = "chelsea", "coffee", "astronaut"
SIZE = 1300, 1230
WIDTH = 980
"""Of the picture, in pixels."""


@contextmanager
def editor() -> Iterator[str]:
    """The address of an editor that runs meanwhile."""
    command = [sys.executable, "-m", "trimatte", "edit", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield re.findall(r"http://\S+", process.stdout.readline())[0]
        process.terminate()


def look(page: Page, address: str, files: list[str], picture: Path) -> None:
    """Open the files, click on the last one's subject, and keep what is shown."""
    page.goto(address)
    for file in files:
        page.set_input_files("#photo-file", file)
        page.get_by_text(f"{Path(file).name} ·").wait_for(timeout=120_000)
        page.wait_for_selector('#pill[data-kind="exact"]', timeout=120_000)
    page.locator("#stage").focus()
    page.keyboard.press("Enter")  # a click on the middle
    page.wait_for_selector('#pill[data-kind="refining"]', timeout=120_000)
    page.wait_for_selector('#pill[data-kind="exact"]', timeout=120_000)
    page.screenshot(path=picture)


def main() -> None:
    with tempfile.TemporaryDirectory() as name, editor() as address, sync_playwright() as playwright:
        folder = Path(name)
        files = [str(folder / f"{photo}.jpg") for photo in PHOTOS]
        for photo, file in zip(PHOTOS, files, strict=True):
            Image.fromarray(getattr(skimage.data, photo)()).save(file, quality=95)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        look(browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}), address, files, folder / "editor.png")
        browser.close()
        with Image.open(folder / "editor.png") as image:
            small = image.convert("RGB").resize((WIDTH, WIDTH * image.height // image.width), Image.Resampling.LANCZOS)
            small.save(RESULT, quality=80, method=6)


if __name__ == "__main__":
    main()
