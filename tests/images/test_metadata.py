"""What of a photo's metadata is written: by Pillow, tifffile and, where it is installed, exiftool."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import struct
import subprocess
import warnings
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

import trimatte
from trimatte.errors import ImageWarning
from trimatte.images import is_marked, load_picture, metadata, png, read_picture, xmp
from trimatte.images.metadata import Metadata, _photoshop_iptc, photoshop_block
from trimatte.images.pillow import DAMAGED_TAGS
from trimatte.images.xmp import cleaned_xmp, xmp_tree

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "AVIF")
CAMERA, PLACE = 0x8769, 0x8825
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 tiff:Orientation="6" exif:GPSLatitude="52,30N" photoshop:City="Berlin" xmp:Rating="4">
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">All of Ann &amp; Bob</rdf:li></rdf:Alt></dc:rights>
<xmp:Thumbnails><rdf:Alt><rdf:li>SECRET</rdf:li></rdf:Alt></xmp:Thumbnails>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def dataset(number: int, value: bytes) -> bytes:
    return bytes((0x1C, 2, number)) + len(value).to_bytes(2, "big") + value


DC = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/">%s</rdf:Description></rdf:RDF></x:xmpmeta>'
)
AUTHORS = b"<dc:creator><rdf:Seq><rdf:li>Ann</rdf:li> <rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>"
RIGHTS = b'<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">All</rdf:li><rdf:li>Alles</rdf:li></rdf:Alt></dc:rights>'
VALUE = b' rdf:parseType="Resource"><rdf:value>Ann</rdf:value><dc:type>photographer</dc:type><'
BOTH = {315: "Ann; Bob"}
DEEP = b"<a>" * 100000 + b"</a>" * 100000
NO_DEFAULT = RIGHTS.replace(b">All<", b"> <")
RIGHTS_OF_TWO = RIGHTS.replace(b"<rdf:Alt>", b"<rdf:Alt><rdf:li>Alles</rdf:li>")
PROPERTIES = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:t="http://ns.adobe.com/tiff/1.0/" xmlns:o="http://ns.adobe.com/xap/1.0/rights/"'
    b' xmlns:p="http://ns.adobe.com/photoshop/1.0/" xmlns:d="http://darktable.sf.net/"'
    b' xmlns:i="http://prismstandard.org/namespaces/basic/2.0/" xmlns:c="http://purl.org/dc/elements/1.1/"'
    b' xmlns:g="http://ns.google.com/photos/1.0/image/" %s/></rdf:RDF></x:xmpmeta>'
)
IPTC = dataset(120, b"A caption") + dataset(90, b"Berlin") + dataset(80, b"Ann") + dataset(202, b"SECRET")


def exif_of(**tags: Any) -> Image.Exif:
    exif = Image.Exif()
    exif.update({271: "Maker", 272: "Model", 274: 6, 315: "Ann", 33432: "(c) Ann", 305: "darkroom 1"})
    camera = {33437: IFDRational(28, 10), 37386: IFDRational(50, 1), 34855: 100, 37500: b"SECRET", 40962: 7}
    exif.get_ifd(CAMERA).update(camera)
    exif.get_ifd(PLACE).update({0: b"\2\3\0\0", 1: "N", 2: (52.0, 30.0, 0.0)})
    exif.update(tags)
    return exif


@pytest.fixture(scope="module")
def photo() -> bytes:
    """A JPEG that lies on its side, with all that a camera and an archive write, at 300 dpi."""
    pixels = np.zeros((72, 96, 3), np.uint8)
    pixels[20:50, 30:60] = 230
    stream = io.BytesIO()
    options: dict[str, Any] = {"dpi": (300, 300), "exif": exif_of(), "xmp": XMP, "extra": photoshop_block(IPTC)}
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def cut(photo: bytes) -> trimatte.Cutout:
    trimap = np.zeros((96, 72), np.uint8)
    trimap[30:60, 22:52] = 255
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return trimatte.cutout(photo, trimap=trimap)


def written(cut: trimatte.Cutout, format: str, **options: Any) -> tuple[bytes, Any]:
    """A file, and the same opened by Pillow."""
    stream = io.BytesIO()
    cut.save(stream, format=format, background="white", **options)
    image: Any = Image.open(io.BytesIO(stream.getvalue()))
    image.load()
    return stream.getvalue(), image


def dpi_of(image: Any) -> float:
    return float(image.info["dpi"][0] if "dpi" in image.info else image.getexif()[282])


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("level", ["none", "copyright", "all", "all+gps"])
def test_each_level_in_each_format(cut: trimatte.Cutout, format: str, level: str) -> None:
    content, image = written(cut, format, metadata=level)
    exif = image.getexif()
    assert abs(dpi_of(image) - 300) < 0.01
    assert exif.get(274, 1) == 1
    assert exif.get(315) == (None if level == "none" else "Ann")
    assert exif.get(33432) == (None if level == "none" else "(c) Ann")
    camera, whole = exif.get_ifd(CAMERA), level.startswith("all")
    assert camera.get(33437) == (2.8 if whole else None)
    assert (camera.get(40962), camera.get(40963)) == ((72, 96) if whole else (None, None))
    assert bool(exif.get_ifd(PLACE)) == (level == "all+gps")
    assert (b"Berlin" in content) == (level == "all+gps")
    assert (b"xmp:Rating" in content) == whole
    for secret in (b"SECRET", b"darkroom", b"Orientation"):
        assert secret not in content
    assert is_marked(content)
    again = load_picture(content).metadata
    assert again.dpi == (300, 300)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_need_not_be_readable_while_it_is_written(cut: trimatte.Cutout, format: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{format.lower()}"
    cut.save(path, metadata="all+gps", background="white")
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif.get_ifd(CAMERA)[34855] == 100
        assert exif.get_ifd(PLACE)[1] == "N"


def test_the_default_keeps_copyright_and_resolution_only(cut: trimatte.Cutout) -> None:
    default, image = written(cut, "JPEG")
    assert default == written(cut, "JPEG", metadata="copyright")[0]
    assert set(image.getexif()) <= {282, 283, 296, 305, 315, 33432}


@pytest.mark.parametrize("format", FORMATS)
def test_a_resolution_of_ones_own(cut: trimatte.Cutout, format: str) -> None:
    assert abs(dpi_of(written(cut, format, dpi=240)[1]) - 240) < 0.01


@pytest.mark.parametrize("format", ["TIFF", "PNG", "WEBP"])
def test_of_a_file_without_a_resolution_none_is_made_up(format: str) -> None:
    Image.new("RGB", (8, 8)).save(stream := io.BytesIO(), format)
    assert load_picture(stream.getvalue()).metadata.dpi is None


@pytest.mark.filterwarnings("ignore:the trimap has no unknown pixel")
def test_without_a_resolution_none_is_made_up() -> None:
    cut = trimatte.cutout(np.zeros((9, 9, 3), np.uint8), trimap=np.full((9, 9), 255, np.uint8))
    for format in FORMATS:
        content, _ = written(cut, format)
        assert load_picture(content).metadata.dpi is None or format in ("JPEG", "TIFF")


def jpeg(size: tuple[int, int] = (16, 8), *, density: tuple[int, int, int] | None = None, **tags: Any) -> bytes:
    """A JPEG with these tags of EXIF; density is unit, across and down of JFIF, whose segment is else left out."""
    exif = Image.Exif()
    exif.update({int(tag[1:]): value for tag, value in tags.items()})
    Image.new("RGB", size).save(stream := io.BytesIO(), "JPEG", exif=exif)
    content = stream.getvalue()
    assert content[2:4] == b"\xff\xe0"
    if density is None:
        return content[:2] + content[20:]
    return content[:13] + struct.pack(">BHH", *density) + content[18:]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (jpeg(_315="Ann"), None),  # Pillow says 72
        (jpeg(_315="Ann", density=(0, 1, 1)), None),
        (jpeg(_282=1.0, _283=1.0, _296=1, density=(0, 1, 1)), None),  # as exiftool makes of it; Pillow says 1
        (jpeg(_282=300.0, _283=300.0, _296=1), None),
        (jpeg(_282=0.0, _283=0.0, _296=2), None),
        (jpeg(_282=300.0, _283=300.0), (300, 300)),  # inches, where nothing is said; Pillow says 72
        (jpeg(_282=300.0, _283=150.0, _296=2), (300, 150)),  # Pillow says 300 for both
        (jpeg(_282=118.11, _283=118.11, _296=3), (300, 300)),
        (jpeg(_282=300.0, _283=300.0, _296=2, density=(1, 72, 72)), (72, 72)),
        (jpeg(_282=300.0, _283=300.0, _296=2, density=(1, 0, 0)), (300, 300)),
        (jpeg(_282=300.0, _283=300.0, _296=2, density=(1, 1, 1)), (300, 300)),  # square, exiftool's way
        (jpeg(_282=300.0, _283=300.0, _296=2, density=(2, 1, 1)), (300, 300)),
        (jpeg(density=(2, 1, 1)), (2.54, 2.54)),
        (jpeg(density=(1, 1, 1)), (1, 1)),
        (jpeg(_282=299.7, _283=299.7, _296=2, density=(1, 300, 300)), (299.7, 299.7)),  # which is that, rounded
    ],
)
def test_the_resolution_of_a_jpeg_is_what_it_says(content: bytes, wanted: tuple[float, float] | None) -> None:
    assert load_picture(content).metadata.dpi == wanted


def test_the_resolution_turns_with_the_picture(tmp_path: Path) -> None:
    for name, turned in ((6, True), (3, False)):
        exif = Image.Exif()
        exif[274] = name
        for format in ("JPEG", "TIFF", "PNG"):
            path = tmp_path / f"{name}.{format.lower()}"
            Image.new("RGB", (16, 8)).save(path, format, exif=exif, dpi=(300, 150))
            assert load_picture(path).metadata.dpi == ((150, 300) if turned else (300, 150))
        planes = tmp_path / f"{name}.planes.tiff"
        samples = np.zeros((3, 8, 16), np.uint16)
        tifffile.imwrite(
            planes,
            samples,
            photometric="rgb",
            planarconfig="separate",
            resolution=(300, 150),
            resolutionunit=2,
            extratags=[(274, 3, 1, name, True)],
        )
        assert load_picture(planes).metadata.dpi == ((150, 300) if turned else (300, 150))


def test_the_place_is_left_out_wherever_programs_write_it() -> None:
    packet = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
    <rdf:Description xmlns:d="http://www.dji.com/drone-dji/1.0/" d:GpsLatitude="52.5" d:GpsLongtitude="13.4"
     xmlns:w="http://rs.tdwg.org/dwc/terms/" w:decimalLatitude="52.5" d:GimbalYawDegree="3"
     xmlns:geo="http://www.w3.org/2003/01/geo/wgs84_pos#" geo:lat="52.5"/></rdf:RDF></x:xmpmeta>"""
    places: tuple[tuple[str, str], ...] = (
        ("exif:GPSLatitude", "52/1, 30/1"),
        ("Location", "x"),
        ("City", "x"),
        ("photoshop:State", "x"),
    )
    places += tuple(
        (key, "x") for key in ("GeoLocation", "Image City", "CityName", "Coordinates", "Position", "Address")
    )
    text = (*places, ("exif:FNumber", "28/10"), ("Artist Statement", "3"))
    kept = Metadata(xmp=packet, text=text).kept("all")
    assert [kept.xmp.count(word) for word in (b"52.5", b"13.4", b"GimbalYawDegree")] == [0, 0, 1]
    assert kept.text == text[len(places) :]
    names = ("i:location", "d:shotLocation", "d:stateProvince", "d:locality", "d:placeName", "d:CityName", "c:coverage")
    elsewhere = PROPERTIES % " ".join(f'{name}="Berlin"' for name in names).encode()
    assert b"Berlin" not in Metadata(xmp=elsewhere).kept("all").xmp
    with_place = Metadata(xmp=packet, text=text).kept("all+gps")
    assert (with_place.xmp.count(b"52.5"), with_place.text) == (3, text)


