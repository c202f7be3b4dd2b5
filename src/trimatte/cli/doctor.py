"""`trimatte doctor`: what is installed, and whether it works."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

import trimatte

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "scikit-image", "pymatting", "pillow", "tifffile", "onnxruntime")
EXTRAS = {"torch": "torch"}
KERNEL_METHODS = ("closed-form", "learning-based", "random-walk", "knn", "large-kernel", "shared")


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--warm-up", is_flag=True, help="Compile all kernels now, so that no picture waits for it.")
def command(as_json: bool, warm_up: bool) -> None:
    """Tell versions, threads, caches and the embedded network's card; fail if something does not work."""
    findings, problems = examine()
    if warm_up:
        findings["warm-up"] = compile_kernels()
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
    for section, look in (("threads", _threads), ("caches", _caches), ("pictures", _pictures), ("network", _network)):
        try:
            findings[section] = look()
        except Exception as error:  # whatever is broken is what we were asked to find
            problems.append(f"{section}: {error}")
    return findings, problems


def compile_kernels() -> dict[str, str]:
    """Run every compiled method once on a small picture; the seconds that each took."""
    import time
    import warnings

    import numpy as np

    rng = np.random.default_rng(0)
    image = rng.random((48, 64, 3), np.float32)
    trimap = np.repeat(np.array([0, 128, 128, 255], np.uint8), 16)[None].repeat(48, 0)
    probability = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(48, 0)
    jobs: dict[str, Callable[[], object]] = {"trimap": lambda: trimatte.make_trimap(probability)}
    for method in KERNEL_METHODS:
        jobs[method] = partial(trimatte.estimate_alpha, image, trimap, method=method)
    jobs["foreground"] = lambda: trimatte.estimate_foreground(image, probability)
    seconds = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, run in jobs.items():
            start = time.perf_counter()
            run()
            seconds[name] = f"{time.perf_counter() - start:.1f} s"
    return seconds


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

    from trimatte._threads import available_threads

    return {"processors": os.cpu_count(), "usable": available_threads(), "numba": numba.get_num_threads()}


def _caches() -> dict[str, str]:
    from trimatte import _distance

    path = _distance._along.stats.cache_path  # type: ignore[attr-defined]
    return {"kernels": path or "none: no writable folder, so kernels are compiled anew in each process"}


def _pictures() -> dict[str, str]:
    from PIL import features

    return {name: "yes" if features.check(name) else "no" for name in ("jpg", "webp", "avif", "littlecms2")}


def _network() -> dict[str, Any]:
    from trimatte.segmentation.onnx import lite, lite_card

    card = lite_card()
    lite()  # raises if the file is damaged
    return card


def _print(rows: dict[str, Any], indent: str) -> None:
    for name, value in rows.items():
        if isinstance(value, dict):
            click.echo(f"{indent}{name}")
            _print(value, indent + "  ")
        else:
            click.echo(f"{indent}{name:<14} {value}")
