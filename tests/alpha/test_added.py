"""Matting networks by their cards: every public contract in a tiny network made by code, held against a slow twin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import trimatte
from trimatte.alpha.added import _span
from trimatte.alpha.refine import find_refiner, refine_alpha, refiners
from trimatte.cli import main
from trimatte.errors import ArgumentError, ModelError
from trimatte.evaluation.runs import evaluate
from trimatte.evaluation.synthetic import synthesize
from trimatte.images.cells import with_less_memory
from trimatte.linalg.report import SolveReport
from trimatte.segmentation import registry
from trimatte.segmentation.cards import read_card, shipped_card

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

Shape = tuple[int | str, ...]
IMAGENET = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
HALF = np.full(3, 0.5, np.float32), np.full(3, 0.5, np.float32)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder."""
    monkeypatch.setenv("TRIMATTE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def network(
    path: Path,
    inputs: dict[str, Shape],
    weights: dict[str, Sequence[float]],
    *,
    kernel: int = 1,
    outputs: Sequence[str] = ("alphas",),
    alpha: str = "",
    channels: int = 1,
    kind: int = TensorProto.FLOAT,
    fixed: dict[str, Shape] | None = None,
    ends: str = "Sigmoid",
) -> Path:
    """A network that gives sigmoid(sum of weights * channels, box-filtered) of its inputs as output `alpha`.

    Channels of the output after the first are alpha plus one, two and so on; so are outputs before and after `alpha`.
    Inputs of `fixed` are multiplied to it, but for those that hold zero, which are added.
    """
    nodes, constants, terms = [], [], []
    for name, values in weights.items():
        box = np.full((1, len(values), kernel, kernel), 1 / kernel**2, np.float32)
        box *= np.asarray(values, np.float32)[None, :, None, None]
        dtype = np.float16 if kind == TensorProto.FLOAT16 else np.float32
        constants.append(onnx.numpy_helper.from_array(box.astype(dtype), f"kernel {name}"))
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [name, f"kernel {name}"], [f"term {name}"], pads=pads))
        terms.append(f"term {name}")
    nodes.append(helper.make_node("Sum", terms, ["sum"]))
    nodes.append(helper.make_node(ends, ["sum"], ["plain"]))
    last = "plain"
    for name in fixed or {}:
        operator = "Mul" if "ratio" in name else "Add"
        nodes.append(helper.make_node(operator, [last, name], [f"with {name}"]))
        last = f"with {name}"
    several = [last]
    for n in range(1, channels):
        constants.append(onnx.numpy_helper.from_array(np.float32(n), f"more {n}"))
        nodes.append(helper.make_node("Add", [last, f"more {n}"], [f"channel {n}"]))
        several.append(f"channel {n}")
    alpha = alpha or outputs[0]
    nodes.append(helper.make_node("Concat", several, [alpha], axis=1))
    for n, name in enumerate(outputs):
        if name != alpha:
            constants.append(onnx.numpy_helper.from_array(np.float32(n + 2), f"other {n}"))
            nodes.append(helper.make_node("Add", [last, f"other {n}"], [name]))
    given = [helper.make_tensor_value_info(n, kind, s) for n, s in {**inputs, **(fixed or {})}.items()]
    told = [helper.make_tensor_value_info(n, kind, None) for n in outputs]
    graph = helper.make_graph(nodes, "network", given, told, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def add_as(name: str, file: Path, *changes: tuple[str, str], card: str = "") -> str:
    """Add a file by a ready card as it stands, but for its checksum and the changes; the name that it has then."""
    text = card or shipped_card(name).text
    lines = [line for line in text.splitlines() if not line.startswith(("sha256", "bytes", "address"))]
    text = "\n".join(lines).replace(f'name = "{name}"', f'name = "my-{name}"', 1)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    registry.add(file, read_card(text))
    return f"my-{name}"


def scene(height: int = 150, width: int = 170, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture and a trimap with a ring of unknown pixels."""
    image = np.random.default_rng(seed).random((height, width, 3), np.float32)
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - height / 2, x - width / 2)
    trimap = np.where(away < height / 5, 255, np.where(away < height / 2.5, 128, 0)).astype(np.uint8)
    return image, trimap


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def normalised(image: np.ndarray, by: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return (image - by[0]) / by[1]


def coded(trimap: np.ndarray) -> np.ndarray:
    return np.select([trimap == 0, trimap == 255], [0.0, 1.0], 0.5)


def imposed(alpha: np.ndarray, trimap: np.ndarray) -> np.ndarray:
    return np.where(trimap == 128, alpha, trimap / 255)


BOTH = {"image": [1.0, 2.0, -3.0], "trimap": [-4.0, 0.5, 4.0]}
OTHER = {"a": [-1.0, 0.0, 3.0], "b": [-4.0, 0.5, 4.0]}
WINDOW = ("window = 1024  # the exports take this size alone", "window = 128")


def test_vitmatte_takes_one_tensor_of_four_channels_in_windows_of_one_size(tmp_path: Path) -> None:
    weights = [0.5, -1.0, 0.25, 2.0]
    file = network(tmp_path / "v.onnx", {"pixel_values": (1, 4, 128, 128)}, {"pixel_values": weights})
    name = add_as("vitmatte-small", file, WINDOW)
    image, trimap = scene()
    matte = trimatte.estimate_alpha(image, trimap, method=name)
    twin = sigmoid(normalised(image, HALF) @ np.array(weights[:3]) + weights[3] * coded(trimap))
    np.testing.assert_allclose(matte.alpha, imposed(twin, trimap), atol=1e-5)
    assert (matte.report.solver, matte.report.device) == ("network", "cpu")
    assert matte.report.unknown == np.count_nonzero(trimap == 128)


@pytest.mark.parametrize("size", [(128, 128), (20, 30), (1, 9), (129, 300)])
def test_a_fixed_window_takes_pictures_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    file = network(tmp_path / "v.onnx", {"x": (1, 4, 128, 128)}, {"x": [1.0, 1.0, 1.0, 0.0]})
    name = add_as("vitmatte-base", file, WINDOW)
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    trimap = np.full(size, 128, np.uint8)
    alpha = trimatte.estimate_alpha(image, trimap, method=name).alpha
    np.testing.assert_allclose(alpha, sigmoid(normalised(image, HALF).sum(-1)), atol=1e-5)


def test_fba_takes_two_channels_and_distances_and_gives_seven(tmp_path: Path) -> None:
    shapes = {"img": 3, "1": 2, "2": 3, "3": 6}
    weights = {"img": [1.0, 0.0, -1.0], "1": [-2.0, 2.0], "2": [0.3, 0.1, -0.2], "3": [-1, 2, -3, 4, -5, 6]}
    inputs: dict[str, Shape] = {key: (1, count, "h", "w") for key, count in shapes.items()}
    file = network(tmp_path / "fba.onnx", inputs, weights, channels=7)
    name = add_as("fba", file, ("window = 1024", "window = 128"))
    image, trimap = scene()
    alpha = trimatte.estimate_alpha(image, trimap, method=name).alpha
    logit = image @ np.array(weights["img"]) + normalised(image, IMAGENET) @ np.array(weights["2"])
    for n, value in enumerate((0, 255)):
        known = trimap == value
        logit = logit + weights["1"][n] * known
        squared = ndimage.distance_transform_edt(~known) ** 2
        for m, share in enumerate((0.02, 0.08, 0.16)):
            logit += weights["3"][3 * n + m] * np.exp(-squared / (2 * (share * 320) ** 2))
    np.testing.assert_allclose(alpha, imposed(sigmoid(logit), trimap), atol=2e-5)


ONE_HOT = """
name = "matteformer"
task = "matting"
[input]
inputs = [["picture"], ["one-hot"]]
window = 160
multiple = 32
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[output]
kind = "logits"
"""


def test_two_inputs_by_name_one_hot_and_logits(tmp_path: Path) -> None:
    weights = {"image": [1.0, 2.0, -3.0], "trimap": [-4.0, 0.5, 4.0]}
    inputs: dict[str, Shape] = {"trimap": (1, 3, "h", "w"), "image": (1, 3, "h", "w")}
    file = network(tmp_path / "m.onnx", inputs, weights, ends="Identity")
    card = ONE_HOT.replace("window", 'names = ["image", "trimap"]\nwindow')
    registry.add(file, read_card(card))
    image, trimap = scene()
    alpha = trimatte.estimate_alpha(image, trimap, method="matteformer").alpha
    hot = np.stack([trimap == value for value in (0, 128, 255)], -1)
    twin = sigmoid(normalised(image, IMAGENET) @ np.array(weights["image"]) + hot @ np.array(weights["trimap"]))
    np.testing.assert_allclose(alpha, imposed(twin, trimap), atol=1e-5)


def test_windows_give_what_the_whole_picture_gives(tmp_path: Path) -> None:
    """Memory depends on the window alone; the network's kernel is no wider than what a window sees around its cell."""
    weights = {"image": [2.0, -1.0, 0.5], "trimap": [0.0, 1.0, 0.0]}
    inputs: dict[str, Shape] = {"image": (1, 3, "h", "w"), "trimap": (1, 3, "h", "w")}
    file = network(tmp_path / "m.onnx", inputs, weights, kernel=9, ends="Identity")
    image, trimap = scene(288, 320)
    mattes = []
    for window in (160, 1024):
        registry.add(file, read_card(ONE_HOT.replace("160", str(window))))
        mattes.append(trimatte.estimate_alpha(image, trimap, method="matteformer").alpha)
    np.testing.assert_allclose(*mattes, atol=1e-5)
    smaller = trimatte.estimate_alpha(image, trimap, method="matteformer", window=160).alpha
    np.testing.assert_array_equal(smaller, mattes[0])


def test_rvm_gets_states_of_zero_and_a_ratio_and_its_second_output_counts(tmp_path: Path) -> None:
    fixed: dict[str, Shape] = {f"r{n}i": ("b", "c", "y", "x") for n in range(1, 5)}
    fixed["downsample_ratio"] = (1,)
    file = network(
        tmp_path / "rvm.onnx",
        {"src": ("b", 3, "h", "w")},
        {"src": [1.0, -2.0, 3.0]},
        outputs=["fgr", "pha", "r1o"],
        alpha="pha",
        fixed=fixed,
    )
    name = add_as("rvm-mobilenetv3", file, ("1920", "64"))
    image = np.random.default_rng(0).random((48, 64, 3), np.float32)
    alpha = trimatte.estimate_alpha(image, method=name).alpha
    np.testing.assert_allclose(alpha, sigmoid(image @ np.array([1.0, -2.0, 3.0])), atol=1e-5)
    name = add_as("rvm-resnet50", file, ("1920", "64"), ("512", "16"))
    ratio = trimatte.estimate_alpha(image, method=name).alpha / alpha
    np.testing.assert_allclose(ratio, 16 / 64, rtol=1e-4)


@pytest.mark.parametrize(
    ("card", "size", "ends"), [("birefnet-matting", 1024, "Identity"), ("birefnet-hr-matting", 2048, "Sigmoid")]
)
def test_birefnet_sees_a_square(tmp_path: Path, card: str, size: int, ends: str) -> None:
    file = network(tmp_path / "b.onnx", {"input_image": (1, 3, 64, 64)}, {"input_image": [1.0, 1.0, 1.0]}, ends=ends)
    name = add_as(card, file, (f"size = {size}", "size = 64"))
    image = np.full((40, 90, 3), 0.6, np.float32)
    alpha = trimatte.estimate_alpha(image, method=name).alpha
    np.testing.assert_allclose(alpha, sigmoid(normalised(image[0, 0], IMAGENET).sum()), atol=1e-5)


@pytest.mark.parametrize(("card", "size"), [("withoutbg", 1024), ("withoutbg-v10", 448)])
def test_withoutbg_sees_the_picture_in_the_corner(tmp_path: Path, card: str, size: int) -> None:
    file = network(
        tmp_path / "w.onnx", {"rgb": (1, 3, 64, 64)}, {"rgb": [1.0, 0.0, 0.0]}, outputs=["alpha"], ends="Identity"
    )
    name = add_as(card, file, (f"size = {size}", "size = 64"))
    image = np.repeat(np.linspace(0.2, 0.9, 64, dtype=np.float32)[None, :, None], 32, 0).repeat(3, 2)
    np.testing.assert_allclose(trimatte.estimate_alpha(image, method=name).alpha, image[..., 0], atol=1e-5)


def test_modnet_without_torch_keeps_what_a_trimap_knows(tmp_path: Path) -> None:
    file = network(tmp_path / "m.onnx", {"input": ("b", 3, "h", "w")}, {"input": [1.0, 1.0, 1.0]}, outputs=["output"])
    name = add_as("modnet-matting", file, ("short_side = 512", "short_side = 64"))
    image, trimap = scene(64, 64)
    free = trimatte.estimate_alpha(image, method=name).alpha
    np.testing.assert_allclose(free, sigmoid(normalised(image, HALF).sum(-1)), atol=1e-5)
    np.testing.assert_allclose(
        trimatte.estimate_alpha(image, trimap, method=name).alpha, imposed(free, trimap), atol=1e-6
    )


def four(path: Path, kind: int = TensorProto.FLOAT, shape: Shape = (1, 4, "h", "w"), **more: Any) -> Path:
    return network(path, {"x": shape}, {"x": [1.0] * int(shape[1])}, kind=kind, **more)


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        ((1, 3, "h", "w"), TensorProto.FLOAT, r"shape \(1, 3, 'h', 'w'\), the card says \(1, 4, 'any', 'any'\)"),
        ((1, 4, 512, 512), TensorProto.FLOAT, r"only 512 x 512 pixels, the card says window = 128"),
        ((1, 4, "h", "w"), TensorProto.FLOAT16, "of half precision"),
        ((4, "h", "w"), TensorProto.FLOAT, None),
    ],
)
def test_files_that_do_not_fit_the_card(tmp_path: Path, shape: Shape, kind: int, words: str | None, data: Path) -> None:
    if words is None:
        file, words = network(tmp_path / "x.onnx", {"x": (1, 4, "h", "w")}, {"x": [1.0] * 4}, channels=2), "wanted"
    else:
        file = four(tmp_path / "x.onnx", kind, shape)
    with pytest.raises(ModelError, match=words):
        add_as("vitmatte-small", file, WINDOW)
    assert not list((data / "models").glob("*.onnx"))