@pytest.mark.parametrize("name", ["EXIF", "XMP", "IPTC"])
def test_what_is_longer_than_a_jpeg_can_hold_is_left_out_with_a_warning(name: str) -> None:
    words = b"x" * 70000
    long: dict[str, Any] = {"EXIF": {"camera": {37510: words}}, "XMP": {"xmp": XMP.replace(b"SECRET", words)}}
    long["IPTC"] = {"iptc": b"".join(dataset(25, b"x" * 30000) for _ in range(3))}
    metadata = Metadata(dpi=(300, 300), base={315: "Ann"}, **long[name])
    with pytest.warns(ImageWarning, match=f"^{name}: longer"):
        trimatte.save_image(stream := io.BytesIO(), np.zeros((8, 8, 3), np.uint8), format="JPEG", metadata=metadata)
    found = load_picture(stream.getvalue()).metadata
    assert (found.dpi, found.credits) == ((300, 300), {315: "Ann"})
    assert (dict(found.camera), found.xmp, found.iptc) == ({}, b"", b"")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (Metadata(iptc=IPTC), {315: "Ann"}),
        (Metadata(xmp=XMP), {33432: "All of Ann & Bob"}),
        (Metadata(text=(("Author", "Eve"), ("Copyright", "Eve 2026"))), {315: "Eve", 33432: "Eve 2026"}),
        (Metadata(base={315: "Ann"}, text=(("Author", "Eve"),)), {315: "Ann"}),
        (Metadata(base={315: 3, 33432: "\0 "}), {}),
        (Metadata(base={33432: "Photographer\0Editor\0"}), {33432: "Photographer; Editor"}),
        (Metadata(iptc=dataset(80, b"Ann") + dataset(80, b"Bob")), {315: "Ann; Bob"}),
        (Metadata(xmp=DC % (AUTHORS + RIGHTS)), {315: "Ann; Bob", 33432: "All"}),
        (Metadata(base={315: "Ann"}, xmp=DC % AUTHORS), {315: "Ann; Bob"}),
        (Metadata(xmp=DC % RIGHTS_OF_TWO), {33432: "All"}),
        (Metadata(xmp=DC % NO_DEFAULT), {33432: "Alles"}),
        (Metadata(xmp=DC % b"<dc:creator>Zo&#235;</dc:creator>"), {315: "Zoë"}),
        (Metadata(xmp=DC % b"<dc:creator><![CDATA[A & B]]></dc:creator>"), {315: "A & B"}),
        (Metadata(xmp=(DC % AUTHORS).replace(b"rdf:", b"r:").replace(b"xmlns:rdf", b"xmlns:r")), {315: "Ann; Bob"}),
        (Metadata(xmp=(DC % AUTHORS).decode().encode("utf-16")), {315: "Ann; Bob"}),
        (Metadata(xmp=b"\0".join(b"%c" % byte for byte in DC % AUTHORS) + b"\0"), {315: "Ann; Bob"}),  # without a mark
        (Metadata(xmp=('<?xml version="1.0" encoding="UTF-16"?>' + (DC % AUTHORS).decode()).encode("utf-16-be")), BOTH),
        (Metadata(xmp=DC % b"<dc:relation><rdf:Description>%s</rdf:Description></dc:relation>" % AUTHORS), {}),
        (Metadata(xmp=DC % AUTHORS.replace(b"Bob", b"Bob<!-- \xe9\x01 -->") + b"<?xpacket end='w'?>rest"), BOTH),
        (Metadata(xmp=DC % AUTHORS.replace(b">Ann<", VALUE)), BOTH),
        (Metadata(xmp=re.sub(b"</?x:xmpmeta[^>]*>", b"", DC % AUTHORS)), BOTH),
        (Metadata(xmp=DC % AUTHORS.replace(b">Ann<", b"><rdf:Description rdf:value='Ann' dc:type='x'/><")), BOTH),
        (Metadata(xmp=DC % AUTHORS, iptc=dataset(80, b"An") + dataset(80, b"Bo")), BOTH),
        (Metadata(xmp=PROPERTIES % b't:Artist="Ann" t:Copyright="All"'), {315: "Ann", 33432: "All"}),
        (Metadata(xmp=PROPERTIES % b'o:Owner="Ann Ltd"'), {33432: "Ann Ltd"}),
        (Metadata(base={40093: tuple("Zoë;Bob\0".encode("utf-16-le"))}), {315: "Zoë;Bob"}),
        (Metadata(base={40093: "Zoë".encode("utf-16-le"), 33432: "All"}), {315: "Zoë", 33432: "All"}),
        (Metadata(base={40093: (1, 999)}), {}),
        (Metadata(text=(("artist", "Ann"), ("exif:Copyright", "All"))), {315: "Ann", 33432: "All"}),
        (Metadata(text=(("Author", "Ann"), ("Author", "Bob"))), {315: "Ann; Bob"}),
    ],
)
def test_credits_are_found_wherever_they_are(source: Metadata, wanted: dict[int, str]) -> None:
    assert source.credits == wanted
    assert source.kept("copyright") == Metadata(base=wanted)


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (DC % b"<dc:creator>A & B &amp; &copy; &#235;</dc:creator>", "A & B & © ë"),
        (DC % b"<dc:creator>A&#1;&#xFFFE;nn &none; &</dc:creator>", "Ann &none; &"),
        (DC % b"<dc:creator>Ann</dc:creator><p:a/><dc:type p:b='c'/>", "Ann"),
        (DC % b"<dc:creator>A & B: c</dc:creator><p:a/>" + b"rest", "A & B: c"),
        (DC % b"<dc:creator><![CDATA[A & B]]></dc:creator>" + b"\0\xff<", "A & B"),
        ((DC % b"<dc:creator>Ann</dc:creator>").replace(b"xmlns:dc=", b"xmlns:d="), "Ann"),
        (re.sub(rb" xmlns:\w+='?\"[^\"]*\"", b"", DC % b"<dc:creator>Ann</dc:creator>"), "Ann"),
        ((DC % b"<dc:creator>A & B</dc:creator>").decode().encode("utf-16"), "A & B"),
        (
            DC % b"<dc:creator>Ann <ann@a.org> < B, <http://a.org> <3 </dc:creator>",
            "Ann <ann@a.org> < B, <http://a.org> <3",
        ),
        (DC % b"<!-- < --><dc:creator>Ann</dc:creator><a", "Ann"),
        (DC % "<dc:creator>Jürgen</dc:creator>".encode("latin-1"), "Jürgen"),
        (DC % ("<dc:creator>Zoë 東</dc:creator>".encode() + b"<dc:type>\xe9</dc:type>"), "Zoë 東"),
        (DC % b"<dc:creator a='b' dc:a=\"'\" a = \"c\">Ann</dc:creator><dc:type a='b' a='b'/>", "Ann"),
        (
            (DC % b"")
            .replace(b"%s", b"")
            .replace(b"<rdf:Description", b"<rdf:Description dc:creator='A' dc:creator='B'"),
            "A",
        ),
        (b"<!DOCTYPE a>" + DC % b"<dc:creator>Ann</dc:creator>", "Ann"),
        (
            b"<?xml version='1.0'?><!DOCTYPE a SYSTEM 'b' [ <!ELEMENT a ANY> ] >"
            + DC % b"<dc:creator>Ann</dc:creator>",
            "Ann",
        ),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + DC % b"<dc:creator>Ann &b;</dc:creator>", "Ann &b;"),
    ],
)
def test_credits_are_read_in_packets_slightly_damaged(packet: bytes, wanted: str) -> None:
    assert Metadata(xmp=packet).credits == {315: wanted}
    kept = Metadata(xmp=packet).kept("all").xmp
    assert ElementTree.fromstring(kept) is not None
    assert Metadata(xmp=kept).credits == {315: wanted}


