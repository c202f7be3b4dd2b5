"""How benchmark sets lie on disk: a table of rules, one regular expression a role.

A rule's group `name` says which picture a file belongs to, `trimap` which of several trimaps it is. A set is recognised
by the first layout in the table of which every needed role has a file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from trimatte.images.formats import FORMATS

PICTURE = r"\.(?:" + "|".join(suffix[1:] for row in FORMATS.values() for suffix in row.suffixes) + ")"
ANY = r"(?P<name>[^/]+)" + PICTURE
DEEP = r"(?P<name>.+)" + PICTURE


@dataclass(frozen=True)
class Layout:
    """A benchmark's folders.

    name, title : short and full name.
    rules : role -> regular expression over relative paths; roles are image, alpha, trimap, foreground, background.
    needs : roles without which it is not this layout.
    region : what its papers gather figures over: the "unknown" pixels of a trimap or the "whole" picture.
    count : how many pictures the complete set has, if known.
    copies : onto how many backgrounds each foreground is composed (0: its pictures are ready).
    alphas : "one" file a picture, or "many" (instances) to be added up.
    """

    name: str
    title: str
    rules: Mapping[str, str]
    needs: tuple[str, ...] = ("image", "alpha")
    region: Literal["unknown", "whole"] = "whole"
    count: int | None = None
    copies: int = 0
    alphas: Literal["one", "many"] = "one"
    patterns: Mapping[str, re.Pattern[str]] = field(init=False)

    def __post_init__(self) -> None:
        # A set may lie in folders of its own within the one that was given.
        compiled = {role: re.compile(r"(?P<above>(?:.*/)?)" + rule, re.IGNORECASE) for role, rule in self.rules.items()}
        object.__setattr__(self, "patterns", compiled)

    def describe(self) -> str:
        """What this layout looks for, in words."""
        return f"{self.title}: " + ", ".join(_folder(self.rules[role]) for role in self.needs)


def _folder(rule: str) -> str:
    """A rule as a human would write it."""
    text = rule.replace(DEEP, "**/*").replace(ANY, "*").replace(PICTURE, "").replace("[^/]+", "*")
    text = re.sub(r"\(\?P<name>((?:[^()]|\(\?:[^()]*\))*)\)", r"\1", text)
    text = re.sub(r"\(\?P<(\w+)>[^()]*\)", r"{\1}", text)
    return re.sub(r"\(\?:([^()|]*)\)\?", r"[\1]", text).replace("(?:", "(").replace("\\", "")


LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "synthetic",
        "trimatte's synthetic scenes",
        {
            "scene": r"synthetic\.json",
            "image": rf"image/{ANY}",
            "alpha": rf"alpha/{ANY}",
            "foreground": rf"foreground/{ANY}",
            "background": rf"background/{ANY}",
            "trimap": rf"trimap/{ANY}",
        },
        needs=("scene", "image", "alpha", "foreground", "background"),
        region="unknown",
    ),
    Layout(
        "alphamatting",
        "alphamatting.com, training part",
        {
            "image": rf"input_training_(?:low|high)res/{ANY}",
            "alpha": rf"gt_training_(?:low|high)res/{ANY}",
            "trimap": rf"trimap_training_(?:low|high)res/(?P<trimap>Trimap[1-3])/{ANY}",
        },
        region="unknown",
        count=27,
    ),
    Layout(
        "alphamatting-short",
        "alphamatting.com in short folders",
        {"image": rf"input/{ANY}", "alpha": rf"gt/{ANY}", "trimap": rf"(?P<trimap>trimap[1-3])/{ANY}"},
        needs=("image", "alpha", "trimap"),
        region="unknown",
    ),
    Layout(
        "composition-1k",
        "Composition-1k (Adobe), to be composed",
        {
            "foreground": rf"Test_set/(?:Adobe-licensed images/)?fg/{ANY}",
            "alpha": rf"Test_set/(?:Adobe-licensed images/)?alpha/{ANY}",
            "trimap": rf"Test_set/(?:Adobe-licensed images/)?trimaps/{ANY}",
        },
        needs=("foreground", "alpha", "trimap"),
        region="unknown",
        count=1000,
        copies=20,
    ),
    Layout(
        "composition-1k-ready",
        "Composition-1k (Adobe), composed",
        {"image": rf"merged/{ANY}", "alpha": rf"(?:alpha_copy|mask)/{ANY}", "trimap": rf"trimaps/{ANY}"},
        needs=("image", "alpha", "trimap"),
        region="unknown",
        count=1000,
    ),
    Layout(
        "aim-500",
        "AIM-500",
        {
            "image": rf"original/{ANY}",
            "alpha": rf"mask/{ANY}",
            "trimap": rf"trimap/{ANY}",
            "usr": rf"usr/{ANY}",
        },
        needs=("image", "alpha", "usr"),
        count=500,
    ),
    Layout(
        "am-2k",
        "AM-2k, validation part",
        {
            "image": rf"validation/original/{ANY}",
            "alpha": rf"validation/mask/{ANY}",
            "trimap": rf"validation/trimap/{ANY}",
        },
        count=200,
    ),
    Layout(
        "p3m-500-np",
        "P3M-500-NP",
        {"image": rf"original_image/{ANY}", "alpha": rf"mask/{ANY}", "trimap": rf"trimap/{ANY}"},
        count=500,
    ),
    Layout(
        "p3m-500-p",
        "P3M-500-P",
        {"image": rf"blurred_image/{ANY}", "alpha": rf"mask/{ANY}", "trimap": rf"trimap/{ANY}"},
        count=500,
    ),
    Layout(
        "distinctions-646",
        "Distinctions-646, to be composed",
        {"foreground": rf"Test/FG/{ANY}", "alpha": rf"Test/GT/{ANY}"},
        needs=("foreground", "alpha"),
        count=1000,
        copies=20,
    ),
    Layout(
        "transparent-460",
        "Transparent-460, to be composed",
        {"foreground": rf"Test/fg/{ANY}", "alpha": rf"Test/alpha/{ANY}"},
        needs=("foreground", "alpha"),
        count=1000,
        copies=20,
    ),
    Layout(
        "ppm-100",
        "PPM-100",
        {"image": rf"(?:val/fg|image)/{ANY}", "alpha": rf"(?:val/alpha|matte)/{ANY}"},
        count=100,
    ),
    Layout(
        "him2k",
        "HIM2K, instances added up",
        {
            "image": r"images/(?P<name>(?:comp|natural)/[^/]+)" + PICTURE,
            "alpha": r"alphas/(?P<name>(?:comp|natural)/[^/]+)/[^/]+" + PICTURE,
        },
        alphas="many",
    ),
    Layout(
        "videomatte240k",
        "VideoMatte240K stills, to be composed",
        {"foreground": rf"(?:test/)?fgr/{DEEP}", "alpha": rf"(?:test/)?pha/{DEEP}"},
        needs=("foreground", "alpha"),
        copies=1,
    ),
    Layout(
        "rwp-636",
        "RWP-636",
        {"image": rf"image/{ANY}", "alpha": rf"alpha/{ANY}", "mask": rf"mask/{ANY}"},
        needs=("image", "alpha", "mask"),
        count=636,
    ),
    Layout(
        "plain",
        "a plain folder",
        {
            "image": rf"image/{ANY}",
            "alpha": rf"alpha/{ANY}",
            "trimap": rf"(?P<trimap>trimap\w*)/{ANY}",
            "foreground": rf"foreground/{ANY}",
        },
        region="unknown",
    ),
    Layout("masks", "photos and masks", {"image": rf"images?/{ANY}", "alpha": rf"masks?/{ANY}"}),
    Layout(
        "photomatte85",
        "PhotoMatte85, RGBA cut-outs to be composed",
        {"cutout": r"(?P<name>[^/]+)\.png"},
        needs=("cutout",),
        count=85,
        copies=1,
    ),
)
