"""How far a cut-out can be trusted, by pixel and as a whole, from what the way to it has left behind.

Of the signs that `benchmarks/confidence.py` compares (the network's uncertainty, the solver's sensitivity, the
disagreement of two methods), two that cost nothing rank the true error best together, better than a second solve or
another method: how far alpha is from 0 and 1 where it was solved for, and how unsure the network was. For a pixel the
latter counts where the network was believed; for the picture it counts everywhere, since a network that is unsure of
much has often missed a part.
"""

from __future__ import annotations

import numpy as np

from trimatte.planes.resize import strips
from trimatte.segmentation.doubt import doubt_of_outline, found_and_doubt
from trimatte.trimap import UNKNOWN

LEAST_TRUST = 0.53
"""What a segmenter finds with less trust is no subject.

Nineteen in twenty scenes without one have less, and one picture with one in sixty.
"""
DOUBTFUL = 0.6
"""With less trust there may be none.

One of both is said of 97 in a hundred scenes without one, and of one picture in twenty-five with one.
"""


def doubt_map(alpha: np.ndarray, probability: np.ndarray | None = None, trimap: np.ndarray | None = None) -> np.ndarray:
    """Doubt of each pixel.

    Parameters
    ----------
    alpha : (H, W) array in [0, 1]
        The alpha matte.
    probability : (H, W) array in [0, 1], optional
        Of foreground; None if the trimap was given, whose known pixels are then not doubted.
    trimap : (H, W) array, optional
        Values 0, 128 and 255; None if the method needs none.

    Returns
    -------
    (H, W) float32 in [0, 1]
        4 a (1 - a) of alpha where the trimap is unknown, of the probability elsewhere: 0 is sure, 1 is wholly unsure.
        It ranks error; it is no estimate of its size.
    """
    believed = alpha if trimap is None else np.zeros_like(alpha) if probability is None else probability
    value = believed if trimap is None else np.where(trimap == UNKNOWN, alpha, believed)
    return _unsure(value)


def picture_confidence(
    alpha: np.ndarray, probability: np.ndarray | None = None, trimap: np.ndarray | None = None
) -> float:
    """Confidence in a cut-out as a whole, in [0, 1]: alpha's sum, over that sum and the doubt's; 0 without a subject.

    The doubt is the mean of `doubt_map`, which takes the same arguments, and of the probability's 4 p (1 - p). Of
    several cut-outs the one with the least confidence is the one to look at first.
    """
    doubt = 0.0
    for rows in strips(alpha.shape):
        p, known = (None if plane is None else plane[rows] for plane in (probability, trimap))
        doubt += float(doubt_map(alpha[rows], p, known).sum(dtype=np.float64))
        doubt += 0.0 if p is None else float(_unsure(p).sum(dtype=np.float64))
    doubt /= 1 if probability is None else 2
    area = float(alpha.sum(dtype=np.float64))
    return area / (area + doubt) if area >= 1 else 0.0


def subject_trust(probability: np.ndarray) -> float:
    """Trust that there is a subject at all, in [0, 1]: what is found, over that and the doubt about it.

    A segmenter outlines what it knows, and smears over a picture in which there is nothing to be found. The outline
    itself is no doubt: in a small picture much of a subject lies on it.

    Parameters
    ----------
    probability : (H, W) array in [0, 1]
        Of foreground, as a segmenter gives it.

    Returns
    -------
    float
        The sum of p over that of p + 4 p (1 - p), less what an outline has of the latter; 1 for a mask, 0 for nothing.
    """
    found, doubt = found_and_doubt(probability)
    doubt = max(0.0, doubt - doubt_of_outline(probability))
    return found / (found + doubt) if found > 0 else 0.0


def _unsure(value: np.ndarray) -> np.ndarray:
    """4 v (1 - v): 0 at 0 and 1, and 1 half way."""
    doubt: np.ndarray = (4 * value * (1 - value)).astype(np.float32)
    return doubt
