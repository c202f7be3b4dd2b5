"""Cut out with a trimap of your own, here two ellipses around the astronaut's head, and read the report.

python examples/own_trimap.py [RESULT]
"""

import sys

import numpy as np
import skimage.data
from PIL import Image, ImageDraw

import trimatte

target = sys.argv[1] if len(sys.argv) > 1 else "head.webp"
photo = skimage.data.astronaut()[:240, 100:360]

drawing = Image.new("L", (260, 240), 0)
pen = ImageDraw.Draw(drawing)
pen.ellipse((40, -25, 225, 225), fill=128)  # unknown between the two ellipses
pen.ellipse((85, 20, 170, 170), fill=255)

result = trimatte.cutout(photo, trimap=np.asarray(drawing))
result.save(target, crop=8, background="lightsteelblue")

for stage, seconds in result.report.seconds.items():
    print(f"{stage:<10} {seconds:.2f} s")
print(*result.report.warnings or ["no warnings"], sep="\n")
print(target)
