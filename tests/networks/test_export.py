"""Each family as an ONNX file gives the same alpha."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
from trimatte.errors import ArgumentError  # noqa: E402
from trimatte.networks import dim, gfm, modnet  # noqa: E402
from trimatte.networks.export import export_onnx  # noqa: E402

pytestmark = pytest.mark.torch


def alike(network, path, x):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    exported = session.run(["output"], {"input": x.numpy()})[0]
    with torch.no_grad():
        ours = network(x).numpy()
    assert ours.std() > 1e-3
    assert np.abs(exported - ours).max() < 1e-4


def a_modnet():
    return modnet.MODNet(modnet.TINY).eval()


def a_gfm():
    network = gfm.GFM(gfm.TINY).eval()
    x = torch.rand(1, 3, 64, 96) * 255
    with torch.no_grad():  # so that every class wins somewhere, and clearly
        network.decoder0_g[6].bias -= network.predict(x)[0].mean((0, 2, 3))
        for parameter in network.decoder0_g[6].parameters():
            parameter *= 100
    return network


def a_dim():
    network = dim.DIM(dim.TINY)
    torch.nn.init.normal_(network.deconv1.weight)
    torch.nn.init.normal_(network.refine_pred.weight)
    return network


def a_segnet():
    network = dim.DIM(dim.DIMConfig(widths=(4, 8, 8, 8, 8), segnet=True, output="sigmoid", refine=None))
    torch.nn.init.normal_(network.deconv1.weight, std=10)
    return network


def test_one_size(tmp_path):
    network = a_dim()
    export_onnx(network, tmp_path / "a.onnx", size=(64, 96))
    alike(network, tmp_path / "a.onnx", torch.rand(1, 4, 64, 96))
    session = ort.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 4, 64, 96]


@pytest.mark.parametrize(
    ("build", "channels", "scale"),
    [(a_dim, 4, 1), (a_segnet, 4, 1), (a_modnet, 3, 1), (a_gfm, 3, 255)],
    ids=["deep-image-matting", "segnet", "modnet", "gfm"],
)
def test_open_size(tmp_path, build, channels, scale):
    torch.manual_seed(0)
    network = build()
    export_onnx(network, tmp_path / "a.onnx")
    for shape in ((1, channels, 64, 96), (3, channels, 96, 64), (2, channels, 160, 128)):
        alike(network, tmp_path / "a.onnx", scale * torch.rand(shape))


@pytest.mark.parametrize("size", [(0, 32), (33, 64)])
def test_sizes_that_do_not_fit(size, tmp_path):
    with pytest.raises(ArgumentError, match="multiples of 32"):
        export_onnx(modnet.MODNet(modnet.TINY), tmp_path / "a.onnx", size=size)
