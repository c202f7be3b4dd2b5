"""Cut hair out of a green screen and a net off white, automatically and with the backdrop known.

python examples/backdrop.py [RESULT]
"""

import sys
import warnings

import numpy as np

import trimatte
from trimatte.synthetic import degrade, subject

target = sys.argv[1] if len(sys.argv) > 1 else "backdrop.png"
rng = np.random.default_rng(4)
rows = []
for kind, colour in (("hair", (0.1, 0.65, 0.25)), ("net", (1.0, 1.0, 1.0))):
    foreground, alpha = subject(kind, (320, 320), rng)
    light = np.linspace(0.9, 1, 320)[:, None, None]  # it falls off towards the top
    behind = np.broadcast_to(light * np.array(colour), foreground.shape)
    photo = degrade(np.uint8(255 * trimatte.composite(foreground, alpha, behind)), rng, noise=0.008)
    row = [photo / np.float32(255)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for backdrop in ("off", "auto"):
            cut = trimatte.cutout(photo, backdrop=backdrop)
            row.append(cut.over("magenta"))
            error = np.abs(cut.alpha - alpha).mean()
            print(f"{kind:<5} {backdrop:<5} alpha off by {error:.3f}  {cut.report.backdrop} {cut.report.backdrop_note}")
    rows.append(np.hstack(row))
trimatte.save_image(target, np.vstack(rows).astype(np.float32))
print(target)
