"""From photo to alpha, end to end: our pipeline beside rembg's, on photos whose alpha is known.

    python benchmarks/pipelines.py FOLDER --u2netp u2netp.onnx [--limit 3]

rembg is installed from PyPI into an environment of its own (runs/rembg-env) and given the U2NetP file, which is not
downloaded: put it there by hand. One process does all pictures with one session, as ours does; a first picture that is
not counted warms both up. Memory is the process's peak over that picture.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
from common import RUNS, arguments, publish, trimatte
from PIL import Image

from trimatte.evaluation.datasets import Dataset, open_dataset
from trimatte.evaluation.pictures import load_trial

VERSION = "rembg[cpu]==2.0.86"
OURS = ["cutout", "segment"]

# Runs in rembg's environment: photos in, alpha mattes and what they took out.
RUNNER = """
import json, sys, time
from pathlib import Path
from PIL import Image
from rembg import new_session, remove

photos, out, matting = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "matting"
session = new_session("u2netp", providers=["CPUExecutionProvider"])
files = sorted(photos.rglob("*.png"))
costs = {}

def resident(field):
    return next(int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith(field + ":"))

for i, file in enumerate([files[0], *files]):
    image = Image.open(file)
    image.load()
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    cut = remove(image, session=session, alpha_matting=matting)
    seconds = time.perf_counter() - start
    name = file.relative_to(photos).with_suffix("").as_posix()
    target = out / (name + ".png")
    target.parent.mkdir(parents=True, exist_ok=True)
    cut.getchannel("A").save(target)
    if i:
        costs[name] = {"seconds": round(seconds, 4), "peak_bytes": resident("VmHWM")}
(out / "cost.json").write_text(json.dumps(costs))
"""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--u2netp", required=True, help="the file u2netp.onnx (4.6 MB)")
    given = parser.parse_args()
    name = "pipelines"
    dataset = open_dataset(given.dataset).first(given.limit)
    photos = _photos(dataset, RUNS / name / "photos")
    python = _rembg(Path(given.u2netp))
    theirs = {}
    for label, how in (("rembg u2netp", "naive"), ("rembg u2netp -a", "matting")):
        out = RUNS / name / label.replace(" ", "-")
        print(label, flush=True)
        environment = {"U2NET_HOME": str(RUNS / "rembg-env" / "models"), "PATH": "/usr/bin:/bin", "HOME": str(out)}
        out.mkdir(parents=True, exist_ok=True)
        subprocess.run([python, "-c", RUNNER, str(photos), str(out), how], env=environment, check=True)
        theirs[label] = out
    run = RUNS / name / "run"
    limit = [] if given.limit is None else ["--limit", str(given.limit)]
    # They are given the photo alone, so one trimap stands for all that the set has.
    trimap = [word for trimap in dataset.trimaps[:1] for word in ("--trimap", trimap)]
    common = [given.dataset, "--out", str(run), "--region", "whole", *trimap, *limit]
    predictions = [word for label, out in theirs.items() for word in ("--predictions", f"{label}={out}")]
    trimatte("evaluate", *common, *predictions)
    for method in given.methods or OURS:
        trimatte("evaluate", *common, "--methods", method)
    publish(name, run, f"From photo to alpha: trimatte and {VERSION}", given.limit)


def _photos(dataset: Dataset, folder: Path) -> Path:
    """The photos as methods see them, as files for another program."""
    shutil.rmtree(folder, ignore_errors=True)
    for sample in dataset.samples:
        path = folder / f"{sample.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.rint(load_trial(sample).image * 255).astype(np.uint8)).save(path)
    return folder


def _rembg(u2netp: Path) -> Path:
    """Python of an environment that holds rembg and the network."""
    home = RUNS / "rembg-env"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", VERSION], check=True)
    (home / "models").mkdir(exist_ok=True)
    shutil.copy(u2netp, home / "models" / "u2netp.onnx")
    return python


if __name__ == "__main__":
    sys.exit(main())
