"""One picture of a cut-out's stages, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from trimatte.composite import checkerboard, composite

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
    side : the long side of each panel in pixels; small photos are not enlarged.

    Returns
    -------
    (h, w, 3) uint8
    """
    scale = min(1.0, side / max(cutout.alpha.shape))
    height, width = (max(1, round(n * scale)) for n in cutout.alpha.shape)
    alpha = _resized(cutout.alpha, width, height)
    over = over_checkerboard(cutout.foreground, cutout.alpha, width, height, check=max(4, side // 40))
    panels = {
        "photo": _resized(cutout.image, width, height),
        "probability": None if cutout.probability is None else _resized(cutout.probability, width, height),
        "trimap": None if cutout.trimap is None else _resized(cutout.trimap / np.float32(255), width, height),
        "alpha": alpha,
        "cut-out": over,
    }
    return _laid_out({label: panel for label, panel in panels.items() if panel is not None}, width, height)


def over_checkerboard(colours: np.ndarray, alpha: np.ndarray, width: int, height: int, *, check: int) -> np.ndarray:
    """(height, width, 3) float32: colours (H, W, 3) with alpha (H, W), reduced, over squares of `check` pixels."""
    coverage = np.clip(_resized(alpha, width, height), 0, 1)
    # Premultiplied, so that the colours of transparent pixels do not bleed.
    small = _resized(colours * alpha[..., None], width, height) / np.maximum(coverage, 1e-6)[..., None]
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


def _resized(array: np.ndarray, width: int, height: int) -> np.ndarray:
    """Antialiased resize of (H, W) or (H, W, 3) float32 in [0, 1]."""
    if array.shape[:2] == (height, width):
        return array
    planes = array[..., None] if array.ndim == 2 else array
    out = np.empty((height, width, planes.shape[2]), np.float32)
    for c in range(planes.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[..., c], np.float32))
        out[..., c] = np.asarray(plane.resize((width, height), Image.Resampling.BOX))
    return out[..., 0] if array.ndim == 2 else out
