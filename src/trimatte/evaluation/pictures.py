"""From a sample's files to arrays: decoding, composing, trimaps made from alpha, hashes of what was read."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trimatte.errors import ArgumentError, ImageReadError, ImageWarning
from trimatte.evaluation.datasets import Sample
from trimatte.evaluation.folders import File
from trimatte.evaluation.orientation import fits_turned, stored_size_note
from trimatte.files.atomic import atomic_write
from trimatte.images import as_alpha, as_image, decode_source, load_picture, read_trimap
from trimatte.images.arrays import UNKNOWN

MADE = "made"  # the trimap that is made from alpha
_RULE = re.compile(rf"{MADE}(?::(\d+)-(\d+))?(?:@(\d+))?")


@dataclass(frozen=True)
class Trial:
    """What a method is given and what it is held against.

    image (H, W, 3) and alpha (H, W) float32 in [0, 1], trimap (H, W) of 0, 128 and 255 or None, foreground (H, W, 3)
    or None; hashes: SHA-256 of every file read, by role; trimap_name and
    trimap_rule: which trimap it is and, if it was made, how.
    """

    name: str
    image: NDArray[np.float32]
    alpha: NDArray[np.float32]
    trimap: NDArray[np.uint8] | None
    foreground: NDArray[np.float32] | None
    hashes: dict[str, str]
    trimap_name: str | None = None
    trimap_rule: dict[str, int] | None = None


def load_trial(sample: Sample, trimap: str | None = None) -> Trial:
    """Read a sample with one of its trimaps, with one made from its alpha ("made", see `parse_rule`) or with none.

    Raises
    ------
    ArgumentError
        if the sample has a problem, lacks that trimap, or its pictures do not fit together.
    ImageReadError
        if a file cannot be read.
    """
    if sample.problem:
        raise ArgumentError(f"{sample.name}: {sample.problem}")
    hashes: dict[str, str] = {}

    def content(role: str) -> list[bytes]:
        data = [_read(file) for file in sample.files[role]]
        hashes[role] = hashlib.sha256(b"".join(data)).hexdigest()
        return data

    foreground, alpha = _foreground_and_alpha(sample, content)
    orientation = 1
    if "image" in sample.files:
        picture = load_picture(content("image")[0])
        image, orientation = picture.image, picture.orientation
    else:
        assert foreground is not None
        image = as_image(paste(foreground, alpha, content("background")[0]), name="image")
    if image.shape[:2] != alpha.shape:
        note = stored_size_note(alpha.shape, image.shape, orientation)
        raise ArgumentError(f"{sample.name}: image is {_size(image)}, its alpha {_size(alpha)}{note}")
    if fits_turned(image, alpha, orientation):
        message = f"{sample.name}: alpha fits the photo's pixels before its EXIF orientation {orientation} turns them"
        warnings.warn(message, ImageWarning, stacklevel=2)
    known, rule = None, None
    if trimap is not None and (limits := parse_rule(trimap)):
        known, rule = made_trimap(alpha, sample.name, *limits)
    elif trimap is not None:
        if trimap not in sample.files:
            raise ArgumentError(f"{sample.name} has no {trimap}")
        known = read_trimap(content(trimap)[0], name="trimap")
        if known.shape != alpha.shape:
            note = stored_size_note(known.shape, alpha.shape, orientation)
            raise ArgumentError(f"{sample.name}: {trimap} is {_size(known)}, the picture {_size(alpha)}{note}")
    truth = None if foreground is None else as_image(foreground, name="foreground")
    return Trial(sample.name, image, alpha, known, truth, hashes, trimap, rule)


def input_hashes(sample: Sample, trimap: str | None) -> dict[str, str]:
    """The hashes that `load_trial` would give, without decoding."""
    read = {"image", "alpha", "foreground", "cutout", trimap}
    if "image" not in sample.files:
        read.add("background")
    wanted = [role for role in sample.files if role in read]
    return {role: hashlib.sha256(b"".join(_read(f) for f in sample.files[role])).hexdigest() for role in wanted}


def parse_rule(trimap: str) -> tuple[int, int, int] | None:
    """(low, high, seed) of "made", "made:LOW-HIGH" or "made:LOW-HIGH@SEED"; None for the name of a given trimap."""
    match = _RULE.fullmatch(trimap)
    if match is None:
        if trimap.startswith(MADE):
            raise ArgumentError(f"trimap: got {trimap!r}, wanted made, made:LOW-HIGH or made:LOW-HIGH@SEED")
        return None
    low, high, seed = (int(g) if g else d for g, d in zip(match.groups(), (10, 20, 0), strict=True))
    if not 1 <= low <= high:
        raise ArgumentError(f"trimap: got {trimap!r}, wanted 1 <= LOW <= HIGH")
    return low, high, seed


def made_trimap(
    alpha: NDArray[np.float32], name: str, low: int, high: int, seed: int
) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """A trimap from true alpha, and how it was made: {"radius", "seed"}.

    Unknown is what lies within `radius` pixels of a mixed pixel (0 < alpha < 1) or of an edge between 0 and 1. The
    radius is drawn from low..high by the seed and the picture's name, so that it does not depend on other pictures.
    """
    from trimatte.planes.distance import squared_distance

    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    radius = low + int.from_bytes(digest[:8], "little") % (high - low + 1)
    band = squared_distance(_boundary(alpha), radius) <= radius**2
    trimap = np.where(alpha >= 0.5, np.uint8(255), np.uint8(0))
    trimap[band] = UNKNOWN
    return trimap, {"radius": radius, "seed": seed}


def paste(
    foreground: NDArray[np.uint8], alpha: NDArray[np.float32], background: bytes | Image.Image
) -> NDArray[np.uint8]:
    """Compose as the Composition-1k data set is specified.

    The background is enlarged (bicubic, sides rounded up) only if it is smaller than the foreground, and cut at its top
    left; a F + (1 - a) B is truncated to 8 bits. foreground (H, W, 3), alpha (H, W) -> (H, W, 3).
    """
    height, width = alpha.shape
    back = Image.fromarray(_rgb8(background)) if isinstance(background, bytes) else background.convert("RGB")
    ratio = max(width / back.width, height / back.height)
    if ratio > 1:
        size = (int(np.ceil(back.width * ratio)), int(np.ceil(back.height * ratio)))
        back = back.resize(size, Image.Resampling.BICUBIC)
    b = np.asarray(back.crop((0, 0, width, height)))
    a = alpha[..., None].astype(np.float64)
    # A sum that is a whole number must not fall below it by rounding: 1e-4 is far below 1 / 255, the least step.
    return np.asarray(a * foreground + (1 - a) * b + 1e-4, np.float64).astype(np.uint8)


def save_grey(path: str | os.PathLike[str], codes: NDArray[np.uint8]) -> None:
    """Write (H, W) codes as a grey PNG, which is how benchmarks keep alpha mattes and trimaps."""
    with atomic_write(path) as file:
        Image.fromarray(codes).save(file, "PNG")


def _foreground_and_alpha(
    sample: Sample, content: Callable[[str], list[bytes]]
) -> tuple[NDArray[np.uint8] | None, NDArray[np.float32]]:
    if "cutout" in sample.files:
        data = content("cutout")[0]
        return _rgb8(data), _alpha(data)
    foreground = _rgb8(content("foreground")[0]) if "foreground" in sample.files else None
    parts = [_alpha(data) for data in content("alpha")]
    if len({part.shape for part in parts}) > 1:
        raise ArgumentError(f"{sample.name}: its alphas are {', '.join(_size(part) for part in parts)}")
    alpha = parts[0] if len(parts) == 1 else np.minimum(np.sum(parts, axis=0, dtype=np.float32), 1)
    if foreground is not None and foreground.shape[:2] != alpha.shape:
        raise ArgumentError(f"{sample.name}: foreground is {_size(foreground)}, its alpha {_size(alpha)}")
    return foreground, alpha


def _alpha(data: bytes) -> NDArray[np.float32]:
    alpha = as_alpha(data, name="alpha")
    if 0 < alpha.max() <= np.float32(1 / 255):
        raise ArgumentError("alpha holds hardly more than 0 and 1 of 255: a mask of classes, not an alpha")
    return alpha


def _boundary(alpha: NDArray[np.float32]) -> NDArray[np.bool_]:
    mixed = (alpha > 0) & (alpha < 1)
    solid = alpha >= 0.5
    down, right = solid[1:] != solid[:-1], solid[:, 1:] != solid[:, :-1]
    mixed[1:] |= down
    mixed[:-1] |= down
    mixed[:, 1:] |= right
    mixed[:, :-1] |= right
    return mixed


def _read(file: File) -> bytes:
    try:
        return file.read()
    except OSError as error:
        raise ImageReadError(f"cannot read {file.name!r}: {error}") from error


def _rgb8(data: bytes) -> NDArray[np.uint8]:
    # The codes as they lie in the file: published composites heed no colour profile.
    codes = decode_source(data).codes
    codes = codes if codes.ndim == 3 else np.repeat(codes[..., None], 3, axis=2)
    return np.asarray(codes if codes.dtype == np.uint8 else codes >> 8, np.uint8)


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
