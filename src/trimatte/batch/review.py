"""What to look at first: a page and a contact sheet of a batch's results, the doubtful ones first."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trimatte.batch.manifest import read_lines
from trimatte.batch.plan import shown
from trimatte.errors import TrimatteError
from trimatte.files import store
from trimatte.files.addresses import is_remote, join
from trimatte.images import load_picture
from trimatte.sheet import over_checkerboard

PAGE, SHEET = "review.html", "review.jpg"
PICTURES = 200
"""Results that the page shows; of the others it names as many as a browser can bear."""
NAMED = 5000
_SIDE, _COLUMNS, _ROWS, _LABEL = 192, 6, 8, 34


@dataclass(frozen=True)
class Reviewed:
    """A picture of the batch: its paths inside the two folders, its confidence, and what was told of it."""

    input: str
    output: str
    confidence: float
    told: tuple[str, ...]
    error: str


def write_review(source: str, out: str) -> str:
    """Write review.html and the contact sheet review.jpg into the output folder `out`, from its manifests.

    The page lists the failed, shows the 200 results of least confidence beside their photos, and names the others. It
    is one file that asks for nothing else but the pictures that are opened from it.

    Returns
    -------
    str
        The page's address.
    """
    pictures = read_reviewed(out)
    done = [one for one in pictures if not one.error]
    thumbnails = [thumbnail(join(out, one.output)) for one in done[:PICTURES]]
    photos = [thumbnail(join(source, one.input)) for one in done[:PICTURES]]
    page = _page(source, out, pictures, list(zip(photos, thumbnails, strict=True)))
    store.write(join(out, PAGE), page.encode("utf-8", "backslashreplace"))
    sheet = io.BytesIO()
    contact_sheet(done, thumbnails).save(sheet, "JPEG", quality=88)
    store.write(join(out, SHEET), sheet.getbuffer())
    return join(out, PAGE)


def read_reviewed(out: str) -> list[Reviewed]:
    """What the manifests say last of each picture: the failed, then the done, the least confident first."""
    last: dict[str, Reviewed] = {}
    for record in read_lines(out):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            one = _reviewed(record)
            last[one.input] = one
    return sorted(last.values(), key=lambda one: (not one.error, one.confidence, one.input))


def _reviewed(record: dict[str, object]) -> Reviewed:
    report = record["report"] or {}
    assert isinstance(report, dict)
    told = report.get("warnings", [])
    name, output, error = str(record["input"]), str(record["output"]), str(record["error"] or "")
    return Reviewed(name, output, float(report.get("confidence", 0.0)), tuple(told), error)


def thumbnail(address: str, side: int = _SIDE) -> Image.Image:
    """A photo, or a result on a checkerboard, at most `side` pixels wide and high; grey if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = load_picture(store.read(address))
    except TrimatteError:
        return Image.new("RGB", (side, side), "grey")
    height, width = picture.image.shape[:2]
    alpha = np.ones((height, width), np.float32) if picture.alpha is None else picture.alpha
    scale = min(1.0, side / max(height, width))
    over = over_checkerboard(picture.image, alpha, max(1, round(width * scale)), max(1, round(height * scale)), check=8)
    return Image.fromarray(np.round(over * 255).astype(np.uint8))


