"""Losses against the same written out in NumPy, pixel by pixel where that is clearer."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from trimatte.networks import modnet  # noqa: E402
from trimatte.training.alpha_losses import (  # noqa: E402
    Batch,
    alpha_loss,
    composition_loss,
    dim_loss,
    gfm_loss,
    laplacian_loss,
    modnet_consistency_loss,
    modnet_loss,
)

pytestmark = pytest.mark.torch


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)

    def tensor(*shape):
        return torch.from_numpy(rng.random(shape).astype(np.float32))

    alpha, foreground, background = tensor(2, 1, 64, 64), tensor(2, 3, 64, 64), tensor(2, 3, 64, 64)
    trimap = torch.from_numpy(rng.choice(np.float32([0, 128 / 255, 1]), (2, 1, 64, 64)))
    alpha = torch.where(trimap == 0, 0, torch.where(trimap == 1, 1, alpha))
    return Batch(alpha * foreground + (1 - alpha) * background, alpha, trimap, foreground, background)


@pytest.fixture
def guess(batch):
    return torch.rand(batch.alpha.shape, generator=torch.Generator().manual_seed(0))


def arrays(batch):
    return {name: value.numpy().astype(np.float64) for name, value in vars(batch).items()}


def test_deep_image_matting(batch, guess):
    b, a = arrays(batch), guess.numpy().astype(np.float64)
    unknown = (b["trimap"] > 0) & (b["trimap"] < 1)
    of_alpha = np.sqrt((a - b["alpha"]) ** 2 + 1e-12)[unknown].sum() / (unknown.sum() + 1)
    true, ours = (x * b["foreground"] + (1 - x) * b["background"] for x in (b["alpha"], a))
    of_colour = np.sqrt((ours - true) ** 2 + 1e-12).mean(1, keepdims=True)[unknown].sum() / (unknown.sum() + 1)
    assert alpha_loss(guess, batch.alpha, batch.unknown).item() == pytest.approx(of_alpha, rel=1e-5)
    assert composition_loss(guess, batch, batch.unknown).item() == pytest.approx(of_colour, rel=1e-5)
    trained = guess.clone().requires_grad_()
    assert dim_loss(trained, None, batch).item() == pytest.approx((of_alpha + of_colour) / 2, rel=1e-5)
    assert dim_loss(guess, trained, batch).item() == pytest.approx(of_alpha, rel=1e-5)  # the first stage is frozen


def test_modnet(batch, guess):
    b, a = arrays(batch), guess.numpy().astype(np.float64)
    semantics = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    unknown = (b["trimap"] > 0) & (b["trimap"] < 1)
    # Bilinear at 1/16 takes the four pixels about each cell's middle.
    middles = [b["alpha"][:, 0, i::16, j::16] for i in (7, 8) for j in (7, 8)]
    line = np.exp(-np.array([1.0, 0.0, 1.0]) / (2 * 0.8**2))
    padded = np.pad(np.mean(middles, 0), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    blurred = sum(
        line[i] * line[j] / line.sum() ** 2 * padded[:, i : i + 4, j : j + 4] for i in range(3) for j in range(3)
    )
    loss = 10 * np.mean((semantics.numpy()[:, 0] - blurred) ** 2)
    loss += 10 * np.mean(np.abs(a - b["alpha"]) * unknown)
    image = 2 * b["image"] - 1
    for weight, x in ((1, a), (4, np.where(unknown, a, b["trimap"]))):
        loss += weight * np.mean(np.abs(x - b["alpha"])) + weight * np.mean(np.abs(image * x - image * b["alpha"]))
    assert modnet_loss(semantics, guess, guess, batch).item() == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("scheme", ["TT", "FT", "BT"])
def test_gfm_at_the_truth_costs_only_its_class_probabilities(batch, scheme):
    """Logits that say the truth: background, transition and foreground for glance, alpha for focus."""
    kinds = (batch.trimap > 0).long() + (batch.trimap == 1).long()
    classes = {"TT": kinds, "FT": (kinds == 2).long(), "BT": (kinds > 0).long()}[scheme][:, 0]
    glance = 50 * torch.nn.functional.one_hot(classes, 3 if scheme == "TT" else 2).permute(0, 3, 1, 2).float()
    # FT's focus adds to what is no foreground, BT's takes from what is no background.
    focus = torch.logit(1 - batch.alpha if scheme == "BT" else batch.alpha, eps=1e-6)
    if scheme == "FT":
        focus = torch.where(kinds == 0, -20, focus)
    if scheme == "BT":
        focus = torch.where(kinds == 2, -20, focus)
    assert gfm_loss(glance, focus, batch, scheme).item() < 1e-4
    assert gfm_loss(glance, focus + 1, batch, scheme).item() > 1e-2
    assert gfm_loss(-glance, focus, batch, scheme).item() > 1


def test_laplacian_pyramid(guess):
    """A constant error is all in the coarsest mean, which no level sees; a checkerboard is all in the finest."""
    assert laplacian_loss(guess, guess - 0.3).item() < 1e-6
    board = torch.from_numpy((np.indices((64, 64)).sum(0) % 2).astype(np.float32) * 2 - 1)[None, None]
    assert laplacian_loss(0.5 * board, 0 * board).item() == pytest.approx(0.5, rel=1e-5)


def test_modnet_on_pictures_without_truth():
    torch.manual_seed(0)
    network = modnet.MODNet(modnet.TINY).eval()
    before = copy.deepcopy(network)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    same = modnet_consistency_loss(network, before, image)
    same.backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    assert all(parameter.grad is None for parameter in before.parameters())
    with torch.no_grad():  # the same but for the detail, which was held for more
        before.hr_branch.conv_hr[1].layers[0].bias += 3
    difference = (network.predict(image)[1] - before.predict(image)[1]).abs()
    more = modnet_consistency_loss(network, before, image).item() - same.item()
    assert difference.min().item() - 1e-4 < more < difference.max().item() + 1e-4  # its mean about the edge
