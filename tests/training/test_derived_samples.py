"""Samples in the bands of a cut-out: their trimap is the cut-out's own, their alpha the truth, their map is kept."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from trimatte import cutout  # noqa: E402
from trimatte.errors import ArgumentError  # noqa: E402
from trimatte.training import derived_samples as module  # noqa: E402
from trimatte.training.derived_samples import derived_photo, derived_scene  # noqa: E402
from trimatte.training.fit import Recipe  # noqa: E402
from trimatte.training.hybrid_data import PATTERN, write_samples  # noqa: E402
from trimatte.training.light import crop, load_sample  # noqa: E402
from trimatte.training.photo_samples import find_photos  # noqa: E402
from trimatte.training.scenes import Things  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """One cut-out, a soft disc, before two slopes of grey."""
    folder = tmp_path_factory.mktemp("things")
    y, x = np.mgrid[:200, :200]
    alpha = np.clip((80 - np.hypot(y - 100, x - 100)) / 6 + 0.5, 0, 1)
    rgba = np.dstack([np.broadcast_to((230.0, 90, 60), (200, 200, 3)), 255 * alpha])
    Image.fromarray(np.rint(rgba).astype(np.uint8), "RGBA").save(folder / "disc.png")
    grounds = []
    for number, level in enumerate((40, 120)):
        grounds.append(folder / f"ground{number}.png")
        Image.fromarray(np.broadcast_to(level + y[..., None] // 8, (200, 200, 3)).astype(np.uint8)).save(grounds[-1])
    return Things([[folder / "disc.png"]], grounds)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A photo of a soft disc and its mask."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[:220, :260]
    alpha = np.clip((70 - np.hypot(y - 110, x - 130)) / 6 + 0.5, 0, 1)[..., None]
    noise = np.random.default_rng(0).normal(0, 3, (220, 260, 3))
    image = np.clip(alpha * (220, 160, 60) + (1 - alpha) * (40, 60, 90) + noise, 0, 255)
    for kind, plane in (("image", image), ("mask", 255.0 * (alpha[..., 0] >= 0.5))):
        (folder / kind).mkdir()
        Image.fromarray(np.rint(plane).astype(np.uint8)).save(folder / kind / "a.png")
    return find_photos(folder), alpha[..., 0]


def test_a_scene_has_the_band_of_its_cut_out(things):
    sample, again = (derived_scene(things, 0, 1) for _ in range(2))
    np.testing.assert_array_equal(sample.image, again.image)
    whole = cutout(sample.image, foreground="keep")
    np.testing.assert_array_equal(sample.trimap, whole.trimap)
    np.testing.assert_allclose(sample.probability, whole.probability, atol=1e-6)
    assert ((sample.alpha > 0.1) & (sample.alpha < 0.9)).any()
    known = sample.trimap != 128
    assert np.abs(sample.alpha - sample.trimap / 255)[known].mean() < 0.05
    assert sample.ingredients.pairs.any()
    assert not np.array_equal(sample.image, derived_scene(things, 0, 2).image)


def test_close_to_a_masks_edge_alpha_is_estimated(photos, monkeypatch):
    files, truth = photos
    monkeypatch.setattr("trimatte.training.photo_samples.REACH", 0.04)
    sample = derived_photo(files, 0, 0)
    assert sample.alpha.shape == truth.shape
    hard = (truth >= 0.5).astype(np.float32)
    soft = (truth > 0.05) & (truth < 0.95)
    assert np.abs(sample.alpha - truth)[soft].mean() < 0.5 * np.abs(hard - truth)[soft].mean()
    np.testing.assert_array_equal(sample.alpha[:20], 0)


def test_where_something_else_is_found_there_is_no_sample(things, photos, monkeypatch):
    monkeypatch.setattr(module, "AGREE", 1.01)
    with pytest.raises(ArgumentError, match="cutouts: in none of 30 scenes"):
        derived_scene(things, 0, 0)
    with pytest.raises(ArgumentError, match="masks: in none of 30 photos"):
        derived_photo(photos[0], 0, 0)


def test_a_picture_whose_band_is_no_use_is_passed_over(photos, monkeypatch):
    monkeypatch.setattr(module, "BAND", (0.9, 1.0))
    with pytest.raises(ArgumentError, match="masks"):
        derived_photo(photos[0], 0, 0)


def test_the_map_is_seen_now_and_then(things, tmp_path, monkeypatch):
    write_samples(lambda index: derived_scene(things, 0, index), tmp_path, range(1))
    (file,) = tmp_path.glob(PATTERN)
    stored = load_sample(file)
    assert stored.probability is not None
    assert stored.probability.shape == stored.trimap.shape
    recipe = Recipe(size=128)
    seen = [crop(file, recipe, np.random.default_rng(seed))[0] for seed in range(12)]
    told = [x for x in seen if x[-1].any()]
    assert 0 < len(told) < 12
    for x in told:
        assert (x[-1][x[3] == 1] > 0).mean() > 0.95
        assert (x[-1][x[4] == 1] < 0).mean() > 0.95