def test_of_a_mended_packet_what_is_not_declared_stays_behind() -> None:
    packet = DC % b"<dc:creator>Ann</dc:creator><p:Somewhere>Berlin</p:Somewhere><dc:type p:where='Berlin'>x</dc:type>"
    kept = Metadata(xmp=packet).kept("all+gps").xmp
    assert (b"Ann" in kept, b"type" in kept, b"Berlin" in kept) == (True, True, False)


@pytest.mark.parametrize(
    "noise",
    [
        b"</dc:type>",
        b"<dc:type>",
        b"<!DOCTYPE a []>",
        b'<!ENTITY b "c">',
        b'<dc:type xmlns:d="http://purl.org/dc/elements/1.1/" dc:a="" d:a=""/>',
    ],
)
def test_packets_damaged_further_are_left_out(noise: bytes) -> None:
    packet = DC % (b"<dc:creator>A & B &b;</dc:creator>" + noise) + b"rest"
    assert Metadata(xmp=packet).kept("all") == Metadata()
    Image.new("RGB", (4, 4)).save(stream := io.BytesIO(), "JPEG", xmp=packet)
    assert read_picture(stream.getvalue()).notes == (xmp.DAMAGED_XMP,)


def test_the_prefixes_of_strangers_are_not_kept_for_ever() -> None:
    before = len(xmp._named)
    for number in range(3):
        names = "".join(f' xmlns:p{number}x{i}="urn:{number}:{i}"' for i in range(2 * xmp._MOST_NAMES))
        assert xmp_tree(f"<a{names}/>".encode()) is not None
    assert before <= len(xmp._named) <= xmp._MOST_NAMES
    xmp._named.clear()
    assert b"xmp:Rating" in Metadata(xmp=XMP).kept("all").xmp


