"""How near each classical method is to its reference: the table "How near to the reference" of docs/methods.md.

    python benchmarks/parity.py FOLDER [--methods knn shared] [--only GT01 GT25]

FOLDER holds input/, gt/ and trimap1/, with files of equal names. The reference is pymatting in float64: its solver at a
residual of 1e-8, which starts from our answer where its own start takes minutes; of random walk, whose system its
solver leaves before the end, a direct solution of its matrix; of shared matting, which solves nothing, its result.
For each picture: the mean absolute difference over unknown pixels, and by how much MSE and SAD differ, the errors
against the truth.

Figures go to runs/parity.jsonl picture by picture, so that a script that was interrupted goes on where it stopped, and
from there to benchmarks/results/parity.md. `--again` measures the given methods and pictures anew.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, RUNS, heading
from peer_alpha import triple

from trimatte import estimate_alpha

PEERS = {
    "closed-form": "cf",
    "knn": "knn",
    "shared": "sm",
    "learning-based": "lbdm",
    "random-walk": "rw",
    "large-kernel": "lkm",
}
FROM_OURS = ("learning-based", "large-kernel")
"""Methods whose reference starts from our answer."""
RECORDS = RUNS / "parity.jsonl"


def reference(method: str, photo: np.ndarray, trimap: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Alpha (H, W) of the reference."""
    if method == "random-walk":
        return direct_walk(photo / 255, np.where((trimap > 0) & (trimap < 255), 0.5, trimap / 255))
    solver: dict[str, Any] = {"rtol": 1e-8, "maxiter": 100_000}
    if method in FROM_OURS:
        solver["x0"] = ours.astype(np.float64).ravel()
    options = {} if method == "shared" else {"cg_kwargs": solver}
    matte = estimate_alpha(photo, trimap, method=f"pymatting:{PEERS[method]}", **options)
    if not matte.report.converged:
        raise SystemExit(f"the reference of {method} did not converge: {matte.report.fallbacks}")
    return matte.alpha


def direct_walk(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """The solution of pymatting's matrix; known pixels three and more away from unknown ones have their values."""
    from pymatting import make_linear_system, rw_laplacian
    from scipy.ndimage import binary_dilation
    from scipy.sparse.linalg import splu

    matrix, right = make_linear_system(rw_laplacian(image), trimap)
    free = binary_dilation((trimap > 0) & (trimap < 1), np.ones((3, 3)), iterations=3).ravel()
    alpha = trimap.ravel().copy()
    rows = matrix[free]
    factors = splu(rows[:, free].tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    alpha[free] = factors.solve(right[free] - rows[:, ~free] @ alpha[~free])
    return np.clip(alpha, 0, 1).reshape(trimap.shape)


def differences(method: str, photo: np.ndarray, trimap: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Mean absolute difference over unknown pixels, and MSE and SAD, ours and the reference's."""
    unknown = (trimap > 0) & (trimap < 255)
    alpha = estimate_alpha(photo, trimap, method=method).alpha
    ours = alpha[unknown].astype(np.float64)
    theirs = reference(method, photo, trimap, alpha)[unknown].astype(np.float64)
    figures = {"difference": float(np.abs(ours - theirs).mean())}
    for whose, found in (("ours", ours), ("theirs", theirs)):
        error = found - truth[unknown]
        figures |= {f"mse_{whose}": float(np.mean(error**2)), f"sad_{whose}": float(np.abs(error).sum() / 1000)}
    return figures


def more(record: dict[str, Any], figure: str) -> float:
    """By how many per cent our figure is greater."""
    percent = 100 * (record[f"{figure}_ours"] / record[f"{figure}_theirs"] - 1)
    return round(float(percent), 2) + 0.0  # no -0.00


def summary(records: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| method | pictures | mean difference | on the worst | MSE, worst | SAD, worst |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for method in PEERS:
        rows = [record for record in records if record["method"] == method]
        if rows:
            worst = max(rows, key=lambda row: row["difference"])
            mse, sad = (max((more(row, figure) for row in rows), key=abs) for figure in ("mse", "sad"))
            lines.append(
                f"| {method} | {len(rows)} | {np.mean([row['difference'] for row in rows]):.4f} "
                f"| {worst['difference']:.4f} on {worst['picture']} | {mse:+.2f} % | {sad:+.2f} % |"
            )
    return lines


def by_picture(records: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| method | picture | mean difference | MSE, ours / theirs | | SAD, ours / theirs | |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for record in sorted(records, key=lambda record: (list(PEERS).index(record["method"]), record["picture"])):
        lines.append(
            f"| {record['method']} | {record['picture']} | {record['difference']:.4f} "
            f"| {record['mse_ours']:.5f} / {record['mse_theirs']:.5f} | {more(record, 'mse'):+.2f} % "
            f"| {record['sad_ours']:.3f} / {record['sad_theirs']:.3f} | {more(record, 'sad'):+.2f} % |"
        )
    return lines


def read_records() -> dict[tuple[str, str], dict[str, Any]]:
    """What was measured; a later record takes an earlier one's place."""
    lines = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    return {(record["method"], record["picture"]): record for record in map(json.loads, lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--only", nargs="+", help="names of pictures, without suffix")
    parser.add_argument("--again", action="store_true", help="measure what was measured before")
    given = parser.parse_args()
    files = sorted(
        path.name for path in (given.folder / "input").iterdir() if not given.only or path.stem in given.only
    )
    RECORDS.parent.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")  # of unknown pixels that nothing determines
    for method in given.methods:
        for file in files:
            if given.again or (method, Path(file).stem) not in read_records():
                figures = differences(method, *triple(given.folder, "trimap1", file, 1))
                record = {"method": method, "picture": Path(file).stem, **figures}
                with RECORDS.open("a") as records:
                    print(json.dumps(record), file=records)
                print(record, flush=True)
    done = list(read_records().values())
    lines = [*heading("How near each classical method is to its reference"), "", *summary(done), "", *by_picture(done)]
    (RESULTS / "parity.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
