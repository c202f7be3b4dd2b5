"""Deep Image Matting in each published layout: files load, and the alpha is that of a slow twin."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from trimatte.errors import ArgumentError, ModelError  # noqa: E402
from trimatte.networks import dim  # noqa: E402
from trimatte.networks.checkpoints import load_checkpoint, save_checkpoint  # noqa: E402

pytestmark = pytest.mark.torch

NAME = "deep-image-matting"
WIDTHS = (3, 4, 5, 6, 7)
CONVS = (2, 2, 3, 3, 3)


def encoder_names(layout):
    """(level, conv key, norm key) of the thirteen convolutions, as each project calls them."""
    for level, count in enumerate(CONVS, 1):
        for i in range(1, count + 1):
            yield (
                level,
                *{
                    "huochaitiantang": (f"conv{level}_{i}", None),
                    "mmagic": (f"backbone.encoder.layer{level}.{(i - 1) * 2}", None),
                    "indexnet": (f"conv{level}{i}", f"bn{level}{i}"),
                    "foamliu": (f"down{level}.conv{i}.cbr_unit.0", f"down{level}.conv{i}.cbr_unit.1"),
                }[layout],
            )


DECODERS = {
    "huochaitiantang": ["conv6_1", "deconv6_1", *(f"deconv{i}_1" for i in (5, 4, 3, 2, 1)), "deconv1"],
    "mmagic": [
        "backbone.encoder.conv6",
        "backbone.decoder.deconv6_1",
        *(f"backbone.decoder.deconv{i}_1" for i in (5, 4, 3, 2, 1)),
        "backbone.decoder.deconv1",
    ],
    "indexnet": ["conv6", "dconv6", "dconv5", "dconv4", "dconv3", "dconv2", "dconv1", "alpha_pred"],
}
REFINERS = {"huochaitiantang": "", "mmagic": "refiner."}
REFINER_LAYERS = ("refine_conv1", "refine_conv2", "refine_conv3", "refine_pred")


def shapes(twin, layout, side, refine):
    found: dict[str, object] = {}
    inputs = 4
    for level, conv, norm in encoder_names(layout):
        width = WIDTHS[level - 1]
        found |= twin.conv_shapes(conv, inputs, width, 3)
        if norm:
            found |= twin.norm_shapes(norm, width)
        inputs = width
    w1, w2, w3, w4, w5 = WIDTHS
    if layout == "foamliu":
        for level, inputs, outputs in ((5, w5, w4), (4, w4, w3), (3, w3, w2), (2, w2, w1), (1, w1, 1)):
            found |= twin.conv_shapes(f"up{level}.conv.cbr_unit.0", inputs, outputs, 5)
            found |= twin.norm_shapes(f"up{level}.conv.cbr_unit.1", outputs)
        return found
    sizes = [(w5, 8, side), (8, w5, 1), (w5, w4, 5), (w4, w3, 5), (w3, w2, 5), (w2, w1, 5), (w1, w1, 5), (w1, 1, 5)]
    for key, (inputs, outputs, k) in zip(DECODERS[layout], sizes, strict=True):
        found |= twin.conv_shapes(key, inputs, outputs, k)
    if refine:
        for key, (inputs, outputs) in zip(REFINER_LAYERS, ((4, 6), (6, 6), (6, 6), (6, 1)), strict=True):
            found |= twin.conv_shapes(REFINERS[layout] + key, inputs, outputs, 3)
    return found


def slow_alpha(twin, arrays, layout, x, *, skips=False, refine=False, alpha_space=False):
    """The network step by step, from the file's own keys."""
    image, places, kept = x[:3], [], []
    names = list(encoder_names(layout))
    for i, (level, conv, norm) in enumerate(names):
        x = twin.convs(arrays, conv, x)
        x = twin.relu(twin.norm(x, arrays, norm) if norm else x)
        if i + 1 == len(names) or names[i + 1][0] != level:
            kept.append(x)
            x, place = twin.pool(x)
            places.append(place)
    if layout == "foamliu":
        for level in (5, 4, 3, 2, 1):
            x = twin.convs(arrays, f"up{level}.conv.cbr_unit.0", twin.unpool(x, places.pop()), pad=2)
            x = twin.norm(x, arrays, f"up{level}.conv.cbr_unit.1")
        return twin.sigmoid(x)[0]
    conv6, deconv6, *decoders, last = DECODERS[layout]
    x = twin.relu(twin.convs(arrays, conv6, x, pad=arrays[f"{conv6}.weight"].shape[2] // 2))
    x = twin.relu(twin.convs(arrays, deconv6, x, pad=0))
    for key in decoders:
        x = twin.unpool(x, places.pop())
        if skips:
            x = x + kept[len(places)]
        x = twin.relu(twin.convs(arrays, key, x, pad=2))
    raw = twin.convs(arrays, last, x, pad=2)
    alpha = np.clip(raw, 0, 1) if layout == "indexnet" or alpha_space else twin.sigmoid(raw)
    if not refine:
        return alpha[0]
    if alpha_space:
        mean, std = np.array(dim.MEAN)[:, None, None], np.array(dim.STD)[:, None, None]
        y = 255 * np.concatenate((image * std + mean, alpha))
    else:
        y = np.concatenate((image, alpha))
    for key in REFINER_LAYERS[:3]:
        y = twin.relu(twin.convs(arrays, REFINERS[layout] + key, y))
    y = twin.convs(arrays, REFINERS[layout] + "refine_pred", y)
    return (np.clip(alpha + y, 0, 1) if alpha_space else twin.sigmoid(raw + y))[0]


def spread(arrays, key, factor=6, bias=0.0):
    """Make the last layer speak up, so that alpha is not the same everywhere."""
    arrays[f"{key}.weight"] = arrays[f"{key}.weight"] * factor
    arrays[f"{key}.bias"] = np.full_like(arrays[f"{key}.bias"], bias)


def tensors(arrays, counters=False):
    state = {key: torch.from_numpy(value.copy()) for key, value in arrays.items()}
    if counters:
        means = [key for key in state if key.endswith("running_mean")]
        state |= {key.replace("running_mean", "num_batches_tracked"): torch.tensor(7) for key in means}
    return state


def compare(twin, arrays, layout, checkpoint, rng, **variant):
    x = rng.normal(0, 1, (4, 32, 64)).astype(np.float32)
    slow = slow_alpha(twin, {key: value.astype(np.float64) for key, value in arrays.items()}, layout, x, **variant)
    with torch.no_grad():
        fast = checkpoint.network(torch.from_numpy(x)[None])[0, 0].numpy()
    assert slow.std() > 0.01
    assert np.abs(fast - slow).max() < 1e-4


class OldPickler(pickle._Pickler):
    """Writes text as Python 2 did: as bytes."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_str(self, text):
        data = text.encode("latin1")
        self.write(b"T" + len(data).to_bytes(4, "little") + data)  # type: ignore[attr-defined]
        self.memoize(text)  # type: ignore[attr-defined]

    dispatch[str] = save_str  # type: ignore[assignment]


def save_old(data, path):
    shim = SimpleNamespace(
        Pickler=OldPickler, dump=lambda obj, file, protocol: OldPickler(file, protocol).dump(obj), __name__="pickle"
    )
    torch.save(data, path, pickle_module=shim, pickle_protocol=2, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(
    ("side", "skips", "refine"), [(1, False, False), (3, False, False), (3, True, False), (3, True, True)]
)
def test_huochaitiantang(twin, tmp_path, side, skips, refine, old):
    rng = np.random.default_rng(side + skips)
    arrays = twin.random_arrays(shapes(twin, "huochaitiantang", side, refine), rng)
    spread(arrays, "deconv1")
    data = {"epoch": 12, "state_dict": tensors(arrays), "best_sad": np.float64(61000.5)}
    path = tmp_path / "stage1.pth"
    save_old(data, path) if old else torch.save(data, path)
    checkpoint = load_checkpoint(path, NAME, skips=None if side == 1 else skips)
    compare(twin, arrays, "huochaitiantang", checkpoint, rng, skips=skips, refine=refine)


@pytest.mark.parametrize("refine", [False, True])
def test_mmagic(twin, tmp_path, refine):
    rng = np.random.default_rng(5)
    arrays = twin.random_arrays(shapes(twin, "mmagic", 1, refine), rng)
    spread(arrays, "backbone.decoder.deconv1")
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3))])
    data = {"meta": {"iter": 1000, "env": "linux"}, "state_dict": tensors(arrays), "optimizer": optimizer.state_dict()}
    torch.save(data, tmp_path / "dim.pth")
    checkpoint = load_checkpoint(tmp_path / "dim.pth", NAME)
    assert checkpoint.layout == "mmagic"
    compare(twin, arrays, "mmagic", checkpoint, rng, refine=refine)


@pytest.mark.parametrize("counters", [False, True])
def test_indexnet(twin, tmp_path, counters):
    rng = np.random.default_rng(6)
    arrays = twin.random_arrays(shapes(twin, "indexnet", 7, False), rng)
    spread(arrays, "alpha_pred", 1, bias=0.5)
    torch.save({"state_dict": tensors(arrays, counters)}, tmp_path / "deep_matting.pth.tar")
    checkpoint = load_checkpoint(tmp_path / "deep_matting.pth.tar", NAME)
    compare(twin, arrays, "indexnet", checkpoint, rng)


def foamliu_module(arrays):
    """A module object as foamliu pickles it: classes of a module called `models`, inside `DataParallel`."""
    models = ModuleType("models")

    def define(name):
        kind = type(name, (torch.nn.Module,), {"__module__": "models", "__qualname__": name})
        setattr(models, name, kind)
        return kind

    unit, down2, down3, up, whole = map(
        define, ("conv2DBatchNormRelu", "segnetDown2", "segnetDown3", "segnetUp1", "DIMModel")
    )

    def block(key, last):
        out, inputs, side, _ = arrays[f"{key}.0.weight"].shape
        layers = [torch.nn.Conv2d(inputs, out, side, padding=side // 2), torch.nn.BatchNorm2d(out)]
        made = unit()
        made.cbr_unit = torch.nn.Sequential(*layers, *([] if last else [torch.nn.ReLU(inplace=True)]))
        return made

    network = whole()
    for level, count in enumerate(CONVS, 1):
        part = down2() if count == 2 else down3()
        for i in range(1, count + 1):
            setattr(part, f"conv{i}", block(f"down{level}.conv{i}.cbr_unit", False))
        part.maxpool_with_argmax = torch.nn.MaxPool2d(2, 2, return_indices=True)
        setattr(network, f"down{level}", part)
    for level in (5, 4, 3, 2, 1):
        part = up()
        part.unpool = torch.nn.MaxUnpool2d(2, 2)
        part.conv = block(f"up{level}.conv.cbr_unit", True)
        setattr(network, f"up{level}", part)
    network.load_state_dict(tensors(arrays), strict=False)
    return models, torch.nn.DataParallel(network)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("zipped", [False, True])
def test_foamliu(twin, tmp_path, monkeypatch, zipped):
    rng = np.random.default_rng(7)
    arrays = twin.random_arrays(shapes(twin, "foamliu", 0, False), rng)
    models, network = foamliu_module(arrays)
    path = tmp_path / "BEST_checkpoint.tar"
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "models", models)
        optimizer = torch.optim.Adam(network.parameters())
        data = {"epoch": 3, "epochs_since_improvement": 0, "loss": 0.06, "model": network, "optimizer": optimizer}
        torch.save(data, path, _use_new_zipfile_serialization=zipped)
    checkpoint = load_checkpoint(path, NAME)
    assert checkpoint.layout == "foamliu"
    compare(twin, arrays, "foamliu", checkpoint, rng)


def test_paper_form(twin, tmp_path):
    """7x7 conv6, no skips, clipped output, residual in alpha space; in our own files."""
    rng = np.random.default_rng(8)
    arrays = twin.random_arrays(shapes(twin, "huochaitiantang", 7, True), rng)
    spread(arrays, "deconv1", 1, bias=0.5)
    spread(arrays, "refine_pred", 1e-3)
    network = dim.DIM(dim.DIMConfig(widths=WIDTHS, bottleneck=8, refine_width=6))
    network.load_state_dict(tensors(arrays))
    save_checkpoint(tmp_path / "own.pt", network, NAME)
    checkpoint = load_checkpoint(tmp_path / "own.pt", NAME)
    assert checkpoint.config == network.config
    compare(twin, arrays, "huochaitiantang", checkpoint, rng, refine=True, alpha_space=True)


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (dim.HUOCHAITIANTANG, 28_297_153),
        (dataclasses.replace(dim.MMAGIC, refine=None), 26_200_001),
        (dim.MMAGIC, 26_276_802),
    ],
)
def test_parameter_counts(config, published):
    with torch.device("meta"):
        network = dim.DIM(config)
    assert sum(p.numel() for p in network.parameters()) == published


def test_a_network_that_is_yet_to_be_filled_draws_no_numbers(monkeypatch):
    """On a device that holds none, this would load PyTorch's compiler."""
    monkeypatch.setattr(torch.nn.init, "xavier_normal_", lambda tensor: pytest.fail("numbers were drawn"))
    with torch.device("meta"):
        dim.DIM(dim.TINY)


def test_indexnet_parameter_count():
    with torch.device("meta"):
        network = dim.DIM(dim.INDEXNET)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 130.55


@pytest.mark.parametrize(("score", "skips"), [(54_420.3, False), (52_930.0, True)])
def test_skips_told_by_score(twin, tmp_path, score, skips):
    arrays = twin.random_arrays(shapes(twin, "huochaitiantang", 3, False), np.random.default_rng(0))
    torch.save({"state_dict": tensors(arrays), "best_sad": score}, tmp_path / "a.pth")
    checkpoint = load_checkpoint(tmp_path / "a.pth", NAME)
    assert checkpoint.config.skips is skips
    assert "best_sad" in checkpoint.notes[0]


@pytest.mark.parametrize("data", [{}, {"best_sad": 70_000.0}])
def test_asks_for_skips(twin, tmp_path, data):
    arrays = twin.random_arrays(shapes(twin, "huochaitiantang", 3, False), np.random.default_rng(0))
    torch.save({"state_dict": tensors(arrays), **data}, tmp_path / "a.pth")
    with pytest.raises(ArgumentError, match="skips=True"):
        load_checkpoint(tmp_path / "a.pth", NAME)


def test_skips_that_never_were(twin, tmp_path):
    arrays = twin.random_arrays(shapes(twin, "huochaitiantang", 1, False), np.random.default_rng(0))
    torch.save({"state_dict": tensors(arrays)}, tmp_path / "a.pth")
    with pytest.raises(ArgumentError, match="never had skips"):
        load_checkpoint(tmp_path / "a.pth", NAME, skips=True)


def test_scatter_unpool_is_unpool():
    x = torch.randn(2, 3, 4, 6)
    y, places = torch.nn.functional.max_pool2d(torch.randn(2, 3, 8, 12), 2, return_indices=True)
    assert y.shape == x.shape
    assert torch.equal(dim._scatter_unpool(x, places), dim.unpool(x, places))


def test_reach_is_enough():
    """Nothing beyond the stated radius touches a pixel, and something not far within it does."""
    torch.manual_seed(0)
    config = dim.DIMConfig(widths=(2, 2, 2, 2, 2), conv6=3, bottleneck=2, refine_width=2)
    network = dim.DIM(config).double().eval()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.05, 0.3)
    size, row = 576, 289
    x = torch.rand(1, 4, size, 32, dtype=torch.float64) / 100
    x.requires_grad_()
    raw = network._decode(*network._encode(x))
    raw[0, 0, row].sum().backward()
    rows = torch.nonzero(x.grad.abs().sum((0, 1, 3))).flatten()
    furthest = max(row - int(rows[0]), int(rows[-1]) - row)
    assert dim.receptive_radius(config) - 80 < furthest <= dim.receptive_radius(config)


def test_vgg16_start():
    widths, index, state, inputs = (64, 128, 256, 512, 512), 0, {}, 3
    for width, count in zip(widths, CONVS, strict=True):
        for _ in range(count):
            state[f"features.{index}.weight"] = torch.randn(width, inputs, 3, 3)
            state[f"features.{index}.bias"] = torch.randn(width)
            inputs, index = width, index + 2
        index += 1
    network = dim.DIM(dim.HUOCHAITIANTANG)
    dim.load_vgg16(network, state)
    assert torch.equal(network.conv1_1.weight[:, :3], state["features.0.weight"])
    assert not network.conv1_1.weight[:, 3].any()
    assert torch.equal(network.conv5_3.weight, state["features.28.weight"])
    with pytest.raises(ArgumentError, match=r"features\.28"):
        dim.load_vgg16(network, {key: value for key, value in state.items() if ".28." not in key})


def test_logit_residual_wants_a_sigmoid():
    with pytest.raises(ArgumentError, match="sigmoid"):
        dim.DIMConfig(output="clip", refine="logit")


# Files that do not fit


@pytest.fixture
def arrays(twin):
    return twin.random_arrays(shapes(twin, "mmagic", 1, True), np.random.default_rng(0))


def test_missing_and_surplus_keys(arrays, tmp_path):
    state = tensors(arrays)
    del state["backbone.decoder.deconv3_1.bias"]
    state["backbone.decoder.extra.weight"] = torch.ones(2)
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    with pytest.raises(ModelError) as caught:
        load_checkpoint(tmp_path / "a.pth", NAME)
    assert "1 keys missing: backbone.decoder.deconv3_1.bias" in str(caught.value)
    assert "1 keys surplus: backbone.decoder.extra.weight" in str(caught.value)


def test_wrong_shape(arrays, tmp_path):
    state = tensors(arrays)
    state["backbone.decoder.deconv3_1.weight"] = torch.ones(2, 2, 5, 5)
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match=r"deconv3_1\.weight \(2, 2, 5, 5\) instead of \(4, 5, 5, 5\)"):
        load_checkpoint(tmp_path / "a.pth", NAME)


def test_another_network(arrays, tmp_path):
    torch.save(tensors(arrays), tmp_path / "a.pth")
    with pytest.raises(ModelError, match="method='deep-image-matting'"):
        load_checkpoint(tmp_path / "a.pth", "modnet")
    torch.save({"layers.0.weight": torch.ones(2)}, tmp_path / "b.pth")
    with pytest.raises(ModelError, match=r"not a network known here.*layers\.0\.weight"):
        load_checkpoint(tmp_path / "b.pth", NAME)


def test_half_precision_file_becomes_single(arrays, tmp_path):
    torch.save({key: value.half() for key, value in tensors(arrays).items()}, tmp_path / "a.pth")
    checkpoint = load_checkpoint(tmp_path / "a.pth", NAME)
    assert {p.dtype for p in checkpoint.network.parameters()} == {torch.float32}
