"""The page and the contact sheet of a batch."""

from __future__ import annotations

import html.parser
import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from trimatte.batch.plan import shown
from trimatte.batch.review import NAMED, PICTURES, read_reviewed, thumbnail, write_review


class Page(html.parser.HTMLParser):
    """The links and pictures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert "onclick" not in given
        assert tag not in ("script", "link", "iframe")
        if tag == "a":
            self.links.append(given["href"] or "")
        if tag == "img":
            self.pictures.append(given["src"] or "")


def write_results(out: Path, confidences: dict[str, float | None]) -> None:
    """A manifest and results; None stands for a failure."""
    lines = []
    for name, confidence in confidences.items():
        target = out / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        record: dict[str, object] = {
            "input": f"{name}.jpg",
            "output": f"{name}.png",
            "error": None if confidence is not None else "<b>",
        }
        record["report"] = None if confidence is None else {"confidence": confidence, "warnings": ["so & so"]}
        lines.append(json.dumps(record))
        if confidence is not None:
            Image.new("RGBA", (40, 20), (200, 30, 30, 128)).save(target)
    (out / "manifest.jsonl").write_text("\n".join([*lines, "torn"]))


NAMES = {"sure": 0.9, "in/unsure": 0.1, "middle <i>&": 0.5, "bad": None, os.fsdecode(b"\xff\n"): 0.7}


def test_the_doubtful_come_first_and_the_failed_before_them(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_results(out, NAMES)
    assert [one.input for one in read_reviewed(str(out))][:3] == ["bad.jpg", "in/unsure.jpg", "middle <i>&.jpg"]
    text = Path(write_review(str(tmp_path / "photos"), str(out))).read_text("utf-8")
    places = [text.index(words) for words in (">bad.jpg", ">in/unsure.png", ">middle &lt;i&gt;&amp;.png", ">sure.png<")]
    assert places == sorted(places)
    assert "&lt;b&gt;" in text
    assert "so &amp; so" in text


def test_links_lead_to_the_files_and_nothing_is_asked_from_outside(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_results(out, NAMES)
    page = Page(Path(write_review(str(tmp_path / "photos"), str(out))).read_text("utf-8"))
    files = {os.path.normpath(os.path.join(os.fsencode(out), unquote_to_bytes(link))) for link in page.links}
    expected = {out / f"{name}.png" for name, confidence in NAMES.items() if confidence is not None}
    expected |= {tmp_path / "photos" / f"{name}.jpg" for name in NAMES}
    assert files == {os.fsencode(path) for path in expected}
    assert len(page.pictures) == 2 * 4  # a photo and a result each
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in page.pictures)


def test_a_later_record_replaces_the_earlier(tmp_path: Path) -> None:
    write_results(tmp_path, {"a": 0.1})
    first = (tmp_path / "manifest.jsonl").read_text().splitlines()[0]
    write_results(tmp_path, {"a": 0.8})
    second = (tmp_path / "manifest.jsonl").read_text().splitlines()[0]
    (tmp_path / "manifest.jsonl").write_text(f"{first}\n{second}\n")
    assert [one.confidence for one in read_reviewed(str(tmp_path))] == [0.8]


def test_a_large_batch_makes_no_large_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.batch.review.thumbnail", lambda path: Image.new("RGB", (8, 8)))
    count = PICTURES + NAMED + 7
    record = {"report": {"confidence": 0.5}, "error": None}
    lines = (json.dumps({**record, "input": f"{i}.jpg", "output": f"{i}.png"}) for i in range(count))
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines))
    text = Path(write_review(str(tmp_path), str(tmp_path))).read_text("utf-8")
    assert "7 more are in the manifest" in text
    assert text.count("<figure>") == PICTURES
    assert (tmp_path / "review.jpg").exists()


def test_thumbnails_show_what_is_transparent(tmp_path: Path) -> None:
    rgba = np.zeros((300, 600, 4), np.uint8)
    rgba[:, :300] = (255, 0, 0, 255)
    rgba[:, 300:] = (0, 255, 0, 0)  # a colour that must not be seen
    Image.fromarray(rgba).save(tmp_path / "half.png")
    small = np.asarray(thumbnail(str(tmp_path / "half.png"))).astype(int)
    assert small.shape == (96, 192, 3)
    assert (small[:, :90] == (255, 0, 0)).all()
    assert (np.ptp(small[:, 100:], axis=2) == 0).all()
    (tmp_path / "torn.png").write_bytes(b"x")
    assert thumbnail(str(tmp_path / "torn.png")).size == (192, 192)


def test_names_are_shown_on_one_line_and_else_as_they_are() -> None:
    assert shown("für\n" + os.fsdecode(b"\xff") + ".jpg") == "für\\n\\udcff.jpg"
