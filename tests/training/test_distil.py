"""Masks of photos that have none, from teachers: what they agree on is known, and nothing else."""

from __future__ import annotations

import numpy as np
from PIL import Image

from trimatte.training.distil import common, label


def disc(radius):
    y, x = np.mgrid[:40, :50]
    return (np.hypot(y - 20, x - 25) < radius).astype(np.float32)


def test_what_teachers_agree_on_is_known():
    mask = common(np.stack([disc(10), disc(11), disc(10)]))
    found, known = np.moveaxis(mask, 2, 0)
    between = (disc(11) > 0) & (disc(10) == 0)
    assert (known[between] == 0).all()
    assert (known[~between] == 255).all()
    assert np.array_equal(found[~between], 255 * disc(10)[~between])


def test_doubt_grows_with_the_spread():
    answers = np.stack([np.full((1, 3), 0.6, np.float32), np.array([[0.8, 0.95, 1.0]], np.float32)])
    _, known = np.moveaxis(common(answers), 2, 0)
    assert known[0, 0] == 255 > known[0, 1] > known[0, 2] > 100


def test_teachers_with_little_in_common_make_nothing_known():
    assert not common(np.stack([disc(15), disc(5)]))[..., 1].any()


def test_labels_are_made_once(tmp_path):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(photo)
    seen = []

    def teacher(image):
        seen.append(image.shape)
        return disc(10)

    assert label([photo], [teacher, teacher], tmp_path / "masks") == 1
    assert label([photo], [teacher, teacher], tmp_path / "masks") == 0
    assert seen == [(40, 50, 3)] * 2
    with Image.open(tmp_path / "masks/photo.png") as mask:
        assert (mask.mode, mask.size) == ("LA", (50, 40))
