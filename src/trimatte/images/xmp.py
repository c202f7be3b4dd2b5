"""XMP packets: the credits in them, and packets without what must not come along: histories, pictures, and place."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

_MOST = 1 << 22
_LONG, _DENSE = 1 << 12, 40
"""More characters with fewer blanks than one in so many are no words of anyone, but a picture or sound in base 64."""
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
"""By the first bytes of a packet."""
_END = re.compile(r"<\?xpacket\s+end[^>]*\?>")
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DUBLIN_CORE, _TIFF = "{http://purl.org/dc/elements/1.1/}", "{http://ns.adobe.com/tiff/1.0/}"
_EXTENSION = "{http://ns.adobe.com/xmp/note/}HasExtendedXMP"
CREATORS = (f"{_DUBLIN_CORE}creator", f"{_TIFF}Artist")
RIGHTS = (f"{_DUBLIN_CORE}rights", f"{_TIFF}Copyright", "{http://ns.adobe.com/xap/1.0/rights/}Owner")
_ALWAYS = re.compile(
    r"\{http://ns\.adobe\.com/(?:tiff/1\.0/\}Orientation|xap/1\.0/\}Thumbnails|photoshop/1\.0/\}DocumentAncestors"
    r"|xap/1\.0/mm/\}(?:DerivedFrom|Ingredients|ManagedFrom|Pantry|Versions))"
    r"|\{http://ns\.adobe\.com/xmp/note/\}HasExtendedXMP"
    r"|\{http://ns\.google\.com/photos/[^}]*\}Data"
    r"|\{http://ns\.adobe\.com/xap/1\.0/g/img/\}image"
    r"|\{[^}]*\}(?i:\w*(?:history|preview|thumbnail|makernote)\w*)"
)
_PLACE = re.compile(
    r"\{http://www\.w3\.org/2003/01/geo/wgs84_pos#\}"
    # of drones and others, with a typing error of theirs
    r"|\{[^}]*\}(?i:gps|\w*latitude|\w*longt?itude|\w*location|\w*city|state$|\w*province|\w*country|\w*county$"
    r"|coverage$|\w*locality|municipality|\w*coordinates|worldregion|place)"
)


def cleaned_xmp(packet: bytes, *, place: bool) -> bytes:
    """The packet without other pictures, orientation and history, and without places; empty if it cannot be read."""
    root = _root(packet)
    if root is None:
        return b""
    for element in list(root.iter()):
        for child in list(element):
            if _left_out(child.tag, child.text, place):
                element.remove(child)
        for name in [name for name, value in element.attrib.items() if _left_out(name, value, place)]:
            del element.attrib[name]
    return b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>' + ElementTree.tostring(root) + b'<?xpacket end="r"?>'


def extended(packet: Any, segments: Iterable[bytes]) -> Any:
    """The packet, as Pillow has it, with what further segments of a JPEG hold (XMP specification, part 3, 1.1.3.1)."""
    texts = sorted(segments, key=lambda segment: (segment[:32], segment[36:40]))
    if not (isinstance(packet, bytes) and texts):
        return packet
    root = _root(packet)
    digests = [] if root is None else [value.encode() for value in _values(root, _EXTENSION)]
    further = _root(b"".join(text[40:] for text in texts if text[:32] in digests))
    if root is None or further is None:
        return packet
    for whole, part in zip(root.iter(f"{_RDF}RDF"), further.iter(f"{_RDF}RDF"), strict=False):
        whole.extend(list(part))
    return ElementTree.tostring(root)


def xmp_values(packet: bytes, names: Iterable[str]) -> str:
    """The values of the first of some properties that the packet has, apart by semicolons; empty if it has none.

    Of a property in several languages it is the default one, or else the first.
    """
    root = _root(packet)
    if root is not None:
        for name in names:
            values = [stripped for value in _values(root, name) if (stripped := value.strip())]
            if values:
                return "; ".join(values)
    return ""


def _values(root: ElementTree.Element, name: str) -> Iterator[str]:
    """Of a property of the picture itself, that is written as an attribute, as text, or as a list."""
    descriptions = (found for rdf in root.iter(f"{_RDF}RDF") for found in rdf.iterfind(f"{_RDF}Description"))
    for description in descriptions:
        if name in description.attrib:
            yield description.attrib[name]
        for element in description.iterfind(name):
            items = list(element.iter(f"{_RDF}li"))
            if element.find(f"{_RDF}Alt") is not None:
                items = sorted(items, key=lambda item: item.get(_LANGUAGE) != "x-default")[:1]
            yield from (_text(item) for item in items or [element])


def _text(item: ElementTree.Element) -> str:
    """The text of a value, which may have more said of it beside."""
    for within in item.iter():
        if f"{_RDF}value" in within.attrib:
            return within.attrib[f"{_RDF}value"]
        if within.tag == f"{_RDF}value":
            return "".join(within.itertext())
    return "".join(item.itertext())


def _root(packet: bytes) -> ElementTree.Element | None:
    if not packet or len(packet) > _MOST:
        return None
    packet = _utf8(packet)
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        return None
    try:
        names = ElementTree.iterparse(io.BytesIO(packet), events=["start-ns"])
        for _, (prefix, address) in names:
            if prefix and not re.fullmatch(r"ns\d+", prefix):
                ElementTree.register_namespace(prefix, address)
    except (ElementTree.ParseError, ValueError):
        return None
    root: ElementTree.Element = names.root  # type: ignore[attr-defined] # where the tree is, once all is read
    return root


def _utf8(packet: bytes) -> bytes:
    """The packet in UTF-8, up to its end, without bytes that no XML has.

    It may be in UTF-16, whose mark may stand within the first tag alone.
    """
    text = packet.decode(_CODINGS.get(packet[:2], "utf-8"), "replace")
    text = re.sub(r"^<\?xml\s[^>]*\?>", "", text.strip("\0\ufeff \r\n\t"))
    end = _END.search(text)
    return _NO_XML.sub("\ufffd", text[: end.end()] if end else text).encode("utf-8")


def _left_out(name: object, value: str | None, place: bool) -> bool:
    if not isinstance(name, str):
        return False
    held = value is not None and len(value) > _LONG and len(value) > _DENSE * len(value.split())
    return held or bool(_ALWAYS.match(name) or (not place and _PLACE.match(name)))
