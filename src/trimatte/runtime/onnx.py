"""ONNX Runtime sessions as this toolkit wants them: on its own threads' number, silent, without telemetry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from trimatte.errors import ArgumentError, ModelError
from trimatte.runtime.device import PROVIDERS, chosen_device, onnx_device
from trimatte.runtime.onnx_file import giving_only
from trimatte.runtime.threads import available_threads


def open_session(path: Path, *, called: str = "", device: str = "cpu", outputs: Sequence[str] = ()) -> Any:
    """An inference session of an ONNX file.

    Parameters
    ----------
    path : path
        The file.
    called : str, optional
        What messages call it.
    device : str, default "cpu"
        A name of `trimatte.runtime.device.DEVICES`; "auto" takes what the user chose for all, or a GPU that works.
    outputs : sequence of str, optional
        Names of the only outputs that will be asked for: what none of them needs is not computed. Else all can be.

    Raises
    ------
    ModelError
        If it is no network.
    ArgumentError
        For a device that is not there, or does not start.
    """
    # From 1.29 on onnxruntime reports each session to its makers unless this is set before it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    place = onnx_device(device)
    providers = list(dict.fromkeys([PROVIDERS[place], PROVIDERS["cpu"]]))
    try:
        model = giving_only(path.read_bytes(), outputs) if outputs else str(path)
        session = onnxruntime.InferenceSession(model, _options(place), providers=providers)
    except Exception as error:
        raise ModelError(f"{called or path.name}: {_why_not(error, place)}") from error
    # A provider whose libraries are missing is left out without an error.
    if session_device(session) != place and chosen_device(device) != "auto":
        raise ArgumentError(f"device: {place!r} does not start; onnxruntime runs on {session_device(session)!r}")
    return session


def _why_not(error: Exception, device: str) -> str:
    """Why a session could not be made."""
    words = str(error)
    if "external data" in words.lower():
        return (
            "its weights lie in another file, which is not copied; make one of both: "
            "`import onnx; onnx.save(onnx.load(FILE), ONE_FILE)`"
        )
    if "NOT_IMPLEMENTED" in words:
        return f"needs what onnxruntime does not have on {device!r}: {words}"
    return f"not a network that onnxruntime can load: {words}"


@contextmanager
def shipped_file(file: str) -> Iterator[Path]:
    """A network that the package ships: "alpha/weights/light.onnx" and the like. Raises `ModelError` if it lacks it."""
    with as_file(files("trimatte").joinpath(*file.split("/"))) as path:
        if not path.is_file():
            raise ModelError(f"{path}: a file of the package is missing; install trimatte anew")
        yield path


@lru_cache(maxsize=5)
def embedded_session(file: str) -> Any:
    """The session, on the CPU, of a network that the package ships (see `shipped_file`)."""
    with shipped_file(file) as path:
        return open_session(path)


def session_device(session: Any) -> str:
    """The device on which a session runs."""
    first = session.get_providers()[0]
    return next((name for name, provider in PROVIDERS.items() if provider == first), "cpu")


def _options(device: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_threads()
    options.inter_op_num_threads = 1
    # The arena keeps the memory of the largest picture so far.
    options.enable_cpu_mem_arena = False
    # DirectML cannot reuse a pattern of memory.
    options.enable_mem_pattern = device != "directml"
    # Threads spin for their next piece of work, a tenth quicker, but not on when the answer is there: that would use
    # up a container's quota.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    return options
