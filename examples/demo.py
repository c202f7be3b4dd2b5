"""Cut out two photos of scikit-image, a cat and an astronaut, and write every stage to a folder.

python examples/demo.py [FOLDER]
"""

import sys
from pathlib import Path

import skimage.data

import trimatte
from trimatte.sheet import make_sheet

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
folder.mkdir(parents=True, exist_ok=True)

for name, photo in {"cat": skimage.data.chelsea(), "astronaut": skimage.data.astronaut()}.items():
    result = trimatte.cutout(photo)
    result.save(folder / f"{name}.png")
    trimatte.save_image(folder / f"{name}-alpha.png", result.alpha)
    trimatte.save_image(folder / f"{name}-trimap.png", result.trimap)
    trimatte.save_image(folder / f"{name}-sheet.png", make_sheet(result))
    print(f"{name}: {', '.join(str(path) for path in sorted(folder.glob(f'{name}*.png')))}")
