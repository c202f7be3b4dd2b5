"""Training of networks that estimate alpha: Deep Image Matting in its three steps, MODNet, GFM.

A run is a folder: `recipe.json`, `log.csv`, `last.pt` to go on from, and `best.pt`, the weights with the least
validation SAD, which `weights=` of the alpha methods takes. The same recipe gives the same weights on one thread of one
machine.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from trimatte import metrics
from trimatte.errors import ArgumentError, ModelError
from trimatte.files.atomic import atomic_write
from trimatte.networks import dim, gfm, modnet
from trimatte.networks.checkpoints import BUILDERS, Config, NetworkName, load_checkpoint, save_checkpoint
from trimatte.networks.dim import DIM
from trimatte.networks.gfm import GFM
from trimatte.networks.inference import STRIDE, pick_device
from trimatte.networks.modnet import MODNet
from trimatte.networks.pickles import read_pickle
from trimatte.training.alpha_data import Augmentation, Sample, Sources, make_sample, stack
from trimatte.training.alpha_losses import Batch, dim_loss, gfm_loss, modnet_loss

Phase = Literal["coarse", "refine", "all"]

VARIANTS: dict[NetworkName, dict[str, Config]] = {
    "deep-image-matting": {
        "paper": dim.PAPER,
        "mmagic": dim.MMAGIC,
        "huochaitiantang": dim.HUOCHAITIANTANG,
        "indexnet": dim.INDEXNET,
        "foamliu": dim.FOAMLIU,
        "tiny": dim.TINY,
    },
    "modnet": {"published": modnet.PUBLISHED, "tiny": modnet.TINY},
    "gfm": {
        **{name: gfm.GFMConfig(name) for name in ("r34", "r34_2b", "r101", "d121")},
        "tiny": gfm.TINY,
    },
}
"""Names of what can be trained, the first of each network by default."""

RATES: dict[NetworkName, float] = {"deep-image-matting": 1e-5, "modnet": 1e-2, "gfm": 1e-5}
"""The authors' learning rates: Adam for Deep Image Matting and GFM, SGD for MODNet. Without pre-trained encoders, ten
times as much is a better start."""

_HELD_OUT = 2**40  # the number of the first validation sample, far from any training sample's


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run.

    network, variant, scheme : what is trained, see `VARIANTS`; the scheme is GFM's.
    steps : of each phase. Deep Image Matting with refinement has three phases: encoder and decoder alone; refinement
        alone, on trimaps that are hardly wider than the truth; all together. The others have one.
    batch : samples a step.
    rate : learning rate; None for the authors'.
    validation : number of held-out composites, and every how many steps they are looked at.
    """

    network: NetworkName = "deep-image-matting"
    variant: str | None = None
    scheme: gfm.Scheme = "TT"
    steps: int = 1000
    batch: int = 4
    rate: float | None = None
    seed: int = 0
    validation: int = 8
    validate_every: int = 200
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("validation", 1), ("validate_every", 1)):
            if getattr(self, name) < least:
                raise ArgumentError(f"{name}: got {getattr(self, name)}, wanted at least {least}")
        size = self.augmentation.size
        if size < STRIDE or size % STRIDE:
            raise ArgumentError(f"size: got {size}, wanted a multiple of {STRIDE}")
        if self.rate is not None and not self.rate > 0:
            raise ArgumentError(f"rate: got {self.rate}, wanted more than 0")

    def config(self) -> Config:
        """The network's variant. Raises `ArgumentError` for a name there is none of."""
        if self.network not in VARIANTS:
            raise ArgumentError(f"network: got {self.network!r}, wanted one of {', '.join(VARIANTS)}")
        variants = VARIANTS[self.network]
        name = next(iter(variants)) if self.variant is None else self.variant
        if name not in variants:
            raise ArgumentError(f"variant: {self.network} has no {name!r}, it has {', '.join(variants)}")
        config = variants[name]
        return replace(config, scheme=self.scheme) if isinstance(config, gfm.GFMConfig) else config


@dataclass
class Progress:
    """Where a run stands; figures are those of the last validation."""

    step: int
    steps: int
    phase: Phase
    loss: float
    rate: float
    figures: dict[str, float] = field(default_factory=dict)


