"""From a matte and its colours to what is written: framed, scaled, with what lies under the subject."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np

from trimatte.errors import ArgumentError
from trimatte.images import icc
from trimatte.images.arrays import Box, Codes, Floats, floats_of, quantised
from trimatte.images.background import background_image
from trimatte.images.formats import FORMATS, MAX_PIXELS, output_format
from trimatte.images.metadata import Metadata
from trimatte.images.read import Picture
from trimatte.images.write import restore_colours, save_image
from trimatte.output.framing import Borders, Frame, framed, visible_box
from trimatte.output.layers import laid_under, outline
from trimatte.output.lengths import parse_aspect, parse_size
from trimatte.output.options import Output
from trimatte.output.shadows import contact_shadow, drop_shadow
from trimatte.planes.resize import resized

_FAINT = np.float32(0.5 / 65535)
NO_CONTACT = "the photo's lower border cuts the subject off, so that it has no shadow on the ground"
_SHADOWS = {"drop": drop_shadow, "contact": contact_shadow}


@dataclass(frozen=True)
class Finished:
    """What is written of a cut-out.

    Attributes
    ----------
    colours : (H, W, 3) uint8 or uint16 array
        Straight, in `profile`.
    alpha : (H, W) float32 array in [0, 1]
        With outline and shadow.
    matte : (H, W) float32 array in [0, 1]
        Of the subject alone.
    profile : bytes or None
        Of the colours; None for sRGB.
    background : (H, W, 3) float32 array in [0, 1] or None
        sRGB.
    metadata : Metadata
        What of the photo's is written.
    notes : tuple of str
        What could not be made as it was asked for.
    """

    colours: Codes
    alpha: Floats
    matte: Floats
    profile: bytes | None
    background: Floats | None
    metadata: Metadata
    notes: tuple[str, ...] = ()


def finished(
    foreground: Floats, alpha: Floats, picture: Picture, output: Output, *, max_pixels: int = MAX_PIXELS
) -> Finished:
    """Frame a cut-out, and lay under it what is asked for.

    Parameters
    ----------
    foreground : (H, W, 3) float32 array in [0, 1]
        sRGB.
    alpha : (H, W) float32 array in [0, 1]
        The matte.
    picture : Picture
        The photo.
    output : Output
        What is asked for.
    max_pixels : int
        The most that the result may have.

    Raises
    ------
    ArgumentError
        If there is no room for the subject, the result were too large, or the background cannot be used.
    """
    if output.profile == "srgb":
        picture = replace(picture, icc_profile=None, pixels=quantised(picture.image, picture.bits))
    colours = restore_colours(foreground, picture, alpha)
    if not alpha.any():
        colours[:] = 0  # nothing is shown, and nothing is to be found in the file
    frame = frame_of(alpha, output, max_pixels)
    profile = picture.icc_profile
    colours, matte = _on_canvas(colours, np.asarray(alpha, np.float32), profile, frame)
    shown = matte
    layers = _under(matte, profile, output, frame.borders(alpha.shape))
    for colour, coverage in layers:
        colours, shown = laid_under(colours, shown, colour, coverage)
    behind = None if output.background is None else _behind(output.background, alpha.shape, frame)
    kept = picture.metadata.kept(output.metadata)
    if output.dpi is not None:
        kept = replace(kept, dpi=(output.dpi, output.dpi))
    cast = output.cast_shadow != "none" and output.shadow_strength > 0
    lacking = cast and matte.any() and not layers[-1][1].any()
    return Finished(colours, shown, matte, profile, behind, kept, (NO_CONTACT,) if lacking else ())


def frame_of(alpha: Floats, output: Output, max_pixels: int = MAX_PIXELS) -> Frame:
    """Which part of the photo lies where in the result."""
    height, width = alpha.shape
    whole = slice(0, height), slice(0, width)
    return framed(
        (visible_box(alpha) or whole) if output.crop is not False else whole,
        margins=output.margins,
        size=None if output.size is None else parse_size(output.size),
        aspect=None if output.aspect is None else parse_aspect(output.aspect),
        align=output.align,
        inset=output.inset,
        max_pixels=max_pixels,
    )


def check_format(output: Output, path: Any, kind: str = "cutout") -> None:
    """Raise `ArgumentError` if what is asked for has alpha and the format holds none."""
    written = output_format(path, output.format)
    if kind != "matte" and output.background is None and not FORMATS[written].alpha:
        raise ArgumentError(f"format: got {written}, which holds no alpha; wanted a background, or another format")


def write_cutout(path: str | os.PathLike[str] | IO[bytes], made: Finished, output: Output) -> None:
    """Write the cut-out; see `trimatte.save_image` for what it raises."""
    save_image(
        path,
        made.colours,
        alpha=made.alpha,
        icc_profile=made.profile,
        background=made.background,
        format=output.format,
        quality=output.quality,
        bits=output.bits,
        metadata=made.metadata,
        chroma=output.chroma,
    )


def write_matte(path: str | os.PathLike[str] | IO[bytes], made: Finished, output: Output) -> None:
    """Write the subject's matte as a grey picture, 16 bits deep where photo and format are."""
    written = output_format(path, output.format)
    bits = output.bits or min(8 * made.colours.itemsize, FORMATS[written].bits)
    said = Metadata(dpi=made.metadata.dpi)
    save_image(path, made.matte, format=output.format, quality=output.quality, bits=bits, metadata=said)


