"""Training of the light segmenter: what is unknown does not count, runs repeat and resume, and `train segmenter`."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

torch = pytest.importorskip("torch")
import onnx  # noqa: E402
from tiny_sets import COUNT, MAKERS, SUBJECT, parts_of  # noqa: E402

from trimatte.cli.train_classes import command as train_classes  # noqa: E402
from trimatte.cli.train_segmenter import command  # noqa: E402
from trimatte.errors import ArgumentError, ModelError  # noqa: E402
from trimatte.networks.lite import Lite  # noqa: E402
from trimatte.segmentation import registry, segment  # noqa: E402
from trimatte.segmentation.cards import read_card  # noqa: E402
from trimatte.training import segmenter  # noqa: E402
from trimatte.training.augment import random_coarseness  # noqa: E402
from trimatte.training.export import export_lite, mix  # noqa: E402
from trimatte.training.own import train_own, variant_for  # noqa: E402
from trimatte.training.segmenter import Pictures, Recipe, Source, deep_loss, structure_loss, train, validate  # noqa: E402
from trimatte.training.storage import plain  # noqa: E402
from trimatte.training.unfold import embedded_variant  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Weights to begin with, so that no test needs ImageNet's."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("start") / "start.pt"
    torch.save(Lite().state_dict(), path)
    return path


@pytest.fixture
def pairs(make_set):
    """Photos with black and white masks, as folders."""
    root = make_set("matte")
    return Source(root / "image", root / "alpha")


def maps(shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# The loss


def test_unknown_pixels_do_not_count():
    logits, mask = maps((2, 1, 24, 32)), (maps((2, 1, 24, 32), 1) > 0.5).float()
    known = torch.ones_like(mask)
    known[..., :10] = 0
    other = torch.where(known > 0, logits, -logits + 5)
    assert torch.equal(*(structure_loss(x, mask, known, torch.ones(2)) for x in (logits, other)))


def test_a_picture_of_which_nothing_is_known():
    logits, none = maps((1, 1, 8, 8)).requires_grad_(), torch.zeros(1, 1, 8, 8)
    loss = structure_loss(logits, none, none, torch.ones(1))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_deeper_maps_see_the_mean_of_what_is_known():
    """Unknown pixels that are all foreground or all background make no difference at any depth."""
    mask, known = torch.zeros(1, 1, 32, 32), torch.ones(1, 1, 32, 32)
    mask[..., 16:] = 1
    known[..., 8:16] = 0
    painted = torch.where(known > 0, mask, torch.ones(()))
    outputs = [maps((1, 1, 32 // s, 32 // s)) for s in (1, 4, 8, 16, 32)]
    deeper = [segmenter.DEEP_WEIGHTS.index(w) for w in segmenter.DEEP_WEIGHTS[1:]]
    assert len(deeper) == 4
    losses = [deep_loss(outputs, target * known, known, torch.ones(1)) for target in (mask, painted)]
    assert torch.equal(*losses)


def test_trust_scales_the_loss():
    logits, mask = maps((2, 1, 8, 8)), torch.ones(2, 1, 8, 8)
    losses = [structure_loss(logits, mask, mask, torch.tensor([trust, 0.0])) for trust in (1.0, 0.5)]
    assert losses[0] == pytest.approx(2 * float(losses[1]))


# The pictures


def test_batches_repeat(pairs):
    recipe = Recipe([pairs], batch=3, long_side=64)
    first, second = (Pictures(recipe).batch(5) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    photos, masks, known, trusts = first
    assert photos.shape[1] == 3
    assert masks.shape == known.shape == (3, 1, *photos.shape[2:])
    assert (known == 1).all()
    assert (trusts == 1).all()
    assert not all(torch.equal(a, b) for a, b in zip(first, Pictures(recipe).batch(6), strict=True))


def test_some_photos_are_coarse():
    """As often as it says, the whole picture loses its detail, and nothing else changes."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    rng = np.random.default_rng(1)
    seen = [random_coarseness(photo, rng) for _ in range(300)]
    assert all(each.size == photo.size for each in seen)
    coarse = [each for each in seen if np.var(each) < 0.3 * np.var(photo)]
    assert len(coarse) == sum(each is not photo for each in seen)
    assert 0.1 < len(coarse) / len(seen) < 0.22


