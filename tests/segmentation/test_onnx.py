"""Networks by their contracts: what they see, what is made of their answer, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trimatte.errors import ModelError
from trimatte.planes import resize
from trimatte.segmentation.contract import Contract
from trimatte.segmentation.onnx import LONGEST, THUMBNAIL, check, network_size, run_whole, segmenter

Make = Callable[..., Path]
GREY = Contract(mean=(0, 0, 0), std=(1, 1, 1), size=32, kind="probability")


def gradient(height: int = 48, width: int = 64, top: float = 1.0) -> np.ndarray:
    """A picture that grows brighter to the right."""
    row = np.linspace(0, top, width, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def small(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The twin of what a network sees: one channel, antialiased."""
    return np.asarray(Image.fromarray(image[..., 0]).resize((width, height), Image.Resampling.BILINEAR))


def large(plane: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(plane).resize(image.shape[1::-1], Image.Resampling.BILINEAR))


def test_the_network_sees_the_whole_picture(make: Make) -> None:
    image = gradient()
    probability = segmenter(make(), GREY)(image)
    assert (probability.shape, probability.dtype) == ((48, 64), np.float32)
    np.testing.assert_allclose(probability, large(small(image, 32, 32), image), atol=1e-5)


def test_small_pictures_are_enlarged_no_more_than_allowed() -> None:
    contract = replace(GREY, size=None, long_side=416, enlarge=5)
    assert network_size(24, 32, contract) == (128, 160)
    assert network_size(2, 3, contract) == (32, 32)  # of the least multiple in any case
    for height, width in ((63, 84), (400, 600)):
        assert network_size(height, width, contract) == network_size(height, width, replace(contract, enlarge=0))
    least = replace(contract, least_side=256)
    assert network_size(24, 32, least) == network_size(3, 4, least) == (192, 256)
    assert network_size(60, 64, least) == network_size(60, 64, contract) == (288, 320)


def test_mean_and_deviation_are_taken_off(make: Make) -> None:
    image = np.stack([np.full((40, 40), value, np.float32) for value in (0.2, 0.5, 0.8)], axis=-1)
    contract = replace(GREY, mean=(0.1, 0.2, 0.3), std=(0.5, 1.0, 2.0))
    expected = ((0.2 - 0.1) / 0.5 + (0.5 - 0.2) / 1.0 + (0.8 - 0.3) / 2.0) / 3
    np.testing.assert_allclose(segmenter(make(), contract)(image), expected, atol=1e-5)


def test_scaling_by_the_pictures_own_maximum(make: Make) -> None:
    image = gradient(top=0.5)
    seen = small(image, 32, 32)
    np.testing.assert_allclose(
        segmenter(make(), replace(GREY, scaling="maximum"))(image), large(seen / seen.max(), image), atol=1e-5
    )
    assert segmenter(make(), GREY)(image).max() <= 0.5
    assert not segmenter(make(), replace(GREY, scaling="maximum"))(np.zeros((8, 8, 3), np.float32)).any()


def test_nothing_is_stretched(make: Make) -> None:
    run = segmenter(make(gain=0.1), GREY)
    assert run(gradient()).max() <= 0.1 + 1e-6
    constant = run(np.full((20, 20, 3), 0.7, np.float32))
    np.testing.assert_allclose(constant, 0.07, atol=1e-6)


def test_logits_get_a_sigmoid_and_a_temperature(make: Make) -> None:
    image = np.full((16, 16, 3), 0.5, np.float32)
    path = make(gain=8, offset=-1)
    for temperature in (1.0, 2.5):
        run = segmenter(path, replace(GREY, kind="logits", temperature=temperature))
        np.testing.assert_allclose(run(image), 1 / (1 + np.exp(-3 / temperature)), atol=1e-5)
    assert not segmenter(make(offset=-1000), replace(GREY, kind="logits"))(image).any()


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_coarse_logits_are_enlarged_before_they_become_probabilities(fit: Literal["stretch", "letterbox"]) -> None:
    contract = replace(GREY, kind="logits", size=64, fit=fit)
    coarse = np.random.default_rng(0).normal(scale=9, size=(32, 32)).astype(np.float32)
    probability = run_whole(lambda x: coarse, gradient(64, 64), contract)
    logits = np.asarray(Image.fromarray(coarse).resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_logits_finer_than_what_the_network_sees_stay_so() -> None:
    stripes = np.tile(np.float32([[-8, 8]]), (256, 128))
    probability = run_whole(lambda x: stripes, gradient(256, 256), replace(GREY, kind="logits", size=64))
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-stripes)), atol=1e-6)


