"""GFM: the public checkpoints' layouts load, and what the decoders and their union say is what a slow twin says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from trimatte.errors import ArgumentError, ModelError  # noqa: E402
from trimatte.networks import gfm  # noqa: E402
from trimatte.networks.checkpoints import load_checkpoint  # noqa: E402

pytestmark = pytest.mark.torch

W = 4

# Channels as multiples of the stem's: decoders from coarse to fine, each (first, second, last).
SMALL = {4: (8, 8, 4), 3: (4, 4, 2), 2: (2, 2, 1), 1: (1, 1, 1)}
PLANS = {
    "r34": SMALL,
    "d121": SMALL,
    "r34_2b": {6: (8, 8, 8), 5: (8, 8, 8)} | SMALL,
    "r101": {4: (32, 16, 16), 3: (16, 8, 8), 2: (8, 4, 4), 1: (4, 2, 1)},
}
PYRAMID_SCALES = {
    "r34": {4: 2, 3: 4, 2: 8, 1: 16},
    "d121": {4: 2, 3: 4, 2: 8, 1: 16},
    "r101": {4: 2, 3: 4, 2: 8, 1: 16},
    "r34_2b": {6: 2, 5: 4, 4: 8, 3: 16, 2: 32, 1: 32},
}


class Slow:
    """Runs the network from weights under the public keys, and makes these weights up when it first meets them."""

    def __init__(self, twin, backbone, glances, arrays=None):
        self.twin, self.backbone, self.glances = twin, backbone, glances
        self.arrays = {} if arrays is None else arrays
        self.rng = np.random.default_rng(14 + glances)

    def need(self, shapes):
        new = {key: shape for key, shape in shapes.items() if key not in self.arrays}
        self.arrays |= {key: value.astype(float) for key, value in self.twin.random_arrays(new, self.rng).items()}

    def conv(self, key, x, outputs, side=3, bias=True, **options):
        self.need(self.twin.conv_shapes(key, x.shape[0], outputs, side, bias))
        options.setdefault("pad", side // 2)
        return self.twin.convs(self.arrays, key, x, **options)

    def norm(self, key, x):
        self.need(self.twin.norm_shapes(key, x.shape[0]))
        return self.twin.norm(x, self.arrays, key)

    def conv_norm_relu(self, key, at, x, outputs, **options):
        x = self.conv(f"{key}.{at}", x, outputs, **options)
        return self.twin.relu(self.norm(f"{key}.{at + 1}", x))

    def max_pool(self, x, side, stride, pad):
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)), constant_values=-np.inf)
        rows, columns = ((n - side) // stride + 1 for n in x.shape[1:])
        return np.array(
            [
                [[c[stride * i :, stride * j :][:side, :side].max() for j in range(columns)] for i in range(rows)]
                for c in x
            ]
        )

    def basic(self, key, x, outputs, stride=1):
        y = self.conv(f"{key}.conv1", x, outputs, bias=False, stride=stride)
        y = self.twin.relu(self.norm(f"{key}.bn1", y))
        y = self.norm(f"{key}.bn2", self.conv(f"{key}.conv2", y, outputs, bias=False))
        return self.twin.relu(y + self.shortcut(key, x, outputs, stride))

    def bottleneck(self, key, x, outputs, stride=1):
        y = self.twin.relu(self.norm(f"{key}.bn1", self.conv(f"{key}.conv1", x, outputs // 4, 1, False)))
        y = self.conv(f"{key}.conv2", y, outputs // 4, 3, False, stride=stride)
        y = self.twin.relu(self.norm(f"{key}.bn2", y))
        y = self.norm(f"{key}.bn3", self.conv(f"{key}.conv3", y, outputs, 1, False))
        return self.twin.relu(y + self.shortcut(key, x, outputs, stride))

    def shortcut(self, key, x, outputs, stride):
        if stride == 1 and x.shape[0] == outputs:
            return x
        return self.norm(f"{key}.downsample.1", self.conv(f"{key}.downsample.0", x, outputs, 1, False, stride=stride))

    def resnet_maps(self, image):
        """The stages are called resnet.layerN in this file; `save` adds their other names."""
        deep, wide = self.backbone == "r34_2b", 4 if self.backbone == "r101" else 1
        block = self.bottleneck if wide == 4 else self.basic
        stem = self.conv("resnet.conv1", image, W, 7, False, stride=2)
        stem = self.twin.relu(self.norm("resnet.bn1", stem))
        e0 = self.conv_norm_relu("encoder0", 0, image, W) if deep else stem
        x = e0 if deep else self.max_pool(e0, 3, 2, 1)
        maps = [e0]
        for stage in range(4):
            x = block(f"resnet.layer{stage + 1}.0", x, W * wide * 2**stage, 1 if stage == 0 else 2)
            maps.append(x)
        for level in (5, 6) if deep else ():
            x = self.max_pool(x, 2, 2, 0)
            for i in (1, 2, 3):
                x = self.basic(f"encoder{level}.{i}", x, x.shape[0])
            maps.append(x)
        self.need({"resnet.fc.weight": (1000, 8 * W * wide), "resnet.fc.bias": (1000,)})
        return maps

    def densenet_maps(self, image):
        root = "densenet.features"
        x = self.conv(f"{root}.conv0", image, W, 7, False, stride=2)
        x = self.twin.relu(self.norm(f"{root}.norm0", x))
        maps = [x]
        for stage in (1, 2, 3, 4):
            for i in range(1, 3 if stage == 1 else 2):
                key = f"{root}.denseblock{stage}.denselayer{i}"
                y = self.conv(f"{key}.conv1", self.twin.relu(self.norm(f"{key}.norm1", x)), 2 * W, 1, False)
                y = self.conv(f"{key}.conv2", self.twin.relu(self.norm(f"{key}.norm2", y)), W // 2, 3, False)
                x = np.concatenate((x, y))
            if stage < 4:
                key = f"{root}.transition{stage}"
                x = self.conv(f"{key}.conv", self.twin.relu(self.norm(f"{key}.norm", x)), x.shape[0] // 2, 1, False)
                x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
                maps.append(x)
        self.norm(f"{root}.norm5", x)
        self.need({"densenet.classifier.weight": (1000, x.shape[0]), "densenet.classifier.bias": (1000,)})
        return [*maps, self.max_pool(self.conv_norm_relu("encoder4", 1, x, 8 * W), 2, 2, 0)]

    def decoder(self, key, x, plan, up=True, last=False):
        first, second, outputs = plan
        x = self.conv_norm_relu(key, 0, x, first)
        x = self.conv_norm_relu(key, 3, x, second)
        x = self.conv(f"{key}.6", x, outputs)
        if not last:
            x = self.twin.relu(self.norm(f"{key}.7", x))
        return self.up(x, 2) if up else x

    def up(self, x, factor):
        return self.twin.bilinear(x, (x.shape[1] * factor, x.shape[2] * factor))

    def pyramid(self, x):
        spread = []
        for i, size in enumerate((1, 3, 5)):
            edges = [[(j * n // size, -(-(j + 1) * n // size)) for j in range(size)] for n in x.shape[1:]]
            means = np.array([[x[:, a:b, c:d].mean((1, 2)) for c, d in edges[1]] for a, b in edges[0]])
            y = self.conv(f"psp_module.stages.{i}.1", means.transpose(2, 0, 1), x.shape[0], 1, False)
            spread.append(self.twin.bilinear(y, x.shape[1:], corners=True))
        return self.twin.relu(self.conv("psp_module.bottleneck", np.concatenate((*spread, x)), x.shape[0], 1))

    def run(self, image):
        """Logits of glance and focus."""
        maps = (self.densenet_maps if self.backbone == "d121" else self.resnet_maps)(image)
        plans = {level: tuple(W * c for c in plan) for level, plan in PLANS[self.backbone].items()}
        deep = self.backbone == "r34_2b"
        pyramid = self.pyramid(maps[-1])
        context = {
            level: self.up(self.conv_norm_relu(f"psp{level}", 0, pyramid, plans[level][2]), scale)
            for level, scale in PYRAMID_SCALES[self.backbone].items()
        }
        bridge = maps[-1]
        for i in (0, 3, 6):
            bridge = self.conv_norm_relu("bridge_block", i, bridge, maps[-1].shape[0], pad=2, dilation=2)
        glance, focus = np.concatenate((pyramid, maps[-1])), bridge
        for level, plan in plans.items():
            up = not (deep and level == 1)
            glance = self.decoder(f"decoder{level}_g", glance, plan, up)
            if level > 1 or not deep:
                glance = np.concatenate((context[level], glance))
            focus = self.decoder(f"decoder{level}_f", np.concatenate((focus, maps[level])), plan, up)
        if deep:
            return self.conv("decoder0_g.0", glance, self.glances), self.conv("decoder0_f.0", focus, 1)
        return (
            self.decoder("decoder0_g", glance, (W, W, self.glances), last=True),
            self.decoder("decoder0_f", np.concatenate((focus, maps[0])), (W, W, 1), last=True),
        )


def public_keys(arrays, backbone):
    """The file's keys: the encoder's layers under both their names."""
    state = {key: torch.from_numpy(np.asarray(value, np.float32)) for key, value in arrays.items()}
    twice = {"resnet.layer2": "encoder2", "resnet.layer3": "encoder3", "resnet.layer4": "encoder4"}
    if backbone == "r34_2b":
        twice |= {"resnet.layer1": "encoder1"}
    else:
        twice |= {"resnet.layer1": "encoder1.1", "resnet.conv1": "encoder0.0", "resnet.bn1": "encoder0.1"}
    if backbone == "d121":
        twice = {"densenet.features.conv0": "encoder0.0", "densenet.features.norm0": "encoder0.1"}
        twice |= {f"densenet.features.denseblock{i}": f"encoder{i}.0" for i in (1, 2, 3, 4)}
        twice |= {f"densenet.features.transition{i}": f"encoder{i}.1" for i in (1, 2, 3)}
    for old, new in twice.items():
        state |= {new + key.removeprefix(old): value for key, value in state.items() if key.startswith(f"{old}.")}
    return state


def slow_union(glance, focus, scheme):
    """The rule of each scheme, pixel by pixel."""
    out = np.empty(focus.shape[1:])
    for y, x in np.ndindex(*out.shape):
        verdict, detail = int(np.argmax(glance[:, y, x])), 1 / (1 + np.exp(-focus[0, y, x]))
        if scheme == "TT":
            out[y, x] = {0: 0.0, 1: detail, 2: 1.0}[verdict]
        elif scheme == "FT":
            out[y, x] = min(1, verdict + detail)
        else:
            out[y, x] = max(0, verdict - detail)
    return out


@pytest.mark.parametrize(
    ("backbone", "scheme"),
    [("r34", "TT"), ("r34", "FT"), ("r34", "BT"), ("r34_2b", "TT"), ("r101", "TT"), ("d121", "TT")],
)
def test_public_layout(twin, tmp_path, backbone, scheme):
    slow = Slow(twin, backbone, 3 if scheme == "TT" else 2)
    image = np.random.default_rng(2).uniform(0, 255, (3, 64, 96))
    glance, focus = slow.run(image)
    # Values are in the hundreds behind an unnormalised input; the last layer is turned down and centred to suit.
    for branch, logits in (("g", glance), ("f", focus)):
        key = f"decoder0_{branch}." + ("0" if backbone == "r34_2b" else "6")
        scale = 2 / logits.std()
        slow.arrays[f"{key}.weight"] *= scale
        slow.arrays[f"{key}.bias"] = (slow.arrays[f"{key}.bias"] - logits.mean((1, 2))) * scale
    glance, focus = slow.run(image)
    torch.save(public_keys(slow.arrays, backbone), tmp_path / "gfm.pth")
    checkpoint = load_checkpoint(tmp_path / "gfm.pth", "gfm", scheme=None if scheme == "TT" else scheme)
    assert (checkpoint.config.backbone, checkpoint.config.scheme) == (backbone, scheme)
    with torch.no_grad():
        tensor = torch.from_numpy(image.astype(np.float32))[None]
        ours = checkpoint.network.predict(tensor)
        alpha = checkpoint.network(tensor)[0, 0].numpy()
    for logits, twins in zip(ours, (glance, focus), strict=True):
        assert np.abs(logits[0].numpy() - twins).max() < 2e-4
    union = slow_union(glance, focus, scheme)
    best = np.sort(glance, 0)
    clear = best[-1] - best[-2] > 1e-3
    assert clear.mean() > 0.98
    assert union.std() > 0.05
    assert np.abs(alpha - union)[clear].max() < 1e-4


@pytest.mark.parametrize("size", [1, 3, 5])
def test_grid_means_are_those_of_pytorch(size):
    for shape in ((1, 1), (2, 7), (5, 3), (13, 10), (31, 64)):
        x = torch.randn(2, 3, *shape)
        assert torch.allclose(gfm.GridMeans(size)(x), torch.nn.AdaptiveAvgPool2d(size)(x), atol=1e-6)


@pytest.mark.parametrize(("backbone", "published"), [("r34", 21_797_672), ("r101", 44_549_160), ("d121", 7_978_856)])
def test_backbone_parameter_counts(backbone, published):
    with torch.device("meta"):
        network = gfm.GFM(gfm.GFMConfig(backbone))
    part = network.densenet if backbone == "d121" else network.resnet
    assert sum(p.numel() for p in part.parameters()) == published


@pytest.fixture(scope="module")
def two_classes():
    return {key: value.clone() for key, value in gfm.GFM(gfm.GFMConfig(scheme="FT", width=4)).state_dict().items()}


def test_asks_for_scheme(two_classes, tmp_path):
    torch.save(two_classes, tmp_path / "a.pth")
    with pytest.raises(ArgumentError, match='scheme="FT" or scheme="BT"'):
        load_checkpoint(tmp_path / "a.pth", "gfm")
    with pytest.raises(ArgumentError, match="2 classes"):
        load_checkpoint(tmp_path / "a.pth", "gfm", scheme="TT")
    assert load_checkpoint(tmp_path / "a.pth", "gfm", scheme="BT").config.scheme == "BT"


def test_refuses_three_in_one(two_classes, tmp_path):
    torch.save({**two_classes, "rim.0.weight": torch.ones(16, 3, 1, 1)}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="RIM"):
        load_checkpoint(tmp_path / "a.pth", "gfm")


@pytest.mark.parametrize(
    ("key", "name"), [("decoder0_g_spatial.weight", "AIM-Net"), ("residualmodule0_s.conv1.weight", "P3M-Net")]
)
def test_relatives_are_refused_by_their_name(tmp_path, key, name):
    state = {"psp_module.bottleneck.weight": torch.zeros(1), key: torch.zeros(1)}
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=f"holds {name} .* not supported; of its authors' networks GFM is"):
        load_checkpoint(tmp_path / "x.pth", "gfm")
