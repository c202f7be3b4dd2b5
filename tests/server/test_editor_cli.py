"""`trimatte edit` from the command line, without a browser."""

from __future__ import annotations

import io
import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from starlette.testclient import TestClient

from trimatte.cli import main
from trimatte.server.editor import Sessions


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


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), {"backdrop": "off", "shadow": "drop", "found": ""}),
        (("--backdrop", "auto"), {"backdrop": "auto", "shadow": "drop", "found": "#d2d4cd"}),
        (("--backdrop", "#d0d4d0", "--shadow", "keep"), {"backdrop": "#d0d4d0", "shadow": "keep", "found": "#d2d4cd"}),
        (("--backdrop", "green"), {"backdrop": "green", "found": ""}),
    ],
)
def test_the_session_has_the_backdrop_of_the_command_line(
    options: tuple[str, ...], wanted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = np.full((72, 96, 3), (210, 212, 205), np.uint8)
    photo[20:55, 30:70] = 40, 70, 180
    Image.fromarray(photo).save(tmp_path / "cup.png")
    opened, found = [], {}

    def open_it(sessions: Sessions, *given: Any, **settings: Any) -> str:
        opened.append(plain(sessions, *given, **settings))
        return opened[-1]

    class Server:
        """Instead of the one that listens: it asks for the session, and ends."""

        def __init__(self, config: Any) -> None:
            self.client = TestClient(config.app, base_url="http://localhost")

        def run(self, sockets: list[socket.socket]) -> None:
            path = f"/v1/edit/sessions/{opened[0]}"
            found.update(self.client.get(path).json())
            found["cut"] = self.client.get(f"{path}/cutout.png").content

    plain = Sessions.open
    monkeypatch.setattr(Sessions, "open", open_it)
    monkeypatch.setattr("uvicorn.Server", Server)
    result = CliRunner().invoke(main, ["edit", str(tmp_path / "cup.png"), "--no-browser", *options])
    assert result.exit_code == 0, result.output
    assert wanted.items() <= found.items()
    alpha = np.asarray(Image.open(io.BytesIO(found["cut"])))[..., 3]
    if wanted["found"]:
        np.testing.assert_array_equal(alpha > 0, photo[..., 0] == 40)


def test_what_cannot_be_edited_is_told(tmp_path: Path, photo_file: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear all")
    for arguments, said in (
        (["missing.jpg"], "cannot read 'missing.jpg'"),
        (["-"], "cannot read the picture: it is empty"),
        (["--preset", "missing.toml"], "preset: cannot read 'missing.toml'"),
        ([str(tmp_path)], "cannot read"),
        ([str(tmp_path / "letter.jpg")], "cannot read"),
        ([str(photo_file), "--method", "modnet"], "method: got 'modnet'"),
        ([str(photo_file), "--band", "7"], "band: got 7.0"),
        ([str(photo_file), "--backdrop", "mauvish"], "backdrop: got 'mauvish'"),
        ([str(photo_file), "--shadow", "long"], "'long' is not one of 'drop', 'keep'"),
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