def train(
    recipe: Recipe,
    sources: Sources,
    folder: str | Path,
    *,
    initial: str | Path | None = None,
    resume: bool = False,
    device: str = "auto",
    workers: int = 0,
    watch: Callable[[Progress], None] | None = None,
) -> Path:
    """Train a network and return the file of its best weights.

    Parameters
    ----------
    sources : Sources
        Cut-outs and backgrounds; every tenth cut-out, if there are ten, is kept for validation.
    folder : str or path
        Of the run; made if it is not there.
    initial : str or path, optional
        Weights to begin with: a checkpoint of the same network, or VGG16's for Deep Image Matting.
    resume : bool, default False
        Go on from the folder's `last.pt`; the recipe must be the same but for `steps`, where more may be wanted of a
        network with one phase.
    device : str, default "auto"
        "auto", "cpu", "cuda" or "mps"; in single precision.
    workers : int, default 0
        Processes that make samples; with 0 this one does. The samples are the same.
    watch : callable, optional
        Called after every step.

    Raises
    ------
    ArgumentError, ModelError
        For a recipe or files that do not fit; if the loss is no longer finite.
    """
    folder = Path(folder)
    place, _ = pick_device(device, "single")
    network = _start(recipe, initial).to(place)
    phases = _phases(network)
    training, held_out = _split(sources)
    run = _Run(folder, recipe)
    done, best, state = run.resume(network) if resume else (0, math.inf, None)
    validation = _validation_samples(recipe, held_out)
    total = recipe.steps * len(phases)
    for number, phase in enumerate(phases):
        first, last = max(done, number * recipe.steps), (number + 1) * recipe.steps
        if first >= last:
            continue
        optimizer = _optimizer(recipe, network, phase)
        if state is not None and first > number * recipe.steps:
            optimizer.load_state_dict(state)
        for step, batch in enumerate(_batches(recipe, training, phase, first, last, workers), first + 1):
            rate = _set_rate(optimizer, recipe, step - number * recipe.steps)
            loss = train_step(network, optimizer, batch.to(place), phase)
            if not math.isfinite(loss):
                raise ModelError(f"training: the loss is {loss} at step {step}; try a lower rate than {rate:g}")
            progress = Progress(step, total, phase, loss, rate)
            if step % recipe.validate_every == 0 or step == total:
                progress.figures = validate(network, validation, place)
                improved = progress.figures["sad"] < best
                best = min(best, progress.figures["sad"])
                run.save(network, optimizer, step, best, improved)
            run.log(progress)
            if watch is not None:
                watch(progress)
    return run.best


def train_step(network: nn.Module, optimizer: torch.optim.Optimizer, batch: Batch, phase: Phase = "all") -> float:
    """One step on one batch; returns the loss before it."""
    network.train()
    loss = compute_loss(network, batch, phase)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())


def compute_loss(network: nn.Module, batch: Batch, phase: Phase = "all") -> Tensor:
    """The loss that the network's authors train with."""
    x = network_input(network, batch)
    if isinstance(network, DIM):
        coarse, refined = network.stages(x)
        return dim_loss(coarse, None if phase == "coarse" else refined, batch)
    if isinstance(network, MODNet):
        return modnet_loss(*network.predict(x), batch)
    assert isinstance(network, GFM)
    return gfm_loss(*network.predict(x), batch, network.config.scheme)


def network_input(network: nn.Module, batch: Batch) -> Tensor:
    """The batch as the network wants its pixels."""
    if isinstance(network, DIM):
        mean, std = (batch.image.new_tensor(values).view(1, 3, 1, 1) for values in (dim.MEAN, dim.STD))
        return torch.cat(((batch.image - mean) / std, batch.trimap), 1)
    return 2 * batch.image - 1 if isinstance(network, MODNet) else 255 * batch.image


def validate(network: nn.Module, samples: Iterable[Sample], device: torch.device) -> dict[str, float]:
    """Mean SAD, MSE, gradient and connectivity error: of unknown pixels, or of all for networks without a trimap."""
    network.eval()
    sums: dict[str, list[float]] = {"sad": [], "mse": [], "gradient": [], "connectivity": []}
    for sample in samples:
        with torch.inference_mode():
            out = network(network_input(network, stack([sample]).to(device)))
        alpha = out[0, 0].float().clamp(0, 1).cpu().numpy()
        trimap = sample.trimap if isinstance(network, DIM) else None
        sums["sad"].append(metrics.sad(alpha, sample.alpha, trimap=trimap))
        sums["mse"].append(metrics.mse(alpha, sample.alpha, trimap=trimap))
        sums["gradient"].append(metrics.gradient_error(alpha, sample.alpha, trimap=trimap))
        sums["connectivity"].append(metrics.connectivity_error(alpha, sample.alpha, trimap=trimap))
    return {name: sum(values) / len(values) for name, values in sums.items()}


def _start(recipe: Recipe, initial: str | Path | None) -> nn.Module:
    config = recipe.config()
    torch.manual_seed(recipe.seed)
    network = BUILDERS[recipe.network][1](config)
    if initial is None:
        return network
    data = read_pickle(initial)
    if isinstance(network, DIM) and isinstance(data, dict) and "features.0.weight" in data:
        dim.load_vgg16(network, data)
        return network
    options: dict[str, Any] = {}
    if isinstance(config, dim.DIMConfig):
        options = {"skips": config.skips}
    elif isinstance(config, gfm.GFMConfig):
        options = {"scheme": config.scheme}
    checkpoint = load_checkpoint(initial, recipe.network, **options)
    missing = network.load_state_dict(checkpoint.network.state_dict(), strict=False)
    odd = [key for key in missing.missing_keys if not key.startswith("refine_")] + missing.unexpected_keys
    if odd:
        raise ModelError(f"{initial}: another variant than the one to be trained; {', '.join(odd[:4])} differ")
    return network


def _phases(network: nn.Module) -> tuple[Phase, ...]:
    return ("coarse", "refine", "all") if isinstance(network, DIM) and network.config.refine else ("all",)


