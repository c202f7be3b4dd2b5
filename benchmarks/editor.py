"""How long a stroke takes in the editor, measured in a real browser from the end of the stroke to the new alpha.

    python benchmarks/editor.py [--photo photo.jpg] [--strokes 30]

Starts `trimatte edit` and a headless Chromium, and draws strokes of 80 pixels with all three brushes across the unknown
band. Without --photo it is scikit-image's astronaut at 1000 x 1000 pixels. "First" is the alpha that is solved about
the stroke, "exact" that of the whole system. Also told: what the page weighs, and whom it asks.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, heading
from PIL import Image
from playwright.sync_api import Page, Response, sync_playwright

BRUSHES = (255, 0, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--strokes", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = given.photo or astronaut(Path(folder))
        command = [sys.executable, "-m", "trimatte", "edit", str(photo), "--no-browser"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            if found is None:
                raise SystemExit("the editor did not start")
            try:
                text = report(found.group(), Image.open(photo).size, given.strokes)
            finally:
                server.terminate()
    print(text)
    if given.photo is None and given.strokes == 30:
        (RESULTS / "editor.md").write_text(text)


def astronaut(folder: Path) -> Path:
    import skimage.data

    path = folder / "astronaut.png"
    Image.fromarray(skimage.data.astronaut()).resize((1000, 1000), Image.Resampling.LANCZOS).save(path)
    return path


def report(address: str, size: tuple[int, int], strokes: int) -> str:
    origin, _, session = address.partition("#")
    asked: list[str] = []
    files: list[Response] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.on("response", lambda answer: files.append(answer) if "/v1/" not in answer.url else None)
        page.goto(address)
        settle(page)
        page.evaluate("window.shown = []; addEventListener('trimatte-alpha', (event) => shown.push(event.detail))")
        weight = sum(len(file.body()) for file in files)
        trimap = page.request.get(f"{origin}v1/edit/sessions/{session}/trimap").body()
        places = np.argwhere(np.frombuffer(trimap, np.uint8).reshape(size[::-1]) == 128)[:, ::-1]
        paths = painted_paths(page, size, places, strokes + 2)
        times = [stroke(page, path, n) for n, path in enumerate(paths)][2:]  # the first two warm the server up
        chromium.close()
    head = "\n".join(heading("Strokes in the editor"))
    rows = [
        f"| {name} | {np.median(values):.0f} | {np.percentile(values, 90):.0f} | {max(values):.0f} |"
        for name, values in zip(("first", "exact"), np.array(times).T, strict=True)
    ]
    return f"""{head}
{strokes} strokes on a photo of \
{size[0]} x {size[1]} pixels, in headless Chromium on the same machine: milliseconds from the end of a stroke to the \
new alpha. The machine's load was {os.getloadavg()[1]:.1f} over the last five minutes; an idle one has about 1 here.

| alpha | median | 90 of 100 | most |
| --- | --- | --- | --- |
{chr(10).join(rows)}

The page weighs {weight / 1000:.0f} kB. Requests to others than its server: \
{sum(not url.startswith((origin, "blob:" + origin)) for url in asked)} of {len(asked)}.
"""


def painted_paths(page: Page, size: tuple[int, int], places: np.ndarray, count: int) -> list[np.ndarray]:
    """Strokes (12, 2) of 80 pixels through pixels of `places` (n, 2), as places on the screen."""
    rng = np.random.default_rng(0)
    box = page.locator("#stage").bounding_box()
    assert box is not None
    space = np.array([box["width"], box["height"] - 48])  # the page's buttons lie below the picture
    scale = ((space - 48) / size).min()
    corner = np.array([box["x"], box["y"]]) + (space - scale * np.array(size)) / 2
    paths = []
    for middle, angle in zip(rng.choice(places, count), rng.uniform(0, 2 * np.pi, count), strict=True):
        along = np.linspace(-40, 40, 12)[:, None] * [np.cos(angle), np.sin(angle)]
        paths.append(corner + scale * np.clip(middle + along, 0, np.array(size) - 1))
    return paths


def stroke(page: Page, path: np.ndarray, number: int) -> tuple[float, float]:
    """Draw a stroke with one brush after the other, and undo it; milliseconds to its first alpha, and to the exact."""
    page.locator(f'input[name="brush"][value="{BRUSHES[number % 3]}"]').check(force=True)
    page.evaluate("shown.length = 0")
    page.mouse.move(*path[0])
    page.mouse.down()
    for place in path[1:]:
        page.mouse.move(*place)
        page.wait_for_timeout(16)
    page.mouse.up()
    shown = page.evaluate("shown")
    while not (shown and shown[-1]["exact"]):
        page.wait_for_timeout(25)
        shown = page.evaluate("shown")
    settle(page)
    page.click("#undo")
    page.wait_for_timeout(100)
    settle(page)
    return shown[0]["ms"], shown[-1]["ms"]


def settle(page: Page) -> None:
    page.wait_for_selector('#pill[data-kind="exact"]', timeout=120_000)


if __name__ == "__main__":
    main()
