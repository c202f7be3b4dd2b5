"""From trained weights to the ONNX files that ship in the package."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from trimatte.errors import ModelError
from trimatte.networks.lite import Lite
from trimatte.training.storage import plain, stored

FULL = ".float32.onnx"
"""Suffix of the file beside the exported one whose weights are stored in full."""
OUTPUTS = ("alpha", "doubt")
"""Of all networks of alpha."""
TAPS = {
    "half": "merge2/lateral/lateral.0",
    "quarter": "merge4/lateral/lateral.0",
    "eighth": "merge8/lateral/lateral.0",
}
"""The encoder's finer maps by their scale, and the convolution that each goes into."""
DEEPER = {
    "sixteenth": "merge16/lateral/lateral.0",
    "thirtysecond": "context/reduce/reduce.0",
    "drawn_half": "heads.0",
    "drawn_quarter": "merge2/descend/descend.0",
    "drawn_eighth": "merge4/descend/descend.0",
    "drawn_sixteenth": "merge8/descend/descend.0",
}
"""The same of its deeper maps, and of the decoder's."""
TOLERANCES = {32: 1e-3, 16: 0.02, 8: 0.25}
"""Largest difference from torch, in standard deviations of the output on noise, by the bits of a weight."""
CHECKED = ((320, 224), (224, 320), (64, 96))
"""Heights and widths at which a file is held against its network."""


def export_lite(weights: Path, out: Path, *, variant: int, bits: int = 8) -> float:
    """Write the segmenter of `weights` as ONNX: `image` (1, 3, h, w), multiples of 32, to `logits` at half the size.

    It gives the maps `TAPS` and `DEEPER`, too, on which the decoders of "glance" and of clicks draw.
    """
    inputs, network = {"image": (3, 1)}, _Drawn(variant=variant)
    off = export(network, weights, out, inputs=inputs, outputs=["logits"], bits=bits, stride=2)
    for path in (out, out.with_suffix(FULL)):
        onnx.save(tapped(onnx.load(path)), path)
    return off


class _Drawn(Lite):
    """The segmenter without the doubling of its logits, for which onnxruntime takes a tenth of the time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.heads[0](self.draw(self.encoder(x))[0])
        return logits


def tapped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The segmenter's model with what goes into some of its convolutions as outputs of its own."""
    graph = model.graph
    inputs = {node.name: node.input[0] for node in graph.node if node.op_type == "Conv"}
    for name, convolution in {**TAPS, **DEEPER}.items():
        graph.node.append(helper.make_node("Identity", [inputs[f"/{convolution}/Conv"]], [name]))
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", None, None, None]))
    onnx.checker.check_model(model)
    return model


def export(
    network: nn.Module,
    weights: Path,
    out: Path,
    *,
    inputs: Mapping[str, tuple[int, int]],
    outputs: Sequence[str],
    bits: int,
    stride: int = 1,
    more: Mapping[str, torch.Tensor] | None = None,
) -> float:
    """Write a network as ONNX whose inputs are (N, channels, h / stride, w / stride), h and w multiples of 32.

    `inputs` gives channels and stride of each by its name; `outputs` are the names of maps, all of one `stride`. `more`
    are inputs (N, K) of any K, with what they are when the file is checked.

    `out` has its large weights in `bits` (16 or 8), the file beside it that ends in `FULL` all in float32; both compute
    in float32. Returns the largest difference of the first output of `out` from torch's over three shapes of noise, in
    standard deviations of the output; above `TOLERANCES`, for either file, that is a `ValueError`.
    """
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network.eval()
    axes = {
        name: {0: "batch", 2: f"height{stride}", 3: f"width{stride}"}
        for name, (_, stride) in {**dict.fromkeys(outputs, (0, stride)), **inputs}.items()
    }
    more = more or {}
    axes |= {name: {0: "batch", 1: "count"} for name in more}
    full = out.with_suffix(FULL)
    quietly_exported(network, (*_noise(inputs, 128, 96), *more.values()), full, [*inputs, *more], outputs, axes)
    onnx.save(plain(onnx.load(full)), full)
    onnx.save(stored(onnx.load(full), bits), out)
    _checked(network, full, inputs, more, TOLERANCES[32])
    return _checked(network, out, inputs, more, TOLERANCES[bits])


def quietly_exported(
    network: nn.Module,
    example: tuple[torch.Tensor, ...],
    out: Path,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Write a network as ONNX by a trace of an example, without the exporter's remarks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            example,
            str(out),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(open_axes) for name, open_axes in axes.items()},
            opset_version=17,
            dynamo=False,
        )


def mix(first: Path, second: Path, share: float, out: Path, *, bits: int = 8) -> None:
    """Write the mean of two ONNX files of one network: of each weight `share` of the first's, the rest of the second's.

    The mean of a network and of what it was trained on to is often better than either (Wortsman et al., ICML and CVPR
    2022). Raises `ModelError` if the files are not of one network.
    """
    model, other = plain(onnx.load(first)), plain(onnx.load(second))
    shapes = [[tensor.dims for tensor in m.graph.initializer] for m in (model, other)]
    if shapes[0] != shapes[1]:
        raise ModelError(f"{first.name} and {second.name} are not of the same network")
    for tensor, wanted in zip(model.graph.initializer, other.graph.initializer, strict=True):
        a, b = numpy_helper.to_array(tensor), numpy_helper.to_array(wanted)
        if a.dtype.kind == "f":
            mean = share * a.astype(np.float64) + (1 - share) * b
            tensor.CopyFrom(numpy_helper.from_array(mean.astype(a.dtype), tensor.name))
    onnx.save(stored(model, bits), out)


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _noise(inputs: Mapping[str, tuple[int, int]], height: int, width: int) -> tuple[torch.Tensor, ...]:
    """Normal numbers for each input, always the same for a size."""
    generator = torch.Generator().manual_seed(height)
    return tuple(
        torch.randn(1, channels, height // stride, width // stride, generator=generator)
        for channels, stride in inputs.values()
    )


def _checked(
    network: nn.Module,
    path: Path,
    inputs: Mapping[str, tuple[int, int]],
    more: Mapping[str, torch.Tensor],
    tolerance: float,
) -> float:
    """The largest difference of the file's first output from the network's. Raises `ValueError` above `tolerance`.

    Without onnxruntime it is not a number, and a warning.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        warnings.warn(f"{path.name} is not checked: there is no onnxruntime", stacklevel=2)
        return math.nan

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for height, width in CHECKED:
        x = *_noise(inputs, height, width), *more.values()
        with torch.no_grad():
            want = network(*x)
        want = (want[0] if isinstance(want, tuple) else want).numpy()
        got = session.run(None, {name: plane.numpy() for name, plane in zip([*inputs, *more], x, strict=True)})[0]
        worst = max(worst, float(np.abs(got - want).max() / want.std()))
    if worst > tolerance:
        raise ValueError(f"{path.name} differs from the network by {worst:.3f} standard deviations")
    return worst
