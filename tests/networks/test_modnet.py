"""MODNet: the public checkpoint's layout loads, and alpha is that of a slow twin."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from trimatte.errors import ModelError  # noqa: E402
from trimatte.networks import modnet  # noqa: E402
from trimatte.networks.checkpoints import load_checkpoint  # noqa: E402

pytestmark = pytest.mark.torch

STEM, STAGES, LAST, WIDTH = 4, (4, 6, 4, 6, 4, 6, 8), 8, 4
# expansion, channels, repeats, stride of MobileNetV2's stages
PLAN = list(zip((1, 6, 6, 6, 6, 6, 6), STAGES, (1, 2, 3, 4, 3, 3, 1), (1, 2, 2, 2, 1, 2, 1), strict=True))
ENC2, ENC4, ENC8, ENC16, ENC32 = STAGES[0], STAGES[1], STAGES[2], STAGES[4], LAST


def blocks():
    """(index, inputs, outputs, stride, expansion) of the inverted residuals."""
    index, inputs = 1, STEM
    for expansion, outputs, repeats, stride in PLAN:
        for i in range(repeats):
            yield index, inputs, outputs, stride if i == 0 else 1, expansion
            index, inputs = index + 1, outputs


# key: inputs, outputs, side, normalised
BRANCHES = {
    "lr_branch.conv_lr16x": (ENC32, ENC16, 5, True),
    "lr_branch.conv_lr8x": (ENC16, ENC8, 5, True),
    "lr_branch.conv_lr": (ENC8, 1, 3, False),
    "hr_branch.tohr_enc2x": (ENC2, WIDTH, 1, True),
    "hr_branch.conv_enc2x": (WIDTH + 3, WIDTH, 3, True),
    "hr_branch.tohr_enc4x": (ENC4, WIDTH, 1, True),
    "hr_branch.conv_enc4x": (2 * WIDTH, 2 * WIDTH, 3, True),
    "hr_branch.conv_hr4x.0": (2 * WIDTH + ENC8 + 3, 2 * WIDTH, 3, True),
    "hr_branch.conv_hr4x.1": (2 * WIDTH, 2 * WIDTH, 3, True),
    "hr_branch.conv_hr4x.2": (2 * WIDTH, WIDTH, 3, True),
    "hr_branch.conv_hr2x.0": (2 * WIDTH, 2 * WIDTH, 3, True),
    "hr_branch.conv_hr2x.1": (2 * WIDTH, WIDTH, 3, True),
    "hr_branch.conv_hr2x.2": (WIDTH, WIDTH, 3, True),
    "hr_branch.conv_hr2x.3": (WIDTH, WIDTH, 3, True),
    "hr_branch.conv_hr.0": (WIDTH + 3, WIDTH, 3, True),
    "hr_branch.conv_hr.1": (WIDTH, 1, 1, False),
    "f_branch.conv_lr4x": (ENC8, WIDTH, 5, True),
    "f_branch.conv_f2x": (2 * WIDTH, WIDTH, 3, True),
    "f_branch.conv_f.0": (WIDTH + 3, WIDTH // 2, 3, True),
    "f_branch.conv_f.1": (WIDTH // 2, 1, 1, False),
}


@pytest.fixture(scope="module")
def arrays(twin):
    """Weights under the keys of the public file, the encoder once."""
    root = "backbone.model.features"

    def unit(key, inputs, outputs, side, at):
        return twin.conv_shapes(f"{key}.{at}", inputs, outputs, side, False) | twin.norm_shapes(
            f"{key}.{at + 1}", outputs
        )

    shapes = unit(f"{root}.0", 3, STEM, 3, 0)
    for index, inputs, outputs, _, expansion in blocks():
        key, hidden = f"{root}.{index}.conv", inputs * expansion
        if expansion > 1:
            shapes |= unit(key, inputs, hidden, 1, 0)
        at = 3 if expansion > 1 else 0
        shapes |= unit(key, 1, hidden, 3, at) | unit(key, hidden, outputs, 1, at + 3)
    shapes |= unit(f"{root}.18", STAGES[-1], LAST, 1, 0)
    shapes |= {"lr_branch.se_block.fc.0.weight": (LAST // 4, LAST), "lr_branch.se_block.fc.2.weight": (LAST, LAST // 4)}
    for key, (inputs, outputs, side, normalised) in BRANCHES.items():
        shapes |= twin.conv_shapes(f"{key}.layers.0", inputs, outputs, side)
        if normalised:
            shapes |= twin.norm_shapes(f"{key}.layers.1.bnorm", outputs // 2)
    return twin.random_arrays(shapes, np.random.default_rng(0))


def save(arrays, path, change=None):
    """As the public file: from `DataParallel`, with the encoder under two names."""
    state = {f"module.{key}": torch.from_numpy(value.copy()) for key, value in arrays.items()}
    state |= {
        f"module.lr_branch.{key.removeprefix('module.')}": value for key, value in state.items() if "backbone" in key
    }
    state |= change or {}
    torch.save(state, path)


def slow_alpha(twin, arrays, image):
    arrays = {key: value.astype(np.float64) for key, value in arrays.items()}

    def ibnorm(x, key):
        half = x.shape[0] // 2
        spread = x[half:] - x[half:].mean((1, 2), keepdims=True)
        spread /= np.sqrt(x[half:].var((1, 2), keepdims=True) + 1e-5)
        return np.concatenate((twin.norm(x[:half], arrays, f"{key}.bnorm"), spread))

    def layer(key, x, stride=1):
        side = arrays[f"{key}.layers.0.weight"].shape[2]
        x = twin.convs(arrays, f"{key}.layers.0", x, pad=side // 2, stride=stride)
        return twin.relu(ibnorm(x, f"{key}.layers.1")) if f"{key}.layers.1.bnorm.weight" in arrays else x

    def scale(x, factor):
        return twin.bilinear(x, (int(x.shape[1] * factor), int(x.shape[2] * factor)))

    def relu6(x):
        return np.clip(x, 0, 6)

    def normed(key, x, at, **options):
        return twin.norm(twin.convs(arrays, f"{key}.{at}", x, **options), arrays, f"{key}.{at + 1}")

    root = "backbone.model.features"
    x = relu6(normed(f"{root}.0", image, 0, stride=2))
    maps = {}
    for index, inputs, outputs, stride, expansion in blocks():
        key, hidden = f"{root}.{index}.conv", inputs * expansion
        y = relu6(normed(key, x, 0, pad=0)) if expansion > 1 else x
        at = 3 if expansion > 1 else 0
        y = relu6(normed(key, y, at, stride=stride, groups=hidden))
        y = normed(key, y, at + 3, pad=0)
        x = x + y if stride == 1 and inputs == outputs else y
        maps[index] = x
    enc2, enc4, deepest = maps[1], maps[3], relu6(normed(f"{root}.18", x, 0, pad=0))
    weight = twin.relu(arrays["lr_branch.se_block.fc.0.weight"] @ deepest.mean((1, 2)))
    weight = twin.sigmoid(arrays["lr_branch.se_block.fc.2.weight"] @ weight)
    low = layer("lr_branch.conv_lr16x", scale(deepest * weight[:, None, None], 2))
    low = layer("lr_branch.conv_lr8x", scale(low, 2))
    enc2 = layer("hr_branch.tohr_enc2x", enc2)
    x = layer("hr_branch.conv_enc2x", np.concatenate((scale(image, 0.5), enc2)), stride=2)
    x = layer("hr_branch.conv_enc4x", np.concatenate((x, layer("hr_branch.tohr_enc4x", enc4))))
    x = np.concatenate((x, scale(low, 2), scale(image, 0.25)))
    for i in range(3):
        x = layer(f"hr_branch.conv_hr4x.{i}", x)
    x = np.concatenate((scale(x, 2), enc2))
    for i in range(4):
        x = layer(f"hr_branch.conv_hr2x.{i}", x)
    detail = layer("hr_branch.conv_hr.1", layer("hr_branch.conv_hr.0", np.concatenate((scale(x, 2), image))))
    far = scale(layer("f_branch.conv_lr4x", scale(low, 2)), 2)
    x = scale(layer("f_branch.conv_f2x", np.concatenate((far, x))), 2)
    x = layer("f_branch.conv_f.1", layer("f_branch.conv_f.0", np.concatenate((x, image))))
    semantics = layer("lr_branch.conv_lr", low, stride=2)
    return tuple(twin.sigmoid(y)[0] for y in (semantics, detail, x))


def test_public_layout(twin, arrays, tmp_path):
    save(arrays, tmp_path / "modnet.ckpt")
    checkpoint = load_checkpoint(tmp_path / "modnet.ckpt", "modnet")
    assert checkpoint.config == modnet.MODNetConfig(STEM, STAGES, LAST, WIDTH)
    image = np.random.default_rng(1).uniform(-1, 1, (3, 64, 96)).astype(np.float32)
    slow = slow_alpha(twin, arrays, image)
    with torch.no_grad():
        tensor = torch.from_numpy(image)[None]
        fast = checkpoint.network.predict(tensor)
        assert torch.equal(fast[2], checkpoint.network(tensor))
    for ours, twins in zip(fast, slow, strict=True):
        assert twins.std() > 0.01
        assert np.abs(ours[0, 0].numpy() - twins).max() < 1e-4


def test_parameter_count():
    """OpenVINO publishes 6.4597 M for the graph as deployed: without the heads of the loss, batch norms folded."""
    with torch.device("meta"):
        network = modnet.MODNet()
    heads = [*network.lr_branch.conv_lr.parameters(), *network.hr_branch.conv_hr.parameters()]
    norms = [m for m in network.backbone.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    count = sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in heads)
    count -= sum(m.num_features for m in norms)  # a scale goes into weights, a shift stays as bias
    assert abs(count / 6.4597e6 - 1) < 5e-5


def test_copies_that_differ(arrays, tmp_path):
    key = "module.lr_branch.backbone.model.features.0.0.weight"
    save(arrays, tmp_path / "a.ckpt", {key: torch.ones(STEM, 3, 3, 3)})
    with pytest.raises(ModelError, match="other copy"):
        load_checkpoint(tmp_path / "a.ckpt", "modnet")


def test_missing_key(arrays, tmp_path):
    save({key: value for key, value in arrays.items() if "se_block.fc.2" not in key}, tmp_path / "a.ckpt")
    with pytest.raises(ModelError, match=r"1 keys missing: lr_branch\.se_block\.fc\.2\.weight"):
        load_checkpoint(tmp_path / "a.ckpt", "modnet")
