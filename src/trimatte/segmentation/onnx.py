"""Networks in ONNX files as segmenters, each by its contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trimatte.errors import ModelError
from trimatte.images.arrays import Box, bounding_box, grown
from trimatte.planes.resize import downsampled, resized
from trimatte.runtime.onnx import open_session
from trimatte.segmentation.contract import Contract

Ask = Callable[[np.ndarray], np.ndarray]

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
MARGIN = 0.25
"""A box is widened by this share of its sides for the second look, so that the subject has surroundings."""
NOTHING = 1e-3
"""A picture of a mean probability below this shows no subject to be in doubt about."""
DOUBTED = 512
"""The doubt about a large picture is taken from pixels apart, about so many along its long side."""
LONGEST = 4
"""The most times a `short_side` that the long side may have: a strip of a picture must not fill the memory."""


def segmenter(path: Path, contract: Contract) -> Callable[[np.ndarray], np.ndarray]:
    """Build a segmenter from an ONNX file. Raises `ModelError` if the file does not fit the contract."""
    ask = _asker(path, contract, path.name)

    def see(image: np.ndarray) -> np.ndarray:
        probability = _looked_twice(ask, image, contract)
        if contract.third_look and _doubt(probability) > contract.third_look:
            probability += 2 * _looked(lambda x: ask(x[..., ::-1])[..., ::-1], image, contract.in_doubt())
            probability /= 3
        return probability

    return see


def _looked_twice(ask: Ask, image: np.ndarray, contract: Contract) -> np.ndarray:
    """Probability (H, W) of a picture, and of a small subject's surroundings the mean with a second look at them."""
    probability = _looked(ask, image, contract)
    box = bounding_box(probability > 0.5) if contract.second_look else None
    if box is not None and probability[box].size <= contract.second_look * probability.size:
        box = grown(box, [max(1, round(MARGIN * (side.stop - side.start))) for side in box], probability.shape)
        probability[box] = (probability[box] + _looked(ask, image[box], contract)) / 2
    return probability


def _looked(ask: Ask, image: np.ndarray, contract: Contract) -> np.ndarray:
    """Probability (H, W) of a picture (H, W, 3), the mean over all sizes at which it is seen."""
    answers = [_answer(ask, image, seen) for seen in contract.looks()]
    largest = max((answer.shape for answer in answers), key=lambda shape: shape[0] * shape[1])
    mean = np.stack([resized(answer, largest) for answer in answers]).mean(axis=0)
    probability: np.ndarray = np.clip(resized(_probability(mean, contract), image.shape[:2]), 0, 1)
    return probability