def test_a_network_without_the_input_for_the_trimap(tmp_path: Path) -> None:
    file = network(tmp_path / "x.onnx", {"image": (1, 3, "h", "w")}, {"image": [1.0] * 3})
    with pytest.raises(ModelError, match=r"has 1 input \(image\), the card says 2: picture and one-hot"):
        registry.add(file, read_card(ONE_HOT))
    with pytest.raises(ModelError, match="has no input 'mask', but image"):
        registry.add(file, read_card(ONE_HOT.replace("window", 'names = ["image", "mask"]\nwindow')))
    with pytest.raises(ModelError, match="has no input 'r1i', but image"):
        add_as("rvm-mobilenetv3", file, ('names = ["src"]\n', ""))


def test_a_segmenter_is_no_matting_network_nor_the_reverse(tmp_path: Path) -> None:
    add_as("vitmatte-small", four(tmp_path / "v.onnx"), WINDOW)
    image, trimap = scene(32, 32)
    with pytest.raises(ModelError, match="'my-vitmatte-small' is a matting network, which finds no subject"):
        trimatte.segment(image, segmenter="my-vitmatte-small")
    for use in (find_refiner, lambda name: trimatte.estimate_alpha(image, trimap, method=name)):
        with pytest.raises(ModelError, match="'u2netp' finds the subject and gives no alpha matte"):
            use("u2netp")
    with pytest.raises(ModelError, match='wanted task = "matting"'):
        read_card(ONE_HOT.replace('task = "matting"', ""))
    with pytest.raises(ModelError, match="task: got 'art', wanted segmentation or matting"):
        read_card(ONE_HOT.replace("matting", "art"))
    assert "my-vitmatte-small" not in trimatte.segmenters()
    assert "my-vitmatte-small" in trimatte.alpha_methods()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('["one-hot"]', '["two-hot"]', "inputs: got .* wanted for each input a list of picture, plain, trimap"),
        ('[["picture"], ["one-hot"]]', "[]", "inputs: got"),
        ("window = 160", "size = 160", "window: goes with a trimap among inputs"),
        ("window = 160", "window = 144", "window: got 144, wanted a multiple of 32"),
        ("window = 160", "window = 64", "window: got 64, wanted a multiple of 32, at least four times"),
        ("window = 160", "window = 160\nflip = true", "window: goes with none of scaling, flip"),
        ("window = 160", 'window = 160\nnames = ["a"]', "names: got .* wanted a name for each"),
        ("window = 160", "window = 160\nfixed = {r = true}", "fixed: got .* wanted a number for each"),
        ("window = 160", 'window = 160\npadding = "none"', "padding: got 'none', wanted mirror or zero"),
        ('kind = "logits"', "channels = 2\nchannel = 2", "channel: got 2, wanted one of 2, from 0"),
    ],
)
def test_cards_that_make_no_sense(old: str, new: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read_card(ONE_HOT.replace(old, new))


def test_not_added_says_how() -> None:
    image, trimap = scene(16, 16)
    with pytest.raises(ModelError, match="'vitmatte-small' is not added: `trimatte models add vitmatte-small FILE`"):
        trimatte.estimate_alpha(image, trimap, method="vitmatte-small")
    with pytest.raises(ModelError, match="'fba' is not added"):
        trimatte.cutout(image, refine="fba")
    assert refiners() == ["light", "light-closed-form", "hybrid", "deep-image-matting"]


def test_a_wrong_name_lists_what_was_added_and_suggests_a_card(tmp_path: Path) -> None:
    image, trimap = scene(16, 16)
    add_as("vitmatte-small", four(tmp_path / "v.onnx"), WINDOW)
    with pytest.raises(ArgumentError, match=r"method: there is no .*, my-vitmatte-small; did you mean 'vitmatte-base'"):
        trimatte.estimate_alpha(image, trimap, method="vitmate-base")
    with pytest.raises(ArgumentError, match=r"refine: there is no .*, my-vitmatte-small; did you mean 'fba'"):
        find_refiner("fbaa")
    with pytest.raises(ArgumentError, match=r"segmenter: there is no .*; did you mean 'u2netp'\?; `trimatte models"):
        trimatte.segment(image, segmenter="u2nettp")


def test_a_file_whose_weights_lie_beside_it(tmp_path: Path, data: Path) -> None:
    file = four(tmp_path / "v.onnx")
    onnx.save(onnx.load(file), file, save_as_external_data=True, location="v.data", size_threshold=0)
    with pytest.raises(ModelError, match=r"v\.onnx: its weights lie in another file, which is not copied"):
        add_as("vitmatte-small", file, WINDOW)
    onnx.save(onnx.load(file), tmp_path / "one.onnx")  # as the message advises
    assert add_as("vitmatte-small", tmp_path / "one.onnx", WINDOW) in registry.added()
    assert not list((data / "models").glob(".*.tmp"))


def test_a_network_for_another_device(tmp_path: Path) -> None:
    """`NhwcConv` is CUDA's alone."""
    kernel = onnx.numpy_helper.from_array(np.ones((1, 1, 1, 3), np.float32), "kernel")
    nodes = [
        helper.make_node("Transpose", ["input"], ["last"], perm=[0, 2, 3, 1]),
        helper.make_node("NhwcConv", ["last", "kernel"], ["conv"], domain="com.microsoft"),
        helper.make_node("Transpose", ["conv"], ["output"], perm=[0, 3, 1, 2]),
    ]
    given = [helper.make_tensor_value_info("input", TensorProto.FLOAT, (1, 3, "h", "w"))]
    told = [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "network", given, told, [kernel])
    sets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=8), tmp_path / "c.onnx")
    with pytest.raises(ModelError, match=r"needs what onnxruntime does not have on 'cpu': .*NhwcConv"):
        add_as("modnet-matting", tmp_path / "c.onnx")


