"""Networks on pictures: windows, sizes, devices, and the alpha methods made of them."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from trimatte.alpha import deep  # noqa: E402
from trimatte.alpha.known import narrow_trimap  # noqa: E402
from trimatte.alpha.refine import refine_alpha  # noqa: E402
from trimatte.errors import ArgumentError, MissingExtraError, ModelError  # noqa: E402
from trimatte.images.cells import OVERLAP, cells  # noqa: E402
from trimatte.linalg.report import SolveReport  # noqa: E402
from trimatte.networks import dim, gfm, inference, modnet  # noqa: E402
from trimatte.networks.checkpoints import save_checkpoint  # noqa: E402

pytestmark = pytest.mark.torch

SLIM = dim.DIMConfig(widths=(4, 8, 8, 8, 8), bottleneck=8, refine_width=4)
CPU = torch.device("cpu")


def lively(config):
    """A random network whose alpha differs from pixel to pixel by much, so that errors show."""
    torch.manual_seed(0)
    network = dim.DIM(dataclasses.replace(config, refine=None)).train()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        raw = network(torch.randn(1, 4, 128, 128))
        network.deconv1.weight /= 4 * raw.std()
        network.deconv1.bias[:] = 0.5 - raw.mean() / (4 * raw.std())
    full = dim.DIM(config)
    full.load_state_dict(network.state_dict(), strict=False)
    if config.refine is not None:
        torch.nn.init.normal_(full.refine_pred.weight, std=1e-4)
    return full


def scene(height, width, inner=0.3, outer=0.42, seed=0):
    """Noise of all scales, and a ring of unknown pixels about a disk."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((height // 30 + 1, width // 30 + 1, 3)).repeat(30, 0).repeat(30, 1)[:height, :width]
    image = np.clip(coarse + rng.normal(0, 0.1, (height, width, 3)), 0, 1).astype(np.float32)
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2) / min(height, width)
    trimap = np.where(distance < inner, 255, np.where(distance < outer, 128, 0)).astype(np.uint8)
    return image, trimap


def test_windows_agree_with_the_whole_at_2_mp(monkeypatch):
    image, trimap = scene(1230, 1630)
    runner = inference.Runner(lively(SLIM), CPU)
    whole = inference.dim_alpha(runner, image, trimap, window=None)
    windows = inference.dim_alpha(runner, image, trimap, window=640)
    assert whole[trimap == 128].std() > 0.1
    assert np.abs(windows - whole).max() < 1e-5  # 2/255 is what is promised
    # With too little around each window it would not be so.
    monkeypatch.setattr(inference, "receptive_radius", lambda config: 64)
    narrow = inference.dim_alpha(runner, image, trimap, window=640)
    assert np.abs(narrow - whole).max() > 2 / 255


def test_windows_are_small(monkeypatch):
    """Memory is bounded: however large the picture, the network never sees more than a window and its reach."""
    sizes = []
    network = lively(dataclasses.replace(SLIM, conv6=1, refine=None))
    reach = dim.receptive_radius(network.config)
    most = 128 + OVERLAP + 2 * (reach + 32)
    trimap = np.full((60, 5000), 128, np.uint8)
    trimap[:, ::7] = 255
    monkeypatch.setattr(network, "forward", lambda x: sizes.append(tuple(x.shape)) or x[:, :1])
    inference.dim_alpha(inference.Runner(network, CPU), np.zeros((60, 5000, 3), np.float32), trimap, window=128)
    assert len(sizes) == 40
    assert max(width for *_, width in sizes) <= most


def test_known_parts_are_not_looked_at(monkeypatch):
    network = lively(dataclasses.replace(SLIM, conv6=1, refine=None))
    trimap = np.zeros((40, 3000), np.uint8)
    trimap[:, 1500:] = 255
    trimap[10:20, 1490:1510] = 128
    seen = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x: seen.append(x.shape) or forward(x))
    alpha = inference.dim_alpha(inference.Runner(network, CPU), scene(40, 3000)[0], trimap, window=2048)
    assert len(seen) == 2
    assert all(shape[3] < 600 for shape in seen)
    assert np.array_equal(alpha[trimap != 128], trimap[trimap != 128] / np.float32(255))


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    window=st.sampled_from([64, 65, 100, None]),
    seed=st.integers(0, 99),
)
def test_shares_add_up(shape, window, seed):
    unknown = np.random.default_rng(seed).random(shape) < 0.01
    total = np.zeros(shape)
    for (top, bottom, left, right), share in cells(unknown, window):
        total[top:bottom, left:right] += share
        assert share.min() >= 0
    assert np.allclose(total[unknown], 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (31, 200), (33, 64)])