def test_a_packet_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, parsed = list[str](), xmp._parsed
    monkeypatch.setattr(xmp, "_parsed", lambda text: read.append(text) or parsed(text))
    kept = Metadata(xmp=DC % (AUTHORS + RIGHTS)).kept("all")
    assert (kept.base, len(read)) == ({315: "Ann; Bob", 33432: "All"}, 1)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_small_pictures_in_base_64_never_come_along(format: str) -> None:
    Image.new("RGB", (2, 2)).save(stream := io.BytesIO(), format)
    words = base64.b64encode(stream.getvalue()).decode()
    assert len(words) < 4096
    for value in (words, f"data:image/x;base64,{words}"):
        packet = PROPERTIES % f'p:Anything="{value}" p:Urgency="5"'.encode()
        kept = Metadata(xmp=packet).kept("all+gps").xmp
        assert (b"Anything" in kept, b"Urgency" in kept) == (False, True)


def test_addresses_stay_behind_as_places_do() -> None:
    names: tuple[str, ...] = (
        "i:CiAdrExtadr",
        "i:CiAdrCity",
        "i:CiAdrRegion",
        "i:CiAdrPcode",
        "i:CiAdrCtry",
        "i:LicensorStreetAddress",
    )
    names += ("i:LicensorExtendedAddress", "i:LicensorPostalCode", "i:LicensorRegion", "i:Position")
    packet = PROPERTIES % " ".join(f'{name}="Berlin"' for name in (*names, "p:AuthorsPosition")).encode()
    assert Metadata(xmp=packet).kept("all").xmp.count(b"Berlin") == 1
    assert Metadata(xmp=packet).kept("all+gps").xmp.count(b"Berlin") == 1 + len(names)