def test_letterbox_keeps_the_aspect_and_the_whole_picture(make: Make) -> None:
    for height, width in ((20, 80), (80, 20), (33, 64)):
        image = np.full((height, width, 3), 0.8, np.float32)
        image[: height // 2, : width // 2] = 0.1
        probability = segmenter(make(), replace(GREY, fit="letterbox"))(image)
        scale = 32 / max(height, width)
        inner = round(height * scale), round(width * scale)
        np.testing.assert_allclose(probability, large(small(image, *inner), image), atol=1e-5)
    beside = segmenter(make(shift=4), replace(GREY, fit="letterbox"))(np.ones((80, 20, 3), np.float32))
    assert beside[:, -1].max() == 0  # four columns to the right of the picture, the network sees black


@pytest.mark.parametrize("index", [1, "map1"])
def test_any_output_can_be_taken(make: Make, index: int | str) -> None:
    image = np.full((16, 16, 3), 0.25, np.float32)
    run = segmenter(make(outputs=3), replace(GREY, index=index))
    np.testing.assert_allclose(run(image), 0.5, atol=1e-5)


def test_the_mirrored_picture_has_a_say(make: Make) -> None:
    image = gradient(32, 32)
    once = segmenter(make(shift=3), GREY)(image)
    mirrored = segmenter(make(shift=3), GREY)(image[:, ::-1])[:, ::-1]
    assert np.abs(once - mirrored).max() > 0.1
    both = segmenter(make(shift=3), replace(GREY, flip=True))(image)
    np.testing.assert_allclose(both, (once + mirrored) / 2, atol=1e-5)


def test_looks_at_several_sizes_are_averaged_as_logits(make: Make) -> None:
    image = gradient(64, 64)
    path = make(gain=6, offset=-3, shift=2)  # two columns of the network's are more of the picture at 32 than at 64
    contract = Contract(mean=(0, 0, 0), std=(1, 1, 1), long_side=64, multiple=8)
    logits = []
    for side in (32, 64):
        probability = segmenter(path, replace(contract, long_side=side))(image)
        logits.append(np.log(probability / (1 - probability)))
    both = segmenter(path, replace(contract, long_sides=(32, 64)))(image)
    expected = 1 / (1 + np.exp(-(logits[0] + logits[1]) / 2))
    assert np.abs(logits[0] - logits[1]).max() > 0.3
    assert np.abs(both - expected).mean() < 0.01  # logits are made larger, not probabilities


def test_a_small_subject_is_looked_at_once_more(make: Make) -> None:
    image = np.zeros((120, 160, 3), np.float32)
    image[40:70, 64:96] = 0.9  # 5 % of the picture
    once = segmenter(make(), GREY)(image)
    found = np.argwhere(once > 0.5)
    (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0) + 1
    rows = slice(top - round((bottom - top) / 4), bottom + round((bottom - top) / 4))
    columns = slice(left - round((right - left) / 4), right + round((right - left) / 4))
    expected = once.copy()
    expected[rows, columns] = (once[rows, columns] + segmenter(make(), GREY)(image[rows, columns])) / 2
    assert np.abs(expected - once).max() > 0.1
    np.testing.assert_allclose(segmenter(make(), replace(GREY, second_look=0.1))(image), expected, atol=1e-6)
    np.testing.assert_array_equal(segmenter(make(), replace(GREY, second_look=0.01))(image), once)


def test_where_nothing_is_found_there_is_no_second_look(make: Make) -> None:
    image = np.full((40, 50, 3), 0.3, np.float32)
    np.testing.assert_allclose(segmenter(make(), replace(GREY, second_look=1.0))(image), 0.3, atol=1e-5)


@pytest.mark.parametrize("strip", [resize.STRIP, 500])
def test_a_doubtful_picture_is_looked_at_a_third_time(make: Make, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one in strips."""
    monkeypatch.setattr(resize, "STRIP", strip)
    contract = replace(GREY, size=None, long_side=64)
    image = np.random.default_rng(0).uniform(0.3, 0.7, (48, 64, 3)).astype(np.float32)
    once, again = (segmenter(make(), replace(contract, long_side=side)) for side in (64, 96))
    first = once(image)
    doubt = float((4 * first * (1 - first)).sum() / first.sum())
    expected = (first + 2 * again(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]) / 3
    assert np.abs(expected - first).max() > 0.02
    looked = [segmenter(make(), replace(contract, third_look=x * doubt, third_side=96))(image) for x in (0.9, 1.1)]
    np.testing.assert_allclose(looked[0], expected, atol=2e-5)
    np.testing.assert_array_equal(looked[1], first)


@pytest.mark.parametrize(("side", "looks"), [(THUMBNAIL, 1), (THUMBNAIL + 1, 2)])
def test_a_thumbnail_is_not_looked_at_a_third_time(side: int, looks: int) -> None:
    contract = replace(GREY, size=None, long_side=64, third_look=0.1, third_side=96)
    seen = []

    def infer(x: np.ndarray) -> np.ndarray:
        seen.append(x.shape)
        return np.full(x.shape[-2:], 0.5, np.float32)

    run_whole(infer, np.full((side // 2, side, 3), 0.5, np.float32), contract)
    assert len(seen) == looks


def test_half_precision(make: Make) -> None:
    np.testing.assert_allclose(
        segmenter(make(half=True), GREY)(gradient()), segmenter(make(), GREY)(gradient()), atol=2e-3
    )


def test_onnxruntime_is_modest(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    seen = []
    session = onnxruntime.InferenceSession

    def spy(path: str, options: onnxruntime.SessionOptions, **rest: object) -> object:
        seen.append(options)
        return session(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    monkeypatch.setattr("trimatte.runtime.onnx.available_threads", lambda: 3)
    segmenter(make(), GREY)
    (options,) = seen
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert not options.enable_cpu_mem_arena
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    side=st.integers(1, 700),
    multiple=st.sampled_from([1, 8, 14, 32]),
    short=st.booleans(),
)
def test_sizes_are_multiples_near_the_pictures_aspect(
    height: int, width: int, side: int, multiple: int, short: bool
) -> None:
    which = {"short_side": side} if short else {"long_side": side}
    rows, columns = network_size(height, width, Contract((0, 0, 0), (1, 1, 1), multiple=multiple, **which))
    assert rows % multiple == columns % multiple == 0
    assert min(rows, columns) >= multiple
    target = side if not short else min(side * max(height, width) / min(height, width), LONGEST * side)
    assert abs(max(rows, columns) - target) <= max(multiple / 2 + 1e-6, multiple - target)


def test_check_accepts_what_fits(make: Make) -> None:
    assert check(make(), GREY, called="it") == []
    assert check(make(shape=(1, 3, 32, 32)), GREY, called="it") == []
    assert check(make(gain=9, offset=-4), replace(GREY, kind="logits"), called="it") == []
    (remark,) = check(make(), replace(GREY, kind="logits"), called="it")
    assert "probabilities?" in remark


ANY = Contract(mean=(0, 0, 0), std=(1, 1, 1), long_side=64, kind="probability")


@pytest.mark.parametrize(
    ("network", "contract", "words"),
    [
        ({"gain": 9.0, "offset": -4.0}, GREY, "probability.*logits, it seems"),
        ({"shape": (1, 3, 64, 64)}, GREY, r"shape \(1, 3, 64, 64\), the card says \(1, 3, 32, 32\)"),
        ({"shape": (4, 3, 32, 32)}, GREY, r"shape \(4, 3, 32, 32\)"),
        ({"shape": (1, 3, 32, 32)}, ANY, "takes only 32 x 32 pixels"),
        ({"channels": 2}, GREY, r"output 'map0' has shape \(1, 2, 32, 32\)"),
        ({"gain": float("nan")}, GREY, "not finite"),
        ({}, replace(GREY, index=1), "has 1 outputs, the card wants number 1"),
        ({}, replace(GREY, index="alpha"), "no output 'alpha', but map0"),
    ],
)
def test_check_refuses_what_cannot_be_right(
    make: Make, network: dict[str, object], contract: Contract, words: str
) -> None:
    with pytest.raises(ModelError, match=words):
        check(make(**network), contract, called="it")


def test_check_refuses_what_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("hello")
    with pytest.raises(ModelError, match=r"^it: not a network that onnxruntime can load"):
        check(path, GREY, called="it")


def test_check_refuses_other_inputs(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    def write(name: str, kind: int, count: int) -> Path:
        inputs = [helper.make_tensor_value_info(f"in{n}", kind, (1, 3, "h", "w")) for n in range(count)]
        nodes = [helper.make_node("Sum", [value.name for value in inputs], ["out"])]
        if kind == TensorProto.UINT8:
            nodes = [helper.make_node("Identity", ["in0"], ["out"])]
        graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("out", kind, None)])
        save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / name)
        return tmp_path / name

    with pytest.raises(ModelError, match=r"has 2 inputs \(in0, in1\), the card says one: picture"):
        check(write("two.onnx", TensorProto.FLOAT, 2), GREY, called="it")
    with pytest.raises(ModelError, match=r"takes tensor\(uint8\), wanted tensor\(float\)"):
        check(write("bytes.onnx", TensorProto.UINT8, 1), GREY, called="it")
