"""Make the pictures of the gallery: run the examples, and the command line on two more photos.

python docs/make_gallery.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from trimatte.synthetic import KINDS, scene

ROOT = Path(__file__).resolve().parent.parent
GALLERY = ROOT / "docs" / "gallery"
RESULTS = {
    "demo.py": ["cat-sheet.png", "astronaut-sheet.png"],
    "stages.py": ["stages.png"],
    "own_trimap.py": ["head.webp"],
    "methods.py": ["methods.png"],
    "fringe.py": ["fringe.png"],
    "click.py": ["click.png"],
}


def run(folder: Path, *command: str) -> None:
    """Run Python with `command` in `folder`; what it prints is shown."""
    subprocess.run([sys.executable, *command], cwd=folder, check=True)


def keep(picture: Path | Image.Image, name: str) -> None:
    """Put a picture into the gallery."""
    with picture if isinstance(picture, Image.Image) else Image.open(picture) as image:
        image.convert("RGB").save(GALLERY / f"{name}.webp", quality=85, method=6)


def painted_scenes() -> Image.Image:
    """One painted scene of each kind, in rows of four."""
    scenes = [scene(kind, (240, 320), seed=4).image for kind in KINDS]
    scenes += [np.full_like(scenes[0], 255)] * (-len(scenes) % 4)
    return Image.fromarray(np.vstack([np.hstack(scenes[i : i + 4]) for i in range(0, len(scenes), 4)]))


def main() -> None:
    GALLERY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for script, results in RESULTS.items():
            run(folder, str(ROOT / "examples" / script), *(["."] if script == "demo.py" else []))
            for result in results:
                keep(folder / result, Path(result).stem)
        for photo in ("coffee", "rocket"):
            Image.fromarray(getattr(skimage.data, photo)()).save(folder / f"{photo}.jpg", quality=95)
            run(folder, "-m", "trimatte", "cutout", f"{photo}.jpg", "--sheet")
            keep(folder / f"{photo}-sheet.png", f"{photo}-sheet")
    keep(painted_scenes(), "scenes")


if __name__ == "__main__":
    main()
