"""Tensors out of PyTorch files without running anything that the file says.

Such files are pickles, and unpickling calls whatever the file names. This reader knows how to rebuild tensors and a few
plain types by itself; a class of a few packages that training scripts pickle along becomes an inert stand-in that
only keeps its attributes; any other name is refused. It reads today's zip files and the older stream, written by
Python 2 as well.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from trimatte.errors import ModelError

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_INERT = ("torch", "numpy", "argparse", "pathlib", "models", "utils", "mmengine", "mmcv", "mmedit", "mmagic")
_PLAIN = {kind.__name__: kind for kind in (dict, list, tuple, set, frozenset, int, float, bool, str)}
_STREAM_MAGIC = 0x1950A86A20F9469CFC6C
_STREAM_VERSION = 1001


class Inert:
    """Stands for an object of a class that is not ours to build: keeps its attributes, does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> Inert:
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)

    def append(self, item: object) -> None: ...

    def extend(self, items: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...


def read_pickle(path: str | Path) -> Any:
    """The data of a file that `torch.save` wrote: plain Python, tensors on the CPU, and `Inert` objects.

    Raises
    ------
    ModelError
        if the file is missing, truncated, damaged, no such file at all, or names anything that could run code.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read_zip(file) if file.read(4) == b"PK\x03\x04" else _read_stream(file, path.stat().st_size)
    except _RefusedError as error:
        raise ModelError(f"{path}: asks for {error}, which weights do not need; nothing of it was run") from None
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (_DamagedError, zipfile.BadZipFile, pickle.UnpicklingError, EOFError, struct.error) as error:
        raise ModelError(f"{path}: truncated, damaged or not a PyTorch file ({error})") from error
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError, MemoryError) as error:
        raise ModelError(f"{path}: damaged or not a PyTorch file ({type(error).__name__}: {error})") from error


class _RefusedError(Exception):
    """The file names something that is neither data nor known to be harmless."""


class _DamagedError(Exception):
    """The file ends early or contradicts itself."""


class _Reader(pickle.Unpickler):
    """Unpickles with `find_class` and `persistent_load` of our own.

    `storages` collects the tensors' memory by key, to be filled later; together they may have `limit` bytes.
    """

    def __init__(self, file: BinaryIO, limit: int) -> None:
        super().__init__(file, encoding="latin1")
        self.limit = limit
        self.storages: dict[str, Tensor] = {}
        self._stand_ins: dict[str, type[Inert]] = {}
        self._known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("collections", "defaultdict"): self._default_dict,
            ("_codecs", "encode"): self._encode,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor"): self._rebuild_tensor,
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): self._rebuild_parameter,
            ("torch._utils", "_rebuild_parameter_with_state"): self._rebuild_parameter,
            ("numpy", "dtype"): _NumpyType,
            ("numpy.core.multiarray", "scalar"): self._numpy_scalar,
        }

    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins", "numpy._core.multiarray": "numpy.core.multiarray"}.get(module, module)
        if (module, name) in self._known:
            return self._known[module, name]
        if module == "builtins" and name in _PLAIN:
            return _PLAIN[name]
        if module in ("torch", "torch.cuda", "torch.storage") and name in _DTYPES:
            return _DTYPES[name]
        if module.split(".")[0] in _INERT:
            full = f"{module}.{name}"
            return self._stand_ins.setdefault(full, type(full, (Inert,), {}))
        raise _RefusedError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        kind = pid[0]
        if kind == "module":
            return pid[1]
        if kind != "storage" or not isinstance(pid[1], torch.dtype):
            raise _DamagedError(f"unknown reference {kind!r}")
        dtype, key, count = pid[1], str(pid[2]), int(pid[4])
        if key not in self.storages:
            self.limit -= count * dtype.itemsize
            if count < 0 or self.limit < 0:
                raise _DamagedError(f"storage {key} is said to hold {count} values, more than the file")
            self.storages[key] = torch.zeros(count, dtype=dtype)
        base = self.storages[key]
        view = pid[5] if len(pid) > 5 else None
        return base if view is None else base[view[1] : view[1] + view[2]]

    def _rebuild_tensor(self, base: Tensor, offset: int, size: Any, stride: Any, *rest: object) -> Tensor:
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if any(n < 0 for n in size) or any(s < 0 for s in stride) or offset < 0:
            raise _DamagedError("a tensor of negative extent")
        if all(size) and last >= base.numel():
            raise _DamagedError("a tensor reaches beyond its storage")
        return base.as_strided(tuple(size), tuple(stride), base.storage_offset() + offset)

    def _rebuild_parameter(self, tensor: Tensor, *rest: object) -> Tensor:
        return tensor

    def _default_dict(self, *args: object) -> dict[Any, Any]:
        return {}

    def _encode(self, text: str, encoding: str = "latin1") -> bytes:
        return text.encode("latin1")

    def _numpy_scalar(self, kind: _NumpyType, raw: str | bytes) -> float | int:
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        value = np.frombuffer(data, kind.code, count=1)[0]
        return float(value) if np.dtype(kind.code).kind == "f" else int(value)


class _NumpyType(Inert):
    """A number's type, for scalars such as a validation score."""

    def __init__(self, code: str = "f8", *args: object) -> None:
        if code.lstrip("<>=|") not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise _DamagedError(f"a scalar of type {code!r}")
        self.code = code


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise _DamagedError("it holds no data.pkl")
        root = pickles[0].removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise _DamagedError("its byte order is not little-endian")
        whole = file.seek(0, io.SEEK_END)
        if archive.getinfo(pickles[0]).file_size > whole:
            raise _DamagedError("its pickle is said to be larger than the file")
        reader = _Reader(io.BytesIO(archive.read(pickles[0])), whole)
        data = reader.load()
        for key, storage in reader.storages.items():
            with archive.open(f"{root}data/{key}") as entry:
                _fill(storage, entry)
    return data


def _read_stream(file: BinaryIO, whole: int) -> Any:
    file.seek(0)
    if _plain_load(file, whole) != _STREAM_MAGIC or _plain_load(file, whole) != _STREAM_VERSION:
        raise _DamagedError("its first bytes are another format's")
    _plain_load(file, whole)
    reader = _Reader(file, whole)
    data = reader.load()
    for key in _plain_load(file, whole):
        storage = reader.storages.get(str(key))
        (count,) = struct.unpack("<q", file.read(8))
        if storage is None or count != storage.numel():
            raise _DamagedError(f"storage {key} is not the one announced")
        _fill(storage, file)
    return data


def _plain_load(file: BinaryIO, limit: int) -> Any:
    return _Reader(file, limit).load()


def _fill(storage: Tensor, source: Any) -> None:
    """Read a storage's bytes into the memory that its tensors already look at."""
    memory = storage.view(torch.uint8).numpy()
    done = 0
    while done < memory.size:
        got = source.readinto(memory[done:].data)
        if not got:
            raise _DamagedError("it ends early")
        done += got
