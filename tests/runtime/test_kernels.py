"""What `trimatte doctor --warm-up` compiles is all that pictures need."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys, warnings
import numpy as np
from numba.core.dispatcher import Dispatcher
import trimatte
from trimatte.alpha.reduced import reduced_matte
from trimatte.cli.doctor import _warm_up, warm_ups
from trimatte.segmentation.decide import decided

warnings.simplefilter("ignore")

def compiled():
    modules = [module for name, module in list(sys.modules.items()) if name.startswith("trimatte.")]
    kernels = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
    return {(f"{kernel.__module__}.{kernel.__name__}", str(one)) for kernel in kernels for one in kernel.signatures}

for names in warm_ups():
    _warm_up(names)
before = compiled()

y, x = np.mgrid[:120, :160]
alpha = np.clip((30 - np.hypot(y - 60, x - 70)) / 8 + 0.5, 0, 1)
noise = np.random.default_rng(0).normal(0, 0.02, (120, 160, 3))
photo = np.clip(0.2 + 0.6 * alpha[..., None] + noise, 0, 1)
trimap = np.where(alpha == 1, 255, np.where(alpha == 0, 0, 128)).astype(np.uint8)
codes = np.round(255 * photo).astype(np.uint8)
methods = ("closed-form", "knn", "learning-based", "large-kernel", "random-walk", "shared")
methods += ("light", "light-closed-form", "hybrid")
for image in (codes, photo, np.asfortranarray(photo.astype(np.float32)), codes[::-1]):
    for method in methods:
        trimatte.estimate_alpha(image, trimap[::-1] if image.strides[0] < 0 else trimap, method=method)
trimatte.estimate_alpha(codes, trimap, prior=alpha, confidence=0.1)
prepared = trimatte.prepare_alpha(codes, trimap)
edited = trimap.copy()
edited[55:60, 35:45] = 128
prepared.update(edited)
prepared.solve()
trimatte.estimate_foreground(codes, alpha)
trimatte.estimate_foreground(codes, alpha, method="closed-form")
trimatte.cutout(codes, trimap=trimap, foreground="multilevel")
decided(photo[::-1].astype(np.float32), alpha[::-1].astype(np.float32))
reduced_matte(photo.astype(np.float32), trimap, pixels=500, method="light", strict=True)
trimatte.make_trimap(alpha > 0.5)
trimatte.make_trimap(alpha > 0.5, speck=0.002)
print(json.dumps(sorted(compiled() - before)))
"""


def test_pictures_of_all_kinds_use_what_was_compiled_ahead() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
