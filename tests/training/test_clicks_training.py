"""Training of the decoder of clicks: where clicks fall, what is meant, that it learns, exports, and goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
import onnxruntime  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from trimatte.cli.train_clicks import command  # noqa: E402
from trimatte.networks.clicks import CHANNELS, Clicks, likeness  # noqa: E402
from trimatte.networks.lite_maps import MAPS, PROMPTS  # noqa: E402
from trimatte.segmentation.prompts import CELL  # noqa: E402
from trimatte.training.clicks import Prompt, Recipe, Targets, boxed, export_clicks, learn, tensors  # noqa: E402
from trimatte.training.export import FULL  # noqa: E402
from trimatte.training.pointed import LEAST, Pointed, laid, one_part, scene, target, upon  # noqa: E402
from trimatte.training.scenes import Things  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
HEIGHT, WIDTH = 64, 96


def disc(x: float, y: float, radius: float, height: int = HEIGHT // 2, width: int = WIDTH // 2) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(columns - x, rows - y) < radius


def maps_of(pictures: int) -> list[Any]:
    generator = torch.Generator().manual_seed(pictures)
    return [
        torch.randn(pictures, count, HEIGHT // stride, WIDTH // stride, generator=generator)
        for count, stride in zip(CHANNELS, MAPS.values(), strict=True)
    ]


def test_the_first_click_is_in_the_middle_of_the_largest_error_or_well_inside():
    mask = disc(30, 16, 10) | disc(4, 4, 3)
    for seed in range(20):
        prompt = Prompt()
        prompt.point(mask, np.ones_like(mask), np.random.default_rng(seed))
        ((x, y),) = prompt.points
        assert prompt.signs == [1]
        assert disc(30, 16, 10)[int(y) // 2, int(x) // 2]


def test_a_click_takes_away_what_is_too_much_and_none_falls_where_nothing_is_known():
    mask, known = disc(30, 16, 6), np.ones((HEIGHT // 2, WIDTH // 2), bool)
    prompt = Prompt(before=np.where(mask | disc(10, 16, 8), 4.0, -4.0).astype(np.float32))
    prompt.point(mask, known, np.random.default_rng(0))
    assert prompt.signs == [-1]
    known[:, :20] = False
    unknown = Prompt(before=prompt.before)
    unknown.point(mask, known, np.random.default_rng(0))
    assert not unknown.points
    rng = np.random.default_rng(1)
    for _ in range(10):
        unknown.scatter(mask, known, rng)
    for (x, y), sign in zip(unknown.points, unknown.signs, strict=True):
        assert known[int(y) // 2, int(x) // 2]
        assert mask[int(y) // 2, int(x) // 2] == (sign > 0)


def test_a_box_is_about_the_mask():
    left, top, right, bottom = boxed(disc(30, 16, 8), np.random.default_rng(0))
    np.testing.assert_allclose([left, top, right, bottom], [44, 16, 78, 50], atol=8)
    assert boxed(np.zeros((4, 4), bool), np.random.default_rng(0)) is None


def test_prompts_of_several_targets_fill_one_batch():
    prompts = [Prompt([(9, 17), (70, 3)], [1, -1]), Prompt(box=(0, 0, 40, 40))]
    maps, position, sign = tensors(prompts, (HEIGHT, WIDTH))
    assert maps.shape == (2, PROMPTS, HEIGHT // CELL, WIDTH // CELL)
    np.testing.assert_array_equal(position, [[2 * WIDTH // 8 + 1, 8], [0, 0]])
    np.testing.assert_array_equal(sign, [[1, -1], [0, 0]])


def test_likeness_is_the_greatest_cosine_to_the_clicks_of_a_kind():
    features = torch.randn(1, 5, 2, 3)
    near = likeness(features, torch.tensor([[1, 4, 2]]), torch.tensor([[1.0, 1.0, 0.0]]))[0]
    flat = torch.nn.functional.normalize(features[0].flatten(1), dim=0)
    torch.testing.assert_close(near[0].flatten(), (flat.T @ flat[:, [1, 4]]).amax(1))
    assert (near[1] == -1).all()


def test_it_learns_to_find_what_is_clicked():
    torch.manual_seed(0)
    network, recipe = Clicks().train(), Recipe([], Things([], []), rounds=2)
    masks = np.stack([disc(12, 16, 9), disc(36, 16, 9)]).astype(np.float32)[:, None]
    found = torch.full((1, 1, HEIGHT // 2, WIDTH // 2), -4.0)
    batch = Targets(maps_of(1), found, torch.from_numpy(masks), torch.ones(masks.shape), torch.ones(2))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    values = []
    for step in range(25):
        value = learn(network, batch, recipe, np.random.default_rng(step))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert np.mean(values[-3:]) < 0.5 * values[0]


def test_the_file_is_the_network_for_any_number_of_clicks(tmp_path):
    torch.manual_seed(1)
    network = Clicks().eval()
    torch.save(network.state_dict(), tmp_path / "w.pt")
    export_clicks(tmp_path / "w.pt", tmp_path / "clicks.onnx")
    session = onnxruntime.InferenceSession(tmp_path / f"clicks{FULL}", providers=["CPUExecutionProvider"])
    for prompt in (Prompt(), Prompt([(5, 5)], [1]), Prompt([(5, 5), (60, 50), (20, 60)], [1, -1, -1])):
        given = [*maps_of(1), *tensors([prompt], (HEIGHT, WIDTH))]
        named = dict(zip([*MAPS, "prompts", "position", "sign"], (x.numpy() for x in given), strict=True))
        with torch.no_grad():
            np.testing.assert_allclose(session.run(None, named)[0], network(*given).numpy(), atol=1e-4)


def test_layers_are_what_can_be_seen():
    things, rng = Things([], []), np.random.default_rng(0)
    for _ in range(5):
        pointed = scene(things, (80, 60), rng)
        assert 2 <= len(pointed.layers) <= 5
        total = np.sum([np.asarray(layer, float) for layer in pointed.layers], axis=0)
        assert total.max() <= 255 + 2 * len(pointed.layers)
    subject = Image.fromarray(np.uint8(255 * disc(40, 30, 20, 60, 80)))
    known = Image.fromarray(np.uint8(255 * ~disc(10, 10, 5, 60, 80)))
    pair = Image.new("RGB", (80, 60), "grey"), Image.merge("LA", (subject, known))
    over = upon(things, pair, rng)
    first = np.asarray(over.layers[0])
    assert (first <= np.asarray(subject)).all()
    assert (np.asarray(over.known) >= np.asarray(known)).all()
    changed = (np.asarray(over.photo) != np.asarray(pair[0])).any(axis=2)
    assert not changed[np.sum([np.asarray(layer) for layer in over.layers[1:]], axis=0) == 0].any()


def test_what_is_meant_is_a_layer_two_a_part_or_the_rest():
    one, two = ((255 * disc(x, 16, 8)).astype(np.uint8) for x in (10, 36))
    small = (255 * disc(20, 2, 0.5)).astype(np.uint8)
    apart = np.maximum(one, two)
    wanted = [one, two, apart, 255 - one, 255 - two]
    for seed in range(40):
        mask = target([one, two, small], np.random.default_rng(seed))
        assert any((mask == each).all() for each in wanted)
    assert target([small, np.zeros_like(one)], np.random.default_rng(0)) is None
    assert (small > 127).mean() < LEAST
    parts = {one_part(apart, np.random.default_rng(seed)).tobytes() for seed in range(20)}
    assert parts == {one.tobytes(), two.tobytes()}
    assert one_part(one, np.random.default_rng(0)) is one


def test_nothing_laid_over_is_what_it_was():
    start = Pointed(Image.new("RGB", (40, 30)), [], Image.new("L", (40, 30), 255))
    assert laid(start, Things([], []), 0, (0.2, 0.5), np.random.default_rng(0)).layers == []


def test_the_command_trains_exports_and_goes_on(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("image", "mask"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for i in range(3):
        mask = disc(50, 40, 24 + 3 * i, 80, 100)
        picture = np.where(mask[..., None], (200, 60, 40), rng.integers(60, 120, (80, 100, 3)))
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / "set" / "image" / f"{i}.png")
        Image.fromarray(np.uint8(255 * mask)).save(tmp_path / "set" / "mask" / f"{i}.png")
    options = ["--masks", tmp_path / "set", "--out", tmp_path / "run", "--long-side", 64, "--batch", 2]
    for steps in (1, 2):
        told = CliRunner().invoke(command, list(map(str, [*options, "--steps", steps])))
        assert told.exit_code == 0, told.exception
        assert (tmp_path / "run" / "clicks.onnx").stat().st_size < 1e6
    log = (tmp_path / "run" / "log.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in log] == [1, 2]
    empty = tmp_path / "empty"
    for name in ("image", "mask"):
        (empty / name).mkdir(parents=True)
    (empty / "image" / "a.png").write_bytes((tmp_path / "set" / "image" / "0.png").read_bytes())
    (empty / "mask" / "b.png").write_bytes((tmp_path / "set" / "mask" / "0.png").read_bytes())
    refused = CliRunner().invoke(command, ["--masks", str(empty), "--out", str(tmp_path / "other")])
    assert "holds no picture that has a mask" in str(refused.exception)
