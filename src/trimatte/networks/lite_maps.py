"""What the network of clicks takes, for those who run it without PyTorch."""

from __future__ import annotations

MAPS = {
    "quarter": 4,
    "eighth": 8,
    "sixteenth": 16,
    "thirtysecond": 32,
    "drawn_half": 2,
    "drawn_quarter": 4,
    "drawn_eighth": 8,
    "drawn_sixteenth": 16,
}
"""Maps of the segmenter `lite`, of its encoder and of its decoder, and their strides."""
PROMPTS = 6
"""Maps of prompts: near and far about what to keep, the same about what to drop, the box, the answer before."""
