"""Make docs/images/before-after.webp, the picture at the top of the README: two photos, and their subjects elsewhere.

The photos come with scikit-image: Chelsea (CC0, Stéfan van der Walt) and the astronaut (NASA, public domain).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import trimatte

HEIGHT = 300
GROUNDS = ("#f2b134", "#2a9d8f")

panels = []
for photo, ground in zip((skimage.data.chelsea(), skimage.data.astronaut()), GROUNDS, strict=True):
    result = trimatte.cutout(photo)
    for picture in (photo / 255, result.over(ground)):
        image = Image.fromarray(np.rint(255 * picture).astype(np.uint8))
        panels.append(np.asarray(image.resize((round(HEIGHT * image.width / image.height), HEIGHT))))
banner = Image.fromarray(np.concatenate(panels, axis=1))
banner.save(Path(__file__).parent / "images" / "before-after.webp", quality=85)
