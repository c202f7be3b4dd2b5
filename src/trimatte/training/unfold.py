"""From the embedded network's ONNX file back to weights that can be trained.

The file holds convolutions into which batch norms were folded. To train on, each gets its norm back: with the mean m
and variance v that its outputs have on some pictures, weight sqrt(v + eps) and bias b + m, a norm adds the folded bias
b and changes nothing else, but keeps outputs in hand as soon as the weights move.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from trimatte.errors import ModelError
from trimatte.networks.efficientnet_lite import SCALES
from trimatte.networks.lite import Lite
from trimatte.segmentation import registry
from trimatte.training.storage import plain

Folded = tuple[Tensor, Tensor]
"""Weight and bias of a convolution."""


def embedded_variant() -> int:
    """Which variant of `Lite` is embedded."""
    with embedded_file() as path:
        return variant_of(path)


def embedded_file() -> AbstractContextManager[Path]:
    """The embedded network's file."""
    return registry.network_file(registry.card("lite"))


def variant_of(path: Path) -> int:
    """Which variant of `Lite` an ONNX file holds. Raises `ModelError` if it is none."""
    shapes = [weight.shape for weight, _ in _convolutions(path)]
    for variant in SCALES:
        if [conv.weight.shape for conv, _ in _pairs(Lite(variant=variant))] == shapes:
            return variant
    raise ModelError(f"{path.name}: not the light network with its weights in full")


def unfold(path: Path, network: Lite, pictures: Iterable[Tensor]) -> None:
    """Fill `network` with the weights of an ONNX file that was exported from one of its variant.

    The mean and variance of each convolution's outputs are measured on `pictures`, batches (N, 3, H, W). The heads of
    the deeper maps, which the file lacks, stay as they are. Raises `ModelError` for a file of another variant.
    """
    if variant_of(path) != network.encoder.variant:
        raise ModelError(f"{path.name}: holds variant {variant_of(path)}, wanted {network.encoder.variant}")
    pairs, folded = _pairs(network), _convolutions(path)
    for (conv, norm), (weight, bias) in zip(pairs, folded, strict=True):
        conv.load_state_dict({"weight": weight} if norm else {"weight": weight, "bias": bias})
        if norm:
            _set_norm(norm, bias, torch.zeros_like(bias), torch.full_like(bias, 1 - norm.eps))
    statistics = _statistics(network, pictures)
    for (_, norm), (_, bias), (mean, variance) in zip(pairs, folded, statistics, strict=True):
        if norm:
            _set_norm(norm, bias, mean, variance)


def _set_norm(norm: nn.BatchNorm2d, bias: Tensor, mean: Tensor, variance: Tensor) -> None:
    """Let a norm expect `mean` and `variance` (C,), and add `bias` (C,)."""
    state = {"weight": (variance + norm.eps).sqrt(), "bias": bias + mean, "running_mean": mean, "running_var": variance}
    norm.load_state_dict({**state, "num_batches_tracked": torch.tensor(0)})


def _convolutions(path: Path) -> list[Folded]:
    """The convolutions of a file in the order in which they are computed."""
    graph = plain(onnx.load(path)).graph
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    try:
        # The head filters each channel without a bias, then adds them up (see `trimatte.networks.lite.Head`).
        *names, (each,), (_, last) = [node.input[1:] for node in graph.node if node.op_type == "Conv"]
        folded = [(torch.tensor(arrays[weight]), torch.tensor(arrays[bias])) for weight, bias in names]
        return [*folded, (torch.tensor(arrays[each]).transpose(0, 1), torch.tensor(arrays[last]))]
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path.name}: not the light network with its weights in full") from error


def _pairs(network: Lite) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """The network's convolutions in the order in which they are computed, with their norms."""
    called: list[nn.Module] = []
    with _hooks(network, (nn.Conv2d, nn.BatchNorm2d), lambda module, output: called.append(module)):
        network.eval()(torch.zeros(1, 3, 32, 32, device=next(network.parameters()).device))
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d | None]] = []
    for module in called:
        if isinstance(module, nn.Conv2d):
            pairs.append((module, None))
        elif isinstance(module, nn.BatchNorm2d):
            pairs[-1] = (pairs[-1][0], module)
    return pairs


def _statistics(network: Lite, pictures: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of each convolution's channels over all pictures, in the order of computation."""
    sums: dict[nn.Module, list[Tensor]] = {}

    def add(module: nn.Module, output: Tensor) -> None:
        x = output.double().transpose(0, 1).flatten(1)
        moments = [torch.tensor(x.shape[1]), x.sum(1), x.square().sum(1)]
        sums[module] = [a + b for a, b in zip(sums[module], moments, strict=True)] if module in sums else moments

    with _hooks(network, (nn.Conv2d,), add):
        for batch in pictures:
            network.eval()(batch)
    statistics = []
    for count, total, squares in sums.values():
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        statistics.append((mean.float().cpu(), variance.float().cpu()))
    return statistics


@contextmanager
def _hooks(
    network: nn.Module, kinds: tuple[type[nn.Module], ...], see: Callable[[nn.Module, Tensor], None]
) -> Iterator[None]:
    """Let `see` see every output of modules of some kinds."""

    def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
        see(module, output)

    handles = [module.register_forward_hook(hook) for module in network.modules() if isinstance(module, kinds)]
    try:
        with torch.no_grad():
            yield
    finally:
        for handle in handles:
            handle.remove()
