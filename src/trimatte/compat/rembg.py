"""`remove` and `new_session` as rembg 2 has them, by trimatte's networks and its closed-form matting.

Without `alpha_matting` alpha is the network's mask, as there; with it, the thresholds make a trimap, and alpha and
colours are solved for, unless they leave no foreground or no background. What is not there is refused rather than
ignored.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from PIL import Image

from trimatte.cutout import cutout
from trimatte.errors import ArgumentError
from trimatte.images import Picture, load_picture, save_image
from trimatte.images.arrays import BACKGROUND, FOREGROUND, UNKNOWN, Codes, Floats, floats_of, quantised
from trimatte.images.hidden import without_hidden
from trimatte.images.metadata import Metadata
from trimatte.runtime.options import check_flag, check_number
from trimatte.segmentation import find_segmenter, segment, segmenters

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)


@dataclass(frozen=True)
class Session:
    """A network that finds the subject; it is loaded when it is first used, and stays loaded.

    Attributes
    ----------
    model_name : str
        As of `trimatte.segmenters()`.
    """

    model_name: str

    def predict(self, img: Image.Image) -> list[Image.Image]:
        """The one mask (mode "L") of a picture, in a list."""
        return [Image.fromarray(quantised(segment(img.convert("RGB"), segmenter=self.model_name), 8))]


def sessions_names() -> list[str]:
    """Names that `new_session` takes now: the embedded networks, and those added with `trimatte models add`."""
    return list(segmenters())


def new_session(model_name: str = "lite", providers: Sequence[str] | None = None) -> Session:
    """A network by its name.

    Parameters
    ----------
    model_name : str
        rembg's names, such as "u2net" or "isnet-general-use", stand for the same networks here, once their files are
        added with `trimatte models add`.
    providers : sequence of str, optional
        None, or "CPUExecutionProvider" alone.

    Raises
    ------
    ArgumentError
        If there is no such network, or its file is not there.
    """
    if providers is not None and list(providers) != ["CPUExecutionProvider"]:
        raise ArgumentError(f"providers: got {providers!r}; wanted None or ['CPUExecutionProvider']")
    find_segmenter(model_name)
    return Session(model_name)


def remove(
    data: bytes | Image.Image | np.ndarray | Picture,
    alpha_matting: bool = False,
    alpha_matting_foreground_threshold: int = 240,
    alpha_matting_background_threshold: int = 10,
    alpha_matting_erode_size: int = 10,
    session: Session | None = None,
    only_mask: bool = False,
    post_process_mask: bool = False,
    bgcolor: tuple[int, int, int, int] | None = None,
    force_return_bytes: bool = False,
    putalpha: bool = False,
) -> bytes | Image.Image | np.ndarray:
    """Remove the background of a picture.

    Parameters
    ----------
    data : bytes, PIL image, (H, W, 3) array or Picture
        The picture; the result is of the same type, a PIL image for a `Picture`. Colours come back
        in sRGB of 8 bits, and alpha is no greater than the picture's own. Bytes and PIL images keep the resolution.
    alpha_matting : bool
        Solve for alpha and colours, rather than take the mask; where the thresholds leave no foreground or no
        background that is known, the mask is taken, as in rembg.
    alpha_matting_foreground_threshold, alpha_matting_background_threshold : int
        Masks, 0 to 255, above the one and below the other are known.
    alpha_matting_erode_size : int
        Side in pixels of the square by which the known parts are made smaller.
    session : Session, optional
        Of `new_session`; by default the embedded network. One of your own has a `predict` that gives the masks of an
        RGB picture, of its size; the results of several stand one below the other.
    only_mask : bool
        Give the mask instead of the cut-out.
    post_process_mask : bool
        Smooth the mask's edge and make it hard.
    bgcolor : (int, int, int, int), optional
        Red, green, blue and alpha to lay the subject over.
    force_return_bytes : bool
        Give a PNG, whatever came in.
    putalpha : bool
        Keep the photo's colours under transparency.

    Returns
    -------
    bytes, PIL image or (H, W, 4) uint8 array
        With `only_mask` in mode "L", or (H, W).

    Raises
    ------
    ArgumentError
        For a value that is another.
    ImageReadError
        For bytes that cannot be read.
    """
    flags = {"alpha_matting": alpha_matting, "only_mask": only_mask, "post_process_mask": post_process_mask}
    for name, flag in {**flags, "force_return_bytes": force_return_bytes, "putalpha": putalpha}.items():
        check_flag(name, flag)
    check_number("alpha_matting_erode_size", alpha_matting_erode_size, least=0, whole=True)
    thresholds = alpha_matting_foreground_threshold, alpha_matting_background_threshold
    for name, threshold in zip(("foreground", "background"), thresholds, strict=True):
        check_number(f"alpha_matting_{name}_threshold", threshold, least=0, whole=True)
    if not (session is None or hasattr(session, "predict")):
        raise ArgumentError(f"session: got {session!r}; wanted what new_session returns")
    if bgcolor is not None:
        _check_colour(bgcolor)
    picture = _opened(data)
    colours, own = quantised(picture.image, 8), np.uint8(255) if picture.alpha is None else quantised(picture.alpha, 8)
    results = []
    for codes in _masks((session or new_session()).predict(Image.fromarray(colours)), colours.shape[:2]):
        mask = np.minimum(_post_processed(codes) if post_process_mask else codes, own)
        if only_mask:
            results.append(mask)
            continue
        trimap = _trimap(mask, *thresholds, alpha_matting_erode_size) if alpha_matting else None
        if trimap is not None and (trimap == FOREGROUND).any() and (trimap == BACKGROUND).any():
            result = cutout(colours, trimap=trimap)
            rgba = quantised(result.rgba(), 8)
            rgba[..., 3] = np.minimum(rgba[..., 3], own)
        else:
            hidden = np.uint8(1) if putalpha else mask[..., None] > 0
            rgba = np.dstack([colours * hidden, mask])
        results.append(rgba if bgcolor is None else _over(floats_of(rgba, "image"), bgcolor))
    return _as_given(np.concatenate(results), data, force_return_bytes, picture.metadata.kept("none"))


def _masks(predicted: Any, shape: tuple[int, int]) -> list[Codes]:
    """The masks (H, W) of a session, which may be of any make."""
    try:
        masks = [np.asarray(mask.convert("L") if isinstance(mask, Image.Image) else mask) for mask in predicted]
    except TypeError as error:
        raise ArgumentError(f"session: predict gave {type(predicted).__name__}; wanted a list of masks") from error
    for mask in masks:
        if mask.shape != shape or mask.dtype != np.uint8:
            raise ArgumentError(
                f"session: predict gave a mask {mask.shape} of {mask.dtype}; wanted {shape} as the picture, of uint8"
            )
    if not masks:
        raise ArgumentError("session: predict gave no mask; wanted one or more")
    return masks


def _opened(data: Any) -> Picture:
    """The upright picture in sRGB without hidden colours."""
    if not isinstance(data, (bytes, bytearray, Image.Image, np.ndarray, Picture)):
        raise ArgumentError(f"data: got {type(data).__name__}; wanted bytes, a PIL image or an array")
    return without_hidden(load_picture(data))


def _trimap(mask: Codes, foreground: int, background: int, erode_size: int) -> Codes:
    from scipy.ndimage import minimum_filter

    side = min(erode_size, 2 * max(mask.shape) + 1) if erode_size > 0 else 0  # which reaches over all edges
    near = {"size": side} if side else {"footprint": _CROSS}
    trimap = np.full(mask.shape, UNKNOWN, np.uint8)
    trimap[minimum_filter(mask > foreground, mode="constant", cval=False, **near)] = FOREGROUND
    trimap[minimum_filter(mask < background, mode="constant", cval=True, **near)] = BACKGROUND
    return trimap


def _post_processed(mask: Codes) -> Codes:
    from scipy.ndimage import gaussian_filter, grey_opening

    smooth = gaussian_filter(grey_opening(mask, footprint=_CROSS).astype(np.float32), 2, radius=2)
    return np.where(smooth < 127, 0, 255).astype(np.uint8)


def _check_colour(colour: Any) -> None:
    four = isinstance(colour, (Sequence, np.ndarray)) and len(colour) == 4
    if not (four and all(isinstance(value, Real) and 0 <= float(value) <= 255 for value in colour)):
        raise ArgumentError(f"bgcolor: got {colour!r}; wanted red, green, blue and alpha of 0 to 255")


def _over(rgba: Floats, colour: Sequence[Any]) -> Codes:
    behind = np.asarray(colour, np.float32) / np.float32(255)
    share = rgba[..., 3:]
    opaque = np.concatenate([rgba[..., :3], np.ones_like(share)], axis=2)
    return quantised(np.clip(behind + share * (opaque - behind), 0, 1), 8)


def _as_given(codes: Codes, data: Any, to_bytes: bool, resolution: Metadata) -> bytes | Image.Image | np.ndarray:
    """The result as what came in, or as a PNG; bytes and PIL images have the photo's resolution."""
    if isinstance(data, (bytes, bytearray)) or to_bytes:
        stream = io.BytesIO()
        save_image(stream, codes, format="png", metadata=resolution)
        return stream.getvalue()
    if isinstance(data, np.ndarray):
        return codes
    image = Image.fromarray(codes)
    if resolution.dpi is not None:
        image.info["dpi"] = resolution.dpi
    return image
