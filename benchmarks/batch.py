"""Batches: the rate of several processes, memory over the run, and what is left after kills at random moments.

Photos of one megapixel are made from synthetic scenes, or from the pictures of a folder, enlarged or reduced to that
size, turned and mirrored until there are enough.

    python benchmarks/batch.py [--photos FOLDER] [--count 200] [--kills 30]
    python benchmarks/batch.py --count 6 --kills 3 --side 300       # to try the script: leaves `results` alone
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, RUNS, heading
from PIL import Image

from trimatte.batch.jobs import list_folder
from trimatte.synthetic import scene
from trimatte.synthetic.subjects import KINDS

WAYS = {
    "one process, one thread": ["--workers", "1", "--threads", "1"],
    "one process, all threads": ["--workers", "1"],
    "a process for each processor": [],
}
TENTHS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", metavar="FOLDER", help="pictures to make the photos from")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--side", type=int, default=1000, help="root of a photo's pixels")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    run = RUNS / "batch"
    shutil.rmtree(run, ignore_errors=True)
    make_photos(run / "photos", given.photos, given.count, given.side)
    photos = f"{given.count} photos of {given.side**2 / 1e6:.2g} MP, {'from a folder' if given.photos else 'synthetic'}"
    head = [*heading("Batches"), f"{photos}; default options.", ""]
    lines = [*head, *rates(run, given.count), "", *kills(run, given)]
    text = "\n".join(lines) + "\n"
    print(text)
    full = given.count >= 200 and given.kills >= 30 and given.side >= 1000
    ((RESULTS if full else run) / "batch.md").write_text(text)


def make_photos(out: Path, folder: str | None, count: int, side: int) -> None:
    """`count` JPEG files of about side x side pixels, each different."""
    out.mkdir(parents=True)
    kinds = list(KINDS)
    sources = list_folder(folder).pictures if folder else []
    for i in range(count):
        if sources:
            with Image.open(sources[i % len(sources)]) as opened:
                image = opened.convert("RGB")
            scale = side / (image.width * image.height) ** 0.5
            image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
            turn = i // len(sources)
        else:
            image = Image.fromarray(scene(kinds[i % len(kinds)], (side, side), seed=i // len(kinds) % 2).image)
            turn = i // (2 * len(kinds))
        codes = np.rot90(np.asarray(image), turn % 4)
        codes = codes[:, ::-1] if turn // 4 % 2 else codes
        Image.fromarray(np.ascontiguousarray(codes)).save(out / f"{i:04d}.jpg", quality=90 - turn // 8)


def command(run: Path, out: Path, options: Sequence[str] = ()) -> list[str]:
    return [sys.executable, "-m", "trimatte", "cutout", str(run / "photos"), "-o", str(out), *options]


def rates(run: Path, count: int) -> list[str]:
    """Table of the ways to do all photos: seconds, rate, and the memory of all processes in each tenth of the run."""
    head = ["way", "seconds", "photos a second", "relative", "peak MB", *(f"{i + 1}/{TENTHS}" for i in range(TENTHS))]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    first = 0.0
    for way, options in WAYS.items():
        out = run / way.replace(",", "").replace(" ", "-")
        seconds, memory = watched(command(run, out, options))
        first = first or count / seconds
        parts = [max(part, default=0.0) for part in split(memory, TENTHS)]
        figures = [f"{seconds:.0f}", f"{count / seconds:.2f}", f"{count / seconds / first:.2f}", f"{max(memory):.0f}"]
        lines.append("| " + " | ".join([way, *figures, *(f"{part:.0f}" for part in parts)]) + " |")
    return lines


def watched(words: Sequence[str]) -> tuple[float, list[float]]:
    """Wall time of a command, and the megabytes that it and its workers held, every half second."""
    start = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    memory = []
    while process.poll() is None:
        memory.append(held(process.pid) / 1e6)
        time.sleep(0.5)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} failed")
    return time.monotonic() - start, memory


def held(pid: int) -> float:
    """Bytes of a process and its children, what they share counted once."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total = int(line.split()[1]) * 1024
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return total + sum(held(int(child)) for child in children)


def split(values: Sequence[float], count: int) -> list[Sequence[float]]:
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    return [values[a:b] for a, b in pairwise(edges)]


def kills(run: Path, given: argparse.Namespace) -> list[str]:
    """Kill the batch and its resumptions at random moments, let the last one end, and judge what is there."""
    whole = results(run / "a-process-for-each-processor")
    out, rng = run / "killed", random.Random(given.seed)
    usual = 3 + 0.6 * given.count * (given.side / 1000) ** 2 / max(1, given.kills)
    killed = 0
    for _ in range(given.kills):
        process = subprocess.Popen(command(run, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.2, usual))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    code = subprocess.run(command(run, out), stdout=subprocess.DEVNULL).returncode
    there, problems = results(out), []
    problems += [f"{name} is missing" for name in whole if name not in there]
    problems += [f"{name} differs" for name in there if there[name] != whole.get(name)]
    records: dict[str, Any] = {}
    times: dict[str, set[str]] = {}
    for line in (out / "manifest.jsonl").read_text().splitlines():
        record = json.loads(line)
        records[record["input"]] = record
        times.setdefault(record["output"], set()).add(record["output_sha256"])
    problems += [
        f"{name}: the manifest says {r['output_sha256']}"
        for name, r in records.items()
        if there.get(r["output"]) != r["output_sha256"]
    ]
    problems += [f"{name} came out in {len(seen)} ways" for name, seen in times.items() if len(seen) > 1]
    problems += [f"{path} is left over" for path in (out / ".trimatte" / "staging").iterdir()]
    verdict = "all as those of one run, manifest consistent, nothing left over"
    if problems:
        verdict = f"{len(problems)} problems: {'; '.join(problems[:5])}"
    return [
        f"Killed (SIGKILL) {killed} times of {given.kills} starts, then run to its end: exit code {code}, "
        f"{len(there)} of {len(whole)} results, {verdict}."
    ]


def results(out: Path) -> dict[str, str]:
    """SHA-256 of every result."""
    files = (path for path in out.rglob("*.png") if ".trimatte" not in path.parts)
    return {os.path.relpath(path, out): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
