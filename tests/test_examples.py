"""The examples run as they are and write what they say."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(folder: Path, name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent / "src")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_demo(tmp_path: Path) -> None:
    printed = run(tmp_path, "demo.py", "made/here")
    for name, size in (("cat", (451, 300)), ("astronaut", (512, 512))):
        for kind, mode in (("", "RGBA"), ("-alpha", "L"), ("-trimap", "L")):
            path = tmp_path / "made" / "here" / f"{name}{kind}.png"
            with Image.open(path) as image:
                assert (image.mode, image.size) == (mode, size)
            assert path.name in printed
        assert (tmp_path / "made" / "here" / f"{name}-sheet.png").exists()


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("stages.py", "stages.png"),
        ("own_trimap.py", "head.webp"),
        ("methods.py", "methods.png"),
        ("fringe.py", "fringe.png"),
        ("click.py", "click.png"),
        ("backdrop.py", "backdrop.png"),
    ],
)
def test_the_others(
    tmp_path: Path, name: str, result: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert result in capsys.readouterr().out
    with Image.open(tmp_path / result) as image:
        assert image.mode == "RGB"


def test_a_network_made_on_the_spot(tmp_path: Path) -> None:
    printed = run(tmp_path, "network.py")
    rows = {row["method"]: row for row in json.loads((tmp_path / "network.json").read_text())}
    assert set(rows) == {"closed-form", "hybrid", "blur"}
    for name, row in rows.items():
        assert (row["given"], row["device"], row["pictures"]) == ("trimap", "cpu", 2)
        assert name in printed


def test_each_example_is_named_in_the_readme() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text()
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) >= 3
    for script in scripts:
        assert f"examples/{script.name}" in readme
