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
    axes = None
    if size is None:
        most = 1024
        batch, rows, columns = (torch.export.Dim(name, min=1, max=most) for name in ("batch", "rows", "columns"))
        axes = ({0: batch, 2: STRIDE * rows, 3: STRIDE * columns},)
    with _quiet():
        try:
            torch.onnx.export(
                network.eval(),
                (example,),
                fspath(path),
                input_names=["input"],
                output_names=["output"],
                dynamic_shapes=axes,
                dynamo=True,
                external_data=False,
                verbose=False,
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