def test_histories_and_pictures_within_xmp_never_come_along() -> None:
    long = "QUJD" * 5000
    said = f'p:History="cut" d:history_end="3" g:Data="QUJD" d:Preview="QUJD" o:Owner="{long}" p:Urgency="5"'
    said += f' t:Make="{"word " * 5000}"'
    for level in ("all", "all+gps"):
        kept = Metadata(xmp=PROPERTIES % said.encode()).kept(level).xmp
        assert b"QUJD" not in kept
        assert b"istory" not in kept
        assert kept.count(b'Urgency="5"') == 1
        pages = DC % b'<g:image xmlns:g="http://ns.adobe.com/xap/1.0/g/img/">QUJD</g:image>'
        assert b"QUJD" not in Metadata(xmp=pages).kept(level).xmp
        wrapped = DC % (b"<dc:type>%s</dc:type>" % ((b"QUJD" * 19 + b"\n") * 60))
        assert b"QUJD" not in Metadata(xmp=wrapped).kept(level).xmp
        assert b"word word" in kept


@pytest.mark.parametrize("words", ["© Zoë Größ", "写真 日本"])
@pytest.mark.parametrize("format", FORMATS)
def test_credits_are_kept_in_any_script(format: str, words: str) -> None:
    metadata = Metadata(base={315: words, 33432: words}, camera={42032: words} if format != "TIFF" else {})
    trimatte.save_image(stream := io.BytesIO(), np.zeros((8, 8, 3), np.uint8), format=format, metadata=metadata)
    assert words.encode("utf-8") + b"\0" in stream.getvalue()
    found = load_picture(stream.getvalue()).metadata
    assert (found.credits, dict(found.camera).get(42032)) == ({315: words, 33432: words}, metadata.camera.get(42032))


@pytest.mark.parametrize("coding", ["utf-8", "latin-1"])
def test_credits_are_read_in_utf8_or_latin_1(coding: str) -> None:
    words = "© Zoë"
    assert Metadata(iptc=dataset(80, words.encode(coding))).credits == {315: words}
    plain = jpeg(_315="x" * len(words.encode(coding)))
    found = load_picture(plain.replace(b"x" * len(words.encode(coding)), words.encode(coding), 1)).metadata
    assert found.credits == {315: words}


def test_text_of_png_comes_along_with_all_only(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Zoë")
    info.add_text("Comment", "private")
    info.add_text("Software", "darkroom")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=info, dpi=(150, 150))
    found = load_picture(tmp_path / "a.png").metadata
    assert list(found.dpi or ()) == [150, 150]
    assert dict(found.text) == {"Author": "Zoë", "Comment": "private"}
    trimatte.save_image(tmp_path / "b.png", np.zeros((8, 8, 3), np.uint8), metadata=found.kept("all"))
    with Image.open(tmp_path / "b.png") as written:
        text = written.info
    assert (text["Author"], text["Comment"]) == ("Zoë", "private")
    assert not found.kept("copyright").text


def png_of(*words: tuple[bytes, bytes]) -> bytes:
    Image.new("RGB", (8, 8)).save(stream := io.BytesIO(), "PNG")
    content = stream.getvalue()
    return content[:33] + b"".join(png.chunk(name, data) for name, data in words) + content[33:]


def test_every_text_of_a_png_is_read() -> None:
    content = png_of(
        (b"tEXt", b"Author\0Ann"),
        (b"zTXt", b"Author\0\0" + zlib.compress("Zoë".encode("latin-1"))),
        (b"iTXt", b"Author\0\1\0de\0Autor\0" + zlib.compress("日本".encode())),
        (b"iTXt", b"Comment\0\0\0\0\0ok"),
        (b"zTXt", b"Damaged\0\0x"),
    )
    found = load_picture(content).metadata
    assert found.text == (("Author", "Ann"), ("Author", "Zoë"), ("Author", "日本"), ("Comment", "ok"))
    assert found.credits == {315: "Ann; Zoë; 日本"}
    bomb = png_of((b"zTXt", b"Bomb\0\0" + zlib.compress(bytes(4 * png.MOST_TEXT))))
    assert [len(text) for _, text in png.texts(io.BytesIO(bomb))] == [png.MOST_TEXT]


@pytest.mark.parametrize("cut_at", [0, 3, 30, 50])
def test_texts_end_where_a_file_does(cut_at: int) -> None:
    content = png_of((b"tEXt", b"Author\0Ann"))
    assert list(png.texts(io.BytesIO(content))) == [("Author", "Ann")]
    assert len(list(png.texts(io.BytesIO(content[:cut_at])))) == (cut_at == 50)


