"""Animations: every frame of a GIF, APNG, WebP or AVIF in, APNG or WebP out."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import IO, Any

from PIL import Image

from trimatte.errors import ImageReadError, ImageTooLargeError
from trimatte.files.atomic import reason
from trimatte.images import icc, png
from trimatte.images.arrays import Codes
from trimatte.images.decode import Decoded, decode_source
from trimatte.images.encode import Said, beside_pixels, png_words
from trimatte.images.formats import FORMATS, MAX_PIXELS
from trimatte.images.mark import png_mark, sealed
from trimatte.images.metadata import Metadata, metadata_of
from trimatte.images.pillow import identified, tags_heard
from trimatte.images.read import Picture, picture_of
from trimatte.images.webp import with_each_time

WRITTEN = ("PNG", "WEBP")
_USUAL_MILLISECONDS = 100
_MOST_PLAYS = 65535
_IHDR_END = 33


@dataclass(frozen=True)
class Animation:
    """All frames of a picture.

    Attributes
    ----------
    frames : list of Decoded
        Upright, of 8 bits.
    milliseconds : list of int
        How long each is shown.
    loop : int
        How often all are; 0 for ever.
    metadata : Metadata
        What the file says beside its pixels.
    """

    frames: list[Decoded]
    milliseconds: list[int]
    loop: int
    metadata: Metadata

    def pictures(self) -> Iterator[Picture]:
        """Each frame as `load_picture` gives one, converted when its turn comes."""
        for frame in self.frames:
            yield picture_of(replace(frame, metadata=self.metadata))


@tags_heard()
def frame_count(source: bytes) -> int:
    """The frames of a file's content; 1 for what is no animation, or cannot be read."""
    try:
        return _frames(identified(io.BytesIO(source)))
    except Exception:  # damaged files make Pillow's plug-ins raise nearly anything; who decodes them says what is wrong
        return 1


def _frames(image: Any) -> int:
    """Pages of a TIFF, and the pictures beside the photo of an MPO, are no frames."""
    return getattr(image, "n_frames", 1) if FORMATS[image.format].parts == "frame" else 1


@tags_heard()
def read_animation(source: bytes, *, max_pixels: int = MAX_PIXELS) -> Animation | None:
    """All frames of a file's content, or None if it has but one.

    Raises
    ------
    ImageReadError
        If it cannot be read.
    ImageTooLargeError
        If all frames together have more than `max_pixels`.
    """
    try:
        stream = io.BytesIO(source)
        image: Any = identified(stream)
        count = _frames(image)
        start = int(bool(image.info.get("default_image")))  # APNG's picture for those who know no animations
        if count < 2:
            return None
        if image.width * image.height * count > max_pixels:
            raise ImageTooLargeError(
                f"its {count} frames are over the limit of {max_pixels / 1e6:g} megapixels together"
            )
        frames, times = [], [0.0]
        for number in range(start, count):
            image.seek(number)
            frames.append(decode_source(image.copy(), max_pixels))
            times.append(times[-1] + (image.info.get("duration") or _USUAL_MILLISECONDS))
        # A sixtieth of a second is 16 or 17 milliseconds, so that a thousand of them last as long as they did.
        milliseconds = [max(1, round(after) - round(before)) for before, after in pairwise(times)]
        return Animation(frames, milliseconds, _plays(image), _metadata(stream).turned(frames[0].orientation))
    except ImageReadError as error:
        raise type(error)(f"cannot read the animation: {error}") from error
    except Exception as error:  # damaged files make Pillow's plug-ins raise nearly anything
        words = reason(error) if isinstance(error, OSError) else f"it is damaged or of a rare kind ({reason(error)})"
        raise ImageReadError(f"cannot read the animation: {words}") from error


def encode_animation(
    frames: Sequence[Codes],
    animation: Animation,
    format: str,
    *,
    profile: bytes | None,
    quality: int | None,
    metadata: Metadata,
) -> bytes:
    """An APNG or WebP.

    Parameters
    ----------
    frames : sequence of (H, W, 3 or 4) uint8 arrays
        All with alpha, or none.
    animation : Animation
        Whose times the frames have.
    format : {'PNG', 'WEBP'}
        Of `WRITTEN`.
    profile : bytes or None
        Of the colours; None for sRGB.
    quality : int or None
        1 to 100, of WebP.
    metadata : Metadata
        What is written beside the pixels.
    """
    stream = io.BytesIO()
    said = Said(metadata, (frames[0].shape[1], frames[0].shape[0]), profile is None or icc.is_srgb(profile))
    first, *others = map(Image.fromarray, frames)
    options: dict[str, Any] = {"save_all": True, "append_images": others, "loop": animation.loop}
    options |= {"duration": animation.milliseconds}
    if format == "WEBP":
        options["loop"] = min(animation.loop, _MOST_PLAYS)
        options |= {"quality": quality or FORMATS[format].quality, **beside_pixels(format, said)}
        first.save(stream, format, icc_profile=profile, **options)
        return sealed(with_each_time(stream.getvalue(), animation.milliseconds, options["loop"]))
    disposal = [number % 2 for number in range(len(frames))]  # as Pillow joins frames that are alike in this, too
    first.save(stream, format, disposal=disposal, blend=0, **options)
    return _with_words(stream.getvalue(), said, profile)


def _plays(image: Any) -> int:
    """How often an animation is shown, 0 for ever. GIF counts how often it is shown again."""
    loop = image.info.get("loop")
    if image.format == "GIF":
        return 1 if loop is None else loop and min(loop + 1, _MOST_PLAYS)
    return int(loop or 0)


def _metadata(stream: IO[bytes]) -> Metadata:
    image = identified(stream)
    image.load()
    return metadata_of(image, stream)


def _with_words(file: bytes, said: Said, profile: bytes | None) -> bytes:
    """A whole file with what it says beside its pixels, and the mark that goes with these."""
    words = (*png_words(said, profile), (b"tEXt", png_mark(png.pixels_sum(io.BytesIO(file)))))
    return file[:_IHDR_END] + b"".join(png.chunk(name, data) for name, data in words) + file[_IHDR_END:]
