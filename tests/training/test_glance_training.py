"""Training of the trimap-free network: only the second decoder learns, it exports, and is what it was in torch."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
import onnxruntime  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from trimatte.cli.train_glance import command  # noqa: E402
from trimatte.networks.glance import Glance  # noqa: E402
from trimatte.networks.lite import Lite, doubled  # noqa: E402
from trimatte.training.export import FULL, TAPS, export_lite  # noqa: E402
from trimatte.training.glance import ELSEWHERE, export_focus, loss, weight_of  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Glance(Lite(variant=0)).eval()


def test_untrained_it_says_what_the_segmenter_says(network):
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        said, alpha = torch.sigmoid(network.lite(x)), network(x)[0]
    torch.testing.assert_close(alpha, ((said - 0.02) / 0.96).clamp(0, 1), atol=1e-5, rtol=0)


def test_only_the_second_decoder_learns(network):
    trained = Glance(network.lite).train()
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    optimizer = torch.optim.AdamW(trained.parameters(), 1e-2)
    y, x = np.mgrid[:64, :64]
    disc = torch.tensor(np.hypot(y - 32, x - 32) < 20).float()[None, None]
    picture = (2 * disc - 1).expand(2, 3, 64, 64) + 0.1 * torch.randn(2, 3, 64, 64)
    values = []
    for _ in range(12):
        value = loss(*trained(picture), disc.expand(2, 1, 64, 64), weight_of(disc).expand(2, 1, 64, 64))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.7 * values[0]
    for name, value in trained.state_dict().items():
        if name.startswith("lite."):
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_edges_count_most():
    alpha = torch.zeros(1, 1, 32, 40)
    alpha[..., 20:] = 1
    weight = weight_of(alpha)[0, 0]
    assert weight.unique().tolist() == [pytest.approx(ELSEWHERE), 1]
    assert (weight[:, 16:24] == 1).all()
    assert (weight[:, :16] < 1).all()
    assert (weight[:, 24:] < 1).all()


def test_both_files_together_are_the_network(network, tmp_path):
    torch.save(network.lite.state_dict(), tmp_path / "lite.pt")
    export_lite(tmp_path / "lite.pt", tmp_path / "lite.onnx", variant=0)
    export_focus(network, tmp_path / "glance.onnx")
    x = torch.randn(1, 3, 96, 64)
    sessions = [
        onnxruntime.InferenceSession((tmp_path / name).with_suffix(FULL), providers=["CPUExecutionProvider"])
        for name in ("lite", "glance")
    ]
    logits, *maps = sessions[0].run(["logits", *TAPS], {"image": x.numpy()})
    large = doubled(torch.from_numpy(logits)).numpy()
    given = {"image": x.numpy(), "logits": large, **dict(zip(TAPS, maps, strict=True))}
    with torch.no_grad():
        for got, want in zip(sessions[1].run(None, given), network(x), strict=True):
            np.testing.assert_allclose(got, want.numpy(), atol=1e-4)


def test_the_command_trains_and_exports(tmp_path, monkeypatch):
    monkeypatch.setattr("trimatte.training.glance.LONG_SIDE", 64)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:80, :100]
    for name in ("image", "mask"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for i in range(2):
        disc = np.hypot(y - 40, x - 50) < 24 + 4 * i
        picture = np.where(disc[..., None], (200, 60, 40), rng.integers(60, 120, (80, 100, 3)))
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "set" / "image" / f"{i}.png")
        Image.fromarray(np.uint8(255 * disc)).save(tmp_path / "set" / "mask" / f"{i}.png")
    options = ["--masks", tmp_path / "set", "--out", tmp_path / "run", "--steps", "1"]
    told = CliRunner().invoke(command, list(map(str, options)))
    assert told.exit_code == 0, told.exception
    assert (tmp_path / "run" / "glance.onnx").stat().st_size < 2e5
    again = CliRunner().invoke(command, list(map(str, options)))
    assert "holds a run already" in str(again.exception)
