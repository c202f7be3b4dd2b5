"""Networks as users call them: by name, in Python and on the command line, with input that is out of the ordinary."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import trimatte
from trimatte.errors import ArgumentError, ModelError

torch = pytest.importorskip("torch")
from trimatte.cli import main  # noqa: E402
from trimatte.networks import dim, gfm, inference, modnet  # noqa: E402
from trimatte.networks.checkpoints import save_checkpoint  # noqa: E402

pytestmark = pytest.mark.torch

NETWORKS = {
    "deep-image-matting": (dim.DIM, dim.TINY),
    "modnet": (modnet.MODNet, modnet.TINY),
    "gfm": (gfm.GFM, gfm.TINY),
}
every = pytest.mark.parametrize("method", NETWORKS)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """MODNet sees pictures whose shorter side has 128 pixels, a sixteenth of what its authors use."""
    monkeypatch.setattr(inference, "modnet_size", partial(inference.modnet_size, reference=128))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, (build, config) in NETWORKS.items():
        network = build(config)
        if name == "gfm":  # so that it takes all for transition, where the focus decoder has its say
            network.decoder0_g[6].bias.data[:] = torch.tensor([0.0, 9.0, 0.0])
        save_checkpoint(folder / f"{name}.pt", network, name)
    return {name: folder / f"{name}.pt" for name in NETWORKS}


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def ring(height, width):
    """Foreground in the middle, unknown about it, background outside."""
    y, x = np.ogrid[:height, :width]
    distance = np.hypot((y - height / 2) / height, (x - width / 2) / width)
    return np.where(distance < 0.15, 255, np.where(distance < 0.35, 128, 0)).astype(np.uint8)


@every
@pytest.mark.parametrize("size", [(1, 1), (9, 7), (31, 100), (100, 31), (33, 65)])
def test_pictures_of_any_size(weights, method, size):
    trimap = np.full(size, 128, np.uint8)
    alpha = trimatte.estimate_alpha(picture(*size), trimap, method=method, weights=weights[method]).alpha
    assert alpha.shape == size
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1


@every
def test_what_a_trimap_knows_is_kept(weights, method):
    image, trimap = picture(70, 90), ring(70, 90)
    alpha = trimatte.estimate_alpha(image, trimap, method=method, weights=weights[method]).alpha
    assert set(np.unique(alpha[trimap == 255])) == {1}
    assert set(np.unique(alpha[trimap == 0])) == {0}
    assert np.ptp(alpha[trimap == 128]) > 0


@every
def test_a_trimap_without_unknown_pixels_is_the_alpha(weights, method):
    trimap = np.where(ring(40, 50) > 0, 255, 0).astype(np.uint8)
    matte = trimatte.estimate_alpha(picture(40, 50), trimap, method=method, weights=weights[method])
    np.testing.assert_array_equal(matte.alpha, trimap / np.float32(255))
    assert "no unknown pixel" in matte.report.fallbacks[0]


@every
@pytest.mark.parametrize("known", [None, 0, 255])
def test_a_band_that_is_everything_is_left_to_the_network(weights, method, known):
    image, trimap = picture(64, 96), np.full((64, 96), 128, np.uint8)
    if known is not None:
        trimap[:8] = known
    matte = trimatte.estimate_alpha(image, trimap, method=method, weights=weights[method])
    assert matte.report.fallbacks == []
    assert np.ptp(matte.alpha[8:]) > 0


@every
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "cuda"}, "device: 'cuda' is not available"),
        ({"device": "npu"}, "device: got 'npu'"),
        ({"device": "cpu", "precision": "half"}, "half.*is for GPUs"),
        ({"wieghts": "x"}, "wieghts: no option"),
    ],
)
def test_devices_and_options_that_are_not_there(weights, method, options, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ArgumentError, match=words):
        trimatte.estimate_alpha(picture(40, 40), ring(40, 40), method=method, **{"weights": weights[method]} | options)


@every
def test_files_that_are_no_weights_of_it(weights, method, tmp_path):
    content = weights[method].read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    Image.fromarray(picture(8, 8)).save(tmp_path / "picture.png")
    other = weights["gfm" if method != "gfm" else "modnet"]
    for file, words in (
        (tmp_path / "cut.pt", "truncated"),
        (tmp_path / "empty.pt", "truncated, damaged or not a PyTorch file"),
        (tmp_path / "picture.png", "not a PyTorch file"),
        (tmp_path / "absent.pt", "cannot be read"),
        (other, f"not {method}"),
        (None, "comes without weights"),
    ):
        with pytest.raises(ModelError, match=words):
            trimatte.estimate_alpha(picture(40, 40), ring(40, 40), method=method, weights=file)


@every
def test_on_the_command_line(weights, method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture(64, 80)).save("photo.png")
    Image.fromarray(ring(64, 80)).save("trimap.png")
    option = ["--method", method, "--option", f"weights={weights[method]}"]
    said = CliRunner().invoke(main, ["cutout", "photo.png", "--trimap", "trimap.png", *option, "-o", "cut.png"])
    assert said.exit_code == 0, said.output
    alpha = np.asarray(Image.open("cut.png"))[..., 3]
    assert (alpha[ring(64, 80) == 255] == 255).all()
    said = CliRunner().invoke(main, ["cutout", "photo.png", "--trimap", "trimap.png", "--method", method])
    assert said.exit_code == 1
    assert "comes without weights" in said.output
