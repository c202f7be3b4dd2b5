"""Training of the light network: samples of photos are true, crops are what they say, the network learns, exports."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from click.testing import CliRunner  # noqa: E402
from torch import nn  # noqa: E402

from trimatte import estimate_alpha  # noqa: E402
from trimatte.alpha.hybrid import METHODS, Ingredients  # noqa: E402
from trimatte.alpha.light import CHANNELS  # noqa: E402
from trimatte.cli.train_light import command  # noqa: E402
from trimatte.errors import ArgumentError, ModelError  # noqa: E402
from trimatte.networks.light import Light  # noqa: E402
from trimatte.training.alpha_data import find_cutouts  # noqa: E402
from trimatte.training.fit import Recipe, fit, loss  # noqa: E402
from trimatte.training.hybrid_data import PATTERN, Sample, sampled, write_samples  # noqa: E402
from trimatte.training.light import crop, train  # noqa: E402
from trimatte.training.photo_samples import Photo, find_photos, photo_sample, with_alpha  # noqa: E402
from trimatte.training.steps import begin_with  # noqa: E402
from trimatte.training.taught_samples import taught, taught_photo, taught_sample  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
SMALL = Recipe(steps=2, batch=2, size=64)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two photos of soft discs before noise: image/, their alpha in alpha/, and what of it is 1/2 and more in mask/."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("image", "alpha", "mask"):
        (folder / name).mkdir()
    y, x = np.mgrid[:200, :240]
    for name, radius in (("a", 50), ("b", 70)):
        alpha = np.clip((radius - np.hypot(y - 100, x - 120)) / 8 + 0.5, 0, 1)[..., None]
        ground = np.asarray(Image.fromarray(rng.integers(0, 90, (6, 8, 3), np.uint8)).resize((240, 200)))
        Image.fromarray(np.rint(alpha * (230, 160, 90) + (1 - alpha) * ground).astype(np.uint8)).save(
            folder / "image" / f"{name}.png"
        )
        for kind, values in (("alpha", alpha), ("mask", alpha >= 0.5)):
            Image.fromarray(np.rint(255 * values[..., 0]).astype(np.uint8)).save(folder / kind / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def samples(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    write_samples(partial(photo_sample, with_alpha(find_cutouts(pictures)), 0), folder, range(4))
    return sorted(folder.glob(PATTERN))


def test_a_photo_with_alpha_is_taken_as_it_is(pictures):
    photos = with_alpha(find_cutouts(pictures))
    assert len(photos) == 2
    sample, again = (photo_sample(photos, 0, 3) for _ in range(2))
    truth = np.asarray(Image.open(pictures / "alpha" / "b.png"), np.float32) / 255
    np.testing.assert_allclose(sample.alpha, truth, atol=1e-6)
    np.testing.assert_array_equal(sample.trimap, again.trimap)
    assert not np.array_equal(sample.trimap, photo_sample(photos, 0, 1).trimap)


def test_a_photo_with_a_mask_is_taught_by_the_hybrid(pictures, monkeypatch):
    monkeypatch.setattr("trimatte.training.photo_samples.REACH", 1)
    sample = photo_sample(find_photos(pictures), 0, 0)
    wanted = estimate_alpha(sample.image, sample.trimap, method="hybrid").alpha
    np.testing.assert_allclose(sample.alpha, wanted, atol=1e-6)
    truth = np.asarray(Image.open(pictures / "alpha" / "a.png"), np.float32) / 255
    unknown = sample.trimap == 128
    assert np.abs(sample.alpha - truth)[unknown].mean() < 0.5 * np.abs((truth >= 0.5) - truth)[unknown].mean() + 0.02


def test_far_from_its_edge_a_mask_is_believed(pictures, monkeypatch):
    monkeypatch.setattr("trimatte.training.photo_samples.REACH", 0.01)
    sample = photo_sample(find_photos(pictures), 0, 0)
    mask = np.asarray(Image.open(pictures / "mask" / "a.png")) > 0
    near = binary_dilation(mask, iterations=4) & binary_dilation(~mask, iterations=4)
    assert (sample.trimap[~near] == 128).any()
    np.testing.assert_array_equal(sample.alpha[~near], mask[~near])


def test_a_mask_of_another_size_is_refused(pictures, tmp_path):
    Image.new("L", (20, 30)).save(tmp_path / "mask.png")
    with pytest.raises(ArgumentError, match=r"mask\.png"):
        photo_sample([Photo(pictures / "image" / "a.png", tmp_path / "mask.png")], 0, 0)


def test_what_the_networks_say_is_joined(pictures, monkeypatch):
    """The quick one sees the picture at its size and at twice that; the hybrid is given the mean of both."""
    sample = photo_sample(with_alpha(find_cutouts(pictures)), 0, 2)
    shape, given = sample.trimap.shape, []

    def predict(image, trimap, pairs):
        assert image.shape == (*trimap.shape, 3)
        assert pairs.shape == (*trimap.shape, 6)
        return np.full(trimap.shape, 0.2 if trimap.shape == shape else 0.8, np.float32), None

    def corrected(image, trimap, ways):
        given.append(ways.alphas[METHODS.index("light")])
        return np.full(shape, 0.5, np.float32), None

    monkeypatch.setattr("trimatte.training.taught_samples.predict", predict)
    monkeypatch.setattr("trimatte.training.taught_samples.corrected", corrected)
    alpha, ways = taught(sample.image, sample.trimap)
    unknown = sample.trimap == 128
    np.testing.assert_array_equal(alpha[~unknown], sample.trimap[~unknown] == 255)
    np.testing.assert_allclose(alpha[unknown], ((0.4 * 0.2 + 0.6 * 0.8) + 0.5) / 2, atol=1e-6)
    np.testing.assert_allclose(given[0], 0.5, atol=1e-6)
    assert not np.allclose(ways.alphas[METHODS.index("light")][unknown], 0.5)


def test_mirror_images_are_turned_back(pictures):
    sample = photo_sample(with_alpha(find_cutouts(pictures)), 0, 2)
    alpha, ways = taught(sample.image, sample.trimap)
    turned, _ = taught(*(np.ascontiguousarray(plane[:, ::-1]) for plane in (sample.image, sample.trimap)))
    unknown = sample.trimap == 128
    assert np.abs(alpha - turned[:, ::-1])[unknown].mean() < 0.02
    assert np.abs(alpha - sample.alpha)[unknown].mean() < 0.05
    assert ways.alphas.shape == (len(METHODS), *unknown.shape)


def test_a_photo_without_mask_is_taught(pictures, monkeypatch):
    monkeypatch.setattr("trimatte.training.taught_samples.SMALLEST", 150)
    photos = [pictures / "image" / "a.png", pictures / "image" / "b.png"]
    sample, again = (taught_photo(photos, 0, 1) for _ in range(2))
    np.testing.assert_array_equal(sample.alpha, again.alpha)
    assert set(np.unique(sample.trimap)) == {0, 128, 255}
    wanted, ways = taught(sample.image, sample.trimap)
    np.testing.assert_array_equal(sample.alpha, wanted)
    np.testing.assert_array_equal(sample.ingredients.pairs, ways.pairs)
    assert sample.ingredients.alphas.shape == (0, *sample.trimap.shape)


def test_photos_too_small_to_be_taught_are_refused(pictures, monkeypatch):
    monkeypatch.setattr("trimatte.training.taught_samples.SMALLEST", 300)
    with pytest.raises(ArgumentError, match="photos: none of 20 of them has a subject and is 300 pixels"):
        taught_photo([pictures / "image" / "a.png"], 0, 0)


def test_a_taught_sample_is_smaller_and_halfway_to_the_teacher(pictures, monkeypatch):
    monkeypatch.setattr("trimatte.training.taught_samples.SMALLEST", 100)
    make = partial(photo_sample, with_alpha(find_cutouts(pictures)), 0)
    whole, sample = make(3), taught_sample(make, 0, 3)
    assert 100 <= min(sample.trimap.shape) < min(whole.trimap.shape)
    wanted, _ = taught(sample.image, sample.trimap)
    truth = np.asarray(Image.fromarray(whole.alpha).resize(sample.trimap.shape[::-1], Image.Resampling.BOX))
    np.testing.assert_allclose(sample.alpha, (wanted + truth) / 2, atol=1e-6)
    known = sample.trimap != 128
    np.testing.assert_allclose(sample.alpha[known], sample.trimap[known] == 255, atol=2e-3)


def test_a_sample_that_knows_no_foreground_is_not_taught(pictures):
    def make(index: int) -> Sample:
        plane = np.full((200, 240), 0.25, np.float32)
        trimap = np.where(np.arange(240) < 120, 0, 128).astype(np.uint8) + np.zeros((200, 1), np.uint8)
        image = np.random.default_rng(index).random((200, 240, 3), np.float32)
        return Sample(image, trimap, plane, Ingredients(np.zeros((0, 200, 240)), np.zeros((200, 240, 6))))

    sample = taught_sample(make, 0, 0)
    assert not sample.ingredients.pairs.any()
    np.testing.assert_allclose(sample.alpha, 0.25, atol=1e-6)


def test_crops_are_changed_together(samples):
    rng = np.random.default_rng(0)
    for _ in range(12):
        x, alpha, unknown = crop(samples[0], SMALL, rng)
        assert x.shape == (CHANNELS, 64, 64)
        assert alpha.shape == unknown.shape == (1, 64, 64)
        np.testing.assert_array_equal(unknown[0], 1 - x[3] - x[4])
        known = unknown[0] == 0
        np.testing.assert_allclose(alpha[0][known], x[3][known], atol=0.011)
        assert (x[5][x[3] == 1] == 0).all()


def test_at_first_the_encoder_sees_colours_alone():
    network = Light(CHANNELS).eval()
    x = torch.rand(1, CHANNELS, 64, 32)
    other = x.clone()
    other[:, 3:] = 0
    with torch.no_grad():
        for a, b in zip(network.encoder(x), network.encoder(other), strict=True):
            torch.testing.assert_close(a, b)
        alpha, doubt = network(x)
    assert alpha.shape == doubt.shape == (1, 1, 64, 32)
    assert not torch.equal(alpha, network(other)[0])


def test_steps_lower_the_loss_of_a_batch(samples):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x, target, unknown = (
        torch.from_numpy(np.stack(p)) for p in zip(*(crop(samples[i], SMALL, rng) for i in (0, 1)), strict=True)
    )
    network = Light(CHANNELS).train()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    values = []
    for _ in range(12):
        value = loss(*network(x), target, unknown)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.7 * values[0]


@pytest.mark.parametrize("half", [False, True])
def test_half_precision_is_for_processors_that_have_it(half, tmp_path, monkeypatch):
    seen = []

    class Level(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            seen.append(torch.is_autocast_enabled("cpu"))
            return torch.sigmoid(self.value + 0 * x), torch.sigmoid(self.value + 0 * x)

    plane = torch.ones(1, 1, 16, 16)
    monkeypatch.setattr("trimatte.training.fit.computes_in_half", lambda device: half)
    fit(Level(), Recipe(steps=1), (batch for batch in [(plane, plane, plane)]), tmp_path)
    assert seen == [half]


def test_weights_of_a_run_that_saw_less_begin_without_looking_at_the_rest(tmp_path):
    torch.manual_seed(0)
    before, network = Light(CHANNELS - 1).eval(), Light(CHANNELS).eval()
    torch.save(before.state_dict(), tmp_path / "before.pt")
    begin_with(network, tmp_path / "before.pt")
    x = torch.rand(1, CHANNELS, 64, 32)
    with torch.no_grad():
        for a, b in zip(network(x), before(x[:, :-1]), strict=True):
            torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", ["narrower", "other", "text", "missing"])
def test_weights_of_another_network_are_refused(kind, tmp_path):
    file = tmp_path / "weights.pt"
    if kind == "text":
        file.write_text("not weights")
    elif kind != "missing":
        torch.save((Light(CHANNELS + 1) if kind == "narrower" else nn.Linear(2, 3)).state_dict(), file)
    with pytest.raises(ModelError, match=r"initial: weights\.pt has no weights of this network"):
        begin_with(Light(CHANNELS), file)


def test_samples_too_small_are_refused(samples, tmp_path):
    with pytest.raises(ArgumentError, match="samples: none of a set is 358 pixels"):
        train(Recipe(size=512), [(samples, 1.0)], tmp_path)


@pytest.mark.usefixtures("one_process")
def test_the_command_makes_samples_trains_and_exports(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("trimatte.training.light.SIZE", 120)
    monkeypatch.setattr("trimatte.training.light.CROP", 64)
    monkeypatch.setattr("trimatte.training.photo_samples.VARIANTS", 1)
    monkeypatch.setattr("trimatte.training.taught_samples.SMALLEST", 100)
    quickly = lambda image, trimap: (np.float32(trimap / 255), sampled(image, trimap))  # noqa: E731
    monkeypatch.setattr("trimatte.training.taught_samples.taught", quickly)
    rgba = tmp_path / "rgba"
    rgba.mkdir()
    photo = Image.open(pictures / "image" / "b.png")
    photo.putalpha(Image.open(pictures / "alpha" / "b.png"))
    photo.crop((40, 20, 200, 180)).save(rgba / "b.png")
    options = ["--photos", pictures / "image", "--masks", pictures, "--taught", pictures / "image"]
    options += ["--out", tmp_path / "run", "--derived", 1]
    refused = CliRunner().invoke(command, list(map(str, options)))
    assert "derived: no cut-out is RGBA" in str(refused.exception)
    options += ["--cutouts", rgba]
    told = CliRunner().invoke(command, [*map(str, options), "--samples", "20", "--steps", "1"])
    assert told.exit_code == 0, told.exception
    assert (tmp_path / "run" / "light.onnx").stat().st_size < 8e6
    found = {
        kind: len(list((tmp_path / "run" / "samples" / kind).glob(PATTERN)))
        for kind in ("composites", "taught", "scenes", "derived")
    }
    assert found == {"composites": 20, "taught": 2, "scenes": 1, "derived": 1}
    again = CliRunner().invoke(command, list(map(str, options)))
    assert "holds a run already" in str(again.exception)
