"""ONNX Runtime sessions as this toolkit wants them: on its own threads' number, silent, without telemetry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from trimatte.errors import ModelError
from trimatte.runtime.threads import available_threads


def open_session(path: Path, *, called: str = "") -> Any:
    """An inference session of an ONNX file on the CPU. Raises `ModelError`, of the file as `called`, if it is none."""
    # From 1.29 on onnxruntime reports each session to its makers unless this is set before it is imported.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_threads()
    options.inter_op_num_threads = 1
    # The arena keeps the memory of the largest picture so far.
    options.enable_cpu_mem_arena = False
    # Threads spin for their next piece of work, a tenth quicker, but not on when the answer is there: that would use
    # up a container's quota.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"{called or path.name}: not a network that onnxruntime can load: {error}") from error
