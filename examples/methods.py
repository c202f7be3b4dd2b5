"""Run six classical methods on a painted scene with known alpha; show them side by side, and print their errors.

python examples/methods.py [RESULT]
"""

import sys

import numpy as np
from scipy.ndimage import distance_transform_edt

import trimatte
from trimatte.synthetic import scene

METHODS = ["closed-form", "knn", "learning-based", "large-kernel", "random-walk", "shared"]

target = sys.argv[1] if len(sys.argv) > 1 else "methods.png"
painted = scene("hair", (320, 320), seed=4)
truth = painted.alpha / np.float32(255)
mixed = (painted.alpha > 0) & (painted.alpha < 255)
trimap = np.where(distance_transform_edt(~mixed) <= 5, np.uint8(128), painted.alpha)

mattes = [trimatte.estimate_alpha(painted.image, trimap, method=method).alpha for method in METHODS]
for method, alpha in zip(METHODS, mattes, strict=True):
    print(f"{method:<15} SAD {trimatte.metrics.sad(alpha, truth, trimap=trimap):.2f}")

grey = [trimap / np.float32(255), truth, *mattes]
panels = [painted.image / np.float32(255), *(np.dstack([picture] * 3) for picture in grey)]
trimatte.save_image(target, np.vstack([np.hstack(panels[i : i + 3]) for i in (0, 3, 6)]))
print(target)
