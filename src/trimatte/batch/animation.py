"""Animations, frame by frame: GIF, APNG or WebP in, APNG or WebP out, with the sequence's memory in between."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from PIL import Image

from trimatte.cutout import Cutout
from trimatte.cutter import Cutter
from trimatte.errors import ArgumentError, ImageReadError, ImageTooLargeError
from trimatte.files.atomic import atomic_write, reason
from trimatte.images.arrays import floats_of, quantised
from trimatte.images.background import lay_over
from trimatte.images.formats import FORMATS, MAX_PIXELS, output_format
from trimatte.images.mark import XMP, png_mark
from trimatte.images.pillow import identified
from trimatte.output.options import output_of

_FORMATS = ("PNG", "WEBP")
_USUAL_MILLISECONDS = 100


@dataclass(frozen=True)
class Animation:
    """Frames (H, W, 3 or 4) uint8, how long each is shown in milliseconds, and how often all are; 0 for ever."""

    frames: list[np.ndarray]
    milliseconds: list[int]
    loop: int


def read_animation(source: str | bytes | IO[bytes], *, max_pixels: int = MAX_PIXELS) -> Animation:
    """All frames of a picture, one if it has no more.

    Raises `ImageReadError` if it cannot be read, `ImageTooLargeError` if all frames together have too many pixels.
    """
    try:
        content = source if isinstance(source, bytes) else _content(source)
        image = identified(io.BytesIO(content))
        count = getattr(image, "n_frames", 1)
        if image.width * image.height * count > max_pixels:
            raise ImageTooLargeError(
                f"its {count} frames are over the limit of {max_pixels / 1e6:g} megapixels together"
            )
        frames, milliseconds = [], []
        for number in range(count):
            image.seek(number)
            rgba = np.asarray(image.convert("RGBA"))
            frames.append(rgba if (rgba[..., 3] < 255).any() else rgba[..., :3])
            milliseconds.append(round(image.info.get("duration") or _USUAL_MILLISECONDS))
        return Animation(frames, milliseconds, int(image.info.get("loop", 0)))
    except ImageReadError as error:
        raise type(error)(f"cannot read the animation: {error}") from error
    except Exception as error:  # damaged files make Pillow's plug-ins raise nearly anything
        raise ImageReadError(
            f"cannot read the animation: {reason(error) if isinstance(error, OSError) else error}"
        ) from error


def cut_out_animation(
    source: str | bytes | IO[bytes],
    target: str | IO[bytes],
    *,
    of_file: Mapping[str, Any],
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> Cutout:
    """Cut out each frame, and write the animation again; the first frame's cut-out is given back.

    Parameters
    ----------
    source, target : str, bytes or binary file object
        From where and to where.
    of_file : mapping
        Options of `trimatte.output.options.Output`, without a crop, whose frame would jump.
    max_pixels : int
        The most that all frames may have together.
    **options : Any
        Of `trimatte.Cutter`.

    Raises
    ------
    ArgumentError
        For a crop, or a format without animations.
    """
    output = output_of(**of_file)
    format = output_format(target, output.format)
    if output.crop is not False:
        raise ArgumentError("crop: got one for an animation, whose frame would jump; wanted none")
    if format not in _FORMATS:
        raise ArgumentError(f"format: got {format} for an animation; wanted {' or '.join(_FORMATS)}")
    animation = read_animation(source, max_pixels=max_pixels)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cuts = Cutter(sequence=len(animation.frames) > 1, **options).map(animation.frames)
        finished = []
        first: Cutout | None = None
        for cut in cuts:
            assert isinstance(cut, Cutout)  # errors are raised
            first = first or cut
            made = cut.finished(max_pixels=max_pixels, **of_file)
            colours = made.colours
            if made.background is not None:
                laid = lay_over(floats_of(colours, "image"), made.alpha, made.background)
                colours = quantised(laid, 8)
            alpha = () if made.background is not None else (quantised(made.alpha, 8),)
            finished.append(Image.fromarray(np.dstack([colours, *alpha])))
    for text in dict.fromkeys(str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)):
        warnings.warn(text, UserWarning, stacklevel=2)
    assert first is not None
    _write(target, _encoded(finished, animation, format, output.quality or FORMATS[format].quality))
    return first


def _content(source: str | IO[bytes]) -> bytes:
    if not isinstance(source, str):
        return source.read()
    with open(source, "rb") as file:
        return file.read()


def _encoded(frames: list[Image.Image], animation: Animation, format: str, quality: int | None) -> bytes:
    stream = io.BytesIO()
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "loop": animation.loop}
    options |= {"duration": animation.milliseconds if len(frames) > 1 else animation.milliseconds[0]}
    options |= {"quality": quality, "xmp": XMP} if format == "WEBP" else {"disposal": 1, "blend": 0}
    frames[0].save(stream, format, **options)
    return _marked(stream.getvalue()) if format == "PNG" else stream.getvalue()


def _marked(png: bytes) -> bytes:
    """The file with the mark that goes with its pixels."""
    at, pixels = 8, 0
    while at < len(png):
        length, name = struct.unpack_from(">I4s", png, at)
        if name == b"IDAT":
            pixels = zlib.crc32(png[at + 8 + length : at + 12 + length], pixels)
        if name == b"IEND":
            break
        at += 12 + length
    text = png_mark(pixels)
    chunk = struct.pack(">I", len(text)) + b"tEXt" + text + struct.pack(">I", zlib.crc32(b"tEXt" + text))
    return png[:at] + chunk + png[at:]


def _write(target: str | IO[bytes], content: bytes) -> None:
    if isinstance(target, str):
        with atomic_write(target) as file:
            file.write(content)
    else:
        target.write(content)
