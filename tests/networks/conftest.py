"""Slow twins of the networks in NumPy, and files as the public projects write them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

EPS = 1e-5


def conv(x, w, b=None, pad=0, stride=1, dilation=1, groups=1):
    """(C, H, W) -> (O, H', W'): a weighted sum of shifted copies, one a tap."""
    if groups > 1:
        parts = zip(np.split(x, groups), np.split(w, groups), strict=True)
        return np.concatenate([conv(xs, ws, None, pad, stride, dilation) for xs, ws in parts])
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    k = w.shape[2]
    height = (x.shape[1] - dilation * (k - 1) - 1) // stride + 1
    width = (x.shape[2] - dilation * (k - 1) - 1) // stride + 1
    out = np.zeros((w.shape[0], height, width))
    for dy in range(k):
        for dx in range(k):
            y0, x0 = dy * dilation, dx * dilation
            tap = x[:, y0 : y0 + stride * (height - 1) + 1 : stride, x0 : x0 + stride * (width - 1) + 1 : stride]
            out += np.einsum("oi,ihw->ohw", w[:, :, dy, dx], tap)
    return out if b is None else out + b[:, None, None]


def norm(x, arrays, key):
    """Batch norm with running statistics."""
    weight, bias, mean, var = (arrays[f"{key}.{name}"] for name in ("weight", "bias", "running_mean", "running_var"))
    scale = weight / np.sqrt(var + EPS)
    return (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def pool(x):
    """2x2 maxima and, for each, which of its four pixels was the first to have it."""
    c, h, w = x.shape
    cells = x.reshape(c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(c, h // 2, w // 2, 4)
    return cells.max(-1), cells.argmax(-1)


def unpool(x, places):
    out = np.zeros((x.shape[0], 2 * x.shape[1], 2 * x.shape[2]))
    for c, y, z in np.ndindex(*x.shape):
        out[c, 2 * y + places[c, y, z] // 2, 2 * z + places[c, y, z] % 2] = x[c, y, z]
    return out


def bilinear(x, size, corners=False):
    """Each new pixel looks up its place in the old picture and mixes the two neighbours along either axis."""
    for axis, new in ((1, size[0]), (2, size[1])):
        old = x.shape[axis]
        if corners:
            at = np.arange(new) * ((old - 1) / max(1, new - 1))
        else:
            at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, None)
        low = np.minimum(np.floor(at).astype(int), old - 1)
        high = np.minimum(low + 1, old - 1)
        part = (at - low).reshape([-1 if i == axis else 1 for i in range(3)])
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def convs(arrays, key, x, pad=1, **options):
    return conv(x, arrays[f"{key}.weight"], arrays.get(f"{key}.bias"), pad, **options)


def random_arrays(shapes, rng):
    """Weights by key; of a size that keeps the numbers in range, with statistics that make a norm do something."""
    arrays = {}
    for key, shape in shapes.items():
        if key.endswith("running_var"):
            arrays[key] = rng.uniform(0.5, 2, shape)
        elif key.endswith(("running_mean", "bias")):
            arrays[key] = rng.normal(0, 0.2, shape)
        elif len(shape) == 1:
            arrays[key] = rng.uniform(0.5, 1.5, shape)
        else:
            arrays[key] = rng.normal(0, (1.5 / np.prod(shape[1:])) ** 0.5, shape)
    return {key: np.asarray(value, np.float32) for key, value in arrays.items()}


def conv_shapes(key, inputs, outputs, side, bias=True):
    return {f"{key}.weight": (outputs, inputs, side, side)} | ({f"{key}.bias": (outputs,)} if bias else {})


def norm_shapes(key, channels):
    return {f"{key}.{name}": (channels,) for name in ("weight", "bias", "running_mean", "running_var")}


@pytest.fixture(scope="session")
def twin():
    names = (conv, convs, norm, relu, sigmoid, pool, unpool, bilinear, random_arrays, conv_shapes, norm_shapes)
    return SimpleNamespace(**{function.__name__: function for function in names})


@pytest.fixture(autouse=True)
def one_thread():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
