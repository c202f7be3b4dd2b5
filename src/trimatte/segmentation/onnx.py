"""Networks in ONNX files, each by its contract; as segmenters here, with a trimap in `trimatte.alpha.added`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trimatte.errors import ModelError
from trimatte.images.arrays import Box, bounding_box, grown
from trimatte.planes.resize import downsampled, resized, strips
from trimatte.runtime.onnx import open_session, session_device
from trimatte.segmentation.contract import PLANES, Contract
from trimatte.segmentation.doubt import is_in_doubt
from trimatte.segmentation.inputs import tensors

Infer = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Network:
    """A network in a session: `infer(*inputs)` gives (h, w) float32.

    device : str
        Where it runs, one of `trimatte.runtime.device.DEVICES`.
    square : bool
        Whether it takes nothing but windows of the contract's size.
    """

    infer: Infer
    device: str
    square: bool


_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
MARGIN = 0.25
"""A box is widened by this share of its sides for the second pass, so that the subject has surroundings."""
THUMBNAIL = 32
"""A picture whose long side has no more pixels is not looked at a third time: masks of such became no better by it."""
LONGEST = 4
"""The most times a `short_side` that the long side may have: a strip of a picture must not fill the memory."""


def segmenter(
    path: Path, contract: Contract, device: str = "cpu", *, outputs: Sequence[str] = ()
) -> Callable[[np.ndarray], np.ndarray]:
    """Build a segmenter from an ONNX file; with `outputs`, only these of the file are computed.

    Raises `ModelError` if the file does not fit the contract.
    """
    network = open_network(path, contract, device=device, outputs=outputs)
    return lambda image: run_whole(network.infer, image, contract)


def run_whole(infer: Infer, image: np.ndarray, contract: Contract) -> np.ndarray:
    """Probability or alpha (H, W) of a picture by a network that takes no trimap; `ask` gets all of it first."""
    probability = _predict_refined(infer, image, contract)
    large = max(probability.shape) > THUMBNAIL
    if contract.third_look and large and is_in_doubt(probability, contract.third_look):
        second = _predict(lambda x: infer(x[..., ::-1])[..., ::-1], image, contract.in_doubt())
        for rows in strips(probability.shape):
            probability[rows] += 2 * second[rows]
            probability[rows] /= 3
    return probability


def _predict_refined(infer: Infer, image: np.ndarray, contract: Contract) -> np.ndarray:
    """Probability (H, W) of a picture, and of a small subject's surroundings the mean with a second pass over them."""
    probability = _predict(infer, image, contract)
    box = bounding_box(probability > 0.5) if contract.second_look else None
    if box is not None and probability[box].size <= contract.second_look * probability.size:
        box = grown(box, [max(1, round(MARGIN * (side.stop - side.start))) for side in box], probability.shape)
        probability[box] = (probability[box] + _predict(infer, image[box], contract)) / 2
    return probability


def _predict(infer: Infer, image: np.ndarray, contract: Contract) -> np.ndarray:
    """Probability (H, W) of a picture (H, W, 3), the mean over all sizes at which the network takes it."""
    answers = [_output_for(infer, image, each) for each in contract.passes()]
    mean = answers[0]
    if len(answers) > 1:
        largest = max((answer.shape for answer in answers), key=lambda shape: shape[0] * shape[1])
        mean = np.mean([resized(answer, largest) for answer in answers], axis=0)
    probability: np.ndarray = resized(as_probability(mean, contract), image.shape[:2])
    return np.clip(probability, 0, 1, out=probability)


def check(path: Path, contract: Contract, *, called: str, device: str = "cpu") -> list[str]:
    """Load an ONNX file on a device, let it see a picture, and hold what it takes and gives against the contract.

    Returns remarks on what is odd but possible. Raises `ModelError` for what cannot be right, of the file as `called`.
    """
    network = open_network(path, contract, called=called, device=device)
    answers = np.concatenate([answer.ravel() for answer in _trial(network, contract)])
    low, high = float(answers.min()), float(answers.max())
    if contract.kind == "probability" and not (low >= -1e-3 and high <= 1 + 1e-3):
        raise ModelError(
            f'{called}: the card says kind = "probability", but the network gives {low:.3g} to {high:.3g}: '
            "logits, it seems"
        )
    if contract.kind == "logits" and low >= 0 and high <= 1:
        return [f'the card says kind = "logits", but the network gives {low:.3g} to {high:.3g}: probabilities?']
    return []


