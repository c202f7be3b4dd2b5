"""The second network of `lite` and `lite-plus`: the published weights of the small U2-Net, without its finest stage.

That stage takes more than half of the time and moves nothing but outlines, which a trimap leaves to alpha anyway.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from trimatte.errors import ModelError
from trimatte.networks.u2net import U2Net
from trimatte.training.export import quietly_exported
from trimatte.training.storage import plain, stored

FINEST = 1
"""The finest stage that is kept: its logits are half the size of the picture."""


class Second(nn.Module):
    """Logits (N, 1, H / 2, W / 2) of the finest stage of a U2-Net that is kept."""

    def __init__(self, whole: U2Net) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        return self.whole.drawn(x, FINEST)[0]


def export_second(published: Path, out: Path) -> None:
    """Write the network as ONNX: `image` (1, 3, h, w), multiples of 32, to `logits` (1, 1, h / 2, w / 2).

    Large weights are stored in half precision. Raises `ModelError` if `published` is no ONNX file of the small U2-Net.
    """
    whole = U2Net()
    load_published(whole, published)
    axes = {"image": {2: "height", 3: "width"}, "logits": {2: "height2", 3: "width2"}}
    quietly_exported(Second(whole).eval(), (torch.rand(1, 3, 128, 96),), out, ["image"], ["logits"], axes)
    onnx.save(stored(plain(onnx.load(out)), 16), out)


def load_published(network: U2Net, path: Path) -> None:
    """Fill a network with the weights of an ONNX file of it. Raises `ModelError` for a file of another network."""
    try:
        graph = onnx.load(path).graph
    except Exception as error:  # whatever the parser makes of a file that is not its own
        raise ModelError(f"{path.name}: no ONNX file") from error
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    given = [[arrays[name] for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    wanted = [module for module in network.modules() if isinstance(module, nn.Conv2d)]  # in the order of computation
    if [[array.shape for array in pair] for pair in given] != [
        [tuple(p.shape) for p in m.parameters()] for m in wanted
    ]:
        raise ModelError(f"{path.name}: not the small U2-Net with its norms folded into its convolutions")
    for module, (weight, bias) in zip(wanted, given, strict=True):
        module.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
