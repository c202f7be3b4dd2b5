"""Training of the hybrid's network: samples are true and repeat, the network starts as the mean and learns, exports."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
from click.testing import CliRunner  # noqa: E402
from torch import nn  # noqa: E402

from trimatte.alpha.hybrid import ALPHAS, CHANNELS, METHODS  # noqa: E402
from trimatte.cli.train_hybrid import command  # noqa: E402
from trimatte.errors import ModelError  # noqa: E402
from trimatte.networks.hybrid import FLOOR, Block, Halving, Hybrid, weighed  # noqa: E402
from trimatte.training.alpha_data import find_cutouts  # noqa: E402
from trimatte.training.export import FULL, OUTPUTS, export  # noqa: E402
from trimatte.training.fit import Recipe, loss  # noqa: E402
from trimatte.training.hybrid import crop, frequency, load_sample, train  # noqa: E402
from trimatte.training.hybrid_data import PATTERN, Sources, hand_drawn_trimap, make_sample, write_samples  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
SMALL = Recipe(steps=3, batch=2, size=64)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with three photos of noise in blocks, and one with a soft disc as a cut-out."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in "abc":
        blocks = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)
        (folder / "photos").mkdir(exist_ok=True)
        blocks.save(folder / "photos" / f"{name}.png")
    y, x = np.mgrid[:120, :160]
    alpha = np.clip((40 - np.hypot(y - 60, x - 80)) / 6 + 0.5, 0, 1)
    cutout = np.dstack([np.full((120, 160, 3), (200, 120, 60), np.uint8), np.rint(255 * alpha).astype(np.uint8)])
    (folder / "cutouts").mkdir()
    Image.fromarray(cutout).save(folder / "cutouts" / "disc.png")
    return folder


@pytest.fixture(scope="module")
def samples(photos, tmp_path_factory):
    """A folder of three samples."""
    folder = tmp_path_factory.mktemp("samples")
    sources = Sources(sorted((photos / "photos").glob("*.png")), find_cutouts(photos / "cutouts"))
    write_samples(partial(make_sample, sources, 96, 0), folder, range(3))
    return sorted(folder.glob(PATTERN))


def test_a_sample_repeats_and_is_kept_as_it_was(photos, samples):
    sources = Sources(sorted((photos / "photos").glob("*.png")), find_cutouts(photos / "cutouts"))
    again = make_sample(sources, 96, 0, 1)
    kept = load_sample(samples[1])
    np.testing.assert_array_equal(np.rint(255 * again.image), kept.image)
    np.testing.assert_array_equal(again.trimap, kept.trimap)
    np.testing.assert_allclose(again.alpha, kept.alpha, atol=1e-3)
    np.testing.assert_allclose(again.ingredients.alphas, kept.alphas, atol=1e-3)
    assert kept.pairs.shape == (96, 96, 6)
    assert kept.away.shape == (2, 96, 96)


@pytest.mark.parametrize("seed", range(6))
def test_trimaps_never_contradict_alpha(seed):
    y, x = np.mgrid[:80, :80]
    soft = (0.0, 4.0)[seed % 2]
    alpha = np.clip((25 - np.hypot(y - 40, x - 40)) / max(soft, 1e-3) + 0.5, 0, 1).astype(np.float32)
    trimap = hand_drawn_trimap(alpha, np.random.default_rng(seed))
    assert set(np.unique(trimap)) == {0, 128, 255}
    np.testing.assert_allclose(alpha[trimap == 255], 1, atol=0.5 / 255)
    np.testing.assert_allclose(alpha[trimap == 0], 0, atol=0.5 / 255)


def test_untrained_it_is_the_mean():
    network = Hybrid(CHANNELS, ALPHAS).eval()
    x = torch.rand(1, CHANNELS, 32, 48)
    with torch.no_grad():
        alpha, doubt = network(x)
    mean = x[:, ALPHAS].mean(1, keepdim=True).clamp(FLOOR, 1 - FLOOR)
    torch.testing.assert_close(alpha, mean)
    assert alpha.shape == doubt.shape == (1, 1, 32, 48)
    assert doubt.min() > 0
    assert len(METHODS) == network.methods


def test_halving_is_a_convolution_of_four_pixels_as_channels():
    halving, block = Halving(3, 5).eval(), Block(12, 5).eval()
    block.load_state_dict({**halving.state_dict(), "0.weight": nn.functional.pixel_unshuffle(halving[0].weight, 2)})
    x = torch.randn(2, 3, 8, 10)
    with torch.no_grad():
        torch.testing.assert_close(halving(x), block(nn.functional.pixel_unshuffle(x, 2)))


def test_planes_are_weighed_by_a_softmax():
    planes, logits = torch.rand(2, 4, 5, 6), torch.randn(2, 4, 5, 6)
    logits[:, :, 0] *= 1e4
    wanted = (torch.softmax(logits, 1) * planes).sum(1, keepdim=True)
    torch.testing.assert_close(weighed(planes, logits), wanted)


def test_what_is_easier_is_drawn_more_often(samples):
    sample = load_sample(samples[0])
    exact, near, off = (
        frequency(replace(sample, alphas=np.abs(np.stack(3 * [sample.alpha]) - np.float16(miss))))
        for miss in (0, 0.1, 0.5)
    )
    assert exact > near > off == 0


def test_crops_are_turned_together(samples):
    rng = np.random.default_rng(0)
    for _ in range(8):
        x, alpha, unknown = crop(samples[0], SMALL, rng)
        assert x.shape == (CHANNELS, 64, 64)
        assert alpha.shape == unknown.shape == (1, 64, 64)
        np.testing.assert_array_equal(unknown[0], 1 - x[3] - x[4])
        known = unknown[0] == 0
        np.testing.assert_allclose(alpha[0][known], x[3][known], atol=0.5 / 255)


def test_loss_is_least_at_the_truth_and_heeds_only_unknown_pixels():
    target = torch.rand(1, 1, 16, 16)
    unknown = (torch.rand(1, 1, 16, 16) < 0.5).float()
    doubt = torch.full_like(target, 0.01)
    exact, off = loss(target, doubt, target, unknown), loss(target + 0.1 * unknown, doubt, target, unknown)
    assert off > exact + 0.1
    torch.testing.assert_close(loss(target + 1 - unknown, doubt, target, unknown), exact)
    assert loss(target + 0.1 * unknown, 10 * doubt, target, unknown) < off  # to doubt what is wrong is right


@pytest.mark.usefixtures("one_process")
def test_a_loss_that_is_no_number_ends_the_run(samples, tmp_path):
    with pytest.raises(ModelError, match="the loss is nan at step 1: the run has diverged"):
        train(SMALL, samples, tmp_path / "run", initial=weights_of_nan(tmp_path))
    assert not (tmp_path / "run" / "best.pt").exists()


def weights_of_nan(folder):
    state = {name: value * np.nan for name, value in Hybrid(CHANNELS, ALPHAS).state_dict().items()}
    torch.save(state, folder / "nan.pt")
    return folder / "nan.pt"


def test_a_run_repeats_and_its_network_exports(samples, tmp_path, request):
    losses = []
    network = train(SMALL, samples, tmp_path / "run", watch=lambda _, value: losses.append(value))
    assert len(losses) == SMALL.steps
    state = torch.load(tmp_path / "run" / "best.pt", weights_only=True)
    request.getfixturevalue("one_process")  # by which the batches are the same
    again = train(SMALL, samples, tmp_path / "again").state_dict()
    assert all(
        torch.equal(own, other) for own, other in zip(network.state_dict().values(), again.values(), strict=True)
    )
    torch.testing.assert_close(dict(network.state_dict()), dict(state))
    out = tmp_path / "hybrid.onnx"
    inputs = {"features": (CHANNELS, 1)}
    weights = tmp_path / "run" / "best.pt"
    assert export(Hybrid(CHANNELS, ALPHAS), weights, out, inputs=inputs, outputs=OUTPUTS, bits=16) < 0.02
    assert out.stat().st_size < 0.6 * out.with_suffix(FULL).stat().st_size
    # What onnxruntime is slow at.
    assert not {"Transpose", "Softmax"} & {node.op_type for node in onnx.load(out).graph.node}


def test_steps_lower_the_loss_of_a_batch(samples):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x, target, unknown = (
        torch.from_numpy(np.stack(p)) for p in zip(*(crop(samples[i], SMALL, rng) for i in (0, 1)), strict=True)
    )
    network = Hybrid(CHANNELS, ALPHAS).train()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    values = []
    for _ in range(15):
        value = loss(*network(x), target, unknown)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.8 * values[0]


def test_command_line_refuses_a_folder_with_a_run(photos, tmp_path):
    (tmp_path / "best.pt").touch()
    told = CliRunner().invoke(command, ["--photos", str(photos / "photos"), "--out", str(tmp_path)])
    assert told.exit_code != 0
    assert "holds a run already" in str(told.exception)


def test_command_line_names_a_folder_without_pictures(tmp_path):
    (tmp_path / "none").mkdir()
    told = CliRunner().invoke(command, ["--photos", str(tmp_path / "none"), "--out", str(Path(tmp_path) / "run")])
    assert "photos" in str(told.exception)
    assert "no pictures" in str(told.exception)
