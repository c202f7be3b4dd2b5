"""Fast multi-level foreground estimation (Germer, Uelwer, Conrad, Harmeling, ICPR 2020), through pymatting."""

from __future__ import annotations

import numpy as np


def multilevel(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Foreground colours (H, W, 3) float32 of image (H, W, 3) and alpha (H, W)."""
    from pymatting import estimate_foreground_ml

    foreground = np.asarray(estimate_foreground_ml(image, alpha), dtype=np.float32)
    foreground[alpha == 1] = image[alpha == 1]
    return foreground
