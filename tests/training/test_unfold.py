"""The embedded network as weights to train on: the same function before the first step, in training as in use."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch")
from trimatte.errors import ModelError  # noqa: E402
from trimatte.networks.lite import Lite, doubled  # noqa: E402
from trimatte.training.unfold import embedded_file, embedded_variant, unfold, variant_of  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]


def test_the_same_function():
    onnxruntime = pytest.importorskip("onnxruntime")
    network = Lite(variant=embedded_variant())
    pictures = torch.randn(4, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with embedded_file() as path:
        unfold(path, network, [pictures[:2], pictures[2:]])
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"image": pictures.numpy()})[0]
    wanted = doubled(torch.from_numpy(logits)).numpy()
    with torch.no_grad():
        used = network.eval()(pictures).numpy()
        trained = network.train()(pictures)[0].numpy()
    assert np.abs(used - wanted).max() < 1e-3 * wanted.std()
    assert np.abs(trained - wanted).max() < 1e-3 * wanted.std()


def test_norms_expect_what_they_see():
    """A norm is more than an added bias: it takes mean and variance out of what it is given."""
    network = Lite(variant=embedded_variant())
    pictures = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with embedded_file() as path:
        unfold(path, network, [pictures])
    norm = network.encoder._bn0
    seen = network.encoder._conv_stem(pictures).transpose(0, 1).flatten(1)
    assert torch.allclose(norm.running_mean, seen.mean(1), atol=1e-4)
    assert torch.allclose(norm.running_var, seen.var(1, correction=0), rtol=1e-3, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu():
    pictures = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    networks = [Lite(variant=embedded_variant()), Lite(variant=embedded_variant()).cuda()]
    with embedded_file() as path:
        for network in networks:
            unfold(path, network, [pictures.to(network.encoder._conv_stem.weight.device)])
    for wanted, got in zip(*(network.state_dict().values() for network in networks), strict=True):
        assert torch.allclose(got.cpu().float(), wanted.float(), rtol=0.02, atol=0.02)


# What is wrong


def other_network(path, weight):
    """A file with one convolution."""
    node = helper.make_node("Conv", ["image", "w", "b"], ["y"])
    arrays = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.zeros(len(weight), np.float32), "b")]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, None, None]) for name in ("image", "y")]
    onnx.save(helper.make_model(helper.make_graph([node], "other", ends[:1], ends[1:], arrays)), path)
    return path


def test_another_network(tmp_path):
    path = other_network(tmp_path / "other.onnx", np.zeros((4, 3, 3, 3), np.float32))
    with pytest.raises(ModelError, match=r"other\.onnx: not the light network"):
        variant_of(path)


def test_a_network_without_its_weights(tmp_path):
    path = other_network(tmp_path / "other.onnx", np.zeros((4, 3, 3, 3), np.float32))
    model = onnx.load(path)
    del model.graph.initializer[:]
    onnx.save(model, path)
    with pytest.raises(ModelError, match="with its weights in full"):
        variant_of(path)


def test_another_variant():
    wanted = (embedded_variant() + 1) % 3
    with embedded_file() as path, pytest.raises(ModelError, match=f"wanted {wanted}"):
        unfold(path, Lite(variant=wanted), [])
