"""Peak memory of full-size Deep Image Matting, with random weights, on a large picture on the CPU.

    python benchmarks/deep_memory.py [--megapixels 24] [--window 512]

The picture is noise; its unknown band is a ring, as about a head. Writes benchmarks/results/deep-memory.md. Memory is
the whole process's, with the picture, Python and PyTorch; it does not ask for a quiet machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import RESULTS, heading

from trimatte.runtime.measure import peak_bytes


def write_weights(path: Path) -> None:
    from trimatte.networks.checkpoints import save_checkpoint
    from trimatte.networks.dim import DIM

    save_checkpoint(path, DIM(), "deep-image-matting")


def measure(path: Path, megapixels: float, window: int) -> dict[str, float]:
    from trimatte.alpha import estimate_alpha

    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2) / height
    trimap = np.where(distance < 0.2, 255, np.where(distance < 0.205, 128, 0)).astype(np.uint8)
    del distance
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    matte = estimate_alpha(image, trimap, method="deep-image-matting", weights=path, device="cpu", window=window)
    assert matte.alpha.shape == trimap.shape
    return {
        "megapixels": height * width / 1e6,
        "unknown": int(np.count_nonzero(trimap == 128)),
        "window": window,
        "peak_gb": round(peak_bytes() / 1e9, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.weights:
        print(json.dumps(measure(options.weights, options.megapixels, options.window)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        write_weights(path)
        # In a process of its own, whose peak is not that of making the weights.
        command = [sys.executable, *sys.argv, "--weights", str(path)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    table = [*heading("Deep Image Matting: peak memory on the CPU"), ""]
    table += ["The paper's form (130.6 million parameters, 0.52 GB) with random weights, in single precision.", ""]
    table += ["| megapixels | unknown pixels | window | peak, GB |", "| ---: | ---: | ---: | ---: |"]
    table.append("| {megapixels:.1f} | {unknown} | {window} | {peak_gb} |".format(**told))
    RESULTS.joinpath("deep-memory.md").write_text("\n".join(table) + "\n")
    print("\n".join(table))


if __name__ == "__main__":
    main()