def test_pictures_beyond_the_memory_are_read_anew(pairs, monkeypatch):
    recipe = Recipe([pairs], batch=4, long_side=64)
    kept = Pictures(recipe)
    monkeypatch.setattr(segmenter, "KEPT_BYTES", 5 * 64 * 48)
    bounded = Pictures(recipe)
    for step in range(3):
        assert all(torch.equal(a, b) for a, b in zip(kept.batch(step), bounded.batch(step), strict=True))
    assert len(bounded._kept) == 1
    assert len(kept._kept) > 1


def test_weights_say_how_often_a_photo_is_drawn(pairs):
    never = Source(pairs.photos, pairs.masks, weight=0.0, trust=0.25)
    _, _, _, trusts = Pictures(Recipe([never, pairs], batch=32, long_side=32)).batch(0)
    assert (trusts == 1).all()


def test_graded_masks_have_a_level(pairs):
    def greys(source):
        _, mask = source.items()[0].read()
        return sorted(set(np.asarray(mask)[..., 0].ravel().tolist()))

    assert greys(pairs) == [0, 100, 255]
    assert greys(Source(pairs.photos, pairs.masks, level=50)) == [0, 255]


def test_validation_leaves_out_what_is_unknown(pairs):
    """A prediction that is right wherever the mask is known, and 1 elsewhere, has no error."""

    class Half(Source):
        def items(self):
            return [type(item)(item.size, lambda item=item: halved(item)) for item in super().items()]

    def halved(item):
        photo, mask = item.read()
        pixels = np.array(mask)
        pixels[:, :20] = 0
        return photo, Image.fromarray(pixels)

    numbers = iter(range(COUNT))

    def right(photo):
        truth = (parts_of(next(numbers)) == SUBJECT).astype(np.float32)
        truth[:, :20] = 1
        return truth

    assert validate(right, Half(pairs.photos, pairs.masks)) == {"mae": 0.0, "iou": 1.0}


# Runs


