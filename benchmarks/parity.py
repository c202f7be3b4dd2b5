"""How near each classical method is to its reference: the table "How near to the reference" of docs/methods.md.

    python benchmarks/parity.py FOLDER [--methods knn shared] [--only GT01 GT25]

FOLDER holds input/, gt/ and trimap1/, with files of equal names. The reference is pymatting in float64: its solver at a
residual of 1e-8; of random walk, whose system its solver leaves before the end, a direct solution of its matrix; of
shared matting, which solves nothing, its result. For each method: the mean absolute difference over unknown pixels, and
by how much MSE and SAD against the truth differ, both on the worst picture.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import heading
from peer_alpha import triple

from trimatte import estimate_alpha

PEERS = {
    "closed-form": "cf",
    "knn": "knn",
    "learning-based": "lbdm",
    "large-kernel": "lkm",
    "random-walk": "rw",
    "shared": "sm",
}


def reference(method: str, photo: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """Alpha (H, W) of the reference."""
    if method == "random-walk":
        return direct_walk(photo / 255, np.where((trimap > 0) & (trimap < 255), 0.5, trimap / 255))
    options = {} if method == "shared" else {"cg_kwargs": {"rtol": 1e-8, "maxiter": 100_000}}
    return estimate_alpha(photo, trimap, method=f"pymatting:{PEERS[method]}", **options).alpha


def direct_walk(image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    from pymatting import make_linear_system, rw_laplacian
    from scipy.sparse.linalg import splu

    matrix, right = make_linear_system(rw_laplacian(image), trimap)
    factors = splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    return np.clip(factors.solve(right), 0, 1).reshape(trimap.shape)


def differences(method: str, photo: np.ndarray, trimap: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Mean absolute difference, and relative differences of MSE and SAD, over unknown pixels."""
    unknown = (trimap > 0) & (trimap < 255)
    ours = estimate_alpha(photo, trimap, method=method).alpha[unknown].astype(np.float64)
    theirs = reference(method, photo, trimap)[unknown].astype(np.float64)
    errors: list[Callable[[np.ndarray], float]] = [lambda d: np.mean(d**2), lambda d: np.sum(np.abs(d))]
    mse, sad = (error(ours - truth[unknown]) / error(theirs - truth[unknown]) - 1 for error in errors)
    return float(np.abs(ours - theirs).mean()), float(mse), float(sad)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--methods", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--only", nargs="+", help="names of pictures, without suffix")
    given = parser.parse_args()
    files = sorted(
        path.name for path in (given.folder / "input").iterdir() if not given.only or path.stem in given.only
    )
    for line in heading("How near each classical method is to its reference"):
        print(line)
    print("\n| method | pictures | mean difference | on the worst | MSE, worst | SAD, worst |")
    print("| --- | ---: | ---: | --- | ---: | ---: |")
    warnings.simplefilter("ignore")  # of unknown pixels that nothing determines
    for method in given.methods:
        rows = [differences(method, *triple(given.folder, "trimap1", file, 1)) for file in files]
        apart, mse, sad = (np.array(column) for column in zip(*rows, strict=True))
        worst = int(apart.argmax())
        print(
            f"| {method} | {len(files)} | {apart.mean():.4f} | {apart[worst]:.4f} on {Path(files[worst]).stem} "
            f"| {100 * mse[np.abs(mse).argmax()]:+.1f} % | {100 * sad[np.abs(sad).argmax()]:+.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
