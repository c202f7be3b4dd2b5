"""Packed sets: what goes in comes out, in shards of a limited size; and training on them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

torch = pytest.importorskip("torch")

from trimatte.cli.train_pack import command as train_pack  # noqa: E402
from trimatte.cli.train_segmenter import command as train_segmenter  # noqa: E402
from trimatte.errors import ArgumentError, ModelError  # noqa: E402
from trimatte.networks.lite import Lite  # noqa: E402
from trimatte.segmentation.cards import read_card  # noqa: E402
from trimatte.training.packs import HeldOut, Packed, pack, summary, unpack  # noqa: E402
from trimatte.training.resident import Canvases, Resident, blocky, coloured, damaged, enlarged, softened  # noqa: E402
from trimatte.training.segmenter import PackedPictures, Recipe, train  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
QUICK = ("--start", "{start}", "--steps", 2, "--batch", 2, "--long-side", 64, "--validate-every", 1)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights to begin with."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("start") / "start.pt"
    torch.save(Lite().state_dict(), path)
    return path


def scene(seed, width=64, height=48):
    """A light box in a dark noise (RGB), and its mask (LA) whose top row is not known."""
    rng = np.random.default_rng(seed)
    photo, mask = rng.integers(0, 60, (height, width, 3)), np.zeros((height, width, 2))
    mask[..., 1] = 255
    mask[0, :, 1] = 0
    photo[12:36, 16:48] += 180
    mask[12:36, 16:48, 0] = 255
    return Image.fromarray(photo.astype(np.uint8)), Image.fromarray(mask.astype(np.uint8))


def pictures():
    """Four photos, wide, tall and square, one of them to measure on, two cut-outs and a background."""
    sizes = ((64, 48), (48, 64), (56, 56))
    yield from (Packed("photo", *scene(i, *size), group="boxes", weight=1.0 + i) for i, size in enumerate(sizes))
    yield Packed("validation", *scene(4), group="boxes")
    for name, colour in (("red", (255, 0, 0, 255)), ("green", (0, 255, 0, 128))):
        yield Packed("cutout", Image.new("RGBA", (30, 40), colour), group=name)
    yield Packed("background", Image.new("RGB", (80, 60), (0, 0, 255)), group="walls")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A folder of one shard."""
    folder = tmp_path_factory.mktemp("packed")
    pack(pictures(), folder)
    return folder


def test_what_goes_in_comes_out(packed):
    for before, after in zip(pictures(), unpack(packed), strict=True):
        assert replace(after, picture=before.picture, mask=before.mask) == before
        assert after.picture.mode == before.picture.mode
        off = np.asarray(after.picture).astype(float) - np.asarray(before.picture)
        assert np.abs(off).mean() < 12
        if before.mask:
            assert np.array_equal(after.mask, before.mask)


def test_the_same_pictures_make_the_same_bytes(packed, tmp_path):
    (again,) = pack(pictures(), tmp_path)
    assert again.read_bytes() == (packed / again.name).read_bytes()


def test_shards_are_no_larger_than_wanted(tmp_path):
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)) for _ in range(12)]
    shards = pack((Packed("background", picture) for picture in noise), tmp_path / "a", megabytes=0.015)
    assert len(shards) > 2
    assert max(shard.stat().st_size for shard in shards) <= 15_000
    assert len(list(unpack(tmp_path / "a"))) == 12
    with pytest.raises(ModelError, match=r"picture 0 alone takes more than 0\.003"):
        pack([Packed("background", noise[0])], tmp_path / "b", megabytes=0.003)


def test_pictures_are_made_smaller(tmp_path):
    pack([Packed("photo", *scene(0, 200, 100))], tmp_path, long_side=50)
    (each,) = unpack(tmp_path)
    assert each.picture.size == each.mask.size == (50, 25)


def test_summary_and_held_out(packed):
    assert summary(packed) == {
        "boxes": "3 photos, 1 photos kept aside",
        "green": "1 cut-outs",
        "red": "1 cut-outs",
        "walls": "1 backgrounds",
    }
    held = HeldOut(packed)
    (item,) = held.items()
    assert held.describe()["photos"] == 1
    assert np.array_equal(item.read()[1], scene(4)[1])


