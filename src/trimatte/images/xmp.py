"""XMP packets: the credits in them, and packets without what must not come along: histories, pictures, and place."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from xml.etree import ElementTree

_MOST = 1 << 22
_LONG, _DENSE = 1 << 12, 40
"""More characters with fewer blanks than one in so many are no words of anyone, but a picture or sound in base 64."""
_PICTURE = re.compile(r"\s*(?:data:image/|/9j/|iVBORw0KGgo|R0lGOD|UklGR|SUkqA|TU0AK|AAAA\wGZ0eX)")
"""How JPEG, PNG, GIF, WebP, TIFF, AVIF and HEIC begin in base 64, however small they are."""
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_CODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
"""By the first bytes of a packet."""
_END = re.compile(r"<\?xpacket\s+end[^<>]*\?>")
_NO_TAG = re.compile(r"<(?!/?[A-Za-z_][\w.-]*:[\w.-]+[\s/>]|\?|!--|!\[CDATA\[)")
"""A bracket that begins nothing that a packet is made of, where each name has a prefix."""
_NAMED = re.compile(r"<|\s([\w:.-]+)\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""Bytes that are no UTF-8, as Python's error handler `surrogateescape` has them."""
_REFERENCE = re.compile(r"&(?:#?\w{1,32};)?")
"""An ampersand, with the reference that it begins; none is longer, and no number of thousands of digits is read."""
_MOST_NAMES = 1000
"""Of namespaces whose prefixes are kept in all packets together, for ElementTree never forgets one."""
_named = set[str]()
_MOST_VALUES = 100
"""Of a property."""
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_DUBLIN_CORE, _TIFF = "{http://purl.org/dc/elements/1.1/}", "{http://ns.adobe.com/tiff/1.0/}"
_EXTENSION = "{http://ns.adobe.com/xmp/note/}HasExtendedXMP"
DAMAGED_XMP = "its XMP is damaged or too long, and left out, with the credits in it"
_ADDRESSES = {
    "x": "adobe:ns:meta/",
    "rdf": _RDF[1:-1],
    "dc": _DUBLIN_CORE[1:-1],
    "tiff": _TIFF[1:-1],
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
}
"""What a packet that uses these prefixes and declares them not means by them; what else it does not declare is left."""
_UNDECLARED = "undeclared"
CREATORS = (f"{_DUBLIN_CORE}creator", f"{_TIFF}Artist")
RIGHTS = (f"{_DUBLIN_CORE}rights", f"{_TIFF}Copyright", "{http://ns.adobe.com/xap/1.0/rights/}Owner")
_ALWAYS = re.compile(
    r"\{http://ns\.adobe\.com/(?:tiff/1\.0/\}Orientation|xap/1\.0/\}Thumbnails|photoshop/1\.0/\}DocumentAncestors"
    r"|xap/1\.0/mm/\}(?:DerivedFrom|Ingredients|ManagedFrom|Pantry|Versions))"
    r"|\{http://ns\.adobe\.com/xmp/note/\}HasExtendedXMP"
    r"|\{http://ns\.google\.com/photos/[^}]*\}Data"
    r"|\{http://ns\.adobe\.com/xap/1\.0/g/img/\}image"
    rf"|\{{{_UNDECLARED}\}}"
    r"|\{[^}]*\}(?i:\w*(?:history|preview|thumbnail|makernote)\w*)"
)
_PLACE = re.compile(
    r"\{http://www\.w3\.org/2003/01/geo/wgs84_pos#\}"
    # of drones and others, with a typing error of theirs
    r"|\{[^}]*\}(?i:gps|\w*latitude|\w*longt?itude|\w*location|\w*city|state$|\w*province|\w*country|\w*county$"
    r"|coverage$|\w*locality|municipality|\w*coordinates|worldregion|place|position$"
    r"|ciadr|\w*address|\w*postalcode|licensorregion)"
)


def cleaned_xmp(root: ElementTree.Element | None, *, place: bool) -> bytes:
    """The packet of a tree, which is changed, without other pictures, orientation and history, and without places."""
    if root is None:
        return b""
    for element in list(root.iter()):
        for child in list(element):
            if _left_out(child.tag, child.text, place):
                element.remove(child)
        for name in [name for name, value in element.attrib.items() if _left_out(name, value, place)]:
            del element.attrib[name]
    text = _written(root)
    return b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>' + text + b'<?xpacket end="r"?>' if text else b""


def extended(packet: Any, segments: Iterable[bytes]) -> Any:
    """The packet, as Pillow has it, with what further segments of a JPEG hold (XMP specification, part 3, 1.1.3.1)."""
    texts = sorted(segments, key=lambda segment: (segment[:32], segment[36:40]))
    if not (isinstance(packet, bytes) and texts):
        return packet
    root = xmp_tree(packet)
    digests = [] if root is None else [value.encode() for value in _values(root, _EXTENSION)]
    further = xmp_tree(b"".join(text[40:] for text in texts if text[:32] in digests))
    if root is None or further is None:
        return packet
    for whole, part in zip(root.iter(f"{_RDF}RDF"), further.iter(f"{_RDF}RDF"), strict=False):
        whole.extend(list(part))
    return _written(root) or packet