def _trial(network: Network, contract: Contract) -> list[np.ndarray]:
    """What the network gives for noise, with a trimap of three stripes if it needs one."""
    rng = np.random.default_rng(0)
    if contract.window is None:
        picture = rng.random((96, 128, 3), np.float32)
        return [_output_for(network.infer, picture, one) for one in contract.passes()]
    side = contract.window if network.square else 4 * contract.multiple
    trimap = np.repeat(np.array([0, 128, 128, 255], np.uint8), side // 4)[None].repeat(side, 0)
    picture = rng.random((side, side, 3), np.float32)
    return [network.infer(*tensors(picture, trimap, contract, (0, side, 0, side)))]


def open_network(
    path: Path, contract: Contract, *, called: str = "", device: str = "cpu", outputs: Sequence[str] = ()
) -> Network:
    """Open an ONNX file: a function from its inputs, each (1, C, h, w) float32, to one plane (h', w') float32.

    The function raises `MemoryError` where the device has too little. With `outputs`, only these are computed.

    Raises
    ------
    ModelError
        If the file, as `called`, is no network, or does not take or give what the contract says.
    ArgumentError
        For a device that is not there.
    """
    called = called or path.name
    session = open_session(path, called=called, device=device, outputs=outputs)
    inputs = _inputs(session, contract, called)
    fixed = _fixed(session, contract, called)
    output = _output(session, contract, called)

    def infer(*given: np.ndarray) -> np.ndarray:
        height, width = given[0].shape[-2:]
        feed = fixed(height, width)
        for (name, kind), x in zip(inputs.items(), given, strict=True):
            feed[name] = np.ascontiguousarray(x, dtype=kind)
        try:
            y = session.run([output], feed)[0]
        except Exception as error:
            if "alloc" in str(error).lower() or "out of memory" in str(error).lower():
                raise MemoryError(f"{called}: too little memory for {height} x {width} pixels") from error
            raise ModelError(f"{called}: cannot be run at {height} x {width} pixels: {error}") from error
        return _plane(y, contract, f"{called}: output {output!r}")

    window = contract.window
    square = window is not None and _shape(session, next(iter(inputs)))[2:] == [window, window]
    return Network(infer, session_device(session), square)


def _plane(y: np.ndarray, contract: Contract, called: str) -> np.ndarray:
    """The channel that the contract names, (h, w), of an output of one picture."""
    channels = contract.channels
    if y.ndim < 2 or y.size != channels * y.shape[-1] * y.shape[-2]:
        raise ModelError(f"{called} has shape {y.shape}, wanted (1, {channels}, height, width)")
    if not np.isfinite(y).all():
        raise ModelError(f"{called}: the network gives values that are not finite")
    plane: np.ndarray = y.reshape(channels, *y.shape[-2:])[contract.channel].astype(np.float32)
    return plane


def _shape(session: Any, name: str) -> list[Any]:
    return next(list(given.shape) for given in session.get_inputs() if given.name == name)


def _inputs(session: Any, contract: Contract, called: str) -> dict[str, type]:
    """Names and types of the inputs. Raises `ModelError` if they are not those of the contract."""
    there = {given.name: given for given in session.get_inputs()}
    if missing := [name for name in (*contract.names, *contract.fixed) if name not in there]:
        raise ModelError(f"{called}: has no input {missing[0]!r}, but {', '.join(there)}")
    free = list(contract.names) or [name for name in there if name not in contract.fixed]
    if len(free) != len(contract.inputs) or len(free) + len(contract.fixed) != len(there):
        wanted = " and ".join("+".join(planes) for planes in contract.inputs)
        count = "one" if len(contract.inputs) == 1 else len(contract.inputs)
        raise ModelError(
            f"{called}: has {len(there)} input{'s' * (len(there) != 1)} ({', '.join(there)}), "
            f"the card says {count}: {wanted}" + (f", beside {', '.join(contract.fixed)}" if contract.fixed else "")
        )
    for name, planes in zip(free, contract.inputs, strict=True):
        _check_input(there[name], sum(PLANES[plane] for plane in planes), contract, called)
    return {name: _TYPES[there[name].type] for name in free}


def _check_input(given: Any, channels: int, contract: Contract, called: str) -> None:
    """Raise `ModelError` for an input that cannot take the pictures of the contract."""
    shape, kind = given.shape, given.type
    if kind not in _TYPES:
        raise ModelError(f"{called}: takes {kind}, wanted {' or '.join(_TYPES)}")
    if kind == "tensor(float16)" and contract.window is not None:
        raise ModelError(f"{called}: is of half precision; a network with a trimap is wanted in single precision")
    side = contract.size
    wanted = (1, channels, side, side)
    if len(shape) != len(wanted) or not all(map(_agree, shape, wanted)):
        said = tuple(n or "any" for n in wanted)
        raise ModelError(f"{called}: takes pictures of shape {tuple(shape)}, the card says {said}")
    if contract.window is not None:
        if any(isinstance(n, int) and n != contract.window for n in shape[2:]):
            raise ModelError(
                f"{called}: takes only {shape[2]} x {shape[3]} pixels, the card says window = {contract.window}"
            )
    elif side is None and any(isinstance(n, int) for n in shape[2:]):
        raise ModelError(f"{called}: takes only {shape[2]} x {shape[3]} pixels, the card says any; size = {shape[2]}?")


def _fixed(session: Any, contract: Contract, called: str) -> Callable[[int, int], dict[str, np.ndarray]]:
    """A function from the picture's height and width to the inputs that hold one number."""
    there = {given.name: given for given in session.get_inputs()}
    shapes = {name: [n if isinstance(n, int) else 1 for n in there[name].shape] for name in contract.fixed}
    if odd := [name for name in contract.fixed if there[name].type not in _TYPES]:
        raise ModelError(f"{called}: input {odd[0]!r} takes {there[odd[0]].type}, wanted {' or '.join(_TYPES)}")

    def values(height: int, width: int) -> dict[str, np.ndarray]:
        numbers = {
            name: min(1.0, value["long_side"] / max(height, width)) if isinstance(value, Mapping) else value
            for name, value in contract.fixed.items()
        }
        return {name: np.full(shapes[name], value, _TYPES[there[name].type]) for name, value in numbers.items()}

    return values


def _agree(has: Any, wanted: int | None) -> bool:
    """Whether a network's dimension, a number or the name of an open one, allows the wanted size."""
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


def as_probability(answer: np.ndarray, contract: Contract) -> np.ndarray:
    if contract.kind == "probability":
        return answer
    with np.errstate(over="ignore"):  # a logit far below 0 is a probability of 0
        probability: np.ndarray = 1 / (1 + np.exp(-answer / np.float32(contract.temperature)))
    return probability


def _output_for(infer: Infer, image: np.ndarray, contract: Contract) -> np.ndarray:
    """The network's output for a picture, at its own resolution."""
    x, box = network_input(image, contract)
    answer = infer(x)
    if contract.flip:
        answer = (answer + infer(x[..., ::-1])[..., ::-1]) / 2
    # Coarse logits are enlarged as such: their probabilities would blur the edge.
    coarse = contract.kind == "logits" and answer.shape[0] < x.shape[2]
    return resized(answer, x.shape[2:])[box] if coarse or contract.fit != "stretch" else answer


def network_input(image: np.ndarray, contract: Contract) -> tuple[np.ndarray, Box]:
    """The picture as the network wants it, (1, 3, h, w), and where in it the picture lies."""
    height, width = image.shape[:2]
    canvas = network_size(height, width, contract)
    box: Box = np.s_[:, :]
    if contract.fit != "stretch":
        scale = min(canvas[0] / height, canvas[1] / width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        place = _centred if contract.fit == "letterbox" else _first
        box = place(inner[0], canvas[0]), place(inner[1], canvas[1])
        planes = np.zeros((3, *canvas), np.float32)
        planes[(slice(None), *box)] = downsampled(image, inner, contract.resize).transpose(2, 0, 1)
    else:
        planes = downsampled(image, canvas, contract.resize).transpose(2, 0, 1)
    if contract.scaling == "maximum":
        planes /= max(float(planes.max()), 1e-6)
    planes -= np.array(contract.mean, np.float32)[:, None, None]
    planes /= np.array(contract.std, np.float32)[:, None, None]
    return planes[None], box


def _centred(length: int, space: int) -> slice:
    start = (space - length) // 2
    return slice(start, start + length)


def _first(length: int, space: int) -> slice:
    return slice(0, length)


def network_size(height: int, width: int, contract: Contract) -> tuple[int, int]:
    """(height, width) at which the network sees a picture: its own aspect, to the nearest multiples, or a square."""
    if contract.size is not None:
        return contract.size, contract.size
    if contract.long_side is not None:
        long = max(height, width)
        most = max(contract.enlarge * long, contract.least_side or 0) or contract.long_side
        scale = min(contract.long_side, most) / long
    else:
        short = contract.short_side or contract.multiple
        scale = min(short / min(height, width), LONGEST * short / max(height, width))
    step = contract.multiple
    sides = (max(step, round(side * scale / step) * step) for side in (height, width))
    return next(sides), next(sides)
