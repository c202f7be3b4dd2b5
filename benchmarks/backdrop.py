"""Plain backdrops: what is known of them, against the automatic way.

    python benchmarks/backdrop.py [--drawn FOLDER]

A hundred scenes: hair, net, glass and solid things painted before white, grey with a gradient, and a green or blue
screen that shines onto them, with noise and JPEG; and drawings (letters, rings, signatures, and with --drawn RGBA
pictures of that folder) on the same. Further scenes have a subject that shares the backdrop's colour: patches of it,
and all of its colours moved towards it. Each is cut out three ways: automatically; by closed-form matting from the
trimap that the backdrop gives; and with `backdrop="auto"`. The constants of `trimatte.backdrop` were chosen on other
kinds (fur, feather, foliage, lace, smoke, motion, defocus) and, for what can be seen through, on glass of other seeds.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import RESULTS, heading
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

import trimatte
from trimatte.foreground import estimate_foreground
from trimatte.synthetic import KINDS, degrade, subject
from trimatte.synthetic.fields import coordinates, fractal

SIZE = (384, 384)
REPORTED = ("hair", "net", "glass", "hard")
GROUNDS = ("white", "grey", "screen")
SCENES = 7
DRAWINGS = 16
SHARED = 2
FINE = 4


@dataclass
class Scene:
    """A picture (H, W, 3) uint8, and the truth: alpha (H, W) and foreground (H, W, 3) float32."""

    name: str
    group: str
    ground: str
    image: np.ndarray
    alpha: np.ndarray
    foreground: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", metavar="FOLDER", help="RGBA pictures to take instead of half of the drawings")
    parser.add_argument("--kinds", nargs="+", default=[*REPORTED], choices=[*KINDS], help="of the painted scenes")
    parser.add_argument("--limit", type=int, help="only so many scenes of each, to try the script")
    given = parser.parse_args()
    rows = [measured(scene) for scene in scenes(given.kinds, given.drawn, given.limit)]
    drawn = [f"Half of the drawings are pictures of a folder `{Path(given.drawn).name}`.", ""] if given.drawn else []
    text = "\n".join([*heading("Plain backdrops"), "", *drawn, *table(rows), ""])
    print(text)
    if given.limit is None and given.kinds == [*REPORTED]:
        (RESULTS / "backdrop.md").write_text(text)
        (RESULTS / "backdrop.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def scenes(kinds: list[str], drawn: str | None, limit: int | None) -> Iterator[Scene]:
    for kind in kinds:
        for ground in GROUNDS:
            for seed in range(min(SCENES, limit or SCENES)):
                yield composed(kind, ground, seed, *painted(kind, seed))
    files = sorted(Path(drawn).iterdir()) if drawn else []
    for seed in range(min(DRAWINGS, limit or DRAWINGS)):
        file = files[seed * len(files) // DRAWINGS] if files and seed % 2 else None
        yield composed("drawing", GROUNDS[seed % 3], seed, *(opened(file) if file else drawing(seed)))
    for kind in kinds:
        for ground in GROUNDS:
            for seed in range(min(SHARED, limit or SHARED)):
                for group in ("patch", "alike"):
                    yield composed(kind, ground, 100 + seed, *painted(kind, 100 + seed), group=group)


def painted(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return subject(kind, SIZE, np.random.default_rng([seed, list(KINDS).index(kind)]))


def opened(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """An RGBA picture in the middle of the scene."""
    side = int(0.8 * SIZE[0])
    canvas = Image.new("RGBA", SIZE[::-1])
    canvas.paste(Image.open(path).convert("RGBA").resize((side, side)), ((SIZE[1] - side) // 2, (SIZE[0] - side) // 2))
    values = np.asarray(canvas, np.float32) / 255
    return np.ascontiguousarray(values[..., :3]), np.ascontiguousarray(values[..., 3])


def drawing(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Letters, a ring with a handle, or a signature in one or two colours, antialiased."""
    rng = np.random.default_rng([seed, 77])
    high, wide = SIZE[0] * FINE, SIZE[1] * FINE
    colours = [tuple(int(value) for value in rng.integers(0, 140, 3)) for _ in range(2)]
    mask, second = Image.new("L", (wide, high)), Image.new("L", (wide, high))
    pen, other = ImageDraw.Draw(mask), ImageDraw.Draw(second)
    if seed % 4 < 2:
        word = str(rng.choice(["BAO", "R8g", "&B6", "Dop", "aeb"]))
        pen.text((wide / 2, high / 2), word, fill=255, font=ImageFont.load_default(high * 0.42), anchor="mm")
        other.rectangle((0, high * 0.55, wide, high), fill=255)
    elif seed % 4 == 2:
        pen.ellipse((wide * 0.2, high * 0.25, wide * 0.65, high * 0.75), outline=255, width=int(high * 0.08))
        pen.ellipse((wide * 0.6, high * 0.38, wide * 0.85, high * 0.62), outline=255, width=int(high * 0.03))
    else:
        t = np.linspace(0, 1, 400)
        loops = np.stack([0.12 + 0.76 * t + 0.05 * np.sin(40 * t), 0.5 + 0.18 * np.sin(23 * t + rng.uniform(0, 6))], 1)
        pen.line([(x * wide, y * high) for x, y in loops], fill=255, width=FINE * 3, joint="curve")
    alpha, part = (
        np.asarray(plane.resize(SIZE[::-1], Image.Resampling.BOX), np.float32) / 255 for plane in (mask, second)
    )
    first, last = (np.asarray(colour, np.float32) / 255 for colour in colours)
    return first + part[..., None] * (last - first), alpha