def xmp_values(root: ElementTree.Element | None, names: Iterable[str]) -> str:
    """The values of the first of some properties that a packet has, apart by semicolons; empty if it has none.

    Of a property in several languages it is the default one, or else the first, of those that are not empty.
    """
    if root is None:
        return ""
    for name in names:
        values = [stripped for value in _values(root, name) if (stripped := value.strip())]
        if values:
            return "; ".join(values)
    return ""


def _values(root: ElementTree.Element, name: str) -> Iterator[str]:
    """Of a property of the picture itself, that is written as an attribute, as text, or as a list."""
    blocks = islice(root.iter(f"{_RDF}RDF"), _MOST_VALUES)  # each lies within the one before, at worst
    descriptions = (found for rdf in blocks for found in rdf.iterfind(f"{_RDF}Description"))
    for description in descriptions:
        if name in description.attrib:
            yield description.attrib[name]
        for element in description.iterfind(name):
            items = list(islice(element.iter(f"{_RDF}li"), _MOST_VALUES))
            if element.find(f"{_RDF}Alt") is not None:
                items = [item for item in items if _text(item).strip()]
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


def xmp_tree(packet: bytes) -> ElementTree.Element | None:
    """The tree of a packet; None if more is damaged than can be mended. No entity of its own is ever read."""
    if not packet or len(packet) > _MOST:
        return None
    text = _undefined(_decoded(packet))
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    for mend in (_ended, _escaped, _bracketed, _singled, _declared):
        root = _parsed(text)
        if root is not None:
            return root
        text = mend(text)
    wrapped = _parsed(text)
    return None if wrapped is None else next(iter(wrapped), None)


def _written(root: ElementTree.Element) -> bytes:
    """A tree as text; empty if its elements lie deeper in each other than Python goes."""
    try:
        return ElementTree.tostring(root)
    except RecursionError:
        return b""


def _parsed(text: str) -> ElementTree.Element | None:
    try:
        names = ElementTree.iterparse(io.BytesIO(text.encode("utf-8")), events=["start-ns"])
        declared = dict[str, str]()
        for _, (prefix, address) in names:
            if len(address) > _LONG:  # each name has a copy of it
                return None
            declared[prefix] = address
        for prefix, address in islice(declared.items(), _MOST_NAMES):
            known = len(_named) < _MOST_NAMES or address in _named
            if known and prefix and not re.fullmatch(r"ns\d+", prefix):
                ElementTree.register_namespace(prefix, address)
                _named.add(address)
    except (ElementTree.ParseError, ValueError):
        return None
    root: ElementTree.Element = names.root  # type: ignore[attr-defined] # where the tree is, once all is read
    return root


def _decoded(packet: bytes) -> str:
    """The text of a packet, up to its end, without what no XML has.

    It may be in UTF-16, whose mark may stand within the first tag alone; what is no UTF-8 is taken for Latin-1.
    """
    coding = _CODINGS.get(packet[:2], "utf-8")
    text = packet.decode(coding, "surrogateescape" if coding == "utf-8" else "replace")
    text = _NO_UTF8.sub(lambda byte: chr(ord(byte[0]) - 0xDC00), text)
    text = re.sub(r"^<\?xml\s[^>]*\?>", "", text.strip("\0\ufeff \r\n\t"))
    end = _END.search(text)
    return _NO_XML.sub("\ufffd", text[: end.end()] if end else text)


def _undefined(text: str) -> str:
    """A packet without the declaration of its type, and of entities, before its first element."""
    before, found, rest = text.partition("<!DOCTYPE")
    if not found or re.search(r"<[\w:]", before):
        return text
    declared = max(0, rest.find("]")) if "[" in rest.partition(">")[0] else 0
    return before + rest[rest.find(">", declared) + 1 :]


def _ended(text: str) -> str:
    """A packet without what follows the end of its first element."""
    first = re.search(r"<([\w:.-]+)", text)
    before, end, _ = text.partition(f"</{first[1]}>" if first else ">")
    return before + end


def _escaped(text: str) -> str:
    """A packet whose ampersands stand for themselves, or for a character that XML has."""
    return _REFERENCE.sub(lambda found: html.escape(html.unescape(found[0])), text)


def _bracketed(text: str) -> str:
    """A packet whose brackets that begin no tag stand for themselves."""
    return _NO_TAG.sub("&lt;", text)


def _singled(text: str) -> str:
    """A packet whose tags have but the first of attributes of the same name."""
    names = set[str]()

    def kept(found: re.Match[str]) -> str:
        if found[0] == "<":
            names.clear()
        elif found[1] in names:
            return ""
        else:
            names.add(found[1])
        return found[0]

    return _NAMED.sub(kept, text)


def _declared(text: str) -> str:
    """A packet within an element that declares all prefixes which it uses."""
    prefixes = sorted({*re.findall(r"[<\s]([A-Za-z_][\w.-]*):", text)} - {"xml", "xmlns"})
    names = (f' xmlns:{prefix}="{_ADDRESSES.get(prefix, _UNDECLARED)}"' for prefix in prefixes[:_MOST_NAMES])
    return f"<packet{''.join(names)}>{text}</packet>"


def _left_out(name: object, value: str | None, place: bool) -> bool:
    if not isinstance(name, str):
        return False
    text = value or ""
    held = _PICTURE.match(text) or (len(text) > _LONG and len(text) > _DENSE * len(text.split()))
    return bool(held or _ALWAYS.match(name) or (not place and _PLACE.match(name)))
