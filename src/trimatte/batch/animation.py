"""Animations, frame by frame, with the sequence's memory in between."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np

from trimatte.cutout import Cutout, cutout
from trimatte.cutter import Cutter
from trimatte.errors import ArgumentError, ImageReadError, for_users
from trimatte.files.atomic import atomic_write, reason
from trimatte.images.animation import WRITTEN, Animation, encode_animation, read_animation
from trimatte.images.arrays import Codes, codes_of, quantised
from trimatte.images.formats import MAX_PIXELS, output_format
from trimatte.images.write import laid_over
from trimatte.output.finish import Finished
from trimatte.output.options import Output, output_of
from trimatte.quality import USUAL

_ONE_WAY = "quality {quality!r} has no effect on an animation: alpha is estimated from frame to frame, by 'closed-form'"


def check_animated(output: Output, target: Any, kind: str = "cutout", *, sheet: bool = False) -> str:
    """The format that animations are written in; raises `ArgumentError` for what they cannot have."""
    format = output_format(target, output.format)
    if kind != "cutout" or sheet:
        raise ArgumentError("frames: got 'all' beside a matte or a sheet, which are of one frame")
    if output.crop is not False:
        raise ArgumentError("crop: got one, as presets ask for, for an animation, whose frame would jump; wanted none")
    if format not in WRITTEN:
        raise ArgumentError(f"format: got {format} for an animation; wanted {' or '.join(WRITTEN)}")
    if output.bits == 16:
        raise ArgumentError("bits: got 16 for an animation; wanted 8")
    return format


def cut_out_animation(
    source: str | bytes | IO[bytes],
    target: str | IO[bytes],
    *,
    of_file: Mapping[str, Any],
    kind: str = "cutout",
    sheet: bool = False,
    quality: str = USUAL,
    method: str | None = None,
    max_pixels: int = MAX_PIXELS,
    **options: Any,
) -> Cutout:
    """Cut out each frame, and write the animation again; a picture of one frame goes the usual way.

    Parameters
    ----------
    source, target : str, bytes or binary file object
        From where and to where.
    of_file : mapping
        Options of `trimatte.output.options.Output`, without a crop, whose frame would jump.
    kind, sheet : str and bool
        What is made, and whether a sheet of it, too, of which animations have neither but the cut-out.
    quality, method : str, optional
        Of `trimatte.Cutter`.
    max_pixels : int
        The most that all frames may have together.
    **options : Any
        Further ones of `trimatte.Cutter`.

    Returns
    -------
    Cutout
        Of the first frame; its report has the least confidence of all frames, whether a subject was found in any, and
        the warnings of all, those that are not of every frame with the number of the first that has it.

    Raises
    ------
    ArgumentError
        For a matte, a sheet, a crop, 16 bits, or a format without animations.

    Warns
    -----
    UserWarning
        If the quality would choose another method than one that knows of the frame before.
    """
    output = output_of(**of_file)
    format = check_animated(output, target, kind, sheet=sheet)
    content = _content(source)
    animation = read_animation(content, max_pixels=max_pixels)
    options = {"quality": quality, "method": method, **options}
    if animation is None:
        cut = cutout(content, max_pixels=max_pixels, **options)
        cut.save(target, **of_file)
        return cut
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if method is None and quality != USUAL:
            warnings.warn(_ONE_WAY.format(quality=quality), UserWarning, stacklevel=2)
        first, made, shown, said = _cut_out_frames(animation, of_file, max_pixels, options)
    texts = [_of_frames(text, numbers, len(shown)) for text, numbers in said.items()]
    first.report.warnings[:] = dict.fromkeys([*texts, *(text for text in for_users(caught) if text not in said)])
    for text in first.report.warnings:
        warnings.warn(text, UserWarning, stacklevel=2)
    written = encode_animation(
        shown, animation, format, profile=made.profile, quality=output.quality, metadata=made.metadata
    )
    _write(target, written)
    return first


def _cut_out_frames(
    animation: Animation, of_file: Mapping[str, Any], max_pixels: int, options: Mapping[str, Any]
) -> tuple[Cutout, Finished, list[Codes], dict[str, list[int]]]:
    """The first frame's cut-out, what is written of it, the codes of all, and the frames that each warning is of."""
    most = max(1, max_pixels // len(animation.frames))
    cuts: list[tuple[Cutout, Finished]] = []
    shown: list[Codes] = []
    said: dict[str, list[int]] = {}
    for cut in Cutter(sequence=True, max_pixels=max_pixels, **options).map(animation.pictures()):
        assert isinstance(cut, Cutout)  # errors are raised
        made = cut.finished(max_pixels=most, **of_file)
        shown.append(_shown(made))
        cuts = cuts or [(cut, made)]
        report, first = cut.report, cuts[0][0].report
        first.subject, first.confidence = first.subject or report.subject, min(first.confidence, report.confidence)
        for text in report.warnings:
            said.setdefault(text, []).append(len(shown))
    return *cuts[0], shown, said


def _of_frames(text: str, numbers: Sequence[int], count: int) -> str:
    """A warning, and of which frames it is unless of all."""
    if len(numbers) == count:
        return text
    more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
    return f"frame {numbers[0]}{more}: {text}"


def _shown(made: Finished) -> Codes:
    """The codes (H, W, 3 or 4) of a frame: over its background, or with alpha."""
    colours, alpha = codes_of(made.colours, 8, "colours"), quantised(made.alpha, 8)
    if made.background is not None:
        return laid_over(colours, alpha, made.background, made.profile)
    return np.dstack([colours, alpha])


def _content(source: str | bytes | IO[bytes]) -> bytes:
    if isinstance(source, bytes):
        return source
    if not isinstance(source, str):
        return source.read()
    try:
        with open(source, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageReadError(f"cannot read {source!r}: {reason(error)}") from error


def _write(target: str | IO[bytes], content: bytes) -> None:
    if isinstance(target, str):
        with atomic_write(target) as file:
            file.write(content)
    else:
        target.write(content)
