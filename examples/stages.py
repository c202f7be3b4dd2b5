"""Put a photo's subject over a new background, one stage at a time.

python examples/stages.py [PHOTO [RESULT]]
"""

import sys

import skimage.data

import trimatte

photo = trimatte.load_image(sys.argv[1]) if len(sys.argv) > 1 else skimage.data.astronaut()
target = sys.argv[2] if len(sys.argv) > 2 else "stages.png"

probability = trimatte.segment(photo)
trimap = trimatte.make_trimap(probability, band=0.04, speck=0.002)
matte = trimatte.estimate_alpha(photo, trimap, method="knn")
foreground = trimatte.estimate_foreground(photo, matte.alpha)
trimatte.save_image(target, trimatte.composite(foreground, matte.alpha, "seagreen"))

print(f"{matte.report.method}: {matte.report.unknown} unknown pixels, converged: {matte.report.converged}")
print(target)
