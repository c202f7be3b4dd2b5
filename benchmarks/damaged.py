"""Damaged picture files through `load_image`: each must be a picture or a typed error, soon and within memory.

Small files of every format are damaged by flipped header bytes, flipped body bytes, truncation, another format's suffix
or header, and inserted or repeated parts. They are read in a process of its own, so that a crash or a hang is seen.

    python benchmarks/damaged.py [--count 20000] [--seed 0]
"""

from __future__ import annotations

import argparse
import io
import os
import time
import warnings
from collections import Counter
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
from common import RESULTS, RUNS, heading
from PIL import Image

SECONDS = 5.0
MAX_PIXELS = 4_000_000
MEGABYTES = 400
"""What reading may take above the process as it starts: 100 bytes for each of the most pixels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seeds = seed_files()
    outcomes, slowest, most = Counter[str](), 0.0, 0.0
    reader = Reader()
    for i in range(given.count):
        rng = np.random.default_rng([given.seed, i])
        content, what = damaged(seeds, rng)
        start = time.perf_counter()
        outcome, memory = reader.read(content)
        slowest, most = max(slowest, time.perf_counter() - start), max(most, memory)
        outcomes[outcome] += 1
        if outcome not in ("picture", "typed error"):
            kept = RUNS / "damaged" / f"{given.seed}-{i}.bin"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(content)
            print(f"{i}: {what}: {outcome}; kept as {kept}", flush=True)
        if (i + 1) % 1000 == 0:
            print(f"{i + 1} of {given.count}: {dict(outcomes)}, slowest {slowest:.2f} s, {most:.0f} MB", flush=True)
    reader.end()
    text = report(given.count, outcomes, slowest, most)
    print(text)
    if given.count >= 20_000:
        (RESULTS / "damaged.md").write_text(text)


def seed_files() -> dict[str, bytes]:
    """A whole small file of every kind that is read."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, 48 * 40 * 4).reshape(40, 48, 4) + rng.normal(0, 9, (40, 48, 4))
    codes = np.clip(ramp, 0, 255).astype(np.uint8)
    rgba, rgb = Image.fromarray(codes), Image.fromarray(codes[..., :3])
    exif = Image.Exif()
    exif[274] = 6
    wanted: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "png": (rgba, "PNG", {}),
        "png-palette": (rgb.convert("P"), "PNG", {"transparency": 3}),
        "png-grey16": (Image.fromarray(codes[..., 0].astype(np.uint16) * 257), "PNG", {}),
        "jpeg": (rgb, "JPEG", {"exif": exif}),
        "jpeg-progressive": (rgb, "JPEG", {"progressive": True}),
        "jpeg-cmyk": (rgb.convert("CMYK"), "JPEG", {}),
        "webp": (rgba, "WEBP", {"lossless": True}),
        "webp-lossy": (rgba, "WEBP", {}),
        "tiff": (rgba, "TIFF", {}),
        "tiff-lzw": (rgb, "TIFF", {"compression": "tiff_lzw"}),
        "tiff-deflate": (rgb, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "avif": (rgba, "AVIF", {}),
        "gif": (rgb.convert("P"), "GIF", {}),
        "bmp": (rgb, "BMP", {}),
        "ppm": (rgb, "PPM", {}),
    }
    files = {}
    for name, (image, format, options) in wanted.items():
        stream = io.BytesIO()
        image.save(stream, format, **options)
        files[name] = stream.getvalue()
    from trimatte.images import save_image

    stream = io.BytesIO()
    save_image(stream, codes[..., :3].astype(np.uint16) * 257, format="TIFF")
    files["tiff-16"] = stream.getvalue()
    return files


def damaged(seeds: dict[str, bytes], rng: np.random.Generator) -> tuple[bytes, str]:
    """A damaged file, and what was done to which."""
    names = list(seeds)
    name, other = names[rng.integers(len(names))], names[rng.integers(len(names))]
    content = bytearray(seeds[name])
    way = ["header", "body", "truncated", "swapped", "inserted", "extremes"][rng.integers(6)]
    if way in ("header", "body"):
        first, last = (0, min(64, len(content))) if way == "header" else (0, len(content))
        for place in rng.integers(first, last, rng.integers(1, 9)):
            content[place] ^= int(rng.integers(1, 256))
    elif way == "truncated":
        del content[rng.integers(len(content)) :]
    elif way == "swapped":
        head = int(rng.integers(4, 64))
        content[:head] = seeds[other][:head]
    elif way == "inserted":
        at, size = rng.integers(len(content)), int(rng.integers(1, 200))
        start = rng.integers(max(1, len(content) - size))
        content[at:at] = content[start : start + size]
    else:  # lengths and sizes at their limits
        at = int(rng.integers(0, len(content) - 4))
        content[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"][rng.integers(4)]
    return bytes(content), f"{name}, {way}" + (f" with {other}" if way == "swapped" else "")


class Reader:
    """A process that reads files, and is replaced if it crashes or hangs."""

    def __init__(self) -> None:
        self._start()

    def read(self, content: bytes) -> tuple[str, float]:
        """What became of a file, and the megabytes that the process has taken at most."""
        try:
            self.connection.send(content)
            if self.connection.poll(SECONDS):
                outcome: tuple[str, float] = self.connection.recv()
                return outcome
            outcome = (f"no answer within {SECONDS:g} s", 0.0)
        except (EOFError, OSError):
            self.process.join()
            outcome = (f"crash ({self.process.exitcode})", 0.0)
        self.process.kill()
        self._start()
        return outcome

    def end(self) -> None:
        self.process.kill()
        self.process.join()

    def _start(self) -> None:
        context = get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=serve, args=(there,), daemon=True)
        self.process.start()
        there.close()
        self.connection.recv()


def serve(connection: Connection) -> None:
    from trimatte import TrimatteError, load_image
    from trimatte.runtime.measure import peak_bytes

    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff says there what it does not like
    for content in seed_files().values():  # imports what it needs
        load_image(content)
    base = peak_bytes()
    connection.send("ready")
    while True:
        content = connection.recv()
        try:
            image = load_image(content, max_pixels=MAX_PIXELS)
            sound = image.ndim == 3 and bool(np.isfinite(image).all()) and image.min() >= 0 and image.max() <= 1
            outcome = "picture" if sound else "a wrong picture"
        except TrimatteError:
            outcome = "typed error"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        memory = (peak_bytes() - base) / 1e6
        connection.send((outcome if memory <= MEGABYTES else f"{memory:.0f} MB", memory))


def report(count: int, outcomes: Counter[str], slowest: float, most: float) -> str:
    rows = "\n".join(f"| {outcome} | {number} |" for outcome, number in outcomes.most_common())
    head = "\n".join(heading("Damaged files"))
    return (
        f"{head}\n{count} damaged files through `load_image`, `max_pixels` {MAX_PIXELS}: slowest {slowest:.2f} s "
        f"(limit {SECONDS:g}), at most {most:.0f} MB more (limit {MEGABYTES}).\n\n"
        f"| outcome | files |\n| --- | ---: |\n{rows}\n"
    )


if __name__ == "__main__":
    main()
