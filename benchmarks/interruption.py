"""An evaluation that is killed at random moments and resumed, against one that is left alone.

    python benchmarks/interruption.py [--kills 20] [--jobs 2]

The command line scores closed-form and shared matting on 22 painted scenes. Each kill waits for some more records, none
to three, and a moment besides. SIGKILL goes to the process alone, so that workers have to notice. Records must be the
same to the byte but for `cost` and `commit`, mattes wholly. Writes benchmarks/results/interruption.md.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import RESULTS, ROOT, heading


def start(scenes: Path, run: Path, jobs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "trimatte", "evaluate", str(scenes), "--methods", "closed-form,shared"]
    return subprocess.Popen(
        [*command, "--jobs", str(jobs), "--out", str(run)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def timeless(run: Path) -> list[bytes]:
    """The records' lines without what differs between runs."""
    records = [json.loads(line) for line in (run / "records.jsonl").read_bytes().splitlines()]
    kept = [{k: v for k, v in record.items() if k not in ("cost", "commit")} for record in records]
    return [json.dumps(record).encode() for record in kept]


def mattes(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted((run / "alpha").rglob("*.png"))}


def lines(run: Path) -> int:
    file = run / "records.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        scenes, alone, killed = (Path(name) / part for part in ("scenes", "alone", "killed"))
        synthesize = ["datasets", "synthesize", str(scenes), "--count", "22", "--size", "384x320", "--quiet"]
        subprocess.run([sys.executable, "-m", "trimatte", *synthesize], cwd=ROOT, check=True, capture_output=True)
        assert start(scenes, alone, given.jobs).wait() == 0
        done: list[int] = []
        while len(done) < given.kills:
            process = start(scenes, killed, given.jobs)
            wanted = lines(killed) + chance.randrange(4)
            while process.poll() is None and lines(killed) < wanted:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.3))
            if process.poll() is not None:  # it has come to its end, so the rest of the kills begin from nothing
                assert process.returncode == 0
                assert timeless(killed) == timeless(alone)
                killed = killed.with_name(f"killed-{len(done)}")
                continue
            process.kill()
            process.wait()
            done.append(lines(killed))
            print(f"kill {len(done)}: {done[-1]} records", flush=True)
        assert start(scenes, killed, given.jobs).wait() == 0
        assert timeless(killed) == timeless(alone)
        assert mattes(killed) == mattes(alone)
        total = lines(killed)
    table = [*heading("An evaluation killed and resumed"), ""]
    table += [
        f"closed-form and shared on 22 painted scenes, --jobs {given.jobs}; {given.kills} SIGKILLs at random moments. "
        f"Records on the disk after each: {', '.join(map(str, done))}. In the end {total}, "
        "the same to the byte as those of a run left alone, times aside; so are all mattes."
    ]
    RESULTS.joinpath("interruption.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))


if __name__ == "__main__":
    main()
