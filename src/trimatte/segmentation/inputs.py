"""What a network is given of a picture and its trimap: the channels that contracts speak of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN
from trimatte.images.cells import Box
from trimatte.segmentation.contract import Contract

SPREADS = (6.4, 25.6, 51.2)
"""Pixels: 0.02, 0.08 and 0.16 of 320, the side of the pictures on which FBA Matting was trained."""
FAR = 320
"""Beyond so many pixels exp(-d^2 / 2 s^2) is less than 1e-8 and counts as nothing."""


def tensors(image: np.ndarray, trimap: np.ndarray, contract: Contract, window: Box) -> list[np.ndarray]:
    """The inputs of a network for a window of a picture, each (1, C, h, w) float32.

    Parameters
    ----------
    image, trimap : (H, W, 3) float32 array in [0, 1] and (H, W) uint8 array
        The whole picture.
    contract : Contract
        What the network takes.
    window : (int, int, int, int)
        Top, bottom, left and right of the window, which may end beyond the picture.
    """
    top, bottom, left, right = window
    part = slice(top, min(bottom, trimap.shape[0])), slice(left, min(right, trimap.shape[1]))
    beyond = [(0, 0), (0, bottom - part[0].stop), (0, right - part[1].stop)]
    made = [
        np.concatenate([_MADE[plane](image, trimap, contract, part) for plane in planes]) for planes in contract.inputs
    ]
    return [_padded(planes, beyond, contract.padding)[None] for planes in made]


Part = tuple[slice, slice]


def _picture(image: np.ndarray, trimap: np.ndarray, contract: Contract, part: Part) -> np.ndarray:
    planes: np.ndarray = _plain(image, trimap, contract, part) - np.array(contract.mean, np.float32)[:, None, None]
    planes /= np.array(contract.std, np.float32)[:, None, None]
    return planes


def _plain(image: np.ndarray, trimap: np.ndarray, contract: Contract, part: Part) -> np.ndarray:
    planes: np.ndarray = image[part].transpose(2, 0, 1)
    return planes


def _trimap(image: np.ndarray, trimap: np.ndarray, contract: Contract, part: Part) -> np.ndarray:
    codes: np.ndarray = np.select([trimap[part] == BACKGROUND, trimap[part] == FOREGROUND], [0, 1], 0.5)
    return codes[None].astype(np.float32)


def _one_hot(image: np.ndarray, trimap: np.ndarray, contract: Contract, part: Part) -> np.ndarray:
    return _equal(trimap[part], BACKGROUND, UNKNOWN, FOREGROUND)


def _known(image: np.ndarray, trimap: np.ndarray, contract: Contract, part: Part) -> np.ndarray:
    return _equal(trimap[part], BACKGROUND, FOREGROUND)


def _distances(image: np.ndarray, trimap: np.ndarray, contract: Contract, part: Part) -> np.ndarray:
    """exp(-d^2 / 2 s^2) to known background and foreground (6, h, w); 0 where there is none within FAR."""
    from trimatte.planes.distance import squared_distance

    wider = tuple(slice(max(0, each.start - FAR), each.stop + FAR) for each in part)
    inner = tuple(slice(p.start - w.start, p.stop - w.start) for p, w in zip(part, wider, strict=True))
    planes = []
    for value in (BACKGROUND, FOREGROUND):
        away = squared_distance(trimap[wider] == value, FAR)[inner]
        planes += [np.where(away > FAR**2, 0, np.exp(-away / np.float32(2 * s * s))) for s in SPREADS]
    return np.stack(planes).astype(np.float32, copy=False)


def _equal(trimap: np.ndarray, *values: int) -> np.ndarray:
    return np.stack([trimap == value for value in values]).astype(np.float32)


def _padded(planes: np.ndarray, beyond: list[tuple[int, int]], padding: str) -> np.ndarray:
    if not any(more for _, more in beyond):
        return planes
    if padding == "zero":
        return np.pad(planes, beyond)
    # A side of one pixel has no mirror image.
    for axis in (1, 2):
        width = [edge if at == axis else (0, 0) for at, edge in enumerate(beyond)]
        planes = np.pad(planes, width, mode="reflect" if planes.shape[axis] > 1 else "edge")
    return planes


_MADE: dict[str, Callable[[np.ndarray, np.ndarray, Contract, Part], np.ndarray]] = {
    "picture": _picture,
    "plain": _plain,
    "trimap": _trimap,
    "one-hot": _one_hot,
    "known": _known,
    "distances": _distances,
}
