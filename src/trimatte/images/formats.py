"""The formats of pictures, one row each: the one place that says which suffixes they have and what they hold."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec

from trimatte.errors import ArgumentError

MAX_PIXELS = 200_000_000
"""The most pixels that are decoded if nothing else is said."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes
    ----------
    name : str
        As Pillow and `Picture.format` have it.
    suffixes : tuple of str
        In lower case; results get the first.
    media_type : str
        For HTTP.
    written : bool
        Whether results may have it; all are read.
    alpha : bool
        Whether results in it hold alpha.
    bits : int
        The greatest depth of a channel that is written.
    quality : int or None
        The default of a result; None where nothing is lost.
    parts : str
        What a file may hold several of, of which the first is read: "page" or "frame"; empty if it holds one.
    whole : bool
        Whether Pillow hands the whole file to a library, rather than reading its header itself.
    extra : str
        The extra of trimatte that reads it; empty if none is needed.
    """

    name: str
    suffixes: tuple[str, ...]
    media_type: str
    written: bool = False
    alpha: bool = False
    bits: int = 8
    quality: int | None = None
    parts: str = ""
    whole: bool = False
    extra: str = ""

    @property
    def suffix(self) -> str:
        """The suffix of results."""
        return self.suffixes[0]

    @property
    def readable(self) -> bool:
        """Whether what reads it is installed."""
        return not self.extra or find_spec(_PACKAGES[self.extra]) is not None


FORMATS = {
    row.name: row
    for row in (
        Format("PNG", (".png", ".apng"), "image/png", written=True, alpha=True, bits=16, parts="frame"),
        Format("WEBP", (".webp",), "image/webp", written=True, alpha=True, quality=90, parts="frame", whole=True),
        Format("TIFF", (".tiff", ".tif"), "image/tiff", written=True, alpha=True, bits=16, parts="page"),
        Format("AVIF", (".avif",), "image/avif", written=True, alpha=True, quality=80, parts="frame", whole=True),
        Format(
            "JPEG",
            (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".pjpeg", ".pjp"),
            "image/jpeg",
            written=True,
            quality=95,
        ),
        Format("MPO", (".mpo",), "image/jpeg"),
        Format("GIF", (".gif",), "image/gif", parts="frame"),
        Format("BMP", (".bmp", ".dib"), "image/bmp"),
        Format("PPM", (".ppm", ".pgm", ".pbm", ".pnm"), "image/x-portable-pixmap"),
        Format("HEIF", (".heic", ".heif", ".hif"), "image/heic", whole=True, extra="heic"),
    )
}
"""Every format that is read, by its name."""

WRITTEN = {name.lower(): row for name, row in FORMATS.items() if row.written}
"""The formats of results, by the names that options have for them."""

_PACKAGES = {"heic": "pillow_heif"}
_BY_SUFFIX = {suffix: row for row in FORMATS.values() for suffix in row.suffixes}
_RAW = "a raw photo"
_UNREAD = {
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"), _RAW),
    **dict.fromkeys((".rw2", ".rwl", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".x3f", ".erf", ".kdc", ".dcr"), _RAW),
    **dict.fromkeys((".mrw", ".mef", ".mos", ".raw", ".gpr", ".cap", ".bay", ".ptx", ".rwz"), _RAW),
    **dict.fromkeys((".psd", ".psb"), "a Photoshop document"),
    **dict.fromkeys((".jp2", ".j2k", ".j2c", ".jpc", ".jpx", ".jpf", ".jpm"), "JPEG 2000"),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ai", ".wmf", ".emf"), "a vector drawing"),
    **dict.fromkeys((".jxr", ".wdp", ".hdp"), "JPEG XR"),
    **dict.fromkeys((".ico", ".icns"), "an icon"),
    ".jxl": "JPEG XL",
    ".dds": "DDS",
    ".qoi": "QOI",
    ".pfm": "PFM",
    ".kra": "a Krita document",
    ".ora": "an OpenRaster document",
    ".afphoto": "an Affinity document",
    ".exr": "OpenEXR",
    ".hdr": "Radiance HDR",
    ".tga": "TGA",
    ".pcx": "PCX",
    ".xcf": "a GIMP document",
}
"""Suffixes of pictures that are not read, and what they are."""


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """The format that a path's suffix stands for, if it is one that is read."""
    return _BY_SUFFIX.get(_suffix(path))


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file's suffix is that of a format that can be read."""
    found = format_of(path)
    return found is not None and found.readable


def named_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file's suffix is that of a picture, be it read or not."""
    return format_of(path) is not None or _suffix(path) in _UNREAD


def unread(path: str | os.PathLike[str]) -> str:
    """Why a file whose suffix is that of a picture cannot be read; empty if it can, or is no picture."""
    suffix = _suffix(path)
    if suffix in _UNREAD:
        return not_read(_UNREAD[suffix])
    found = _BY_SUFFIX.get(suffix)
    return "" if found is None or found.readable else needs_extra(found)


def not_read(what: str) -> str:
    """The reason that a picture of a kind is not read."""
    what = f"{what}, which must be developed first" if what.startswith(_RAW) else f"{what}, which is not read"
    return f"it is {what}; wanted {', '.join(FORMATS)}"


def needs_extra(format: Format) -> str:
    """The reason that a picture of a format is not read without an extra."""
    name = format.suffix[1:].upper()
    return f"it is {name}, which is read with the extra `{format.extra}`: pip install 'trimatte[{format.extra}]'"


def output_format(path: object, format: str | None = None, *, name: str = "path") -> str:
    """The format a picture is written in: the one asked for, else by the path's suffix.

    Parameters
    ----------
    path : path or file object
        Where it goes.
    format : str, optional
        "PNG", "WebP", "TIFF", "AVIF" or "JPEG" in capitals or not, also as a suffix such as "tif".
    name : str
        What an error message calls the path.

    Returns
    -------
    format : str
        One of "PNG", "WEBP", "TIFF", "AVIF", "JPEG".

    Raises
    ------
    ArgumentError
        If it is another, or there is neither a format nor a suffix to go by.
    """
    names = ", ".join(row.name for row in WRITTEN.values())
    if not isinstance(format, (str, type(None))):
        raise ArgumentError(f"format: got {format!r}; wanted one of {names}")
    if format is not None:
        found = WRITTEN.get(format.lower()) or _BY_SUFFIX.get("." + format.lower().lstrip("."))
        if found is None or not found.written:
            raise ArgumentError(f"format: got {format!r}; wanted one of {names}")
        return found.name
    if not isinstance(path, (str, os.PathLike)) and not hasattr(path, "write"):
        raise ArgumentError(f"{name}: got {path!r}; wanted a path or a file object")
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"format: got none for a file object; wanted one of {names}")
    found = format_of(path)
    if found is None or not found.written:
        suffixes = ", ".join(suffix for row in WRITTEN.values() for suffix in row.suffixes)
        raise ArgumentError(f"{name}: got {os.fspath(path)!r}; wanted a name that ends in one of {suffixes}")
    return found.name


def _suffix(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(os.fspath(path))[1].lower()