def rows_of(folder):
    with (folder / "log.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def test_a_run_that_is_broken_off_goes_on_as_if_it_were_not(pairs, start, tmp_path):
    recipe = Recipe([pairs], steps=4, batch=2, long_side=64, variant=0, start=start)

    class BrokenOffError(Exception):
        pass

    def stop(step, loss):
        if step == 3:
            raise BrokenOffError

    train(recipe, tmp_path / "whole", every=2)
    with pytest.raises(BrokenOffError):
        train(recipe, tmp_path / "broken", every=2, watch=stop)
    train(recipe, tmp_path / "broken", every=2)
    whole, broken = (torch.load(tmp_path / name / "weights.pt") for name in ("whole", "broken"))
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    assert rows_of(tmp_path / "whole") == rows_of(tmp_path / "broken")


def test_it_learns(pairs, start, tmp_path):
    losses = []
    recipe = Recipe([pairs], steps=14, batch=4, long_side=64, variant=0, start=start, warm_up=2, rate=6e-3)
    train(recipe, tmp_path, every=100, watch=lambda step, loss: losses.append(loss))
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_start_that_is_no_network(pairs, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"nothing")
    torch.save(Lite(variant=1).state_dict(), tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("x.pt", "other.pt", "list.pt", "missing.pt"):
        recipe = Recipe([pairs], variant=0, start=tmp_path / name)
        with pytest.raises(ModelError, match=f"start: .*{name} holds no weights of this network"):
            train(recipe, tmp_path / "run")


def test_the_network_is_that_of_the_weights_to_begin_with(start, tmp_path):
    torch.save(Lite(variant=1).state_dict(), tmp_path / "other.pt")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "strange.pt")
    assert [variant_for(str(name)) for name in ("imagenet", start, tmp_path / "other.pt")] == [2, 0, 1]
    assert variant_for("embedded") == embedded_variant()
    with pytest.raises(ModelError, match=r"strange\.pt holds no weights of this network"):
        variant_for(str(tmp_path / "strange.pt"))


def test_a_share_of_the_embedded_weights_is_kept(pairs, start, tmp_path, monkeypatch):
    embedded = tmp_path / "embedded.onnx"
    export_lite(start, embedded, variant=0)
    for module in ("own", "unfold"):
        monkeypatch.setattr(f"trimatte.training.{module}.embedded_file", lambda: nullcontext(embedded))
    recipe = Recipe(
        [pairs], steps=2, batch=2, long_side=64, variant=0, start="embedded", keep=0.25, rate=0.01, warm_up=1
    )
    card, figures = train_own(recipe, tmp_path / "run", name="mixed", validation=pairs)
    trained = tmp_path / "trained.onnx"
    export_lite(tmp_path / "run/weights.pt", trained, variant=0)
    for a, b, mean in zip(*map(constants, (embedded, trained, card.with_suffix(".onnx"))), strict=True):
        wanted = 0.25 * a.astype(np.float64) + 0.75 * b
        assert np.sqrt(np.square(mean - wanted).mean()) <= 0.02 * np.sqrt(np.square(wanted).mean()) + 1e-7
    assert read_card(card.read_text()).data["recipe"]["kept"] == 0.25
    logged = rows_of(tmp_path / "run")[-1]
    assert 0 < float(figures["mean_absolute_error"]) != float(logged["mae"])
    with pytest.raises(ArgumentError, match=r"keep: .* it goes with embedded"):
        train_own(replace(recipe, start=start), tmp_path / "other", name="mixed")
    another, less = tmp_path / "other.onnx", onnx.load(embedded)
    less.graph.initializer.pop()
    onnx.save(less, another)
    with pytest.raises(ModelError, match="not of the same network"):
        mix(embedded, another, 0.5, tmp_path / "none.onnx")


def constants(path):
    """What an ONNX file has learnt."""
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in plain(onnx.load(path)).graph.initializer]
    return [array for array in arrays if array.dtype.kind == "f"]


def test_diverged(pairs, start, tmp_path):
    recipe = Recipe([pairs], steps=9, batch=2, long_side=32, variant=0, start=start, rate=1e30, warm_up=1)
    with pytest.raises(ModelError, match="diverged; take a lower rate"):
        train(recipe, tmp_path)
    assert not (tmp_path / "weights.pt").exists()


# The command


def call(*options):
    return CliRunner().invoke(command, [str(option) for option in options])


def classes_of(*folders):
    """A table of the sets, filled in."""
    out = folders[0].parent / "classes.toml"
    data = [option for folder in folders for option in ("--data", str(folder))]
    result = CliRunner().invoke(train_classes, [*data, "--out", str(out)])
    assert result.exit_code == 0, result.output
    text = out.read_text()
    for key, verdict in (("0", "background"), ("1", "foreground"), ("2", "ignore")):
        text = text.replace(f'{key} = {{ name = "", verdict = ""', f'{key} = {{ name = "", verdict = "{verdict}"')
    for key, verdict in (("000000", "background"), ("c08000", "foreground"), ("ffffff", "ignore")):
        text = text.replace(f'"#{key}" = {{ name = "", verdict = ""', f'"#{key}" = {{ name = "", verdict = "{verdict}"')
    out.write_text(text)
    return out


QUICK = ("--steps", 1, "--batch", 2, "--long-side", 64, "--validate-every", 1)


