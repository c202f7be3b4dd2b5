"""XMP packets without what must not come along: thumbnails, orientation, and place."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

_MOST = 1 << 22
_ALWAYS = re.compile(
    r"\{http://ns\.adobe\.com/(?:tiff/1\.0/\}Orientation|xap/1\.0/\}Thumbnails|photoshop/1\.0/\}DocumentAncestors"
    r"|xap/1\.0/mm/\}History)"
)
_PLACE = re.compile(
    r"\{http://ns\.adobe\.com/(?:exif/1\.0/\}GPS|photoshop/1\.0/\}(?:City|State|Country))"
    r"|\{http://iptc\.org/std/Iptc4xmpCore/1\.0/xmlns/\}(?:Location|CountryCode)"
    r"|\{http://iptc\.org/std/Iptc4xmpExt/2008-02-29/\}Location"
    r"|\{http://www\.w3\.org/2003/01/geo/wgs84_pos#\}"
    r"|\{[^}]*\}(?i:gps|\w*latitude|\w*longt?itude)"  # of drones and others, with a typing error of theirs
)


def cleaned_xmp(packet: bytes, *, place: bool) -> bytes:
    """The packet without thumbnails, orientation and history, and without places; empty if it cannot be read."""
    if not packet or len(packet) > _MOST or b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return b""
    try:
        names = ElementTree.iterparse(io.BytesIO(packet.strip(b"\0 \r\n\t")), events=["start-ns"])
        for _, (prefix, address) in names:
            if prefix and not re.fullmatch(r"ns\d+", prefix):
                ElementTree.register_namespace(prefix, address)
        root = names.root  # type: ignore[attr-defined] # where the tree is, once all is read
    except (ElementTree.ParseError, ValueError):
        return b""
    for element in list(root.iter()):
        for child in list(element):
            if _left_out(child.tag, place):
                element.remove(child)
        for name in [name for name in element.attrib if _left_out(name, place)]:
            del element.attrib[name]
    return b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>' + ElementTree.tostring(root) + b'<?xpacket end="r"?>'


def _left_out(name: object, place: bool) -> bool:
    return isinstance(name, str) and bool(_ALWAYS.match(name) or (not place and _PLACE.match(name)))