def backdrop_of(ground: str, rng: np.random.Generator) -> np.ndarray:
    """A backdrop's colours (H, W, 3) float32, with light that falls off."""
    y, x = coordinates(*SIZE)
    if ground == "white":
        return np.full((*SIZE, 3), rng.choice([1.0, 1.0, 0.97]), np.float32)
    slope = 0.3 if ground == "grey" else 0.15
    light = 1 + rng.uniform(-slope, slope) * y + rng.uniform(-slope, slope) * x
    if ground == "grey":
        colour = rng.uniform(0.35, 0.8) * (1 + rng.uniform(-0.03, 0.03, 3))
        light = light - rng.uniform(0, 0.3) * (y * y + x * x)
    else:
        colour = np.array([rng.uniform(0.05, 0.2), rng.uniform(0.55, 0.8), rng.uniform(0.1, 0.35)])
        colour = colour[[0, 2, 1]] if rng.random() < 0.3 else colour
    return np.clip(light[..., None] * colour, 0, 1).astype(np.float32)


def composed(
    kind: str, ground: str, seed: int, foreground: np.ndarray, alpha: np.ndarray, *, group: str | None = None
) -> Scene:
    rng = np.random.default_rng([seed, sum(map(ord, kind)), GROUNDS.index(ground)])
    behind = backdrop_of(ground, rng)
    if group == "patch":
        inside = ndimage.distance_transform_edt(alpha > 0.99)
        part = np.clip((fractal(rng, *SIZE, 4, 1) - 0.55) * 20, 0, 1) * np.clip((inside - 8) / 2, 0, 1)
        foreground = foreground + part[..., None] * (behind - foreground)
    elif group == "alike":
        mean = np.einsum("hwc,hw->c", foreground, alpha) / alpha.sum()
        foreground = foreground + 0.8 * (behind.mean(axis=(0, 1)) - mean)
    foreground = np.clip(foreground, 0, 1).astype(np.float32)
    lit = foreground
    if ground == "screen":  # shines onto what stands before it, at the edges most
        near = 0.2 * np.clip(1 - ndimage.gaussian_filter(alpha, 12), 0, 1)
        lit = np.clip(foreground + near[..., None] * behind, 0, 1)
    image = behind + alpha[..., None] * (lit - behind)
    codes = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    noise, quality = float(rng.choice([0, 0.008, 0.02])), [None, 90, 75][int(rng.integers(3))]
    codes = degrade(codes, rng, noise=noise, jpeg=quality)
    return Scene(f"{kind}-{ground}-{seed}", group or kind, ground, codes, alpha, foreground)


def measured(scene: Scene) -> dict[str, object]:
    """SAD / 1000 and foreground error (sum of alpha |F - F*| / 1000, mean of channels) by each way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        automatic = trimatte.cutout(scene.image)
        keyed = trimatte.cutout(scene.image, backdrop="auto")
        assert keyed.trimap is not None
        matte = trimatte.estimate_alpha(scene.image, keyed.trimap)
        colours = estimate_foreground(scene.image, matte.alpha)
    ways = {
        "automatic": (automatic.alpha, automatic.foreground),
        "closed-form": (matte.alpha, colours),
        "backdrop": (keyed.alpha, keyed.foreground),
    }
    row: dict[str, object] = {"name": scene.name, "group": scene.group, "ground": scene.ground}
    row |= {"taken": bool(keyed.report.backdrop), "note": keyed.report.backdrop_note}
    for way, (alpha, foreground) in ways.items():
        row[f"sad {way}"] = float(np.abs(alpha - scene.alpha).sum() / 1000)
        off = np.abs(foreground - scene.foreground).mean(axis=-1)
        row[f"foreground {way}"] = float((scene.alpha * off).sum() / 1000)
    print(json.dumps(row), flush=True)
    return row


def table(rows: list[dict[str, object]]) -> list[str]:
    figures = [f"{what} {way}" for what in ("sad", "foreground") for way in ("automatic", "closed-form", "backdrop")]
    alone = [row for row in rows if row["group"] not in ("patch", "alike")]
    parts = {f"all {len(alone)}": alone}
    for key in ("group", "ground"):
        for value in dict.fromkeys(str(row[key]) for row in alone):
            parts[value] = [row for row in alone if row[key] == value]
    for value in ("patch", "alike"):
        parts[f"shares the colour: {value}"] = [row for row in rows if row["group"] == value]
    lines = [
        "Means of SAD / 1000 over the whole picture, and of the foreground's error, weighted by alpha, / 1000. 'taken'",
        "is the share of scenes whose border said that there is a plain backdrop; the others went the automatic way.",
        "'closed-form' has the trimap of `backdrop`.",
        "",
        "| scenes | taken | " + " | ".join(figures) + " |",
        "| --- |" + " ---: |" * (len(figures) + 1),
    ]
    for name, part in parts.items():
        if part:
            means = (np.mean([float(str(row[figure])) for row in part]) for figure in figures)
            taken = np.mean([bool(row["taken"]) for row in part])
            lines.append(f"| {name} | {taken:.0%} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    return lines


if __name__ == "__main__":
    main()
