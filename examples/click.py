"""Point at one of the things in a photo: the astronaut, and not the model of the shuttle behind her.

python examples/click.py [RESULT]
"""

import sys

import skimage.data

import trimatte

target = sys.argv[1] if len(sys.argv) > 1 else "click.png"
selection = trimatte.Selection(skimage.data.astronaut(), automatic=False)

selection.add(215, 330)  # her suit
print(f"a click selects {(selection.probability > 0.5).mean():.0%} of the photo")
selection.remove(420, 150)  # the shuttle
print(f"two select {(selection.probability > 0.5).mean():.0%}")

cut = selection.cutout()
trimatte.save_image(target, cut.over("white"))
print(target)
