"""The small U2-Net against a slow twin, and its ONNX files there and back."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch

from trimatte.errors import ModelError
from trimatte.networks.u2net import STAGES, U2Net
from trimatte.training.export import quietly_exported
from trimatte.training.second import export_second, load_published

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def network() -> U2Net:
    torch.manual_seed(0)
    return U2Net().eval()


@pytest.fixture(scope="module")
def published(network: U2Net, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as its authors' file has it: convolutions in the order of computation."""
    path = tmp_path_factory.mktemp("u2net") / "whole.onnx"
    quietly_exported(network, (torch.rand(1, 3, 64, 32),), path, ["image"], ["logits"], {"image": {2: "h", 3: "w"}})
    return path


def slow_block(twin: SimpleNamespace, arrays: dict[str, np.ndarray], key: str, x: np.ndarray, stage: int) -> np.ndarray:
    """A residual U-block, as the paper's table has it."""
    depth, halving = STAGES[stage]

    def convolved(name: str, x: np.ndarray, dilation: int) -> np.ndarray:
        return twin.relu(twin.convs(arrays, f"{key}.{name}.0", x, pad=dilation, dilation=dilation))

    steps = [1] * (depth - 1) + [2] if halving else [2**i for i in range(depth)]
    first = convolved("first", x, 1)
    maps = [convolved("down.0", first, steps[0])]
    for i in range(1, depth):
        x = twin.pool(maps[-1])[0] if halving and i < depth - 1 else maps[-1]
        maps.append(convolved(f"down.{i}", x, steps[i]))
    y = maps[-1]
    for number, i in enumerate(range(depth - 2, -1, -1)):
        if y.shape != maps[i].shape:
            y = twin.bilinear(y, maps[i].shape[1:])
        y = convolved(f"up.{number}", np.concatenate([y, maps[i]]), steps[i])
    return first + y


def slow_sides(twin: SimpleNamespace, arrays: dict[str, np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """The logits of each stage at the picture's size, the finest first."""
    size, maps = x.shape[1:], []
    for i in range(len(STAGES)):
        x = slow_block(twin, arrays, f"encoder.{i}", twin.pool(x)[0] if i else x, i)
        maps.append(x)
    drawn = [maps[-1]]
    for number, i in enumerate(range(len(STAGES) - 2, -1, -1)):
        joined = np.concatenate([twin.bilinear(drawn[-1], maps[i].shape[1:]), maps[i]])
        drawn.append(slow_block(twin, arrays, f"decoder.{number}", joined, i))
    sides = [twin.convs(arrays, f"sides.{i}", y) for i, y in enumerate(reversed(drawn))]
    return [twin.bilinear(side, size) for side in sides]


def test_the_network_is_the_paper_s(network: U2Net, twin: SimpleNamespace) -> None:
    arrays = {key: value.numpy().astype(np.float64) for key, value in network.state_dict().items()}
    image = np.random.default_rng(0).normal(size=(3, 32, 64)).astype(np.float32)
    expected = slow_sides(twin, arrays, image)
    with torch.no_grad():
        sides = network.drawn(torch.from_numpy(image)[None])
        logits = network(torch.from_numpy(image)[None])[0].numpy()
    for side, slow in zip(sides, expected, strict=True):
        np.testing.assert_allclose(side[0].numpy(), slow, atol=1e-5)
    np.testing.assert_allclose(logits, twin.convs(arrays, "last", np.concatenate(expected), pad=0), atol=1e-5)
    assert sum(value.size for value in arrays.values()) == 1_125_485


def test_stages_that_are_finer_than_wanted_are_not_drawn(network: U2Net) -> None:
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, coarse = network.drawn(image), network.drawn(image, 2)
    assert [tuple(side.shape[2:]) for side in coarse] == [(16, 24)] * 4
    larger = torch.nn.functional.interpolate(coarse[0], scale_factor=4, mode="bilinear")
    torch.testing.assert_close(larger, whole[2])


def test_published_weights_are_read_in_their_order(network: U2Net, published: Path) -> None:
    torch.manual_seed(1)
    other = U2Net()
    load_published(other, published)
    for name, weight in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], weight)


def test_the_second_network_is_the_finest_stage_but_one(network: U2Net, published: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    out = tmp_path / "second.onnx"
    export_second(published, out)
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    image = np.random.default_rng(2).normal(size=(1, 3, 96, 64)).astype(np.float32)
    (given,) = session.run(None, {"image": image})
    with torch.no_grad():
        wanted = network.drawn(torch.from_numpy(image), 1)[0].numpy()
    assert given.shape == (1, 1, 48, 32)
    np.testing.assert_allclose(given, wanted, atol=1e-3)
    assert out.stat().st_size < 0.6 * published.stat().st_size


def test_files_of_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    axes = {"image": {2: "h"}}
    quietly_exported(torch.nn.Conv2d(3, 1, 3), (torch.rand(1, 3, 8, 8),), path, ["image"], ["logits"], axes)
    with pytest.raises(ModelError, match="not the small U2-Net"):
        load_published(U2Net(), path)
    path.write_bytes(b"no network")
    with pytest.raises(ModelError, match="no ONNX file"):
        load_published(U2Net(), path)