@pytest.mark.parametrize("name", ["iptc", "8bim"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_blocks_that_imagemagick_writes_as_text_are_read(name: str, wrapped: bool) -> None:
    block = resources(IPTC) if wrapped else IPTC
    text = f"\n{name}\n{len(block):8}\n" + "\n".join(re.findall(".{1,72}", block.hex())) + "\n"
    found = load_picture(png_of((b"tEXt", f"Raw profile type {name}\0{text}".encode()))).metadata
    assert (found.credits, found.text) == ({315: "Ann"}, ())
    assert found.kept("all").iptc == dataset(120, b"A caption") + dataset(80, b"Ann")
    damaged = load_picture(png_of((b"tEXt", f"Raw profile type {name}\0\n{name}\n3\nxyz".encode()))).metadata
    assert damaged == Metadata()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dpi", [299.7, 65535.0, 70000.0, 2540000.0])
def test_a_resolution_of_a_microscope_is_kept(format: str, dpi: float) -> None:
    metadata = Metadata(dpi=(dpi, dpi))
    trimatte.save_image(stream := io.BytesIO(), np.zeros((8, 8, 3), np.uint8), format=format, metadata=metadata)
    assert load_picture(stream.getvalue()).metadata.dpi == pytest.approx((dpi, dpi), rel=5e-5)  # PNG counts in metres


def test_tiff_keeps_resolution_and_iptc(tmp_path: Path, cut: trimatte.Cutout) -> None:
    content, _ = written(cut, "TIFF", metadata="all")
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        tags: Any = tiff.pages.first.tags
        assert tags["XResolution"].value == (300, 1)
        assert tags["ExifTag"].value["FNumber"] == (14, 5)
        np.testing.assert_array_equal(tiff.asarray(), np.asarray(Image.open(io.BytesIO(content))))
    assert load_picture(content).metadata.iptc == dataset(120, b"A caption") + dataset(80, b"Ann")


def test_tiff_keeps_each_tag_in_its_type() -> None:
    title, comment, way = "Zoë\0".encode("utf-16-le"), b"ASCII\0\0\0hello", b"ASCII\0\0\0GPS"
    metadata = Metadata(
        base={316: "host", 18246: 4, 40091: title, 40092: tuple(title)},
        camera={37510: comment},
        place={0: b"\2\3\0\0", 27: way},
    )
    trimatte.save_image(stream := io.BytesIO(), np.zeros((8, 8, 3), np.uint8), format="tiff", metadata=metadata)
    content = stream.getvalue()
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        tags: Any = tiff.pages.first.tags
        assert (tags[316].value, tags[18246].value) == ("host", 4)
        assert [(tags[code].dtype, bytes(tags[code].value)) for code in (40091, 40092)] == [(1, title)] * 2
    read = Image.open(io.BytesIO(content)).getexif()
    places = dict(read.get_ifd(PLACE))
    assert (read.get_ifd(CAMERA)[37510], places[27]) == (comment, way)
    assert struct.pack("<HHI", 37510, 7, len(comment)) in content
    assert struct.pack("<HHI", 27, 7, len(way)) in content
    assert struct.pack("<HHI", 0, 1, 4) in content


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("endian", "coding"), [("<", "utf-16-le"), (">", "utf-16-be"), (">", "utf-16")])
def test_text_in_utf_16_is_kept_in_each_byte_order(format: str, endian: str, coding: str) -> None:
    words, known = "Zoë 日本".encode(coding), bytes((1, 2, 3, 0))
    exif = Image.Exif()
    exif.endian = endian
    exif.get_ifd(CAMERA).update({36864: b"0231", 37121: known, 37510: b"UNICODE\0" + words, 41728: b"\3"})
    exif.get_ifd(PLACE).update({0: b"\2\3\0\0", 5: b"\0", 27: b"UNICODE\0" + words, 28: b"JIS\0\0\0\0\0ab"})
    Image.new("RGB", (8, 8)).save(stream := io.BytesIO(), "JPEG", exif=exif)
    found = load_picture(stream.getvalue()).metadata
    trimatte.save_image(stream := io.BytesIO(), np.zeros((8, 8, 3), np.uint8), format=format, metadata=found)
    again, head = Image.open(io.BytesIO(stream.getvalue())).getexif(), struct.Struct("<HHI")
    for directory, name in ((CAMERA, 37510), (PLACE, 27)):
        assert again.get_ifd(directory)[name] == b"UNICODE\0" + "Zoë 日本".encode("utf-16-le")
    assert again.endian == "<"
    for name, kind, count in (
        (37510, 7, 20),
        (37121, 7, 4),
        (41728, 7, 1),
        (27, 7, 20),
        (28, 7, 10),
        (0, 1, 4),
        (5, 1, 1),
    ):
        assert head.pack(name, kind, count) in stream.getvalue()


def extended_jpeg(*, pointer: str, content: bytes) -> bytes:
    """A JPEG whose packet names a further one, which lies in two segments, the later first."""
    said = f'xmlns:n="http://ns.adobe.com/xmp/note/" {pointer}'
    head = b"http://ns.adobe.com/xap/1.0/\0" + PROPERTIES % said.encode()
    at, name = len(content) // 2, b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32 + struct.pack(">I", len(content))
    parts = [name + struct.pack(">I", start) + content[start:end] for start, end in ((at, None), (0, at))]
    Image.new("RGB", (8, 8)).save(stream := io.BytesIO(), "JPEG")
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in (head, *parts))
    return stream.getvalue()[:2] + segments + stream.getvalue()[2:]


@pytest.mark.parametrize(
    ("pointer", "content", "found"),
    [
        (f'n:HasExtendedXMP="{"A" * 32}"', DC % AUTHORS, True),
        (f'n:HasExtendedXMP="{"B" * 32}"', DC % AUTHORS, False),
        (f'n:HasExtendedXMP="{"A" * 32}"', (DC % AUTHORS)[:-9], False),
        ("", DC % AUTHORS, False),
    ],
)
def test_a_packet_in_several_segments_is_put_together(pointer: str, content: bytes, found: bool) -> None:
    metadata = load_picture(extended_jpeg(pointer=pointer + ' p:Urgency="5"', content=content)).metadata
    assert metadata.credits == ({315: "Ann; Bob"} if found else {})
    kept = metadata.kept("all").xmp
    assert (b"Urgency" in kept, b"Bob" in kept, b"HasExtendedXMP" in kept) == (True, found, False)


def test_the_packet_of_a_gif_is_read() -> None:
    Image.new("L", (8, 8)).save(stream := io.BytesIO(), "GIF")
    plain = stream.getvalue()
    trailer = bytes([1, *range(255, -1, -1), 0])
    for place in (plain.index(b","), len(plain) - 1):  # before the picture, and after it
        content = plain[:place] + b"!\xff\x0bXMP DataXMP" + DC % AUTHORS + trailer + plain[place:]
        assert load_picture(content).metadata.credits == BOTH
        assert load_picture(content.replace(b"\1\xff\xfe\xfd", b"\1\xff\xfe\xfe")).metadata.credits == {}
    assert load_picture(plain).metadata == Metadata()


def test_text_of_a_png_stands_before_its_pixels() -> None:
    trimatte.save_image(stream := io.BytesIO(), np.zeros((8, 8, 3), np.uint8), format="png")
    names = [name for name, _, _ in png.chunks(stream)]
    assert names == [b"IHDR", b"tEXt", b"IDAT", b"IDAT", b"IEND"]
    assert is_marked(stream.getvalue())


