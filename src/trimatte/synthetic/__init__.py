"""Procedural scenes whose alpha, foreground and background are known exactly.

    from trimatte.synthetic import KINDS, scene
    s = scene("hair", (512, 512), seed=7)     # s.image, s.alpha, s.foreground, s.background

`subject` paints foreground colours and alpha alone, over which a caller may compose backgrounds of its own.
"""

from trimatte.synthetic.scenes import Scene, backdrop, degrade, scene, subject
from trimatte.synthetic.subjects import KINDS

__all__ = ["KINDS", "Scene", "backdrop", "degrade", "scene", "subject"]