def test_a_network_that_gives_no_numbers(tmp_path: Path) -> None:
    """Not for noise, with which a file is tried, but for a dark picture."""
    zero = onnx.numpy_helper.from_array(np.float32(0), "zero")
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["most"], axes=[1]),
        helper.make_node("Max", ["most", "zero"], ["safe"]),
        helper.make_node("ReduceMax", ["safe"], ["over"], axes=[1, 2]),
        helper.make_node("Div", ["safe", "over"], ["y"]),
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, "h", "w"))]
    graph = helper.make_graph(nodes, "n", given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [zero])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "n.onnx")
    name = add_as("modnet-matting", tmp_path / "n.onnx")
    with pytest.raises(ModelError, match=rf"{name}: output 'y': the network gives values that are not finite"):
        trimatte.estimate_alpha(np.zeros((32, 32, 3), np.float32), method=name)


def test_windows_and_devices_that_are_not_there(tmp_path: Path) -> None:
    image, trimap = scene(32, 32)
    square = add_as("vitmatte-small", four(tmp_path / "v.onnx", shape=(1, 4, 128, 128)), WINDOW)
    for window in (64, 256):
        with pytest.raises(ArgumentError, match=f"window: got {window}, 'my-vitmatte-small' takes 128 alone"):
            trimatte.estimate_alpha(image, trimap, method=square, window=window)
    with pytest.raises(ArgumentError, match="device: 'coreml' is not available to this onnxruntime; there is cpu"):
        trimatte.estimate_alpha(image, trimap, method=square, device="coreml")
    with pytest.raises(ArgumentError, match="device: got 'tpu', wanted auto, cpu"):
        trimatte.estimate_alpha(image, trimap, method=square, device="tpu")
    with pytest.raises(ArgumentError, match=r"size: no option of 'my-vitmatte-small', which has device, window"):
        trimatte.estimate_alpha(image, trimap, method=square, size=3)
    with pytest.raises(ArgumentError, match="trimap: got None"):
        trimatte.estimate_alpha(image, method=square)


