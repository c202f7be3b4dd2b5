"""Networks as ONNX files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath

import torch
from torch import nn

from trimatte.errors import ArgumentError, MissingExtraError
from trimatte.networks.dim import DIM, STRIDE

_OPEN = {0: "batch", 2: "height", 3: "width"}


def export_onnx(network: nn.Module, path: str | PathLike[str], *, size: tuple[int, int] | None = None) -> None:
    """Write a network so that ONNX Runtime gives its alpha.

    The graph's input is `input`, (N, 3, H, W) or (N, 4, H, W) scaled as the network's docstring says; its output is
    `output`, (N, 1, H, W). Raises `ArgumentError` for another size, `MissingExtraError` without the exporter.

    Parameters
    ----------
    network : Module
        A `DIM`, `MODNet` or `GFM`.
    path : str or path
        The file to write.
    size : (int, int), optional
        Height and width of the input, multiples of 32, for a batch of one; None leaves batch and size open.
    """
    if size is not None and (min(size) < STRIDE or any(n % STRIDE for n in size)):
        raise ArgumentError(f"size: got {size}, wanted multiples of {STRIDE}")
    channels = 4 if isinstance(network, DIM) else 3
    example = torch.rand(1, channels, *(size or (2 * STRIDE, 3 * STRIDE)))
    with _quiet():
        try:
            torch.onnx.export(
                network.eval(),
                (example,),
                fspath(path),
                input_names=["input"],
                output_names=["output"],
                external_data=False,
                verbose=False,
                dynamo=False,  # with open sizes a trace takes seconds, the exporter of programs minutes
                dynamic_axes={"input": _OPEN, "output": _OPEN} if size is None else None,
                opset_version=17,
            )
        except ModuleNotFoundError as error:
            raise MissingExtraError(f'ONNX export needs {error.name}: pip install "trimatte[train]"') from error


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's remarks on packages that are not there help nobody."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