def resources(iptc: bytes) -> bytes:
    """Photoshop's image resource blocks: one with a name and of odd length, then IPTC."""
    return b"8BIM\x03\xed\x04name\0\0\0\0\x03abc\0" + photoshop_block(iptc)[18:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("written_as", ["undefined", "numbers", "swapped numbers", "Photoshop's block", "both"])
@pytest.mark.parametrize("depth", [8, 32])
def test_iptc_of_tiff_is_found_however_it_is_written(order: Any, written_as: str, depth: int) -> None:
    padded = IPTC + bytes(-len(IPTC) % 4)
    ways = {"<": ">", ">": "<"}
    numbers = np.frombuffer(padded, f"{ways[order] if 'swapped' in written_as else order}u4").tolist()
    tag = (33723, 4, len(numbers), numbers, True)
    if written_as == "undefined":
        tag = (33723, 7, len(IPTC), IPTC, True)
    elif written_as == "Photoshop's block":
        tag = (34377, 7, len(resources(IPTC)), resources(IPTC), True)
    tags = [tag]
    if written_as == "both":  # as ImageMagick does, of which the first is cut off
        tags = [(33723, 7, 9, dataset(0, b"\0\4").ljust(9, b"\0"), True)]
        tags += [(34377, 7, len(resources(IPTC)), resources(IPTC), True)]
    stream = io.BytesIO()
    pixels = np.zeros((4, 5, 3), np.uint8 if depth == 8 else np.float32)  # Pillow opens the first, tifffile the second
    tifffile.imwrite(stream, pixels, byteorder=order, photometric="rgb", extratags=tags)
    found = read_picture(stream.getvalue()).metadata
    assert found.iptc.rstrip(b"\0") == IPTC
    assert found.credits[315] == "Ann"
    assert found.kept("all").iptc == dataset(120, b"A caption") + dataset(80, b"Ann")


@pytest.mark.parametrize("planar", ["contig", "separate"])  # Pillow opens the first, tifffile the second
def test_credits_of_a_bigtiff_are_read(planar: Any) -> None:
    pixels = np.zeros((4, 5, 3) if planar == "contig" else (3, 4, 5), np.uint16)
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": planar, "extratags": [(315, 2, 0, "Ann", True)]}
    tifffile.imwrite(stream := io.BytesIO(), pixels, bigtiff=True, byteorder="<", **options)
    picture = read_picture(stream.getvalue())
    assert (picture.metadata.credits, picture.notes) == ({315: "Ann"}, ())


@settings(max_examples=40)
@given(st.binary(max_size=40), st.integers(0, 60))
def test_damaged_blocks_of_photoshop_are_left_out(noise: bytes, at: int) -> None:
    blocks = resources(IPTC)
    damaged = blocks[:at] + noise + blocks[at + len(noise) :]
    assert isinstance(_photoshop_iptc(damaged), bytes)
    assert _photoshop_iptc(blocks) == IPTC
    assert _photoshop_iptc(noise) == b""


def test_a_pil_image_says_what_its_file_does(photo: bytes) -> None:
    image = Image.open(io.BytesIO(photo))
    assert read_picture(image).metadata == read_picture(photo).metadata
    assert read_picture(Image.new("RGB", (8, 8))).metadata == Metadata()


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_exiftool_reads_the_same(cut: trimatte.Cutout, tmp_path: Path) -> None:
    for format in FORMATS:
        (tmp_path / f"a.{format.lower()}").write_bytes(written(cut, format, metadata="all+gps")[0])
    command = ["exiftool", "-json", "-n", *map(str, sorted(tmp_path.iterdir()))]
    for read in json.loads(subprocess.run(command, capture_output=True, check=True).stdout):
        assert "Warning" not in read or "after PNG IDAT" in read["Warning"]
        assert (read["Artist"], read["Make"], read["FNumber"], read["GPSLatitude"]) == ("Ann", "Maker", 2.8, 52.5)
        assert read.get("Orientation", 1) == 1
        assert round(read.get("XResolution") or read["PixelsPerUnitX"] * 0.0254) == 300
        assert not {"ThumbnailImage", "MakerNoteUnknown"} & set(read)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="needs exiftool")
def test_what_exiftool_writes_into_a_tiff_is_kept(tmp_path: Path) -> None:
    trimap = np.zeros((20, 30), np.uint8)
    trimap[5:15, 8:20] = 255
    tifffile.imwrite(tmp_path / "a.tif", np.full((20, 30, 3), 90, np.uint8), photometric="rgb", resolution=(300, 300))
    words = ("-IPTC:By-line=Ann", "-IPTC:City=Berlin", "-IPTC:Caption-Abstract=A cup", "-XMP-dc:Rights=All of Ann")
    subprocess.run(["exiftool", "-q", "-overwrite_original", *words, tmp_path / "a.tif"], check=True)
    with pytest.warns(trimatte.SubjectWarning):  # of the trimap, and of nothing else
        cut = trimatte.cutout(tmp_path / "a.tif", trimap=trimap)
    results = [tmp_path / name for name in ("b.jpg", "b.tif")]
    for path in results:
        cut.save(path, background="white", metadata="all")
    command = ["exiftool", "-json", "-G1", *map(str, results)]
    for read in json.loads(subprocess.run(command, capture_output=True, check=True).stdout):
        assert (read["IPTC:By-line"], read["IPTC:Caption-Abstract"]) == ("Ann", "A cup")
        assert (read["IFD0:Artist"], read["IFD0:Copyright"]) == ("Ann", "All of Ann")
        assert "IPTC:City" not in read


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_entities_are_read_in_no_coding(coding: str) -> None:
    laughs = "".join(f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 10))
    packet = f'<!DOCTYPE a [<!ENTITY b0 "secret">{laughs}<!ENTITY c SYSTEM "file:///">]><a>&b9;&c;</a>'.encode(coding)
    assert b"<a>&amp;b9;&amp;c;</a>" in cleaned_xmp(xmp_tree(packet), place=True)
    hidden = packet.replace("<!DOCTYPE".encode(coding), "<x/><!DOCTYPE".encode(coding))
    assert xmp_tree(hidden) is None


