"""Animations are cut out frame by frame."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trimatte.batch.animation import read_animation
from trimatte.batch.one import cut_out
from trimatte.errors import ArgumentError, ImageReadError, ImageTooLargeError
from trimatte.images import is_marked


def animated(format: str) -> bytes:
    """Three frames of a light disc that moves, of different times."""
    y, x = np.mgrid[:48, :64]
    frames = []
    for left in (24, 30, 36):
        disc = np.hypot(y - 24, x - left) < 12
        frames.append(Image.fromarray(np.where(disc[..., None], np.uint8(230), np.uint8(20)).repeat(3, axis=2)))
    stream = io.BytesIO()
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    frames[0].save(stream, format, save_all=True, append_images=frames[1:], duration=[50, 100, 200], loop=3, **options)
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("source", "target"), [("GIF", "PNG"), ("PNG", "WEBP"), ("WEBP", "PNG")])
def test_each_frame_is_cut_out_and_keeps_its_time(source: str, target: str, bright: str) -> None:
    stream = io.BytesIO()
    cut_out(animated(source), stream, frames="all", segmenter=bright, format=target)
    made = read_animation(stream.getvalue())
    assert (len(made.frames), made.milliseconds) == (3, [50, 100, 200])
    assert is_marked(stream.getvalue())
    for frame, left in zip(made.frames, (24, 30, 36), strict=True):
        alpha = frame[..., 3]
        assert alpha[24, left] == 255
        assert alpha[24, left - 20] == alpha[2, 2] == 0
        columns = np.nonzero(alpha[24] > 128)[0]
        assert abs(columns.mean() - left) < 1.5


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_background_and_a_size_are_the_same_for_all(bright: str) -> None:
    stream = io.BytesIO()
    cut_out(animated("GIF"), stream, frames="all", segmenter=bright, format="png", background="#00ff00", size="32x24")
    for frame in read_animation(stream.getvalue()).frames:
        assert frame.shape == (24, 32, 3)
        assert (frame[0, 0] == (0, 255, 0)).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"crop": True}, "crop: got one for an animation"),
        ({"format": "jpeg", "background": "white"}, "format: got JPEG for an animation"),
        ({"output": "matte"}, "frames: got 'all' beside a matte"),
    ],
)
def test_what_an_animation_cannot_be(options: dict[str, Any], match: str, bright: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        cut_out(animated("GIF"), io.BytesIO(), frames="all", segmenter=bright, **{"format": "png", **options})


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImageTooLargeError, match="3 frames"):
        read_animation(animated("GIF"), max_pixels=5000)
    for content in (b"", b"no picture", animated("WEBP")[:200]):
        with pytest.raises(ImageReadError, match="cannot read the animation"):
            read_animation(content)
    with pytest.raises(ImageReadError, match="cannot read"):
        read_animation(str(tmp_path / "missing.gif"))