def test_any_size(shape):
    """Also smaller than the network's stride."""
    image, _ = scene(*shape)
    trimap = np.full(shape, 128, np.uint8)
    trimap[0, 0] = 255
    alpha = inference.dim_alpha(inference.Runner(lively(SLIM), CPU), image, trimap)
    assert alpha.shape == shape
    assert alpha.dtype == np.float32
    assert alpha[0, 0] == 1
    for function, network in (
        (inference.modnet_alpha, modnet.MODNet(modnet.TINY)),
        (inference.gfm_alpha, gfm.GFM(gfm.TINY)),
    ):
        assert function(inference.Runner(network, CPU), image).shape == shape


def test_everything_unknown():
    image, _ = scene(100, 130)
    trimap = np.full((100, 130), 128, np.uint8)
    runner = inference.Runner(lively(SLIM), CPU)
    whole = inference.dim_alpha(runner, image, trimap, window=None)
    assert np.abs(inference.dim_alpha(runner, image, trimap, window=64) - whole).max() < 1e-5
    assert whole.std() > 0.05


def test_window_too_small():
    with pytest.raises(ArgumentError, match="window: got 32"):
        inference.dim_alpha(inference.Runner(lively(SLIM), CPU), *scene(64, 64), window=32)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), (512, 512)),
        ((1080, 1920), (512, 896)),
        ((1920, 1080), (896, 512)),
        ((400, 900), (384, 896)),
        ((200, 300), (512, 768)),
        ((10, 900), (32, 896)),
        ((2000, 2000), (512, 512)),
    ],
)
def test_modnet_sizes(size, expected):
    assert inference.modnet_size(*size) == expected


@pytest.mark.parametrize("sizing", ["hybrid", "resize"])
@pytest.mark.parametrize("scheme", ["TT", "FT", "BT"])
def test_gfm_sizes(monkeypatch, sizing, scheme):
    network = gfm.GFM(gfm.GFMConfig(scheme=scheme, width=4, blocks=(1, 1, 1, 1)))
    seen = []
    predict = network.predict
    monkeypatch.setattr(network, "predict", lambda x: seen.append(tuple(x.shape[2:])) or predict(x))
    image, _ = scene(330, 420)
    alpha = inference.gfm_alpha(inference.Runner(network, CPU), image, sizing=sizing)
    assert seen == ([(96, 128), (160, 192)] if sizing == "hybrid" else [(160, 192)])
    assert alpha.shape == (330, 420)
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert inference._gfm_input(np.zeros((4000, 64, 3), np.float32), 2).shape == (1, 3, 1600, 32)


def test_gfm_unknown_sizing():
    with pytest.raises(ArgumentError, match="sizing"):
        inference.gfm_alpha(inference.Runner(gfm.GFM(gfm.TINY), CPU), scene(64, 64)[0], sizing="whole")