@pytest.mark.parametrize(
    "packet",
    [b"<a", b"\xff\xfe", b'<!DOCTYPE a [<!ENTITY b "]>">]><a>&b;</a>', b"<a>" + b" " * (1 << 22) + b"</a>", DEEP],
)
def test_a_packet_that_cannot_be_read_is_left_out(packet: bytes) -> None:
    assert cleaned_xmp(xmp_tree(packet), place=True) == b""


def test_datasets_of_extended_length_are_read() -> None:
    def extended(number: int, value: bytes) -> bytes:
        return bytes((0x1C, 2, number)) + b"\x80\x04" + len(value).to_bytes(4, "big") + value

    secret, caption = extended(202, b"SECRET" * 9000), extended(120, b"A caption")
    source = Metadata(iptc=secret + caption + extended(116, b"All of Ann") + dataset(80, b"Ann"))
    assert source.credits == {315: "Ann", 33432: "All of Ann"}
    assert source.kept("all").iptc == source.iptc.removeprefix(secret)
    assert Metadata(iptc=dataset(80, b"Ann") + caption[:-1]).credits == {315: "Ann"}


@pytest.mark.parametrize("packet", [b"<?xpacket end " * 71428, b"<a" + b" b='" * 250000, b"<?xml " * 160000])
def test_a_long_packet_is_read_in_a_time_of_its_length(packet: bytes) -> None:
    assert xmp_tree(packet) is None  # in minutes, where each beginning is searched to the end


def test_no_name_has_a_copy_of_a_long_address() -> None:
    names = b"".join(b"<p:a%d/>" % number for number in range(100))
    root = xmp_tree(b"<a xmlns:p='" + b"x" * 5000 + b"'>" + names + b"</a>")
    assert root is not None
    assert max(len(element.tag) for element in root.iter()) < 100


def test_of_properties_within_each_other_some_are_read() -> None:
    lists = b"<dc:creator><rdf:Seq>" + b"<rdf:li>" * 500 + b"Ann" + b"</rdf:li>" * 500 + b"</rdf:Seq></dc:creator>"
    assert set(Metadata(xmp=DC % lists).credits[315].split("; ")) == {"Ann"}


def test_a_number_of_any_length_leaves_a_packet_readable() -> None:
    number = b"&#" + b"1" * 5000 + b";"
    packet = DC % (b"<dc:creator>A & B</dc:creator><dc:type>%s</dc:type>" % number)
    assert Metadata(xmp=packet).credits == {315: "A & B"}
    root = xmp_tree(packet)
    assert root is not None
    assert number.decode() in root.itertext()


def test_no_error_of_metadata_ends_a_picture(photo: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*_: object) -> None:
        raise OverflowError

    monkeypatch.setattr(metadata, "_iptc_of", damaged)
    picture = read_picture(photo)
    assert (picture.notes, picture.metadata) == ((DAMAGED_TAGS,), Metadata())


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_of_an_orientation_of_no_type_a_note_tells(format: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (4, 8)).save(stream := io.BytesIO(), format, exif=exif)
    turned = read_picture(stream.getvalue())
    assert (turned.pixels.shape[:2], turned.notes) == ((4, 8), ())
    entry = next(of for of in (b"\x12\x01\x03\0", b"\x01\x12\0\x03") if of in stream.getvalue())
    damaged = stream.getvalue().replace(entry, entry[:2] + b"\xff\xff")
    assert read_picture(damaged).notes == (DAMAGED_TAGS,)


@pytest.mark.parametrize("format", ["JPEG", "TIFF", "WEBP", "PNG"])
def test_of_a_tag_of_no_type_a_note_tells(format: str) -> None:
    exif = Image.Exif()
    exif[315] = "Ann of Anywhere"
    Image.new("RGB", (4, 4)).save(stream := io.BytesIO(), format, exif=exif)
    entry = next(of for of in (b"\x3b\x01\x02\0", b"\x01\x3b\0\x02") if of in stream.getvalue())
    damaged = stream.getvalue().replace(entry, b"\x3b\x01\xff\xff" if entry[0] == 0x3B else b"\x01\x3b\xff\xff")
    assert read_picture(stream.getvalue()).notes == ()
    if format == "PNG":  # whose checksum is none then
        at = damaged.index(b"eXIf")
        length = int.from_bytes(damaged[at - 4 : at], "big")
        chunk = damaged[at : at + 4 + length]
        damaged = damaged[:at] + chunk + struct.pack(">I", zlib.crc32(chunk)) + damaged[at + 8 + length :]
    assert read_picture(damaged).notes == (DAMAGED_TAGS,)


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_of_exif_without_its_mark_a_note_tells(format: str) -> None:
    exif = Image.Exif()
    exif[315] = "Ann of Anywhere"
    Image.new("RGB", (4, 4)).save(stream := io.BytesIO(), format, exif=exif.tobytes())
    assert read_picture(stream.getvalue()).notes == ()
    damaged = stream.getvalue().replace(b"MM\0*", b"XX\0*").replace(b"II*\0", b"XX*\0")
    assert damaged != stream.getvalue()
    assert read_picture(damaged).notes == (DAMAGED_TAGS,)


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_damaged_blocks_are_left_out(noise: bytes) -> None:
    source = Metadata(xmp=noise, iptc=IPTC[:20] + noise)
    for level in ("copyright", "all", "all+gps"):
        source.kept(level)


@pytest.mark.parametrize("seed", range(24))
def test_a_damaged_exif_block_leaves_the_picture_readable(photo: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = int(rng.integers(32, 330))
    damaged = photo[:at] + rng.bytes(4) + photo[at + 4 :]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = load_picture(damaged)
        stream = io.BytesIO()
        trimatte.save_image(stream, picture.pixels, format="JPEG", metadata=picture.metadata.kept("all+gps"))
    assert {warning.category for warning in caught} <= {ImageWarning}
    assert Image.open(stream).size == picture.image.shape[1::-1]
