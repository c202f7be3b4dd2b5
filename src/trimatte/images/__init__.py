"""Pictures in and out: the door where arrays are checked, and files read and written.

Names are imported when first used, so that the table of formats can be had without Pillow and NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimatte.images.formats import FORMATS as FORMATS
from trimatte.images.formats import MAX_PIXELS as MAX_PIXELS
from trimatte.images.formats import WRITTEN as WRITTEN
from trimatte.images.formats import output_format as output_format
from trimatte.runtime.lazy import first_use

if TYPE_CHECKING:
    from trimatte.images.background import background_image as background_image
    from trimatte.images.codes import read_trimap as read_trimap
    from trimatte.images.convert import as_alpha as as_alpha
    from trimatte.images.convert import as_image as as_image
    from trimatte.images.convert import as_trimap as as_trimap
    from trimatte.images.decode import Decoded as Decoded
    from trimatte.images.decode import decode_source as decode_source
    from trimatte.images.decode import header_size as header_size
    from trimatte.images.decode import is_source as is_source
    from trimatte.images.decode import upright as upright
    from trimatte.images.mark import is_marked as is_marked
    from trimatte.images.read import ImageLike as ImageLike
    from trimatte.images.read import Picture as Picture
    from trimatte.images.read import load_image as load_image
    from trimatte.images.read import load_picture as load_picture
    from trimatte.images.read import read_picture as read_picture
    from trimatte.images.write import restore_colours as restore_colours
    from trimatte.images.write import save_image as save_image

_NAMES = {
    "background_image": "background",
    "read_trimap": "codes",
    "as_alpha": "convert",
    "as_image": "convert",
    "as_trimap": "convert",
    "Decoded": "decode",
    "decode_source": "decode",
    "header_size": "decode",
    "is_source": "decode",
    "upright": "decode",
    "is_marked": "mark",
    "ImageLike": "read",
    "Picture": "read",
    "load_image": "read",
    "load_picture": "read",
    "read_picture": "read",
    "restore_colours": "write",
    "save_image": "write",
}

__all__ = sorted(["FORMATS", "MAX_PIXELS", "WRITTEN", "output_format", *_NAMES])


def __getattr__(name: str) -> Any:
    return first_use(globals(), _NAMES, name)
