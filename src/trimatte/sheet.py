"""One picture of a cut-out's stages, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trimatte.composite import checkerboard, composite
from trimatte.planes.resize import resized

if TYPE_CHECKING:
    from trimatte.cutout import Cutout

_GAP = 12
_LABEL = 26


def make_sheet(cutout: Cutout, *, side: int = 480) -> np.ndarray:
    """Photo, probability, trimap, alpha and the cut-out on a checkerboard, side by side and labelled.

    Parameters
    ----------
    cutout : Cutout
        A stage that it went without is left out.
    side : int, default 480
        The long side of each panel in pixels; small photos are not enlarged.

    Returns
    -------
    (h, w, 3) uint8 array
    """
    scale = min(1.0, side / max(cutout.alpha.shape))
    height, width = (max(1, round(n * scale)) for n in cutout.alpha.shape)
    alpha = resized(cutout.alpha, (height, width), "box")
    over = over_checkerboard(cutout.foreground, cutout.alpha, width, height, check=max(4, side // 40))
    panels = {
        "photo": resized(cutout.image, (height, width), "box"),
        "probability": None if cutout.probability is None else resized(cutout.probability, (height, width), "box"),
        "trimap": None if cutout.trimap is None else resized(cutout.trimap / np.float32(255), (height, width), "box"),
        "alpha": alpha,
        "cut-out": over,
    }
    return _laid_out({label: panel for label, panel in panels.items() if panel is not None}, width, height)


def over_checkerboard(colours: np.ndarray, alpha: np.ndarray, width: int, height: int, *, check: int) -> np.ndarray:
    """(height, width, 3) float32: colours (H, W, 3) with alpha (H, W), reduced, over squares of `check` pixels."""
    coverage = np.clip(resized(alpha, (height, width), "box"), 0, 1)
    # Premultiplied, so that the colours of transparent pixels do not bleed.
    small = resized(colours * alpha[..., None], (height, width), "box") / np.maximum(coverage, 1e-6)[..., None]
    return composite(np.clip(small, 0, 1), coverage, checkerboard((height, width), size=check))


def _laid_out(panels: dict[str, np.ndarray], width: int, height: int) -> np.ndarray:
    column = max(width, 100) + _GAP
    canvas = Image.new("RGB", (_GAP + column * len(panels), height + _LABEL + _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    font: Any = ImageFont.load_default(16)
    for i, (label, panel) in enumerate(panels.items()):
        x = _GAP + i * column
        draw.text((x, 4), label, fill="black", font=font)
        canvas.paste(Image.fromarray(np.round(panel * 255).astype(np.uint8)), (x, _LABEL))
    return np.asarray(canvas)
