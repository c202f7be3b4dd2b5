"""Networks as ONNX files."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from typing import Any

import torch
from torch import nn

from trimatte.errors import ArgumentError, MissingExtraError
from trimatte.networks.dim import DIM, STRIDE


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
    # An example of more than one picture, for a batch of one would be taken to be all there is.
    example = torch.rand(2, channels, 2 * STRIDE, 3 * STRIDE) if size is None else torch.rand(1, channels, *size)
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
                **(_by_program(size is None) if isinstance(network, DIM) else _by_trace(size is None)),
            )
        except ModuleNotFoundError as error:
            raise MissingExtraError(f'ONNX export needs {error.name}: pip install "trimatte[train]"') from error


def _by_program(open_size: bool) -> dict[str, Any]:
    """How a network is exported whose pooling keeps its places, which a trace can't write."""
    most = 1024
    batch, rows, columns = (torch.export.Dim(name, min=1, max=most) for name in ("batch", "rows", "columns"))
    axes = ({0: batch, 2: STRIDE * rows, 3: STRIDE * columns},) if open_size else None
    return {"dynamo": True, "dynamic_shapes": axes}


def _by_trace(open_size: bool) -> dict[str, Any]:
    """How the others are: with open sizes in seconds, where the exporter of programs takes minutes."""
    axes = {0: "batch", 2: "height", 3: "width"}
    return {
        "dynamo": False,
        "dynamic_axes": {"input": axes, "output": axes} if open_size else None,
        "opset_version": 17,
    }


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
