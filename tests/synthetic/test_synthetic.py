"""Synthetic scenes: exact by construction, the same from the same seed, and with the dials that they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from trimatte.errors import ArgumentError
from trimatte.evaluation.datasets import open_dataset
from trimatte.evaluation.synthetic import synthesize
from trimatte.evaluation.verify import verify
from trimatte.synthetic import KINDS, scene, subject
from trimatte.synthetic.strokes import draw_strokes

SIZE = (72, 96)


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_is_the_composite_of_its_truth(kind):
    s = scene(kind, SIZE, seed=3)
    a = s.alpha[..., None] / 255.0
    exact = a * s.foreground + (1 - a) * s.background
    assert np.abs(s.image - exact).max() <= 0.5 + 1e-9
    assert s.image.shape == (*SIZE, 3)
    assert s.alpha.shape == SIZE
    assert all(x.dtype == np.uint8 for x in (s.image, s.alpha, s.foreground, s.background))


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_foreground_background_and_something_between(kind):
    alpha = scene(kind, (128, 128), seed=1).alpha
    assert (alpha == 0).mean() > 0.02
    assert (alpha == 255).any()
    assert ((alpha > 0) & (alpha < 255)).mean() > 0.002


def test_same_seed_same_bytes_another_seed_others():
    first, again, other = scene("hair", SIZE, seed=5), scene("hair", SIZE, seed=5), scene("hair", SIZE, seed=6)
    for name in ("image", "alpha", "foreground", "background"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_a_larger_picture_shows_the_same_scene():
    small, large = scene("hard", (128, 128), seed=2).alpha, scene("hard", (256, 256), seed=2).alpha
    shrunk = np.asarray(Image.fromarray(large).resize((128, 128), Image.Resampling.BOX)).astype(float)
    assert np.abs(shrunk - small).mean() < 2


def test_dials():
    plain, noisy = scene("glass", SIZE, seed=1), scene("glass", SIZE, seed=1, noise=0.05)
    residue = (noisy.image.astype(float) - plain.image)[(plain.image > 60) & (plain.image < 195)]
    assert residue.std() == pytest.approx(0.05 * 255, rel=0.1)
    assert np.array_equal(plain.alpha, noisy.alpha)
    packed = scene("glass", SIZE, seed=1, jpeg=30)
    assert 0 < np.abs(packed.image.astype(float) - plain.image).mean() < 20
    close = scene("fur", SIZE, seed=1, overlap=1.0)
    apart = scene("fur", SIZE, seed=1)

    def gap(s):
        seen = s.alpha > 127
        return np.abs(s.foreground[seen].mean(axis=0) - s.background.mean(axis=(0, 1))).mean()

    assert gap(close) < 0.4 * gap(apart)


def test_subject_takes_a_generator_and_gives_floats():
    foreground, alpha = subject("net", SIZE, np.random.default_rng(0))
    assert foreground.shape == (*SIZE, 3)
    assert foreground.dtype == alpha.dtype == np.float32
    assert min(foreground.min(), alpha.min()) >= 0
    assert max(foreground.max(), alpha.max()) <= 1


def test_strokes_equal_their_slow_twin():
    rng = np.random.default_rng(4)
    points = rng.uniform(2, 22, (3, 4, 2)).astype(np.float32)
    radii = rng.uniform(0.2, 2.5, (3, 4)).astype(np.float32)
    colours = rng.random((3, 3), np.float32)
    canvas = np.zeros((24, 25, 4), np.float32)
    draw_strokes(canvas, points, radii, colours)
    slow = np.zeros((24, 25, 4))
    for line, half_widths, colour in zip(points.astype(float), radii.astype(float), colours, strict=True):
        for k in range(3):
            along = line[k + 1] - line[k]
            for at in np.ndindex(24, 25):
                offset = np.array(at) + 0.5 - line[k]
                s = offset @ along / (along @ along)
                if 0 <= s < 1:
                    r = half_widths[k] + s * (half_widths[k + 1] - half_widths[k])
                    c = np.clip(r - np.linalg.norm(offset - s * along) + 0.5, 0, 1) * min(2 * r, 1)
                    slow[at] = c * np.append(colour, 1) + (1 - c) * slow[at]
    assert np.abs(canvas - slow).max() < 2e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "wool"}, "kind.*hair"),
        ({"size": (8, 100)}, "size"),
        ({"seed": -1}, "seed"),
        ({"noise": 2.0}, "noise"),
        ({"overlap": float("nan")}, "overlap"),
        ({"jpeg": 0}, "jpeg"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        scene(**arguments)


def test_written_set_is_a_sound_benchmark_and_reproducible(tmp_path):
    options = {"count": 3, "size": (64, 80), "seed": 9, "kinds": ("hair", "hard"), "noise": 0.01}
    first, again = synthesize(tmp_path / "a", **options), synthesize(tmp_path / "b", **options)
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 3 * 5 + 1
    assert all((first / file).read_bytes() == (again / file).read_bytes() for file in files)
    assert [s["name"] for s in json.loads((first / "synthetic.json").read_text())["scenes"]] == [
        "hair_0009",
        "hard_0009",
        "hair_0010",
    ]
    dataset = open_dataset(first)
    assert dataset.layout.name == "synthetic"
    assert dataset.trimaps == ["trimap"]
    assert [finding for finding in verify(dataset) if finding.severity == "error"] == []


def test_a_set_takes_the_place_of_a_larger_one(tmp_path):
    synthesize(tmp_path, count=3, size=(64, 80), kinds=("hair", "hard"))
    (tmp_path / "image" / "mine.txt").write_text("kept")
    synthesize(tmp_path, count=1, size=(32, 40), kinds=("hard",))
    assert sorted(path.name for path in (tmp_path / "image").iterdir()) == ["hard_0000.png", "mine.txt"]
    assert [sample.name for sample in open_dataset(tmp_path).samples] == ["hard_0000"]
    (tmp_path / "synthetic.json").write_text('{"scenes": [{"na')
    with pytest.raises(ArgumentError, match="damaged"):
        synthesize(tmp_path, count=1, size=(32, 40))


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(ArgumentError, match="other files"):
        synthesize(tmp_path, count=1, size=(32, 32))
    with pytest.raises(ArgumentError, match="trimap"):
        synthesize(tmp_path / "new", count=1, trimap="wide")
    with pytest.raises(ArgumentError, match="count"):
        synthesize(tmp_path / "new", count=0)