@settings(max_examples=30)
@given(old=st.integers(1, 20), new=st.integers(1, 20))
def test_modnets_resampling(old, new):
    """Against the definition: the mean of all pixels that a new one touches, each with the same weight."""
    x = np.random.default_rng(old * 50 + new).random((old, 3)).astype(np.float32)
    touched = [x[i * old // new : -(-(i + 1) * old // new)].mean(0) for i in range(new)]
    assert np.abs(inference._adaptive_means(x[..., None], (new, 3))[..., 0] - touched).max() < 1e-5


@pytest.mark.parametrize(
    ("layout", "size", "expected"),
    [
        ("huochaitiantang", (100, 130), (96, 128)),
        ("huochaitiantang", (1700, 20), (1600, 32)),
        ("indexnet", (100, 128), (128, 128)),
        ("mmagic", (100, 130), (100, 130)),
        ("trimatte", (100, 130), (100, 130)),
    ],
)
def test_dims_own_sizes(layout, size, expected, monkeypatch):
    """A network that gives its trimap back: what is resized twice is near what it was, and known pixels are kept."""
    seen = []

    def windowed(runner, image, known, unknown, window):
        seen.append(image.shape[:2])
        assert known.shape == unknown.shape == image.shape[:2]
        np.testing.assert_array_equal(unknown, (known > 0) & (known < 1))
        return known

    monkeypatch.setattr(inference, "_windowed", windowed)
    runner = inference.Runner(lively(SLIM), CPU, layout=layout)
    image = np.full((*size, 3), 0.25, np.float32)
    trimap = np.repeat(np.array([0, 128, 255], np.uint8), [size[1] // 4, size[1] // 2, size[1]])[: size[1]]
    trimap = np.repeat(trimap[None], size[0], 0)
    alpha = inference.dim_alpha(runner, image, trimap, sizing="own")
    assert seen == [expected]
    assert alpha.shape == size
    np.testing.assert_array_equal(alpha[trimap != 128], trimap[trimap != 128] / 255)
    assert np.abs(alpha - trimap / 255)[:, size[1] // 4 + 4 : -size[1] // 4 - 4].max(initial=0) < 0.1


def test_dims_sizing_that_there_is_not():
    with pytest.raises(ArgumentError, match="sizing: got 'crop', wanted mirror or own"):
        inference.dim_alpha(inference.Runner(lively(SLIM), CPU), *scene(64, 64), sizing="crop")


def test_opencvs_filters():
    """Of two pixels, and of four by the cubic with a = -0.75: places and weights by hand."""
    two = np.array([[0.2, 0.6]], np.float32)
    np.testing.assert_allclose(inference._interpolated(two, (1, 4), "bilinear"), [[0.2, 0.3, 0.5, 0.6]], atol=1e-6)
    np.testing.assert_allclose(inference._interpolated(two, (1, 4), "nearest"), [[0.2, 0.2, 0.6, 0.6]], atol=1e-6)
    four = np.array([[0.1, 0.4, 0.3, 0.8]], np.float32)
    weights = np.array([-0.10546875, 0.87890625, 0.26171875, -0.03515625])  # a quarter of a pixel after the second
    cubic = inference._interpolated(four, (1, 8), "bicubic")
    np.testing.assert_allclose(cubic[0, 3], four[0] @ weights, atol=1e-6)


# Devices


def short(network, most, error):
    """The network, with too little memory for more than so many pixels, as CUDA and MPS say it."""
    forward = network.forward

    def limited(x):
        if x.shape[2] * x.shape[3] > most:
            raise error
        return forward(x)

    network.forward = limited
    return network


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory")]
)
def test_out_of_memory_halves_the_window(error, monkeypatch):
    rng = np.random.default_rng(0)
    image, trimap = rng.random((256, 256, 3), np.float32), np.full((256, 256), 128, np.uint8)
    monkeypatch.setattr(inference, "receptive_radius", lambda config: 16)
    runner = inference.Runner(short(lively(SLIM), 192 * 192, error), CPU)
    alpha = inference.dim_alpha(runner, image, trimap, window=512)
    assert runner.notes == ["out of memory: windows of 128 pixels instead"]
    plain = inference.dim_alpha(inference.Runner(lively(SLIM), CPU), image, trimap, window=128)
    np.testing.assert_array_equal(alpha, plain)
    with pytest.raises(MemoryError, match="too little memory"):
        inference.dim_alpha(inference.Runner(short(lively(SLIM), 0, error), CPU), image, trimap, window=512)
    other = inference.Runner(short(lively(SLIM), 0, RuntimeError("shapes do not fit")), CPU)
    with pytest.raises(RuntimeError, match="do not fit"):
        inference.dim_alpha(other, image, trimap)


def test_a_whole_picture_goes_to_the_cpu_where_the_device_lacks_memory():
    runner = inference.Runner(torch.nn.Identity(), CPU, notes=["before"])
    runner.device, runner.half = torch.device("meta"), True

    def compute():
        if runner.device.type == "meta":
            raise MemoryError
        return np.ones((2, 2), np.float32)

    assert runner.or_on_cpu(compute).all()
    assert (runner.device, runner.half) == (CPU, False)
    assert runner.notes == ["before", "out of memory on meta: computed on the CPU"]

    def fail():
        raise MemoryError

    with pytest.raises(MemoryError):
        runner.or_on_cpu(fail)


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert inference.pick_device() == (CPU, False)
    with pytest.raises(ArgumentError, match="device: 'cuda' is not available"):
        inference.pick_device("cuda")
    with pytest.raises(ArgumentError, match="device: got 'tpu'"):
        inference.pick_device("tpu")
    with pytest.raises(ArgumentError, match=r"half.*is for GPUs"):
        inference.pick_device("cpu", "half")
    with pytest.raises(ArgumentError, match=r"half.*is for GPUs"):
        inference.pick_device("auto", "half")
    with pytest.raises(ArgumentError, match="precision: got 'double'"):
        inference.pick_device("cpu", "double")


def test_half_precision_is_for_cuda_by_default(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert inference.pick_device() == (torch.device("cuda"), True)
    assert inference.pick_device("cuda", "single") == (torch.device("cuda"), False)
    assert inference.pick_device("cpu") == (CPU, False)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu():
    image, trimap = scene(300, 400)
    network = lively(SLIM)
    slow = inference.dim_alpha(inference.Runner(network, CPU), image, trimap)
    for half, tolerance in ((False, 1e-3), (True, 0.05)):
        fast = inference.dim_alpha(inference.Runner(network, torch.device("cuda"), half), image, trimap)
        assert np.abs(fast - slow).max() < tolerance


def test_overflow_in_half_precision_is_made_good():
    runner = inference.Runner(lively(SLIM), CPU, half=True)
    x = torch.ones(1, 4, 32, 32)
    out = runner.run(lambda y: (torch.full((2,), 1.0 if not runner.half else float("nan")),), x)
    assert torch.equal(out[0], torch.ones(2))
    assert "half precision overflowed" in runner.notes[0]


# As alpha methods


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    networks = {
        "deep-image-matting": lively(SLIM),
        "modnet": modnet.MODNet(modnet.TINY),
        "gfm": gfm.GFM(gfm.TINY),
    }
    for name, network in networks.items():
        save_checkpoint(folder / f"{name}.pt", network, name)
    return {name: folder / f"{name}.pt" for name in networks}


METHODS = {"deep-image-matting": deep.deep_image_matting, "modnet": deep.modnet, "gfm": deep.gfm}


@pytest.mark.parametrize("name", METHODS)
def test_methods(files, name):
    image, trimap = scene(90, 120)
    report = SolveReport(method=name)
    alpha = METHODS[name](image, trimap, report, weights=files[name], device="cpu")
    assert alpha.dtype == np.float32
    assert np.array_equal(alpha[trimap != 128], trimap[trimap != 128] / np.float32(255))
    assert report.solver == "trimatte weights on cpu"
    if name != "deep-image-matting":
        free = METHODS[name](image, None, report, weights=files[name])
        assert np.array_equal(free[trimap == 128], alpha[trimap == 128])


@pytest.mark.parametrize("name", METHODS)
def test_without_weights(name):
    with pytest.raises(ModelError, match=r"comes without weights") as caught:
        METHODS[name](*scene(40, 40), SolveReport())
    text = str(caught.value)
    assert "https://github.com/" in text
    assert any(licence in text for licence in ("MIT", "Apache-2.0"))
    assert "weights=PATH" in text


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.pt cannot be read"):
        deep.modnet(*scene(40, 40), SolveReport(), weights=tmp_path / "absent.pt")


def test_weights_of_another_method(files):
    with pytest.raises(ModelError, match="holds gfm, not modnet"):
        deep.modnet(*scene(40, 40), SolveReport(), weights=files["gfm"])


def test_without_torch(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "trimatte.networks.inference")
    with pytest.raises(MissingExtraError, match=r'pip install "trimatte\[torch\]"'):
        deep.modnet(*scene(40, 40), SolveReport(), weights=files["modnet"])


def test_dim_needs_a_trimap(files):
    with pytest.raises(ArgumentError, match="trimap: got None"):
        deep.deep_image_matting(scene(40, 40)[0], None, SolveReport(), weights=files["deep-image-matting"])


# Refiner


def test_narrow_trimap():
    trimap = np.full((9, 40), 128, np.uint8)
    trimap[:, 0], trimap[:, -1] = 0, 255
    alpha = np.clip((np.arange(40) - 18.0) / 4, 0, 1).astype(np.float32)[None].repeat(9, 0)
    narrow = narrow_trimap(trimap, alpha, sure=0.98, margin=3)
    unsure = (alpha > 0.02) & (alpha < 0.98)
    first, last = np.flatnonzero(unsure[0])[[0, -1]]
    assert (narrow[:, first - 3 : last + 4] == 128).all()
    assert (narrow[:, : first - 3] == 0).all()
    assert (narrow[:, last + 4 :] == 255).all()


def test_refine_only_where_unsure(files):
    image, trimap = scene(120, 160)
    alpha = np.where(trimap == 255, 1, 0).astype(np.float32)
    alpha[:, 60:100][trimap[:, 60:100] == 128] = 0.5
    report = SolveReport()
    weights = files["deep-image-matting"]
    refined = refine_alpha(image, trimap, alpha, report=report, weights=weights, margin=2)
    narrow = narrow_trimap(trimap, alpha, margin=2)
    assert 0 < report.unknown == np.count_nonzero(narrow == 128) < np.count_nonzero(trimap == 128)
    assert np.array_equal(refined[narrow != 128], alpha[narrow != 128])
    direct = deep.deep_image_matting(image, narrow, SolveReport(), weights=weights)
    assert np.array_equal(refined[narrow == 128], direct[narrow == 128])


def test_nothing_to_refine(files):
    image, trimap = scene(60, 60)
    alpha = (trimap == 255).astype(np.float32)
    report = SolveReport()
    assert np.array_equal(refine_alpha(image, trimap, alpha, report=report), alpha)
    assert "nothing to refine" in report.fallbacks[0]


@pytest.mark.parametrize(("option", "value"), [("sure", 0.4), ("sure", 1.1), ("margin", -1)])
def test_refine_options(option, value):
    image, trimap = scene(40, 40)
    with pytest.raises(ArgumentError, match=option):
        refine_alpha(image, trimap, np.zeros((40, 40)), **{option: value})
