"""Pictures in and out: the door where arrays are checked, and files read and written."""

from __future__ import annotations

from trimatte.images.codes import read_trimap as read_trimap
from trimatte.images.convert import MAX_PIXELS as MAX_PIXELS
from trimatte.images.convert import ImageLike as ImageLike
from trimatte.images.convert import Picture as Picture
from trimatte.images.convert import as_alpha as as_alpha
from trimatte.images.convert import as_image as as_image
from trimatte.images.convert import as_trimap as as_trimap
from trimatte.images.convert import load_image as load_image
from trimatte.images.convert import load_picture as load_picture
from trimatte.images.convert import output_format as output_format
from trimatte.images.convert import restore_colours as restore_colours
from trimatte.images.convert import save_image as save_image

__all__ = [
    "MAX_PIXELS",
    "ImageLike",
    "Picture",
    "as_alpha",
    "as_image",
    "as_trimap",
    "load_image",
    "load_picture",
    "output_format",
    "read_trimap",
    "restore_colours",
    "save_image",
]
