"""What README and docs say can be done: links lead somewhere, options exist, commands and Python blocks run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from markdown.extensions.toc import slugify
from PIL import Image

import trimatte
from trimatte.cli import main

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob("data/*.md")])
RUN = [
    *("README.md", "docs/start.md", "docs/guide.md", "docs/gallery.md", "docs/evaluation.md", "docs/deployment.md"),
    *("docs/shops.md", "docs/print.md", "docs/pipelines.md"),
]

COMMAND = re.compile(r"^ {4}(?:\.venv/bin/)?(trimatte .*)$|`(trimatte [^`]+)`", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:)([^)\s#]*)(?:#([^)\s]+))?\)")
VERBS = {"cutout", "segment", "trimap", "alpha", "composite"}
NOT_HERE = re.compile(r"\b[A-Z]{2,}\b|weights|checkpoint|(method|segmenter) mine|photos/")
"""Stands for what has to be put in, or names what is not shipped, or starts processes, which has tests of its own."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command line of trimatte on a page."""
    for match in COMMAND.finditer(re.sub(r"\\\n\s*", "", text(page))):
        yield shlex.split(match[1] or match[2], comments=True)


def found(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that a line calls, and the words that follow its name."""
    command: click.Command = main
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        below = command.get_command(click.Context(command), rest[0])
        assert below is not None, f"there is no verb {rest[0]!r}: {' '.join(words)}"
        command, rest = below, rest[1:]
    return command, rest


def options(command: click.Command) -> set[str]:
    return {"-h", "--help", *(o for p in command.params for o in (*p.opts, *p.secondary_opts))}


def all_options(command: click.Command) -> set[str]:
    """The options of a command and of all below it."""
    known = options(command)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for verb in command.list_commands(context):
            below = command.get_command(context, verb)
            assert below is not None
            known |= all_options(below)
    return known


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: np.ndarray, trimap: np.ndarray) -> Path:
    """A folder with the files that the docs speak of, as the current one."""
    for file in ("photo.jpg", "coffee.jpg", "rocket.jpg"):
        Image.fromarray(photo).save(tmp_path / file, quality=95)
    for file in ("trimap.png", "mine.png", "photo-trimap.png", "mask.png"):
        trimatte.save_image(tmp_path / file, trimap)  # a result of ours, which a verb may replace
    frames = [Image.fromarray(photo).rotate(angle) for angle in (0, 5)]
    frames[0].save(tmp_path / "wave.gif", save_all=True, append_images=frames[1:])
    (tmp_path / "mine.toml").write_text('extends = "marketplace"\nsize = "64x64"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link, anchor in LINK.findall(text(page)):
        target = page.parent / link if link else page
        if target.parts[-2] in ("gallery", "api") or target.name == "cli.md":  # made with the site, which checks them
            continue
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", text(target), re.MULTILINE)
            assert anchor in [slugify(heading.replace("`", ""), "-") for heading in headings], f"{link}#{anchor}"


def test_contributing_names_files_that_exist() -> None:
    named = re.findall(r"`((?:src|tests|docs|data|benchmarks)/[^`]*)`", text(ROOT / "CONTRIBUTING.md"))
    paths = [path for path in named if "NAME" not in path]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_options_exist(page: Path) -> None:
    for words in commands(page):
        if words[1].isupper():
            continue
        command, rest = found(words)
        used = {word.partition("=")[0] for word in rest if re.match("--?[a-z]", word)}
        assert used <= options(command), " ".join(words)
    spans = re.findall(r"`(--[a-z][a-z-]*)", text(page))
    others = {"--no-deps", "--network", "--read-only"}
    assert set(spans) - others <= all_options(main)


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md"])
def test_the_formats_are_those_of_the_table(page: str) -> None:
    from trimatte.images import FORMATS, WRITTEN

    words = {"WEBP": "WebP", "HEIF": "HEIC"}
    read = [words.get(name, name) for name in FORMATS if name != "MPO"]
    written = [words.get(row.name, row.name) for row in WRITTEN.values()]
    sentence = next(
        line for line in text(ROOT / page).replace("\n", " ").split(". ") if "PPM" in line and "HEIC" in line
    )
    known = re.findall("|".join(sorted(set(read), key=len, reverse=True)), sentence)
    assert known == [*read, *written]


def test_the_reference_names_all_that_trimatte_offers() -> None:
    table = text(ROOT / "docs/api/index.md")
    for public in trimatte.__all__:
        assert public.startswith("__") or f"[`{public}`]" in table


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_blocks_are_python(page: Path) -> None:
    for block in BLOCK.findall(text(page)):
        if "--8<--" not in block:
            compile(block, name(page), "exec")


def test_commands_run(place: Path) -> None:
    lines = {shlex.join(words): words for page in RUN for words in commands(ROOT / page)}
    done = 0
    for line, words in lines.items():
        if words[1] not in VERBS or len(words) < 3 or NOT_HERE.search(line):
            continue
        given = None
        if "<" in words:
            given = (place / words[words.index("<") + 1]).read_bytes()
            words = words[: words.index("<")]
        result = CliRunner().invoke(main, words[1:], input=given)
        assert result.exit_code == 0, f"{line}: {result.output}"
        done += 1
    assert done > 10


@pytest.mark.filterwarnings("ignore:.*subject")
@pytest.mark.parametrize("page", RUN)
def test_python_blocks_run(page: str, place: Path) -> None:
    from trimatte.evaluation.synthetic import synthesize

    blocks = [block for block in BLOCK.findall(text(ROOT / page)) if not re.search(f"--8<--|{NOT_HERE.pattern}", block)]
    if any("scenes" in block for block in blocks):
        synthesize(place / "scenes", count=2, size=(48, 64))
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
