"""Alpha methods that are networks in ONNX files which the user has added, each by its card.

A network that takes a trimap gets the picture at its own resolution, in windows over the unknown band, so that memory
depends on the window and not on the picture. One without sees the whole picture, as a segmenter does.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np

from trimatte.alpha.known import keep_known
from trimatte.errors import ArgumentError, ModelError
from trimatte.images.arrays import FOREGROUND, UNKNOWN
from trimatte.images.cells import OVERLAP, Box, cells, with_less_memory
from trimatte.linalg.report import SolveReport
from trimatte.runtime.device import chosen_device
from trimatte.runtime.measure import timed
from trimatte.segmentation import registry
from trimatte.segmentation.contract import LEAST_STEP, Contract
from trimatte.segmentation.inputs import tensors
from trimatte.segmentation.onnx import Network, as_probability, run_whole


def with_trimap(
    name: str,
    image: np.ndarray,
    trimap: np.ndarray,
    report: SolveReport,
    *,
    device: str = "auto",
    window: int | None = None,
) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) and trimap (H, W) by an added network.

    Parameters
    ----------
    name : str
        The network's.
    image, trimap, report : array, array, SolveReport
        As of any alpha method.
    device : str, default "auto"
        Where it runs, one of `trimatte.runtime.device.DEVICES`.
    window : int, optional
        The most pixels a side that are computed at a time, if less than the card says; memory grows with its square.

    Raises
    ------
    ArgumentError
        For a device that is not there, or a window that the network does not take.
    ModelError
        If the network fails.
    MemoryError
        If even the smallest window is too large for the device.
    """
    network, contract = _opened(name, device, report)
    assert contract.window is not None
    least = 4 * max(contract.multiple, LEAST_STEP)
    window = contract.window if window is None else window // contract.multiple * contract.multiple
    if not least <= window <= contract.window or (network.square and window != contract.window):
        only = f"{contract.window} alone" if network.square else f"{least} to {contract.window} pixels"
        raise ArgumentError(f"window: got {window}, {name!r} takes {only}")
    compute = partial(_in_windows, network, contract, image, trimap)
    least = contract.window if network.square else least
    with timed(report.seconds, "network"):
        return with_less_memory(compute, window, least=least, notes=report.fallbacks)


def without_trimap(
    name: str, image: np.ndarray, trimap: np.ndarray | None, report: SolveReport, *, device: str = "auto"
) -> np.ndarray:
    """Alpha (H, W) float32 of image (H, W, 3) by an added network; known pixels of a trimap, if there is one, are kept.

    Parameters and errors are as of `with_trimap`.
    """
    network, contract = _opened(name, device, report)
    with timed(report.seconds, "network"):
        return keep_known(run_whole(network.infer, image, contract), trimap)


def _opened(name: str, device: str, report: SolveReport) -> tuple[Network, Contract]:
    network = _network(name, registry.stamp(name), chosen_device(device))
    report.solver, report.device = "network", network.device
    return network, registry.card(name).contract


@lru_cache(maxsize=2)
def _network(name: str, stamp: int, device: str) -> Network:
    return registry.open_model(name, device)


def _in_windows(network: Network, contract: Contract, image: np.ndarray, trimap: np.ndarray, window: int) -> np.ndarray:
    """Alpha of the unknown band, computed in windows of at most `window` pixels a side and blended."""
    unknown = trimap == UNKNOWN
    alpha: np.ndarray = (trimap == FOREGROUND).astype(np.float32)
    room = window - OVERLAP - contract.multiple
    reach = min(window // 8, (room - 2 * OVERLAP) // 2)  # smaller cells would overlap all over
    for box, share in cells(unknown, room - 2 * reach):
        place = _window(box, reach, trimap.shape, contract.multiple, window if network.square else None)
        answer = network.infer(*tensors(image, trimap, contract, place))
        _check_size(answer, place)
        top, bottom, left, right = box
        part = as_probability(answer[top - place[0] : bottom - place[0], left - place[2] : right - place[2]], contract)
        alpha[top:bottom, left:right] += np.where(unknown[top:bottom, left:right], share * part, 0)
    np.clip(alpha, 0, 1, out=alpha)
    return alpha


def _check_size(answer: np.ndarray, place: Box) -> None:
    wanted = place[1] - place[0], place[3] - place[2]
    if answer.shape != wanted:
        raise ModelError(f"the network gives alpha of {answer.shape} for a window of {wanted}")


def _window(box: Box, reach: int, shape: tuple[int, ...], multiple: int, fixed: int | None) -> Box:
    """What the network sees for a box: `reach` pixels about it, as far as there are; more if of `fixed` size."""
    rows = _span(box[0] - reach, box[1] + reach, shape[0], multiple, fixed)
    columns = _span(box[2] - reach, box[3] + reach, shape[1], multiple, fixed)
    return *rows, *columns


def _span(start: int, stop: int, side: int, multiple: int, fixed: int | None) -> tuple[int, int]:
    """From a multiple at or before `start` to one at or behind `stop`, of a side that ends at a multiple too."""
    end = -(-side // multiple) * multiple
    start, stop = max(0, start), min(side, stop)
    if fixed is None:
        return start // multiple * multiple, -(-stop // multiple) * multiple
    centred = (start + stop - fixed) // 2 // multiple * multiple
    earliest = -(-(stop - fixed) // multiple) * multiple
    start = max(0, min(max(centred, earliest), end - fixed))
    return start, start + fixed
