"""`trimatte doctor`: what is installed, and whether it works."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

import trimatte
from trimatte.errors import CacheWarning, failure

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "pillow", "tifffile", "onnxruntime")
EXTRAS = {
    "scikit-image": "demo",
    "pymatting": "peers",
    "torch": "torch",
    "onnx": "train",
    "matplotlib": "eval",
    "starlette": "server",
    "distributed": "dask",
}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--warm-up", is_flag=True, help="Compile all kernels now, so that no picture waits for it.")
def command(as_json: bool, warm_up: bool) -> None:
    """Tell versions, threads, caches and the embedded network's card; fail if something does not work."""
    findings, problems = examine()
    if warm_up:
        try:
            findings["warm-up"], complaints = compile_kernels()
            problems.extend(complaints)
        except Exception as error:
            problems.append(f"warm-up: {failure(error)}")
    if as_json:
        click.echo(json.dumps({**findings, "problems": problems}, indent=2, default=str))
    else:
        for section, rows in findings.items():
            click.echo(section)
            _print(rows, "  ")
    if problems:
        for problem in problems:
            click.echo(f"Error: {problem}", err=True)
        sys.exit(1)


def examine() -> tuple[dict[str, Any], list[str]]:
    """What there is, by section, and what does not work."""
    problems: list[str] = []
    findings: dict[str, Any] = {"versions": _versions(problems)}
    sections = {
        "threads": _threads,
        "devices": _devices,
        "caches": _caches,
        "pictures": _pictures,
        "network": _network,
    }
    for section, look in sections.items():
        try:
            findings[section] = look()
        except Exception as error:  # whatever is broken is what we were asked to find
            problems.append(f"{section}: {error}")
    return findings, problems


def warm_ups() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What has compiled kernels, split into two parts that take about as long."""
    from trimatte.alpha.methods import METHODS

    compiled = [name for name, row in METHODS.items() if name in row.kernels]
    local = [name for name in compiled if METHODS[name].local]
    return (*(name for name in compiled if name not in local), "foreground", "decide", "trimap"), ("coarse", *local)


def compile_kernels() -> tuple[dict[str, str], list[str]]:
    """Run every compiled method once on a small picture, two processes side by side.

    Returns the seconds that each took, and why what was compiled cannot be kept.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from trimatte.runtime.threads import available_threads

    spawn = multiprocessing.get_context("spawn")
    work = warm_ups()
    with ProcessPoolExecutor(min(len(work), available_threads()), mp_context=spawn) as pool:
        parts = list(pool.map(_warm_up, work))
    seconds = {name: f"{spent:.1f} s" for spent_by_name, _ in parts for name, spent in spent_by_name.items()}
    return seconds, sorted({complaint for _, complaints in parts for complaint in complaints})


def _warm_up(names: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    import time
    import warnings

    import numpy as np

    from trimatte.foreground import METHODS
    from trimatte.linalg.dissection import factorise
    from trimatte.segmentation.decide import decided
    from trimatte.trimap import SPECK

    rng = np.random.default_rng(0)
    blocks = np.zeros((300, 5, 4, 4), np.float32)
    blocks[:, 0] = np.eye(4)
    image = rng.random((48, 64, 3), np.float32)
    trimap = np.repeat(np.array([0, 128, 128, 255], np.uint8), 16)[None].repeat(48, 0)
    probability = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(48, 0)
    seconds, complaints = {}, list[str]()
    for name in names:
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", CacheWarning)
            if name == "coarse":
                factorise(np.arange(300, dtype=np.int32).reshape(15, 20), blocks).solve(np.ones((300, 4), np.float32))
            elif name == "decide":
                decided(image, probability)
            elif name == "trimap":
                for speck in (0, SPECK):
                    trimatte.make_trimap(probability, speck=speck)
            elif name == "foreground":
                for method in METHODS:
                    trimatte.estimate_foreground(image, probability, method=method)
            else:
                trimatte.estimate_alpha(image, trimap, method=name)
        seconds[name] = time.perf_counter() - start
        complaints.extend(str(w.message) for w in caught if issubclass(w.category, CacheWarning))
    return seconds, complaints


def _versions(problems: list[str]) -> dict[str, str]:
    found = {"trimatte": trimatte.__version__, "python": platform.python_version(), "system": platform.platform()}
    for package in PACKAGES:
        found[package] = _version(package)
        if not found[package]:
            problems.append(f"versions: {package} is not installed")
    for package, extra in EXTRAS.items():
        found[package] = _version(package) or f"not installed (extra `{extra}`)"
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _threads() -> dict[str, Any]:
    import os

    import numba

    from trimatte.runtime.threads import available_threads

    return {"processors": os.cpu_count(), "usable": available_threads(), "numba": numba.get_num_threads()}


def _devices() -> dict[str, str]:
    """Where added networks and PyTorch's can run, and where they will."""
    from trimatte.runtime.device import chosen_device, onnx_devices, torch_devices

    chosen = chosen_device()
    return {
        "onnxruntime": ", ".join(onnx_devices()),
        "torch": ", ".join(torch_devices()) or "not installed",
        "chosen": f"auto: {onnx_devices()[0]}" if chosen == "auto" else chosen,
    }


def _caches() -> dict[str, str]:
    from trimatte.planes import distance

    path = distance._along.stats.cache_path  # type: ignore[attr-defined]
    return {"kernels": path or "none: no writable folder, so kernels are compiled anew in each process"}


def _pictures() -> dict[str, str]:
    from PIL import features

    from trimatte.images import FORMATS

    found = {name: bool(features.check(name)) for name in ("jpg", "webp", "avif", "littlecms2")}
    found["heic"] = FORMATS["HEIF"].readable
    return {name: "yes" if there else "no" for name, there in found.items()}


def _network() -> dict[str, Any]:
    from trimatte.segmentation import registry

    registry.verify("lite")  # raises if the file is damaged
    return {**registry.card("lite").data, "added models": ", ".join(registry.added()) or "none"}


def _print(rows: dict[str, Any], indent: str) -> None:
    """Names beside their values, which begin in one column in all their lines."""
    width = shutil.get_terminal_size().columns
    for name, value in rows.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            first = f"{indent}{name:<14}  "
            lines = textwrap.wrap(
                str(value), max(40, width - len(indent) - 16), break_long_words=False, break_on_hyphens=False
            )
            click.echo(first + f"\n{indent}{'':<16}".join(lines))
