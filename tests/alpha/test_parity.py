"""What stands under a paper's name gives its reference's answer: pymatting's, in float64, at a tight tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import spsolve

from trimatte import estimate_alpha

PEERS = {"closed-form": "cf", "knn": "knn", "learning-based": "lbdm", "large-kernel": "lkm", "shared": "sm"}


def scene(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A small picture with its trimap and true alpha: a soft disc, hairs, or leaves, over textured grounds."""
    rng = np.random.default_rng(len(kind))
    y, x = np.mgrid[:56, :72].astype(float)
    subject, ground = (gaussian_filter(rng.random((56, 72, 3)), (3, 3, 0)) * 3 - 1 for _ in range(2))
    subject, ground = np.clip(0.3 * subject + 0.5, 0, 1), np.clip(0.4 * ground + [0.1, 0.4, 0.2], 0, 1)
    if kind == "disc":
        alpha = np.clip((20 - np.hypot(y - 28, x - 36)) / 8 + 0.5, 0, 1)
    elif kind == "hairs":
        alpha = np.clip((30 - y + 12 * (np.sin(x * 1.7) > 0.4)) / 4, 0, 1)
    else:
        alpha = np.clip(gaussian_filter(rng.normal(size=(56, 72)), 2) * 12 + (36 - x) / 9, 0, 1)
    image = alpha[..., None] * subject + (1 - alpha[..., None]) * ground + rng.normal(0, 0.01, (56, 72, 3))
    mixed = gaussian_filter(((alpha > 0) & (alpha < 1)).astype(float), 2) > 0.05
    trimap = np.where(mixed, 128, np.where(alpha > 0.5, 255, 0)).astype(np.uint8)
    return np.clip(image, 0, 1).astype(np.float32), trimap, alpha


def reference(method: str, image: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    """pymatting's alpha; of random walk the solution of its matrix, which its own solver leaves before the end."""
    if method != "random-walk":
        options = {} if method == "shared" else {"cg_kwargs": {"rtol": 1e-9}}
        return estimate_alpha(image, trimap, method=f"pymatting:{PEERS[method]}", **options).alpha
    from pymatting import make_linear_system, rw_laplacian

    values = np.where(trimap == 128, 0.5, trimap / 255)
    matrix, right = make_linear_system(rw_laplacian(image.astype(np.float64)), values)
    return np.clip(spsolve(matrix.tocsc(), right), 0, 1).reshape(trimap.shape)


@pytest.mark.parametrize("kind", ["disc", "hairs", "leaves"])
@pytest.mark.parametrize("method", [*PEERS, "random-walk"])
def test_is_the_reference(method: str, kind: str) -> None:
    image, trimap, truth = scene(kind)
    unknown = trimap == 128
    assert 300 < np.count_nonzero(unknown) < 3500
    ours = estimate_alpha(image, trimap, method=method).alpha[unknown].astype(np.float64)
    theirs = reference(method, image, trimap)[unknown].astype(np.float64)
    assert np.abs(ours - theirs).mean() <= 0.002
    for power in (1, 2):
        errors = [np.mean(np.abs(alpha - truth[unknown]) ** power) for alpha in (ours, theirs)]
        assert errors[0] == pytest.approx(errors[1], rel=0.01)