def _on_canvas(colours: Codes, alpha: Floats, profile: bytes | None, frame: Frame) -> tuple[Codes, Floats]:
    """The part of the picture on its canvas, transparent about it; itself where there is nothing to do."""
    colours, alpha = colours[frame.box], alpha[frame.box]
    if frame.scaled:
        colours, alpha = _resampled(colours, alpha, profile, frame.shape)
    if frame.shape == frame.canvas:
        return colours, alpha
    canvas, matte = np.zeros((*frame.canvas, 3), colours.dtype), np.zeros(frame.canvas, np.float32)
    canvas[frame.within], matte[frame.within] = colours, alpha
    return canvas, matte


def _resampled(colours: Codes, alpha: Floats, profile: bytes | None, shape: tuple[int, int]) -> tuple[Codes, Floats]:
    """Colours and alpha at another size: light is averaged, each pixel's by its alpha.

    The filter, a cubic, has a single negative lobe, so that no ghost arises beside a hard edge; light and alpha
    overshoot alike, and their quotient does not.
    """
    light = icc.to_light(colours, profile)
    light *= alpha[..., None]
    scaled = np.clip(resized(alpha, shape, "bicubic", clip=False), _FAINT, None)
    light = resized(light, shape, "bicubic", clip=False) / scaled[..., None]
    light[scaled <= _FAINT] = 0
    scaled = np.where(scaled <= _FAINT, np.float32(0), np.minimum(scaled, 1))
    return icc.from_light(light, profile, 8 * colours.itemsize), scaled


def _under(matte: Floats, profile: bytes | None, output: Output, borders: Borders) -> list[tuple[Floats, Floats]]:
    """Colour and coverage of what lies under the subject, the uppermost first."""
    layers: list[tuple[Floats, Floats]] = []
    solid = matte
    if output.outline:
        colour: Floats = background_image(output.outline_colour, (1, 1))
        if profile is not None and not icc.is_srgb(profile):
            colour = floats_of(icc.from_srgb(np.ascontiguousarray(colour), profile, 16), "outline_colour")
        solid = np.maximum(matte, outline(matte, output.outline))
        layers.append((colour[0, 0], solid))
    if output.cast_shadow != "none":
        dark = _SHADOWS[output.cast_shadow](solid, output.shadow_strength, output.shadow_softness, borders)
        layers.append((np.zeros(3, np.float32), dark))
    return layers


def _behind(background: Any, photo: tuple[int, ...], frame: Frame) -> Floats:
    """The background of the canvas: a picture stays where it lies behind the photo, unless that is scaled."""
    rows, columns = frame.box
    top, left = frame.at[0] - rows.start, frame.at[1] - columns.start  # of the photo on the canvas
    if frame.scaled:
        return background_image(background, frame.canvas)
    ends = max(frame.canvas[0], top + photo[0]), max(frame.canvas[1], left + photo[1])
    start = min(0, top), min(0, left)
    union = ends[0] - start[0], ends[1] - start[1]
    cut: Box = slice(-start[0], -start[0] + frame.canvas[0]), slice(-start[1], -start[1] + frame.canvas[1])
    return background_image(background, union)[cut]
