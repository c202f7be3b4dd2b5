"""Lay one alpha over white with the photo's colours, the estimated ones and the exact ones, and compare the fringes.

python examples/fringe.py [RESULT]
"""

import sys

import numpy as np

import trimatte
from trimatte.synthetic import scene

target = sys.argv[1] if len(sys.argv) > 1 else "fringe.png"
painted = scene("hair", (480, 480), seed=3)

colours = {
    "photo": painted.image,
    "estimated": trimatte.estimate_foreground(painted.image, painted.alpha),
    "exact": painted.foreground,
}
over = {name: trimatte.composite(values, painted.alpha, "white") for name, values in colours.items()}
for name in ("photo", "estimated"):
    print(f"{name:<10} off by {255 * np.abs(over[name] - over['exact']).mean():.2f} of 255 on average")

corner = np.s_[40:240, 60:260]
trimatte.save_image(
    target, np.hstack([picture[corner].repeat(2, axis=0).repeat(2, axis=1) for picture in over.values()])
)
print(target)
