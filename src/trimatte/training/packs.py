"""A training set as a few files: shards that any machine can read with Pillow alone.

A shard is a ZIP archive without compression of its own: `NUMBER.webp`, a photo (RGB) or a cut-out (RGBA), beside a
photo `NUMBER.png`, its mask and how far that is known (LA), and `index.json`, what each is for. The same pictures make
the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from PIL import Image, UnidentifiedImageError

from trimatte.errors import ModelError
from trimatte.files.atomic import atomic_write
from trimatte.training.items import Item

Role = Literal["photo", "validation", "cutout", "background"]
ROLES: dict[Role, str] = {
    "photo": "photos",
    "validation": "photos kept aside",
    "cutout": "cut-outs",
    "background": "backgrounds",
}
QUALITY = 92
INDEX = "index.json"
MEGABYTE = 10**6


@dataclass(frozen=True)
class Packed:
    """A picture of a packed set.

    role : what it is for; photos have masks.
    picture : a photo or a background (RGB), or a cut-out (RGBA).
    mask : of a photo (LA): L is 255 where the subject is, A is 0 where nothing is known.
    group : photos of one set, cut-outs of one kind.
    weight, trust : of a photo, as of `trimatte.training.segmenter.Source`.
    """

    role: Role
    picture: Image.Image
    mask: Image.Image | None = None
    group: str = ""
    weight: float = 1.0
    trust: float = 1.0


@dataclass(frozen=True)
class _Row:
    """What the index says of a picture."""

    number: int
    role: Role
    group: str
    weight: float
    trust: float


def pack(
    pictures: Iterable[Packed],
    out: Path,
    *,
    long_side: int = 448,
    megabytes: float = 40,
    quality: int = QUALITY,
    watch: Callable[[int], object] = lambda number: None,
) -> list[Path]:
    """Write shards of at most `megabytes` each into the new folder `out`; pictures are made no larger than `long_side`.

    `quality` is WebP's, of photos, up to 100. `watch` is told the number of each picture that is packed. Raises
    `ModelError` if `out` holds shards already or a picture alone is larger than a shard may be.
    """
    out.mkdir(parents=True, exist_ok=True)
    if shards_of(out):
        raise ModelError(f"out: {out} holds shards already; take another folder")
    paths: list[Path] = []
    rows: list[_Row] = []
    files: dict[str, bytes] = {}
    for number, each in enumerate(pictures):
        row = _Row(number, each.role, each.group, each.weight, each.trust)
        coded = _coded(number, each, long_side, quality)
        if rows and _size({**files, **coded}, [*rows, row]) > megabytes * MEGABYTE:
            paths.append(_write(out, len(paths), rows, files))
            rows, files = [], {}
        rows.append(row)
        files |= coded
        if _size(files, rows) > megabytes * MEGABYTE:
            raise ModelError(f"megabytes: picture {number} alone takes more than {megabytes:g}")
        watch(number)
    if rows:
        paths.append(_write(out, len(paths), rows, files))
    return paths


def unpack(folder: Path, roles: Sequence[Role] = get_args(Role)) -> Iterator[Packed]:
    """The pictures of some roles of all shards. Raises `ModelError` without any, or for a damaged one."""
    for shard in _found(folder):
        rows = [row for row in _rows(shard) if row.role in roles]
        with _readable(shard), zipfile.ZipFile(shard) as archive, ThreadPoolExecutor() as pool:
            coded = [[archive.read(name) for name in _names(row)] for row in rows]
            pictures = list(pool.map(_decoded, rows, coded))
        yield from pictures


def shards_of(folder: Path) -> list[Path]:
    """The shards in a folder, in their order."""
    return sorted(folder.glob("shard-*.zip"))


def _coded(number: int, each: Packed, long_side: int, quality: int) -> dict[str, bytes]:
    files = {f"{number:06}.webp": _bytes(_fitted(each.picture, long_side), "WEBP", quality=quality, method=4)}
    if each.mask is not None:
        files[f"{number:06}.png"] = _bytes(_fitted(each.mask.convert("LA"), long_side), "PNG", optimize=True)
    return files


def _fitted(picture: Image.Image, long_side: int) -> Image.Image:
    scale = long_side / max(picture.size)
    if scale >= 1:
        return picture
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=None)


def _bytes(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _size(files: dict[str, bytes], rows: list[_Row]) -> int:
    """No less than the bytes of the shard."""
    return sum(map(len, files.values())) + 256 * (len(files) + len(rows)) + 1024


def _write(out: Path, number: int, rows: list[_Row], files: dict[str, bytes]) -> Path:
    path = out / f"shard-{number:03}.zip"
    index = json.dumps([asdict(row) for row in rows]).encode()
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, content in {**files, INDEX: index}.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # without the time of day
    return path


def summary(folder: Path) -> dict[str, str]:
    """What a packed set holds, group by group, in words. Raises `ModelError` as `unpack` does."""
    counts: dict[str, Counter[Any]] = {}
    for shard in _found(folder):
        for row in _rows(shard):
            counts.setdefault(row.group or "without a name", Counter())[row.role] += 1
    return {
        group: ", ".join(f"{count} {ROLES[role]}" for role, count in sorted(roles.items()))
        for group, roles in sorted(counts.items())
    }


@dataclass(frozen=True)
class HeldOut:
    """The photos of a packed set that are kept to measure on, as a `trimatte.training.items.Labelled`."""

    folder: Path
    weight: float = 1.0
    trust: float = 1.0

    def items(self) -> list[Item]:
        """Each with its photo and mask, which stay in memory."""
        return [
            Item(each.picture.size, partial(_pair, each.picture, each.mask))
            for each in unpack(self.folder, ("validation",))
            if each.mask is not None
        ]

    def describe(self) -> dict[str, Any]:
        """What of it decides a run."""
        rows = [row for shard in _found(self.folder) for row in _rows(shard) if row.role == "validation"]
        return {"data": f"kept aside in {self.folder.name}", "photos": len(rows), "weight": self.weight}


def _pair(picture: Image.Image, mask: Image.Image) -> tuple[Image.Image, Image.Image]:
    return picture, mask


def _found(folder: Path) -> list[Path]:
    shards = shards_of(folder)
    if not shards:
        raise ModelError(f"pack: {folder} holds no shards")
    return shards


def _rows(shard: Path) -> list[_Row]:
    """The index of a shard. Raises `ModelError` if it has none that can be read."""
    with _readable(shard), zipfile.ZipFile(shard) as archive:
        rows = [_Row(**row) for row in json.loads(archive.read(INDEX))]
        for row in rows:
            if row.role not in ROLES:
                raise ValueError(f"role {row.role!r}")
        return rows


@contextmanager
def _readable(shard: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, UnidentifiedImageError, OSError) as error:
        raise ModelError(f"pack: {shard.name} is damaged or no shard: {error}") from error


def _names(row: _Row) -> list[str]:
    masked = row.role in ("photo", "validation")
    return [f"{row.number:06}.webp", *([f"{row.number:06}.png"] if masked else [])]


def _decoded(row: _Row, coded: Sequence[bytes]) -> Packed:
    picture = Image.open(io.BytesIO(coded[0])).convert("RGBA" if row.role == "cutout" else "RGB")
    mask = Image.open(io.BytesIO(coded[1])).convert("LA") if len(coded) > 1 else None
    if mask is not None and mask.size != picture.size:
        raise ValueError(f"mask {row.number} is of another size than its photo")
    return Packed(row.role, picture, mask, row.group, row.weight, row.trust)
