"""Photos of twelve megapixels, file to file: seconds and memory of a process of its own, beside rembg.

Each run imports, opens networks, loads kernels, reads a JPEG, cuts out and writes a PNG. By default the photos are
scikit-image's astronaut (public domain), enlarged, and a painted subject with hair (`trimatte.synthetic`), so that
anyone can run it; `--photos` takes others and enlarges or reduces them to twelve megapixels. rembg's U2NetP with alpha
matting runs beside ours where rembg is installed, once a photo: it takes a minute.

    python benchmarks/large.py [--photos FILE ...] [--runs 3]
    python benchmarks/large.py --megapixels 1 --runs 1     # to try the script: leaves `results` alone
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from common import RESULTS, RUNS, heading
from PIL import Image
from skimage import data
from startup import OURS, PEER, once

from trimatte.synthetic import scene

WAYS = {
    "default": [],
    "`--quality fast`": ["--quality", "fast"],
    "`--quality best`": ["--quality", "best"],
    "`--method light`": ["--method", "light"],
    "`--method hybrid`": ["--method", "hybrid"],
}
FULL = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", metavar="FILE", help="instead of painted ones")
    parser.add_argument("--runs", type=int, default=3, help="of each, of which the quickest and the slowest are told")
    parser.add_argument("--megapixels", type=float, default=FULL)
    given = parser.parse_args()
    out = RESULTS if given.runs >= 3 and given.megapixels >= FULL else RUNS
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = list(make_photos(folder, given.photos, given.megapixels))
        lines = [
            *heading(f"Photos of {given.megapixels:g} megapixels, file to file"),
            "",
            *table(folder, photos, given.runs),
        ]
    text = "\n".join(lines) + "\n"
    print(text)
    (out / "large.md").write_text(text)


def make_photos(folder: Path, sources: Sequence[Path] | None, megapixels: float) -> Iterator[tuple[str, Path]]:
    """What each photo shows and its file, a JPEG of so many megapixels."""
    if sources is None:
        side = round((megapixels * 1e6 * 12) ** 0.5 / 4)
        painted = scene("hair", (side, side * 4 // 3), seed=7).image
        arrays = {"scikit-image's astronaut": data.astronaut(), "painted hair": painted}
        pictures = {what: Image.fromarray(array) for what, array in arrays.items()}
    else:
        pictures = {file.name: Image.open(file).convert("RGB") for file in sources}
    for number, (what, picture) in enumerate(pictures.items()):
        scale = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
        size = round(picture.width * scale), round(picture.height * scale)
        file = folder / f"{number}.jpg"
        picture.resize(size, Image.Resampling.LANCZOS).save(file, quality=92)
        yield what, file


def table(folder: Path, photos: Sequence[tuple[str, Path]], runs: int) -> Iterator[str]:
    """The rows, a photo's together."""
    result = folder / "result.png"
    yield f"{runs} runs of each, of rembg one; kernels are compiled before."
    yield from ("", "| photo | way | unknown | quickest | slowest | CPU seconds | peak MB |", "| --- " * 7 + "|")
    for what, photo in photos:
        for way, options in WAYS.items():
            command = [*OURS, "cutout", str(photo), "--force", "-o", str(result), *options]
            unknown = f"{100 * share_unknown(command, photo):.1f} %"  # compiles what is not yet, too
            yield row(what, way, unknown, [once(command) for _ in range(runs)])
        if find_spec("rembg"):
            peer = [sys.executable, "-c", PEER, str(photo), str(result)]
            yield row(what, "rembg, U2NetP, alpha matting", "", [once(peer)])
        else:
            yield f"| {what} | rembg, U2NetP, alpha matting: not installed | | | | | |"


def share_unknown(command: Sequence[str], photo: Path) -> float:
    """The share of a photo that is unknown in its cut-out."""
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    width, height = Image.open(photo).size
    unknown: int = json.loads(done.stdout)["report"]["alpha"]["unknown"]
    return unknown / (width * height)


def row(what: str, way: str, unknown: str, figures: Sequence[tuple[float, float, float]]) -> str:
    seconds = [figure[0] for figure in figures]
    cpu, peak = min(figures)[1], max(figure[2] for figure in figures)
    return f"| {what} | {way} | {unknown} | {min(seconds):.2f} | {max(seconds):.2f} | {cpu:.2f} | {peak:.0f} |"


if __name__ == "__main__":
    main()
