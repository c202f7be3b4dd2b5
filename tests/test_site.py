"""The site as it is built: what pages take from other files of the repository is there."""

from __future__ import annotations

import html
import logging
import re
from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parent.parent
SNIPPET = re.compile(r'^ *--8<-- "([^":]+)(?::(\d+):(\d*))?"$', re.MULTILINE)
MARK = re.compile(r"8\s*<\s*-|-\s*>\s*8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site without the reference, which takes most of the time."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("mkdocs"), "disabled", True)  # pictures are missing, which `make docs` makes
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=False, plugins=[]))
    return folder


def shown(page: Path) -> str:
    """A page's text, without the marks of highlighted code."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_pages_show_the_files_that_they_take_in(site: Path) -> None:
    taken = 0
    for source in ROOT.glob("docs/**/*.md"):
        page = shown(site / source.relative_to(ROOT / "docs").with_suffix(".html"))
        assert not MARK.search(page), source.name
        for path, first, last in SNIPPET.findall(source.read_text(encoding="utf-8")):
            lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
            wanted = lines[int(first or 1) - 1 : int(last) if last else None]
            if not path.endswith(".md"):
                assert "\n".join(wanted).strip() in page, f"{source.name}: {path}"
            taken += 1
    assert taken > 5


def test_the_gallery_shows_its_scripts(site: Path) -> None:
    page = shown(site / "gallery.html")
    scripts = re.findall(
        r'^\?\?\? example "(.+)"$', (ROOT / "docs/gallery.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(scripts) > 3
    for script in scripts:
        assert (ROOT / "examples" / script).read_text(encoding="utf-8").strip() in page, script
