"""What a command costs before and beside the work: the first cut-out ever, a fresh process, an error, small pictures.

Every run is a process of its own, which imports, opens networks, loads kernels, reads, cuts out and writes. The photo
is scikit-image's astronaut (public domain), enlarged to 0.67 megapixels; small pictures are parts of it. rembg's U2NetP
with alpha matting runs beside it where rembg is installed.

    python benchmarks/startup.py
    python benchmarks/startup.py --runs 1 --count 20      # to try the script: leaves `results` alone
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from common import RESULTS, RUNS, heading
from PIL import Image
from skimage import data

PHOTO = 820, 820
SMALL = 32
PEER = """
import sys
from PIL import Image
from rembg import new_session, remove
remove(Image.open(sys.argv[1]), session=new_session("u2netp"), alpha_matting=True).save(sys.argv[2])
"""
MEASURE = """
import os, sys, time
start = time.perf_counter()
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - start
print(os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""
"""A process inherits the peak of the one that starts it, so that a small one has to."""
OURS = [sys.executable, "-m", "trimatte"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each, of which the quickest counts")
    parser.add_argument("--count", type=int, default=300, help="small pictures")
    given = parser.parse_args()
    full = given.runs >= 5 and given.count >= 300
    out = RESULTS if full else RUNS
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        lines = [*heading("Start-up"), "", *table(Path(folder), given.runs, given.count)]
    text = "\n".join(lines) + "\n"
    print(text)
    (out / "startup.md").write_text(text)


def table(folder: Path, runs: int, count: int) -> Iterator[str]:
    """The rows, each as it is done."""
    photo, result = folder / "photo.jpg", folder / "result.png"
    Image.fromarray(data.astronaut()).resize(PHOTO, Image.Resampling.BICUBIC).save(photo, quality=92)
    cut = [*OURS, "cutout", str(photo), "--force", "-o", str(result)]
    yield f"A photo of {PHOTO[0] * PHOTO[1] / 1e6:.2f} megapixels; the quickest of {runs} runs, but of the first ever."
    yield from ("", "| what | seconds | CPU seconds | peak MB |", "| --- | --- | --- | --- |")
    kernels = folder / "kernels"
    own = {"NUMBA_CACHE_DIR": str(kernels)}
    yield row("first cut-out ever: no kernel is compiled yet", once(cut, own))
    yield row("fresh process", best(cut, runs, own))
    fast = [*cut, "--quality", "fast"]
    once(fast, own)
    yield row("fresh process, --quality fast", best(fast, runs, own))
    if find_spec("rembg"):
        yield row("rembg, U2NetP, alpha matting", best([sys.executable, "-c", PEER, str(photo), str(result)], runs))
    else:
        yield "| rembg, U2NetP, alpha matting: not installed | | | |"
    yield row("an error: there is no such file", best([*OURS, "cutout", str(folder / "none.jpg")], runs, fails=True))
    yield row("--help", best([*OURS, "--help"], runs))
    seconds = best_of_folder(folder, count, runs, own)
    yield ""
    yield f"{count} pictures of {SMALL} x {SMALL}, a folder into another: {count / seconds:.0f} a second with start-up."


def row(what: str, figures: tuple[float, float, float]) -> str:
    seconds, cpu, peak = figures
    return f"| {what} | {seconds:.2f} | {cpu:.2f} | {peak:.0f} |"


def best(
    command: list[str], runs: int, more: Mapping[str, str] | None = None, *, fails: bool = False
) -> tuple[float, float, float]:
    """The figures of the quickest run."""
    return min(once(command, more, fails=fails) for _ in range(runs))


def once(
    command: list[str], more: Mapping[str, str] | None = None, *, fails: bool = False
) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak megabytes of one process; of a folder's, those of its greatest process."""
    measured = [sys.executable, "-I", "-S", "-c", MEASURE, *command]
    environment = {**os.environ, **(more or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # pip leaves byte code beside what it installs
    done = subprocess.run(measured, env=environment, capture_output=True, text=True, check=True)
    code, seconds, cpu, peak = map(float, done.stdout.split())
    if (code != 0) != fails:
        raise SystemExit(f"{' '.join(command)}: ended with {code:.0f}: {done.stderr}")
    return seconds, cpu, peak


def best_of_folder(folder: Path, count: int, runs: int, more: Mapping[str, str]) -> float:
    """Seconds for a folder of small pictures."""
    pictures, results = folder / "small", folder / "results"
    pictures.mkdir()
    photo = Image.fromarray(data.astronaut())
    for i in range(count):
        x, y = 37 * i % 200, 53 * i % 200
        part = photo.crop((x, y, x + 312, y + 312)).resize((SMALL, SMALL), Image.Resampling.BOX)
        part.save(pictures / f"{i:04d}.png")
    quickest = float("inf")
    for _ in range(runs):
        shutil.rmtree(results, ignore_errors=True)
        quickest = min(quickest, once([*OURS, "cutout", str(pictures), "-o", str(results)], more)[0])
    return quickest


if __name__ == "__main__":
    main()