def test_out_of_memory_halves_the_window_and_says_so() -> None:
    seen: list[int] = []

    def compute(window: int) -> str:
        seen.append(window)
        if window > 256:
            raise MemoryError
        return f"done at {window}"

    notes = ["something else"]
    assert with_less_memory(compute, 1024, least=128, notes=notes) == "done at 256"
    assert seen == [1024, 512, 256]
    assert notes == ["something else", "out of memory: windows of 256 pixels instead"]
    with pytest.raises(MemoryError):
        with_less_memory(compute, 1024, least=300, notes=[])


def test_the_report_of_a_run_that_was_short_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs: dict[str, Shape] = {"image": (1, 3, "h", "w"), "trimap": (1, 3, "h", "w")}
    weights = {"image": [1.0, 2.0, 3.0], "trimap": [0.0, 1.0, 0.0]}
    registry.add(network(tmp_path / "m.onnx", inputs, weights), read_card(ONE_HOT.replace("160", "512")))
    image, trimap = scene(300, 300)
    plain = trimatte.estimate_alpha(image, trimap, method="matteformer").alpha
    real = registry.open_model("matteformer")

    class Short:
        device, square = "cuda", False

        @staticmethod
        def infer(*given: np.ndarray) -> np.ndarray:
            if given[0].shape[-1] > 256:
                raise MemoryError
            return real.infer(*given)

    monkeypatch.setattr("trimatte.alpha.added._network", lambda *_: Short)
    matte = trimatte.estimate_alpha(image, trimap, method="matteformer")
    assert matte.report.fallbacks == ["out of memory: windows of 256 pixels instead"]
    assert matte.report.device == "cuda"
    np.testing.assert_allclose(matte.alpha, plain, atol=1e-6)


