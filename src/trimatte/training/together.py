"""The segmenter and the network of clicks, trained together: one encoder that serves both.

The segmenter learns what the subject of a picture is, the clicks what hangs together whether it is the subject or not.
The decoder of clicks follows the encoder as that changes, and what clicks teach it, to tell things apart, is what a
busy scene asks of the segmenter.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trimatte.networks.clicks import Clicks
from trimatte.networks.lite import Lite
from trimatte.training import clicks, segmenter
from trimatte.training.resident import Batch
from trimatte.training.steps import averaging, checked, save_state

Photos = tuple[Tensor, Tensor, Tensor, Tensor]
"""Pictures (B, 3, H, W), and `masks`, `known`, `trust` of `clicks.Targets`."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    segmenter, clicks : recipes of both; the steps are the segmenter's, which begins with the embedded weights.
    every : a step of clicks is taken with each so many of the segmenter.
    share : weight of the clicks' loss.
    """

    segmenter: segmenter.Recipe
    clicks: clicks.Recipe
    every: int = 2
    share: float = 0.7


class Batches(torch.utils.data.Dataset[tuple[Batch, Photos | None]]):
    """The batches of both of all steps from `first` on, each a pure function of its number."""

    def __init__(self, recipe: Recipe, first: int) -> None:
        self.recipe, self.first = recipe, first
        self.pictures = segmenter.Pictures(recipe.segmenter)
        self.scenes = clicks.Scenes(recipe.clicks, 0)

    def __len__(self) -> int:
        return self.recipe.segmenter.steps - self.first

    def __getitem__(self, index: int) -> tuple[Batch, Photos | None]:
        torch.set_num_threads(1)
        step, photos = self.first + index, None
        if step % self.recipe.every == 0:
            x, *rest = self.scenes.photos(step)
            photos = (torch.from_numpy(x), *rest)
        return self.pictures.batch(step), photos  # type: ignore[return-value]


class Pair:
    """Both networks, the averages of their weights, the optimiser, and the step that is next."""

    def __init__(self, recipe: Recipe, folder: Path, initial: Path) -> None:
        self.recipe, self.folder, self.step = recipe, folder, 0
        torch.manual_seed(recipe.segmenter.seed)
        self.lite, self.clicks = Lite(variant=recipe.segmenter.variant), Clicks()
        resumed = self.checkpoint.exists()
        if not resumed:
            segmenter.begin(self.lite, "embedded", segmenter.Pictures(recipe.segmenter))
            self.clicks.load_state_dict(segmenter.read_weights(initial))
        for network in (self.lite, self.clicks):
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for parameter in self.lite.encoder.first(recipe.segmenter.frozen).parameters():
            parameter.requires_grad_(False)
        self.averages = [averaging(network, recipe.segmenter.average) for network in (self.lite, self.clicks)]
        self.optimizer = segmenter.optimizer_of(self.lite, recipe.segmenter)
        self.optimizer.add_param_group(
            {"params": [*self.clicks.parameters()], "peak": recipe.clicks.rate, "weight_decay": recipe.clicks.decay}
        )
        if resumed:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            self.step = int(state["step"])
            for name, part in self._parts():
                part.load_state_dict(state[name])

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def _parts(self) -> list[tuple[str, Any]]:
        names = ("segmenter", "clicks", "segmenter_average", "clicks_average", "optimizer")
        return list(zip(names, (self.lite, self.clicks, *self.averages, self.optimizer), strict=True))

    def learn(self, batch: Batch, photos: Photos | None) -> tuple[float, float]:
        """Take a step; the losses of both before it, the clicks' 0 if they take none. Raises `ModelError`."""
        recipe = self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * segmenter.rate_at(self.step, recipe.segmenter)
        self.lite.train()
        segmenter.keep_norms(self.lite)
        self.clicks.train()
        self.optimizer.zero_grad(set_to_none=True)
        x, *truth = batch
        loss = segmenter.deep_loss(self.lite(x), *truth)
        torch.autograd.backward(loss)
        pointed = torch.zeros(())
        if photos is not None:
            pointed = clicks.learn(
                self.clicks,
                self._targets(photos),
                recipe.clicks,
                np.random.default_rng((recipe.clicks.seed, 1, self.step)),
            )
            torch.autograd.backward(recipe.share * pointed)
        values = checked(loss, self.step + 1), checked(pointed, self.step + 1)
        nn.utils.clip_grad_norm_([p for p in self.lite.parameters() if p.requires_grad], 5.0)
        nn.utils.clip_grad_norm_(self.clicks.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        for average, network in zip(self.averages, (self.lite, self.clicks), strict=True):
            average.update_parameters(network)
        return values

    def _targets(self, photos: Photos) -> clicks.Targets:
        """What clicks are to find, and the segmenter's maps, through which their loss reaches the encoder."""
        x, *rest = photos
        found = self.lite.encoder(x.contiguous(memory_format=torch.channels_last))
        half, *drawn = self.lite.draw(found)
        logits = self.lite.heads[0](half).detach()
        return clicks.Targets([*found[1:], half, *drawn[:-1]], clicks.answer_before(logits), *rest)

    def save(self) -> None:
        """Write what was learnt, each file as a whole."""
        state = {name: part.state_dict() for name, part in self._parts()}
        save_state({**state, "step": self.step}, self.checkpoint)
        for average, name in zip(self.averages, ("segmenter.pt", "clicks.pt"), strict=True):
            save_state(average.module.state_dict(), self.folder / name)


def train(
    recipe: Recipe,
    folder: Path,
    *,
    initial: Path,
    every: int = 10,
    watch: Callable[[int, float, float], None] | None = None,
) -> tuple[Path, Path]:
    """Run or resume `recipe` in `folder`; the files of averaged weights of the segmenter and of the clicks.

    `initial` are weights of the clicks to begin with. `folder` gets `log.csv`, too, and what is needed to resume, all
    written every `every` steps. `watch` gets the number of steps done and the losses of both. Raises `ModelError` for
    a loss that is no number: what was saved stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pair = Pair(recipe, folder, initial)
    batches = Batches(recipe, pair.step)
    for batch, photos in torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4):
        losses = pair.learn(batch, photos)
        with (folder / "log.csv").open("a", newline="") as log:
            csv.writer(log).writerow([pair.step, *(f"{loss:.5f}" for loss in losses)])
        if watch:
            watch(pair.step, *losses)
        if pair.step % every == 0 or pair.step == recipe.segmenter.steps:
            pair.save()
    return folder / "segmenter.pt", folder / "clicks.pt"