def _doubt(probability: np.ndarray) -> float:
    """How much of what is found is in doubt: the sum of 4 p (1 - p) over the sum of p, 0 if there is nothing."""
    step = max(1, max(probability.shape) // DOUBTED)
    p = probability[::step, ::step]
    found = float(p.sum())
    return float((4 * p * (1 - p)).sum()) / found if found > NOTHING * p.size else 0.0


def check(path: Path, contract: Contract, *, called: str) -> list[str]:
    """Load an ONNX file, let it see a picture, and hold what it takes and gives against the contract.

    Returns remarks on what is odd but possible. Raises `ModelError` for what cannot be right, of the file as `called`.
    """
    ask = _asker(path, contract, called)
    picture = np.random.default_rng(0).random((96, 128, 3), np.float32)
    answers = np.concatenate([_answer(ask, picture, look).ravel() for look in contract.looks()])
    low, high = float(answers.min()), float(answers.max())
    if contract.kind == "probability" and not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ModelError(
            f'{called}: the card says kind = "probability", but the network gives {low:.3g} to {high:.3g}: '
            "logits, it seems"
        )
    if contract.kind == "logits" and low >= 0 and high <= 1:
        return [f'the card says kind = "logits", but the network gives {low:.3g} to {high:.3g}: probabilities?']
    return []


def _asker(path: Path, contract: Contract, called: str) -> Ask:
    """The function of the network: (1, 3, h, w) float32 to (h', w') float32."""
    session = open_session(path, called=called)
    name, dtype = _input(session, contract, called)
    output = _output(session, contract, called)

    def ask(x: np.ndarray) -> np.ndarray:
        try:
            y = session.run([output], {name: np.ascontiguousarray(x, dtype=dtype)})[0]
        except Exception as error:
            raise ModelError(f"{called}: cannot be run at {x.shape[2]} x {x.shape[3]} pixels: {error}") from error
        if y.ndim < 2 or y.size != y.shape[-1] * y.shape[-2]:
            raise ModelError(f"{called}: output {output!r} has shape {y.shape}, wanted (1, 1, height, width)")
        if not np.isfinite(y).all():
            raise ModelError(f"{called}: the network gives values that are not finite")
        answer: np.ndarray = y.reshape(y.shape[-2:]).astype(np.float32)
        return answer

    return ask


def _input(session: Any, contract: Contract, called: str) -> tuple[str, type]:
    """Name and type of the input. Raises `ModelError` if it cannot take the pictures of the contract."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(given.name for given in inputs)
        raise ModelError(f"{called}: has {len(inputs)} inputs ({names}), wanted one, the picture")
    shape, kind = inputs[0].shape, inputs[0].type
    if kind not in _TYPES:
        raise ModelError(f"{called}: takes {kind}, wanted {' or '.join(_TYPES)}")
    side = contract.size
    wanted = (1, 3, side, side)
    if len(shape) != len(wanted) or not all(map(_agree, shape, wanted)):
        said = tuple(n or "any" for n in wanted)
        raise ModelError(f"{called}: takes pictures of shape {tuple(shape)}, the card says {said}")
    if side is None and any(isinstance(n, int) for n in shape[2:]):
        raise ModelError(f"{called}: takes only {shape[2]} x {shape[3]} pixels, the card says any; size = {shape[2]}?")
    return inputs[0].name, _TYPES[kind]


def _agree(has: Any, wanted: int | None) -> bool:
    """Whether a network's dimension, a number or the name of one that is open, may be the wanted one."""
    return wanted is None or not isinstance(has, int) or has == wanted


def _output(session: Any, contract: Contract, called: str) -> str:
    names: list[str] = [output.name for output in session.get_outputs()]
    index = contract.index
    if isinstance(index, str):
        if index not in names:
            raise ModelError(f"{called}: has no output {index!r}, but {', '.join(names)}")
        return index
    if index >= len(names):
        raise ModelError(f"{called}: has {len(names)} outputs, the card wants number {index}, counted from 0")
    return names[index]


def _probability(answer: np.ndarray, contract: Contract) -> np.ndarray:
    if contract.kind == "probability":
        return answer
    with np.errstate(over="ignore"):  # a logit far below 0 is a probability of 0
        probability: np.ndarray = 1 / (1 + np.exp(-answer / np.float32(contract.temperature)))
    return probability


def _answer(ask: Ask, image: np.ndarray, contract: Contract) -> np.ndarray:
    """What the network says of a picture, at its own resolution."""
    x, box = as_seen(image, contract)
    answer = ask(x)
    if contract.flip:
        answer = (answer + ask(x[..., ::-1])[..., ::-1]) / 2
    return resized(answer, x.shape[2:])[box] if contract.fit == "letterbox" else answer


def as_seen(image: np.ndarray, contract: Contract) -> tuple[np.ndarray, Box]:
    """The picture as the network wants it, (1, 3, h, w), and where in it the picture lies."""
    height, width = image.shape[:2]
    canvas = network_size(height, width, contract)
    box: Box = np.s_[:, :]
    if contract.fit == "letterbox":
        scale = min(canvas[0] / height, canvas[1] / width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        box = _centred(inner[0], canvas[0]), _centred(inner[1], canvas[1])
        seen = np.zeros((3, *canvas), np.float32)
        seen[(slice(None), *box)] = downsampled(image, inner, contract.resize).transpose(2, 0, 1)
    else:
        seen = downsampled(image, canvas, contract.resize).transpose(2, 0, 1)
    if contract.scaling == "maximum":
        seen /= max(float(seen.max()), 1e-6)
    seen -= np.array(contract.mean, np.float32)[:, None, None]
    seen /= np.array(contract.std, np.float32)[:, None, None]
    return seen[None], box


def _centred(length: int, space: int) -> slice:
    start = (space - length) // 2
    return slice(start, start + length)


def network_size(height: int, width: int, contract: Contract) -> tuple[int, int]:
    """(height, width) at which the network sees a picture: its own aspect, to the nearest multiples, or a square."""
    if contract.size is not None:
        return contract.size, contract.size
    if contract.long_side is not None:
        scale = contract.long_side / max(height, width)
    else:
        short = contract.short_side or contract.multiple
        scale = min(short / min(height, width), LONGEST * short / max(height, width))
    step = contract.multiple
    sides = (max(step, round(side * scale / step) * step) for side in (height, width))
    return next(sides), next(sides)
