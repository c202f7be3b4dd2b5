"""Finding a subject leaves nothing behind for anybody to be told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_onnxruntime_keeps_no_identity(tmp_path: Path) -> None:
    script = "import numpy, trimatte; trimatte.segment(numpy.zeros((32, 32, 3), numpy.uint8))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "CI", "ORT_"))}
    subprocess.run([sys.executable, "-c", script], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.rglob("*onnxruntime*"))