@given(st.data(), st.integers(1, 700), st.sampled_from([1, 8, 32]), st.sampled_from([None, 128, 256]))
@settings(max_examples=200)
def test_what_a_window_sees_holds_its_cell(more: st.DataObject, side: int, multiple: int, fixed: int | None) -> None:
    """The cell and `reach` about it, from a multiple to a multiple; as many pixels as the network takes."""
    reach = more.draw(st.integers(0, 16))
    start = more.draw(st.integers(0, side - 1))
    longest = side - start if fixed is None else min(side - start, fixed - 2 * reach - multiple)
    stop = start + more.draw(st.one_of(st.just(longest), st.integers(1, longest)))
    low, high = _span(start - reach, stop + reach, side, multiple, fixed)
    assert low % multiple == 0
    assert 0 <= low <= max(0, start - reach)
    assert high >= min(side, stop + reach)
    assert (high - low) % multiple == 0 if fixed is None else high - low == fixed


@pytest.mark.parametrize("method", ["light", "added"])
def test_a_refiner_redoes_the_unsure_pixels_alone(tmp_path: Path, method: str) -> None:
    image, trimap = scene(96, 96)
    alpha = np.where(np.arange(96) < 48, np.float32(0.5), np.float32(1)) * np.ones((96, 1), np.float32)
    if method == "added":
        method = add_as("vitmatte-small", four(tmp_path / "v.onnx"), WINDOW)
    report = SolveReport()
    refined = refine_alpha(image, trimap, alpha, method=method, report=report, margin=0)
    redone = (trimap == 128) & (alpha == 0.5)
    assert report.unknown == np.count_nonzero(redone)
    assert report.device == "cpu"
    np.testing.assert_array_equal(refined[trimap != 128], trimap[trimap != 128] / 255)
    np.testing.assert_array_equal(refined[(trimap == 128) & ~redone], 1)
    assert (refined[redone] != 0.5).any()


