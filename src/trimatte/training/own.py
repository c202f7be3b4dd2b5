"""A segmenter of one's own: train, export, write its card."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from trimatte.errors import ArgumentError, ModelError
from trimatte.files.atomic import atomic_write, sha256
from trimatte.networks.efficientnet_lite import SCALES
from trimatte.networks.lite import Lite
from trimatte.segmentation.cards import is_name
from trimatte.segmentation.contract import contract_of
from trimatte.segmentation.onnx import segmenter
from trimatte.training.export import export_lite, mix
from trimatte.training.items import Labelled
from trimatte.training.packs import summary
from trimatte.training.resident import Resident
from trimatte.training.segmenter import Recipe, read_weights, train, validate
from trimatte.training.toml import toml_key, toml_value
from trimatte.training.unfold import embedded_file, embedded_variant
from trimatte.training.views import MEAN, STD

STARTS = {
    "imagenet": "ImageNet weights of EfficientNet-Lite, Apache-2.0",
    "embedded": "the segmenter lite of trimatte, see its card",
}


def train_own(
    recipe: Recipe,
    out: Path,
    *,
    name: str,
    validation: Labelled | None = None,
    resume: bool = False,
    every: int = 200,
    watch: Callable[[int, float], None] | None = None,
    device: str = "cpu",
    resident: Resident | None = None,
) -> tuple[Path, dict[str, str]]:
    """Train the segmenter `name` in the folder `out`; returns its card, beside which its ONNX file lies, and figures.

    The recipe's sources and `validation` are such as `gather` makes, or it names a pack. With `resume` a run that was
    broken off goes on; its recipe has to be the same.

    Raises
    ------
    ArgumentError
        As `check_run` does; if the run in `out` is of another recipe; for a share to keep of other weights than the
        embedded ones.
    """
    check_run(name, out, resume)
    if recipe.keep and recipe.start != "embedded":
        raise ArgumentError(f"keep: got {recipe.keep} with the start {recipe.start}; it goes with embedded")
    if resume:
        before, now = json.loads((out / "recipe.json").read_text()), json.loads(recipe.describe())
        changed = [entry for entry in now if now[entry] != before.get(entry)]
        if changed:
            raise ArgumentError(f"resume: {', '.join(changed)} differ from the run in {out}")
    weights = train(recipe, out, validation=validation, every=every, watch=watch, device=device, resident=resident)
    network = out / f"{name}.onnx"
    export_lite(weights, network, variant=recipe.variant)
    figures = _figures(out, validation)
    if recipe.keep:
        with embedded_file() as embedded:
            mix(embedded, network, recipe.keep, network)
        figures = _figures_of(network, recipe, validation, figures)
    card = out / f"{name}.toml"
    with atomic_write(card) as file:
        file.write(_card(name, network, recipe, figures).encode())
    return card, figures


def variant_for(start: str) -> int:
    """The variant of the network that the weights to begin with are of. Raises `ModelError` if they are of none."""
    if start == "imagenet":
        return 2
    if start == "embedded":
        return embedded_variant()
    shapes = {name: weight.shape for name, weight in read_weights(start).items()}
    for variant in SCALES:
        with torch.device("meta"):
            network = Lite(variant=variant)
        if shapes == {name: weight.shape for name, weight in network.state_dict().items()}:
            return variant
    raise ModelError(f"start: {start} holds no weights of this network")


def check_run(name: str, out: Path, resume: bool) -> None:
    """Raise `ArgumentError` for a bad name, or if `out` holds a run that is not resumed."""
    if not is_name(name):
        raise ArgumentError(f"name: got {name!r}, wanted small letters, digits, dots, hyphens")
    there = (out / "checkpoint.pt").exists()
    if there and not resume:
        raise ArgumentError(f"out: {out} holds a run already; say --resume to go on, or take another folder")
    if resume and not there:
        raise ArgumentError(f"resume: {out} holds no run to go on with")


def _figures(out: Path, validation: Labelled | None) -> dict[str, str]:
    """What the last line of the log says."""
    with (out / "log.csv").open() as file:
        *_, last = csv.DictReader(file)
    figures = {"steps": last["step"], "loss": last["loss"]}
    if validation:
        figures |= {"validation": _described(validation), "mean_absolute_error": last["mae"], "iou": last["iou"]}
    return figures


def _figures_of(
    network: Path, recipe: Recipe, validation: Labelled | None, before: Mapping[str, str]
) -> dict[str, str]:
    """Those of the last line of the log, but measured on what is written in the end, where onnxruntime can run that."""
    if find_spec("onnxruntime") is None:
        return {key: value for key, value in before.items() if key in ("steps", "loss")}
    run = segmenter(network, contract_of({"input": _input(recipe)}))
    scores = validate(lambda photo: run(photo / np.float32(255)), validation) if validation else {}
    names = {"mae": "mean_absolute_error", "iou": "iou"}
    return {**before, **{names[score]: str(figure) for score, figure in scores.items()}}


def _input(recipe: Recipe) -> dict[str, float | list[float]]:
    """What a card says of the picture that the network wants."""
    return {"long_side": recipe.long_side, "multiple": 32, "mean": list(MEAN), "std": list(STD), "temperature": 1.0}


def _described(source: Labelled) -> str:
    described = source.describe()
    return f"{described['data']}: {described['photos']} photos"


def _data(recipe: Recipe) -> dict[str, str]:
    if recipe.pack is not None:
        return summary(recipe.pack)
    return {f"set {i}": f"{_described(s)}, weight {s.weight:g}" for i, s in enumerate(recipe.sources, 1)}


def _card(name: str, network: Path, recipe: Recipe, figures: Mapping[str, str]) -> str:
    tables: dict[str, Mapping[str, str | float | list[float]]] = {
        "": {
            "name": name,
            "purpose": "Find the subject of a photo, as its makers' verdicts on the classes of their data say.",
            "file": network.name,
            "sha256": sha256(network),
            "network": f"EfficientNet-Lite{recipe.variant} encoder, pyramid decoder; weights stored in 8 bits",
            "output": "logits of foreground; the sigmoid of logits / temperature is the probability",
            "weak": "Not looked into yet. The probability is not calibrated.",
        },
        "licence": {
            "code": "Apache-2.0",
            "weights": "the makers', within the terms of the data and of the weights it started from",
            "start": STARTS.get(str(recipe.start), str(recipe.start)),
        },
        "data": _data(recipe),
        "recipe": {
            "code": "trimatte.training.segmenter",
            "batch": recipe.batch,
            "seed": recipe.seed,
            "kept": recipe.keep,
        },
        "figures": figures,
        "input": _input(recipe),
    }
    lines = []
    for title, entries in tables.items():
        lines += ["", f"[{title}]"] if title else []
        lines += [f"{toml_key(key)} = {toml_value(value)}" for key, value in entries.items()]
    return "\n".join(lines) + "\n"
