"""Docstrings as mkdocstrings wants them: "name : what it is" becomes a name with a description.

Our docstrings say of a parameter in one line what it is, shape and range included; the types are in the signature. Read
as numpydoc, that line would be the type and the description empty.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

SECTION = re.compile(r"^(Parameters|Attributes)\n-+\n", re.MULTILINE)
NEXT = re.compile(r"^\w[\w ]*\n-{3,}$", re.MULTILINE)
ENTRY = re.compile(r"(\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: : (.*))?$", re.MULTILINE)


class OneLineEntries(griffe.Extension):
    """Rewrite the docstring of every object."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(docstring: str) -> str:
    """`docstring` with its entries' descriptions below their names, and prose that follows them put before."""
    found = SECTION.search(docstring)
    if not found:
        return docstring
    following = NEXT.search(docstring, found.end())
    end = following.start() if following else len(docstring)
    entries, prose = [], []
    for block in re.split(r"\n(?=\S)", docstring[found.end() : end].rstrip()):
        if ENTRY.match(block):
            entries.append(ENTRY.sub(lambda entry: f"{entry[1]}\n    {entry[2] or ''}", block, count=1))
        else:
            prose.append(block)
    before = docstring[: found.start()] + "\n".join([*prose, "\n"] if prose else [])
    return before + found[0] + "\n".join(entries) + "\n\n" + rewritten(docstring[end:])