def test_refining_by_what_cannot(tmp_path: Path) -> None:
    image = scene(32, 32)[0]
    with pytest.raises(
        ArgumentError, match="refine: there is no 'knn', there are light, light-closed-form, hybrid, deep"
    ):
        trimatte.cutout(image, refine="knn")
    file = network(tmp_path / "m.onnx", {"input": ("b", 3, "h", "w")}, {"input": [1.0, 1.0, 1.0]}, outputs=["output"])
    name = add_as("modnet-matting", file)
    with pytest.raises(ArgumentError, match="refine: 'my-modnet-matting' takes no trimap"):
        find_refiner(name)
    with pytest.raises(ArgumentError, match="weights: no option of 'light', which has report, sure, margin"):
        trimatte.cutout(image, refine="light", refine_options={"weights": "x"})
    report = SolveReport()
    all_unknown = np.full((32, 32), 128, np.uint8)
    half = np.full((32, 32), 0.5, np.float32)
    np.testing.assert_array_equal(refine_alpha(image, all_unknown, half, method="light", report=report), half)
    assert report.fallbacks == ["light needs known foreground and background to refine: the alpha is left as it is"]


def test_the_whole_way_with_an_added_network(tmp_path: Path, photo: np.ndarray) -> None:
    name = add_as("vitmatte-small", four(tmp_path / "v.onnx"), WINDOW)
    cut = trimatte.cutout(photo, method="closed-form", refine=name)
    assert (cut.report.refine.method, cut.report.refine.device) == (name, "cpu")
    assert cut.report.refine.unknown > 0
    assert trimatte.cutout(photo, method=name).report.alpha.device == "cpu"


