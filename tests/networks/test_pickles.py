"""Checkpoint files that are damaged or mean harm."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from trimatte.errors import ModelError  # noqa: E402
from trimatte.networks.pickles import Inert, read_pickle  # noqa: E402

pytestmark = pytest.mark.torch
ZIPPED = pytest.mark.parametrize("zipped", [True, False])


def save(data, path, zipped=True):
    torch.save(data, path, _use_new_zipfile_serialization=zipped)
    return path


@ZIPPED
def test_reads_what_was_written(tmp_path, zipped):
    base = torch.arange(24.0).reshape(4, 6)
    data = {
        "single": base,
        "view": base[1:3, ::2],
        "half": torch.randn(3).half(),
        "brain": torch.randn(3).bfloat16(),
        "long": torch.tensor(7),
        "bool": torch.tensor([True, False]),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "numbers": [1, 2.5, "text", None, {"a": (1, 2)}, {3}],
        "score": np.float64(1.25),
    }
    read = read_pickle(save(data, tmp_path / "a.pt", zipped))
    assert read["numbers"] == data["numbers"]
    assert read["score"] == 1.25
    for key, value in data.items():
        if isinstance(value, torch.Tensor):
            assert read[key].dtype == value.dtype
            assert torch.equal(read[key], value)


class Harm:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@ZIPPED
@pytest.mark.parametrize("harm", ["system", "eval", "getattr", "open"])
def test_runs_nothing(tmp_path, zipped, harm):
    mark = tmp_path / "ran"
    calls = {
        "system": Harm(os.system, f"touch {mark}"),
        "eval": Harm(builtins.eval, f"open({str(mark)!r}, 'w')"),
        "getattr": Harm(builtins.getattr, "text", "upper"),
        "open": Harm(io.open, str(mark), "w"),
    }
    path = save({"state_dict": {"conv1_1.weight": torch.ones(1), "x": calls[harm]}}, tmp_path / "a.pt", zipped)
    with pytest.raises(ModelError, match="nothing of it was run"):
        read_pickle(path)
    assert not mark.exists()


@ZIPPED
def test_known_classes_are_inert(tmp_path, zipped):
    path = save(
        {"model": torch.nn.Conv2d(1, 1, 1), "call": Harm(torch.set_default_dtype, torch.float64)},
        tmp_path / "a.pt",
        zipped,
    )
    data = read_pickle(path)
    assert torch.get_default_dtype() == torch.float32
    assert isinstance(data["model"], Inert)
    assert isinstance(data["call"], Inert)


@ZIPPED
@pytest.mark.parametrize("part", [0.001, 0.3, 0.7, 0.999])
def test_truncated(tmp_path, zipped, part):
    path = save({"state_dict": {"a": torch.randn(4000)}}, tmp_path / "a.pt", zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(ModelError, match="truncated"):
        read_pickle(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and no more", pickle.dumps([1, 2]), bytes(200)])
def test_other_files(tmp_path, content):
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_pickle(path)


def test_no_file(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        read_pickle(tmp_path / "a.pt")


def test_storage_larger_than_file(tmp_path):
    """A size that would fill memory is checked against the file before anything is allocated."""
    path = save({"a": torch.zeros(1_000_003)}, tmp_path / "a.pt")
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    entries = {name: data if "/data/" not in name else data[:8] for name, data in entries.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(ModelError, match="more than the file"):
        read_pickle(path)


def test_tensor_beyond_its_storage(tmp_path):
    path = save({"a": torch.arange(4099.0)}, tmp_path / "a.pt", False)
    whole = path.read_bytes()
    size = b"M\x03\x10\x85"  # 4099 as a number, in a tuple of one
    assert whole.count(size) == 1
    path.write_bytes(whole.replace(size, b"M\xff\x10\x85"))
    with pytest.raises(ModelError, match="beyond its storage"):
        read_pickle(path)