def test_folders_that_cannot_be_read(packed, tmp_path):
    with pytest.raises(ModelError, match="holds no shards"):
        list(unpack(tmp_path))
    with pytest.raises(ModelError, match="holds shards already"):
        pack([], packed)
    shard = tmp_path / "shard-000.zip"
    for content in (b"no archive", archive({"index.json": b"no json"}), archive({}), archive(index(role="sky"))):
        shard.write_bytes(content)
        with pytest.raises(ModelError, match=r"shard-000\.zip is damaged"):
            list(unpack(tmp_path))
    photo = (packed / shard.name).read_bytes()
    shard.write_bytes(photo[: len(photo) // 2])
    with pytest.raises(ModelError, match=r"shard-000\.zip is damaged"):
        list(unpack(tmp_path))


def index(**entries):
    row = {"number": 0, "role": "photo", "group": "", "weight": 1.0, "trust": 1.0}
    return {"index.json": json.dumps([row | entries]).encode()}


def archive(files):
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as written:
        for name, content in files.items():
            written.writestr(name, content)
    return buffer.getvalue()


def test_a_pack_without_photos_trains_nothing(tmp_path):
    pack([Packed("background", Image.new("RGB", (40, 40)))], tmp_path)
    with pytest.raises(ModelError, match="holds no photo to train on"):
        Resident(tmp_path, CPU, side=64)


# What is done to pictures on the device


def test_a_whole_picture_is_seen_as_it_is():
    planes = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    canvases = Canvases(planes, np.array([[32.0, 32.0]]))
    whole, picks = np.array([[0.0, 0, 32, 32]]), np.array([0])
    seen = canvases.parts(picks, whole, (32, 32), np.array([False]))
    assert torch.allclose(255 * seen, planes.float(), atol=1e-2)
    mirrored = canvases.parts(picks, whole, (32, 32), np.array([True]))
    assert torch.allclose(mirrored, seen.flip(-1), atol=1e-4)
    part = canvases.parts(picks, np.array([[8.0, 4, 24, 28]]), (16, 24), np.array([False]))
    assert torch.allclose(part, seen[..., 4:28, 8:24], atol=1e-4)


def test_batches_repeat_and_hold_what_masks_say(packed):
    recipe = Recipe([], pack=packed, batch=4, long_side=64, composed=0.0)
    sample = PackedPictures(recipe, Resident(packed, CPU, side=64))
    first, second = sample.batch(3), sample.batch(3)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    photos, masks, known, trusts = first
    assert photos.shape[0] == 4
    assert photos.shape[2:] == masks.shape[2:] == known.shape[2:]
    assert set(trusts.tolist()) == {1.0}
    light = photos.mean(1, keepdim=True)
    assert light[(masks == 1) & (known == 1)].mean() > light[(masks == 0) & (known == 1)].mean() + 0.5
    assert not torch.equal(photos, sample.batch(4)[0])


def test_batches_have_three_shapes_at_most(packed):
    recipe = Recipe([], pack=packed, batch=1, long_side=64, composed=0.0)
    sample = PackedPictures(recipe, Resident(packed, CPU, side=64))
    assert 1 < len({sample.batch(index)[0].shape for index in range(24)}) <= 3


def test_scenes_show_their_subject_and_some_have_none(packed):
    resident = Resident(packed, CPU, side=64)
    photos, masks, known, _ = resident.batch(0, (64, 64), 64, 1.0, np.random.default_rng(0))
    assert torch.isfinite(photos).all()
    assert known.min() == 1
    shares = masks.mean((1, 2, 3))
    assert 0 < (shares == 0).float().mean() < 0.35
    assert shares.max() > 0.15


def test_things_stand_behind_the_subject(packed, monkeypatch):
    monkeypatch.setattr("trimatte.training.resident.coloured", lambda photos, rng: photos)
    monkeypatch.setattr("trimatte.training.resident.damaged", lambda photos, rng: photos)
    resident = Resident(packed, CPU, side=64)
    plain, crowded = (resident.batch(0, (64, 64), 16, 0.0, np.random.default_rng(0), crowded=share) for share in (0, 1))
    assert torch.equal(plain[1], crowded[1])
    changed = (plain[0] != crowded[0]).any(1, keepdim=True)
    assert changed.any((1, 2, 3)).float().mean() > 0.8
    assert not changed[(plain[1] == 1) | (plain[2] == 0)].any()


def test_damage_keeps_the_range():
    photos = torch.rand((6, 3, 32, 48), generator=torch.Generator().manual_seed(0))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        changed = damaged(coloured(photos, rng), rng)
        assert changed.shape == photos.shape
        assert 0 <= changed.min() <= changed.max() <= 1


def test_blur_and_blocks():
    flat = torch.full((1, 3, 16, 16), 0.4)
    assert torch.allclose(softened(flat, 2.0), flat, atol=1e-5)
    photo = torch.rand((2, 3, 16, 24), generator=torch.Generator().manual_seed(0))
    assert softened(photo, 2.0).var() < 0.2 * photo.var()
    assert torch.allclose(enlarged(flat, 3.0), flat, atol=1e-5)
    assert enlarged(photo, 4.0).var() < 0.2 * photo.var()
    assert torch.allclose(blocky(photo, 1e-6), photo, atol=1e-4)
    assert 0.01 < (blocky(photo, 0.2) - photo).abs().mean() < 0.3


# Training on it


def test_training_repeats_and_resumes(packed, start, tmp_path, monkeypatch):
    recipe = Recipe([], pack=packed, steps=4, batch=2, long_side=64, variant=0, start=start, composed=0.5)
    train(recipe, tmp_path / "whole", every=2)
    monkeypatch.setattr("trimatte.training.segmenter.SAVE_SECONDS", 0.0)

    def stop(step, loss):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", every=100, watch=stop)
    assert torch.load(tmp_path / "parts/checkpoint.pt", weights_only=True)["step"] == 2
    train(recipe, tmp_path / "parts", every=2)
    whole, parts = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("whole", "parts"))
    assert all(torch.allclose(whole[name], parts[name], atol=1e-5) for name in whole)


@pytest.mark.parametrize("tune", [True, False])
def test_norms_and_first_blocks_are_kept(packed, start, tmp_path, tune):
    recipe = Recipe(
        [],
        pack=packed,
        steps=2,
        batch=2,
        long_side=64,
        variant=0,
        start=start,
        tune=tune,
        frozen=2,
        warm_up=1,
        rate=0.1,
    )
    train(recipe, tmp_path, every=2)
    before, after = (torch.load(path, weights_only=True) for path in (start, tmp_path / "weights.pt"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("running" in name for name in changed) != tune
    kept = ("encoder._conv_stem", "encoder._bn0", "encoder._blocks.0.", "encoder._blocks.1.")
    assert not any(name.startswith(kept) for name in changed)
    assert any(name.startswith("encoder._blocks.2.") for name in changed)


def call(command, *options, start=""):
    return CliRunner().invoke(command, [str(option).format(start=start) for option in options])


def test_commands(make_set, start, tmp_path):
    """From folders to a pack to a segmenter whose card names them."""
    root = make_set("matte")
    (root / "mask").symlink_to(root / "alpha")
    Image.new("RGBA", (40, 50), (255, 0, 0, 255)).save(folder(tmp_path / "things") / "a.png")
    Image.new("RGB", (80, 50)).save(folder(tmp_path / "walls") / "a.png")
    shared = ("--cutouts", tmp_path / "things", "--backgrounds", tmp_path / "walls", "--out", tmp_path / "pack")
    made = call(train_pack, "--photos", f"{root}:2", "--aside", 1, *shared)
    assert made.exit_code == 0, made.output
    assert made.output.split()[-1] == str(tmp_path / "pack/shard-000.zip")
    run = call(train_segmenter, "--pack", tmp_path / "pack", "--out", tmp_path / "mine", *QUICK, "--json", start=start)
    assert run.exit_code == 0, run.output
    told = json.loads(run.output)
    assert 0 < float(told["figures"]["iou"]) < 1
    card = read_card((tmp_path / "mine/mine.toml").read_text())
    assert card.data["data"] == summary(tmp_path / "pack")


def folder(path):
    path.mkdir()
    return path


def test_bad_calls(packed, start, tmp_path):
    empty = folder(tmp_path / "empty")
    for command, options, message in (
        (train_pack, ("--out", tmp_path / "x"), "got no folder of photos"),
        (train_pack, ("--out", tmp_path / "x", "--photos", empty), "0 photos with masks in image/ and mask/"),
        (train_pack, ("--out", tmp_path / "x", "--photos", f"{empty}:0"), "got the weight 0"),
        (train_segmenter, ("--out", tmp_path / "x", *QUICK), "wanted --data with --classes, or --pack"),
        (train_segmenter, ("--out", tmp_path / "x", "--pack", packed, "--data", empty, *QUICK), "goes without --data"),
        (train_segmenter, ("--out", tmp_path / "x", "--pack", packed, "--device", "abacus", *QUICK), "'abacus'"),
        (train_segmenter, ("--out", tmp_path / "x", "--pack", empty, *QUICK), "holds no shards"),
    ):
        result = call(command, *options, start=start)
        assert isinstance(result.exception, (ArgumentError, ModelError)), result.output
        assert message in str(result.exception)


def test_cuda_is_asked_for_where_there_is_none(packed, start, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    run = call(train_segmenter, "--out", tmp_path / "x", "--pack", packed, "--device", "cuda", *QUICK, start=start)
    assert isinstance(run.exception, ArgumentError)
    assert "PyTorch sees no GPU" in str(run.exception)


BARE = """
import runpy, sys
from importlib.machinery import PathFinder
missing, find = {"numba", "scipy", "onnxruntime", "click", "platformdirs", "fsspec", "tqdm"}, PathFinder.find_spec
def found(name, path=None, target=None):
    return None if name.partition(".")[0] in missing else find(name, path, target)
PathFinder.find_spec = found
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_whole_run_on_a_bare_machine(packed, start, tmp_path):
    """With nothing but torch, onnx, NumPy and Pillow, a pack becomes weights, a card and a log."""
    options = ("--pack", packed, "--out", tmp_path / "run", "--start", start, "--device", "cpu", "--minutes", 0.001)
    small = ("--batch", 2, "--long-side", 64)
    command = [sys.executable, "-c", BARE, ROOT / "benchmarks/train_alone.py", *options, *small]
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "run").iterdir()} >= {
        "lite-own.onnx",
        "lite-own.toml",
        "log.csv",
        "weights.pt",
        "checkpoint.pt",
    }
    with (tmp_path / "run/log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)][-1] == "1"
    assert read_card((tmp_path / "run/lite-own.toml").read_text()).name == "lite-own"