@pytest.mark.parametrize("name", MAKERS)
def test_every_layout_makes_batches(make_set, name):
    """Batches of each layout, drawn as the training draws them, hold subject and background."""
    from trimatte.training.classes import gather, read_table

    folder = make_set(name)
    sources, _ = gather({str(folder): 1.0}, read_table(classes_of(folder)))
    photos, masks, known, _ = Pictures(Recipe(sources, batch=8, long_side=64)).batch(0)
    light = photos.mean(1, keepdim=True) > 0
    sure = (known == 1) & ((masks == 0) | (masks == 1))
    assert 0.05 < masks[sure].mean() < 0.5
    assert ((masks > 0.5) == light)[sure].float().mean() > 0.9


def test_command(make_set, start, tmp_path, monkeypatch):
    """From sets in three layouts, mixed, to a segmenter that is added and used; resumed when nothing is left to do."""
    voc, coco, masks = make_set("voc"), make_set("coco packed runs"), make_set("masks")
    classes = classes_of(voc, coco, masks)
    data = ("--data", f"{voc}:2", "--data", coco, "--data", f"{masks}:0.5", "--classes", classes, "--validation", voc)
    options = (*data, "--out", tmp_path / "mine", "--start", start, *QUICK, "--json")
    result = call(*options)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["card"] == str(tmp_path / "mine/mine.toml")
    assert told["figures"].keys() == {"steps", "loss", "validation", "mean_absolute_error", "iou"}
    left = {"recipe.json", "log.csv", "weights.pt", "checkpoint.pt", "mine.onnx", "mine.toml", "mine.float32.onnx"}
    assert {path.name for path in (tmp_path / "mine").iterdir()} == left  # as docs/training.md lists them
    recipe = json.loads((tmp_path / "mine/recipe.json").read_text())
    assert [source["weight"] for source in recipe["sources"]] == [2.0, 1.0, 0.5]
    assert recipe["sources"][0]["verdicts"] == {"0": "background", "12": "foreground", "255": "ignore"}

    monkeypatch.setenv("TRIMATTE_DATA", str(tmp_path / "user"))
    card = read_card((tmp_path / "mine/mine.toml").read_text())
    assert card.data["data"]["set 3"] == f"{masks}: 6 photos, weight 0.5"
    assert registry.add(tmp_path / "mine/mine.onnx", card).published
    probability = segment(np.random.default_rng(0).random((50, 70, 3), np.float32), segmenter="mine")
    assert probability.shape == (50, 70)
    assert 0 <= probability.min() <= probability.max() <= 1

    again = call(*options)
    assert isinstance(again.exception, ArgumentError)
    assert "holds a run already; say --resume" in str(again.exception)
    other = call(*options, "--resume", "--seed", 3)
    assert isinstance(other.exception, ArgumentError)
    assert "resume: seed differ from the run in" in str(other.exception)
    assert json.loads(call(*options, "--resume").output) == told


def test_bad_calls(make_set, start, tmp_path):
    masks = make_set("masks")
    classes = classes_of(masks)
    for options, message in (
        (("--data", f"{masks}:-1"), "got the weight -1"),
        (("--data", f"{masks}:much"), "masks:much is not a folder"),
        (("--data", masks, "--name", "My Net"), "name: got 'My Net', wanted small letters"),
        (("--data", masks, "--resume"), "holds no run to go on with"),
        (("--data", masks, "--validation", tmp_path / "nothing"), "nothing is not a folder"),
        (("--data", masks, "--start", tmp_path / "x.pt"), "start: .*x.pt holds no weights"),
    ):
        defaults = () if "--start" in options else ("--start", start)
        result = call("--classes", classes, "--out", tmp_path / "run", *defaults, *QUICK, *options)
        assert isinstance(result.exception, (ArgumentError, ModelError)), result.output
        assert message.replace(".*", "") in str(result.exception).replace(f"{tmp_path}/x.pt", "x.pt")
