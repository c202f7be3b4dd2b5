"""`trimatte edit` from the command line, without a browser."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from trimatte.cli import main


def test_it_serves_this_machine_until_it_is_interrupted(photo_file: Path, trimap: np.ndarray) -> None:
    Image.fromarray(trimap).save(photo_file.with_name("trimap.png"))
    command = [sys.executable, "-m", "trimatte", "edit", str(photo_file), "--no-browser"]
    command += ["--trimap", str(photo_file.with_name("trimap.png"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/#(\S{24})$", process.stdout.readline().strip())
        assert found
        http = HTTPConnection("127.0.0.1", int(found[1]), timeout=30)

        def status(path: str, **headers: str) -> int:
            http.request("GET", path, headers=headers)
            answer = http.getresponse()
            answer.read()
            return answer.status

        assert status("/") == 200
        assert status(f"/v1/edit/sessions/{found[2]}") == 200
        assert status(f"/v1/edit/sessions/{found[2]}", Host="rebound.example") == 421
        http.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_what_cannot_be_edited_is_told(tmp_path: Path, photo_file: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear all")
    for arguments, said in (
        (["missing.jpg"], "cannot read 'missing.jpg'"),
        ([str(tmp_path)], "cannot read"),
        ([str(tmp_path / "letter.jpg")], "cannot read"),
        ([str(photo_file), "--method", "modnet"], "method: got 'modnet'"),
        ([str(photo_file), "--band", "7"], "band: got 7.0"),
        (["--trimap", "mine.png"], "--trimap goes with a photo"),
    ):
        result = CliRunner().invoke(main, ["edit", *arguments, "--no-browser"])
        assert result.exit_code != 0
        assert said in result.output


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["edit", "--no-browser", "--port", str(port)])
    assert result.exit_code != 0
    assert f"cannot listen at port {port}" in result.output


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimatte.cli.edit.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["edit"])
    assert result.exit_code != 0
    assert "trimatte[server]" in result.output