def _optimizer(recipe: Recipe, network: nn.Module, phase: Phase) -> torch.optim.Optimizer:
    """Over what the phase trains; the rest is frozen."""
    chosen = []
    for name, parameter in network.named_parameters():
        refines = name.startswith("refine_")
        parameter.requires_grad_(phase == "all" or refines == (phase == "refine"))
        if parameter.requires_grad:
            chosen.append(parameter)
    rate = RATES[recipe.network] if recipe.rate is None else recipe.rate
    if recipe.network == "modnet":
        return torch.optim.SGD(chosen, rate, momentum=0.9)
    return torch.optim.Adam(chosen, rate)


def _set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int) -> float:
    """Constant for Deep Image Matting and GFM; for MODNet a tenth after every quarter of the steps."""
    rate = RATES[recipe.network] if recipe.rate is None else recipe.rate
    if recipe.network == "modnet":
        rate *= 0.1 ** min(3, 4 * (step - 1) // recipe.steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def _split(sources: Sources) -> tuple[Sources, Sources]:
    """What to train on and what to validate on; with few cut-outs the latter is painted."""
    if len(sources.cutouts) < 10:
        return sources, replace(sources, cutouts=[])
    held_out = sources.cutouts[::10]
    rest = [cutout for i, cutout in enumerate(sources.cutouts) if i % 10]
    return replace(sources, cutouts=rest), replace(sources, cutouts=held_out, painted=0.0)


def _validation_samples(recipe: Recipe, sources: Sources) -> list[Sample]:
    band = (10, 10)
    plain = replace(recipe.augmentation, scales=(1.0,), erosion=band, dilation=band, double=0.0, damage=False)
    return [make_sample(sources, plain, recipe.seed, _HELD_OUT + i) for i in range(recipe.validation)]


@dataclass(frozen=True)
class _Samples(Dataset[Sample]):
    """Samples by number, for the loader's workers."""

    sources: Sources
    augmentation: Augmentation
    seed: int

    def __getitem__(self, index: int) -> Sample:
        return make_sample(self.sources, self.augmentation, self.seed, index)


def _batches(recipe: Recipe, sources: Sources, phase: Phase, first: int, last: int, workers: int) -> Iterator[Batch]:
    """The batches of steps first + 1 to last. Refinement alone sees narrow trimaps, without random dilation."""
    augmentation = recipe.augmentation
    if phase == "refine":
        augmentation = replace(augmentation, erosion=(1, 1), dilation=(1, 1))
    loader = DataLoader(
        _Samples(sources, augmentation, recipe.seed),
        batch_size=recipe.batch,
        sampler=range(first * recipe.batch, last * recipe.batch),
        collate_fn=stack,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


class _Run:
    """The files of a run."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self.best, self.last, self.log_file = (folder / name for name in ("best.pt", "last.pt", "log.csv"))
        self.begun = time.perf_counter()

    def resume(self, network: nn.Module) -> tuple[int, float, dict[str, Any]]:
        """Load `last.pt` into the network: steps done, best SAD so far, the optimizer's state."""
        if not self.last.exists():
            raise ArgumentError(f"resume: {self.folder} has no last.pt to go on from")
        data = read_pickle(self.last)
        before, now = json.loads(data["recipe"]), json.loads(self._recipe())
        changed = [name for name in now if now[name] != before.get(name)]
        if changed and not (changed == ["steps"] and len(_phases(network)) == 1):
            raise ArgumentError(f"resume: {', '.join(changed)} differ from the run in {self.folder}")
        network.load_state_dict(data["state_dict"])
        step = int(data["step"])
        self._cut_log(step)
        return step, float(data["best"]), cast("dict[str, Any]", data["optimizer"])

    def save(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, step: int, best: float, improved: bool
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(self._recipe() + "\n")
        if improved:
            with atomic_write(self.best) as file:
                save_checkpoint(file, network, self.recipe.network, step=step, best=best)
        extra = {"optimizer": optimizer.state_dict(), "step": step, "best": best, "recipe": self._recipe()}
        with atomic_write(self.last) as file:
            save_checkpoint(file, network, self.recipe.network, **extra)

    def log(self, progress: Progress) -> None:
        """One line of `log.csv`; the figures are empty where nothing was validated."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = progress.step == 1 or not self.log_file.exists()
        with self.log_file.open("w" if fresh else "a", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            if fresh:
                writer.writeheader()
            seconds = round(time.perf_counter() - self.begun, 1)
            plain = {name: getattr(progress, name) for name in ("step", "phase", "loss", "rate")}
            writer.writerow(plain | {"seconds": seconds} | progress.figures)

    def _cut_log(self, step: int) -> None:
        """Forget what was logged after the checkpoint was written."""
        if self.log_file.exists():
            lines = self.log_file.read_text().splitlines(keepends=True)
            self.log_file.write_text("".join(lines[: step + 1]))

    def _recipe(self) -> str:
        return json.dumps(asdict(self.recipe), indent=2)


_COLUMNS = ("step", "phase", "loss", "rate", "seconds", "sad", "mse", "gradient", "connectivity")
