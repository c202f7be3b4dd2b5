"""`benchmarks/gpu.sh` in its small form: tiny networks, small pictures, the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
SCRIPT = Path(__file__).parent.parent.parent / "benchmarks" / "gpu.sh"

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash"),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(["bash", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True)


def test_the_small_form_runs(tmp_path: Path) -> None:
    result = run("small", str(tmp_path / "gpu"))
    assert result.returncode == 0, result.stdout + result.stderr
    table = (tmp_path / "gpu" / "gpu.md").read_text()
    for name in ("Deep Image Matting", "MODNet", "GFM"):
        assert f"| {name} | 0.000 |" in table
        assert f"| {name} | 0.02 |" in table
    assert "alpha 0.000/255 from the CPU's" in table
    assert "The segmenter by onnxruntime on cpu: 0.000/255" in table


def test_it_says_how_to_call_it() -> None:
    result = run()
    assert result.returncode == 2
    for form in ("pack", "run OUT", "small OUT"):
        assert f"benchmarks/gpu.sh {form}" in result.stderr
