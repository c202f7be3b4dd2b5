"""What the site needs beyond mkdocs.yml: pages that lie elsewhere in the repository, and no outside requests.

mkdocs calls the functions by their names (`hooks` in mkdocs.yml).
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from trimatte.cli import main

ROOT = Path(__file__).resolve().parent.parent

# Files of the repository that are pages of the site too.
SHARED = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "results/index.md",
    "data/README.md": "data.md",
    **{f"benchmarks/results/{path.name}": f"results/{path.name}" for path in ROOT.glob("benchmarks/results/*.md")},
}
# Where links to other files of the repository lead.
STAND_INS = {"LICENSE": "licence.md", "examples": "gallery.md"}
# Packages whose modules are not for users; what their `__init__` offers is. And a module that is not.
OWN_AFFAIR, INNER = {"batch", "server"}, "trimatte.stages"

LINK = re.compile(r"(\]\()([^)#\s]+)")
REQUEST = re.compile(
    r"""<(?:script|img|iframe|source|video|audio)\b[^>]*\ssrc(?:set)?=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\shref=["']?(?:https?:)?//[^>]*>"""
    r"""|url\(["']?(?:https?:)?//[^)]*\)|@import\s+["'](?:https?:)?//[^;]*""",
    re.IGNORECASE,
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the generated pages of the reference to the navigation."""
    (pages,) = (section["Python"] for section in config.nav or [] if "Python" in section)
    pages += sorted(reference())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's other pages, and those that are generated."""
    pages = {target: (ROOT / source).read_text(encoding="utf-8") for source, target in SHARED.items()}
    pages["results/index.md"] += recorded_results()
    pages["cli.md"] = command_line()
    pages |= reference()
    pages["licence.md"] = f"# Licence\n\n```text\n{(ROOT / 'LICENSE').read_text(encoding='utf-8')}\n```\n"
    for target, content in pages.items():
        files.append(File.generated(config, target, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links that are right in the repository be right on the site."""
    target = page.file.src_uri
    source = next((path for path, there in SHARED.items() if there == target), f"docs/{target}")
    return LINK.sub(lambda match: match[1] + site_link(match[2], source, target), markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Fail if a page or style sheet would ask another host for something."""
    for path in Path(config.site_dir).rglob("*"):
        if path.suffix in (".html", ".css"):
            found = REQUEST.search(path.read_text(encoding="utf-8"))
            if found:
                raise PluginError(f"{path}: outside request: {found[0][:200]}")


def site_link(link: str, source: str, target: str) -> str:
    """The link `link` of the repository's file `source` as the page `target` has to say it."""
    if "://" in link or link.startswith("mailto:"):
        return link
    there = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    if there.startswith("docs/"):
        there = there.removeprefix("docs/")
    elif there.endswith(".py") and there.startswith("examples/"):
        there = STAND_INS["examples"]
    else:
        there = SHARED.get(there) or STAND_INS.get(there) or there
    return posixpath.relpath(there, posixpath.dirname(target) or ".")


def reference() -> dict[str, str]:
    """A page for each public module or package, with what of it the pages in docs/api leave over."""
    written = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/api/*.md"))
    pages: dict[str, str] = {}
    for module in public_modules():
        if not re.search(rf"^::: {re.escape(module)}(\.\w+)?$", written, re.MULTILINE):
            unit = module.split(".")[1]
            page = pages.setdefault(f"api/{unit}.md", f"# trimatte.{unit}\n")
            pages[f"api/{unit}.md"] = page + f"\n::: {module}\n    options: {{ show_root_full_path: true }}\n"
    return pages


def public_modules() -> list[str]:
    """Names of the modules whose public names users may rely on."""
    modules = []
    for path in sorted(ROOT.glob("src/trimatte/*/**/*.py")) + sorted(ROOT.glob("src/trimatte/*.py")):
        names = path.relative_to(ROOT / "src").with_suffix("").parts
        names = names[:-1] if names[-1] == "__init__" else names
        inner = len(names) > 2 and names[1] in OWN_AFFAIR
        if len(names) > 1 and names[1] != "cli" and not inner and not any(name.startswith("_") for name in names):
            modules.append(".".join(names))
    modules.remove(INNER)
    return modules


def recorded_results() -> str:
    """A list of the recorded tables by their headings."""
    lines = []
    for source, target in sorted(SHARED.items()):
        if source.startswith("benchmarks/results/"):
            heading = (ROOT / source).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
            lines.append(f"- [{heading}](results/{os.path.basename(target)})")
    return "\n## Recorded tables\n\n" + "\n".join(lines) + "\n"


def command_line() -> str:
    """Every verb with what its `--help` says."""
    return "# Command line\n\nWhat `--help` says of each verb.\n\n" + "\n".join(helps(main, "trimatte"))


def helps(command: click.Command, name: str, parent: click.Context | None = None) -> list[str]:
    """The section of a command, and of those below it."""
    context = click.Context(command, parent, name, terminal_width=84, **command.context_settings)
    sections = [f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for verb in command.list_commands(context):
            below = command.get_command(context, verb)
            assert below is not None
            sections += helps(below, verb, context)
    return sections