def test_on_the_command_line_and_in_an_evaluation(tmp_path: Path, photo_file: Path) -> None:
    file = network(tmp_path / "m.onnx", {"image": (1, 3, "h", "w"), "trimap": (1, 3, "h", "w")}, BOTH)
    card = tmp_path / "card.toml"
    card.write_text(ONE_HOT.replace("matteformer", "knn"))
    result = CliRunner().invoke(main, ["models", "add", str(file), "--card", str(card)])
    assert "'knn' is the name of an alpha method" in result.stderr
    card.write_text(ONE_HOT)
    assert CliRunner().invoke(main, ["models", "add", str(file), "--card", str(card)]).exit_code == 0
    result = CliRunner().invoke(main, ["cutout", str(photo_file), "--refine", "matteformer", "--json"])
    assert result.exit_code == 0, result.stderr
    refine = json.loads(result.stdout)["report"]["refine"]
    assert (refine["method"], refine["device"]) == ("matteformer", "cpu")

    scenes = synthesize(tmp_path / "scenes", count=1, size=(64, 64))
    evaluation = evaluate(scenes, ["matteformer"], out=tmp_path / "run")
    (record,) = evaluation.records
    assert record["status"] == "ok", record["error"]
    assert (record["given"], record["report"]["device"]) == ("trimap", "cpu")
    registry.add(
        network(tmp_path / "n.onnx", {"a": (1, 3, "h", "w"), "b": (1, 3, "h", "w")}, OTHER), read_card(ONE_HOT)
    )
    (again,) = evaluate(scenes, ["matteformer"], out=tmp_path / "run").records
    assert again["inputs"]["weights"] != record["inputs"]["weights"]
    assert again["alpha"] != record["alpha"]
