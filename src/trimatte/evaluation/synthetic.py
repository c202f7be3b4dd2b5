"""The synthetic benchmark on disk: the folders of a benchmark set, made instead of downloaded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from trimatte.errors import ArgumentError
from trimatte.evaluation.pictures import made_trimap, parse_rule, save_grey
from trimatte.files.atomic import atomic_write
from trimatte.images import as_alpha, save_image
from trimatte.synthetic.scenes import Scene, scene
from trimatte.synthetic.subjects import KINDS

FOLDERS = ("image", "alpha", "foreground", "background", "trimap")


def synthesize(
    out: str | os.PathLike[str],
    *,
    count: int = 22,
    size: tuple[int, int] = (512, 512),
    seed: int = 0,
    kinds: Sequence[str] = tuple(KINDS),
    overlap: float = 0.0,
    noise: float = 0.0,
    jpeg: int | None = None,
    trimap: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write `count` scenes, the kinds in turn: image/, alpha/, foreground/, background/, trimap/ and synthetic.json.

    Scene i of a kind has the seed `seed` + i, so that a larger set holds the smaller. For the dials see
    `trimatte.synthetic.scene`, for the rule of the trimaps `trimatte.evaluation.pictures.made_trimap`; by
    default their band's half width is 1/128 to 1/64 of the short side.
    The same arguments write the same bytes (with the same versions of NumPy and Pillow). An earlier set in `out` is
    replaced.

    Raises ArgumentError for a wrong argument or if `out` holds other files.
    """
    if count < 1 or not kinds:
        raise ArgumentError(f"count, kinds: got {count}, {list(kinds)}, wanted at least one scene")
    if trimap is None:
        trimap = f"made:{max(2, min(size) // 128)}-{max(4, min(size) // 64)}"
    rule = parse_rule(trimap)
    if rule is None:
        raise ArgumentError(f"trimap: got {trimap!r}, wanted made:LOW-HIGH")
    root = Path(out)
    if root.exists() and any(root.iterdir()) and not (root / "synthetic.json").exists():
        raise ArgumentError(f"out: {os.fspath(out)!r} holds other files")
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    _delete_earlier(root)
    dials = {"overlap": overlap, "noise": noise, "jpeg": jpeg}
    scenes = []
    for i in range(count):
        kind, own_seed = kinds[i % len(kinds)], seed + i // len(kinds)
        name = f"{kind}_{own_seed:04d}"
        painted = scene(kind, size, seed=own_seed, overlap=overlap, noise=noise, jpeg=jpeg)
        _write(root, name, painted)
        made, how = made_trimap(as_alpha(painted.alpha), name, *rule)
        save_grey(root / "trimap" / f"{name}.png", made)
        scenes.append({"name": name, "kind": kind, "seed": own_seed, "trimap_radius": how["radius"]})
        if progress is not None:
            progress(name)
    recipe = {"size": list(size), "seed": seed, "trimap": trimap, **dials, "scenes": scenes}
    with atomic_write(root / "synthetic.json") as file:
        file.write((json.dumps(recipe, indent=1) + "\n").encode())
    return root


def _delete_earlier(root: Path) -> None:
    """A larger set that lay here before must not leave some of its scenes among the new ones."""
    recipe = root / "synthetic.json"
    try:
        names = [Path(earlier["name"]).name for earlier in json.loads(recipe.read_text())["scenes"]]
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise ArgumentError(f"out: {os.fspath(recipe)!r} is damaged, so what lies beside it is left alone") from error
    for name in names:
        for folder in FOLDERS:
            (root / folder / f"{name}.png").unlink(missing_ok=True)


def _write(root: Path, name: str, painted: Scene) -> None:
    save_grey(root / "alpha" / f"{name}.png", painted.alpha)
    for folder in ("image", "foreground", "background"):
        save_image(root / folder / f"{name}.png", getattr(painted, folder))
