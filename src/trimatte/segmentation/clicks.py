"""What a person points at in a photo, by the network of clicks on the maps of the segmenter `lite`.

The segmenter sees the photo once. From its maps a small decoder (`trimatte.networks.clicks`) answers each prompt, the
answer before among what it is given. Both are shipped; how the decoder was trained is in `trimatte.training.clicks`, on
what in `decoders/clicks.toml`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trimatte.networks.lite_maps import MAPS
from trimatte.planes.resize import resized
from trimatte.runtime.onnx import embedded_session
from trimatte.segmentation import onnx
from trimatte.segmentation.contract import Contract
from trimatte.segmentation.prompts import Prompts, positions, prompt_maps
from trimatte.segmentation.second import Segmenter

Floats = NDArray[np.float32]
SURE = np.float32(8)
"""Logits of an answer to begin with are no farther from 0."""
CLEAR = np.float32(1)
"""Logits at what was clicked are no nearer to 0."""
MOSTLY = 0.7
"""An answer of this IoU with the one before is a correction of it."""


class ClickedPhoto:
    """A photo (H, W, 3) float32 in [0, 1], as the segmenter `lite` in a session has seen it by a contract.

    `whole` makes the whole segmenter of one that its network alone is.

    Attributes
    ----------
    shape : (int, int)
        Height and width of the photo.
    found : (h, w) float32 array or None
        Logits of the segmenter's own answer, if it was to give one.
    """

    def __init__(
        self,
        image: Floats,
        session: Any,
        contract: Contract,
        whole: Callable[[Segmenter], Segmenter],
        *,
        automatic: bool,
    ) -> None:
        self.shape = image.shape[0], image.shape[1]
        self._maps: dict[str, Floats] = {}

        def infer(x: np.ndarray) -> np.ndarray:
            """The segmenter's logits; of what it sees first, the maps are kept."""
            if self._maps:
                logits = session.run(["logits"], {"image": np.ascontiguousarray(x)})[0]
            else:
                logits, *maps = session.run(["logits", *MAPS], {"image": x})
                self._size = x.shape[2], x.shape[3]
                self._maps = dict(zip(MAPS, maps, strict=True))
            answer: np.ndarray = logits[0, 0]
            return answer

        self.found: Floats | None = None
        if automatic:
            self._automatic = whole(lambda photo: onnx.run_whole(infer, photo, contract))(image)
            self.found = self._logits(self._automatic)
        else:
            self._automatic = np.zeros(self.shape, np.float32)
            infer(onnx.network_input(image, contract)[0])

    @property
    def nbytes(self) -> int:
        """Memory of the maps."""
        return sum(plane.nbytes for plane in self._maps.values())

    def answer(self, prompts: Prompts, before: Floats | None) -> Floats:
        """Logits (h, w) of what is pointed at; `before` are those of the answer before."""
        (height, width), (rows, columns) = self.shape, self._size
        scale = np.array([columns / width, rows / height])
        points = (np.array([p[:2] for p in prompts.points], float).reshape(-1, 2) + 0.5) * scale
        signs = np.array([p[2] for p in prompts.points], np.float32)
        box = None if prompts.box is None else tuple((np.array(prompts.box) * np.tile(scale, 2)).tolist())
        given = {
            **self._maps,
            "prompts": prompt_maps(self._size, points, signs, box, before)[None],
            # One at least, which counts for nothing.
            "position": np.append(positions(self._size, points), 0)[None],
            "sign": np.append(signs, np.float32(0))[None],
        }
        logits: Floats = embedded_session("segmentation/decoders/clicks.onnx").run(["logits"], given)[0][0, 0]
        if self.found is not None and before is not None and len(points):
            logits = _focused(before, logits, points[-1] / 2)
        return _obedient(logits, points / 2, signs)

    def probability(self, logits: Floats | None, prompts: Prompts) -> Floats:
        """Probability (H, W) of logits, over one half where a click keeps, and under it where one drops.

        Before the first prompt that is the segmenter's own, or 0.
        """
        if not prompts:
            return self._automatic.copy()
        assert logits is not None
        plane = np.clip(resized(_sigmoid(logits), self.shape), 0, 1)
        for x, y, sign in prompts.points:
            here = int(y), int(x)
            least = _sigmoid(sign * CLEAR)
            plane[here] = max(plane[here], least) if sign > 0 else min(plane[here], least)
        return plane

    def _logits(self, probability: Floats) -> Floats:
        rows, columns = self._size
        p = resized(probability, (rows // 2, columns // 2)).astype(np.float64)
        with np.errstate(divide="ignore"):
            logits: Floats = np.clip(np.log(p) - np.log1p(-p), -SURE, SURE).astype(np.float32)
        return logits


def _sigmoid(logits: Any) -> Any:
    return 1 / (1 + np.exp(-logits))


def _focused(before: Floats, logits: Floats, point: NDArray[np.floating]) -> Floats:
    """The answer before, with the change about a click alone, unless much else has changed as well.

    A click that corrects the segmenter changes nothing far from it (Chen et al., "FocalClick", CVPR 2022).
    """
    old, new = before > 0, logits > 0
    if (old & new).sum() < MOSTLY * (old | new).sum():
        return logits
    numbers, _ = ndimage.label(ndimage.binary_dilation(old != new, iterations=2))
    y, x = (int(np.clip(v, 0, side - 1)) for v, side in zip(point[::-1], old.shape, strict=True))
    here = numbers[y, x]
    return np.where(numbers == here, logits, before) if here else logits


def _obedient(logits: Floats, points: NDArray[np.floating], signs: Floats) -> Floats:
    """Logits of the sign of each click where it lies, of the last one if there are several."""
    rows, columns = logits.shape
    for (x, y), sign in zip(points, signs, strict=True):
        top, left = int(np.clip(y - 0.5, 0, rows - 1)), int(np.clip(x - 0.5, 0, columns - 1))
        around = logits[top : top + 2, left : left + 2]
        np.copyto(around, sign * np.maximum(sign * around, CLEAR))
    return logits