def contact_sheet(pictures: Sequence[Reviewed], thumbnails: Sequence[Image.Image]) -> Image.Image:
    """The first pictures in rows, each with its confidence and name."""
    shown_now = list(zip(pictures, thumbnails, strict=False))[: _COLUMNS * _ROWS]
    cell = _SIDE + 12
    rows = max(1, -(-len(shown_now) // _COLUMNS))
    sheet = Image.new("RGB", (_COLUMNS * cell + 12, rows * (cell + _LABEL) + 12), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for i, (one, small) in enumerate(shown_now):
        x, y = 12 + i % _COLUMNS * cell, 12 + i // _COLUMNS * (cell + _LABEL)
        sheet.paste(small, (x + (_SIDE - small.width) // 2, y + (_SIDE - small.height) // 2))
        name = shown(one.output).encode("latin-1", "replace").decode("latin-1")
        draw.text((x, y + _SIDE + 2), f"{one.confidence:.2f}", fill="black", font=font)
        draw.text((x, y + _SIDE + 16), name if len(name) <= 26 else "..." + name[-23:], fill="black", font=font)
    return sheet


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Review</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(330px, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; border: 1px solid #8886; border-radius: 6px; padding: 8px }
.pair { display: flex; align-items: center; justify-content: center; gap: 8px }
.pair a { min-width: 0 }
img { display: block; max-width: 100%; height: auto; border-radius: 3px }
figcaption { margin-top: 6px; overflow-wrap: anywhere; font-size: 13px }
meter { width: 100% } .told { color: light-dark(#8a4b00, #ffb45e) }
table { border-collapse: collapse; width: 100%; font-size: 13px }
td, th { text-align: left; padding: 3px 8px; border-bottom: 1px solid #8884 }
td { overflow-wrap: anywhere } td:first-child { min-width: 7em }
</style></head><body>
"""


Pair = tuple[Image.Image, Image.Image]
"""Thumbnails of a photo and its result."""


def _page(source: str, out: str, pictures: Sequence[Reviewed], pairs: Sequence[Pair]) -> str:
    failed = [one for one in pictures if one.error]
    done = [one for one in pictures if not one.error]
    parts = [_HEAD, f"<h1>{len(done)} results, the doubtful first</h1>"]
    parts.append(
        "<p>The confidence ranks results by how unsure the network and the solver were; it is no probability. Near 1 "
        "nothing was in doubt, at 0 no subject was found.</p>"
    )
    if failed:
        rows = "".join(
            f"<tr><td>{_link(source, out, one.input)}</td><td>{_text(one.error)}</td></tr>" for one in failed
        )
        parts.append(f"<h2>{len(failed)} failed</h2><table><tr><th>picture</th><th>why</th></tr>{rows}</table>")
    parts.append('<h2>Results</h2><div class="grid">')
    parts.extend(_figure(source, out, one, pair) for one, pair in zip(done, pairs, strict=False))
    parts.append("</div>")
    rest = done[len(pairs) : len(pairs) + NAMED]
    if rest:
        rows = "".join(f"<tr><td>{one.confidence:.3f}</td><td>{_link(out, out, one.output)}</td></tr>" for one in rest)
        more = len(done) - len(pairs) - len(rest)
        heading = "The others" if not more else f"The next {len(rest)}; {more} more are in the manifest"
        parts.append(f"<h2>{heading}</h2><table><tr><th>confidence</th><th>result</th></tr>{rows}</table>")
    return "\n".join([*parts, "</body></html>\n"])


def _figure(source: str, out: str, one: Reviewed, pair: Pair) -> str:
    photo, result = (_image(small) for small in pair)
    told = "".join(f'<div class="told">{_text(text)}</div>' for text in one.told)
    return (
        f'<figure><div class="pair"><a href="{_address(source, out, one.input)}">{photo}</a>'
        f'<a href="{_address(out, out, one.output)}">{result}</a></div>'
        f'<figcaption><meter min="0" max="1" value="{one.confidence:.3f}"></meter>{one.confidence:.3f} '
        f"{_link(out, out, one.output)}, from {_link(source, out, one.input)}{told}</figcaption></figure>"
    )


def _image(small: Image.Image) -> str:
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=85)
    data = base64.b64encode(encoded.getvalue()).decode()
    return f'<img alt="" width="{small.width}" height="{small.height}" src="data:image/jpeg;base64,{data}">'


def _link(folder: str, page: str, name: str) -> str:
    return f'<a href="{_address(folder, page, name)}">{_text(name)}</a>'


def _address(folder: str, page: str, name: str) -> str:
    """The address of a file as seen from the page, whatever bytes its name is made of."""
    path = join(folder, name)
    if is_remote(folder) or is_remote(page):
        return quote(path.removeprefix(join(page, "")), safe="/:@")
    path = os.path.relpath(path, page).replace(os.sep, "/")
    return quote(os.fsencode(path if path.startswith(".") else f"./{path}"))


def _text(words: str) -> str:
    return html.escape(shown(words))
