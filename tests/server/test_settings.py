"""What an operator sets, by the command line and the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("starlette")

from trimatte.cli import main
from trimatte.errors import ArgumentError
from trimatte.server.settings import TOKEN_VARIABLE, Settings, read_token

TOKEN = "0123456789abcdef"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """What `trimatte serve` would have served."""
    found: list[Settings] = []
    monkeypatch.setattr("trimatte.server.run.serve", found.append)
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    return found


def serve(*words: str) -> Result:
    return CliRunner().invoke(main, ["serve", *words])


def test_defaults_keep_to_this_machine(served: list[Settings]) -> None:
    assert serve().exit_code == 0
    (settings,) = served
    assert settings.host == "127.0.0.1"
    assert settings.workers >= 1
    assert settings.editor
    assert settings.token is None
    assert settings == Settings(editor=True)


def test_options(served: list[Settings], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    words = [
        "--host",
        "0.0.0.0",
        "--port",
        "0",
        "--workers",
        "3",
        "--queue",
        "0",
        "--max-bytes",
        "9",
        "--max-pixels",
        "8",
    ]
    words += ["--body-seconds", "1.5", "--wait-seconds", "2", "--work-seconds", "3", "--worker-bytes", "7"]
    words += ["--token-file", str(file), "--allow-origin", "https://a.example", "--allow-host", "cut.example"]
    result = serve(*words)
    assert result.exit_code == 0, result.output
    expected: dict[str, Any] = {
        "host": "0.0.0.0",
        "port": 0,
        "workers": 3,
        "queue": 0,
        "max_bytes": 9,
        "max_pixels": 8,
        "body_seconds": 1.5,
        "wait_seconds": 2,
        "work_seconds": 3,
        "worker_bytes": 7,
        "token": TOKEN,
        "origins": ("https://a.example",),
        "hosts": ("cut.example",),
        "editor": False,
    }
    assert served == [Settings(**expected)]
    assert TOKEN not in repr(served)


def test_the_editor_for_others_has_to_be_asked_for(served: list[Settings]) -> None:
    serve("--host", "0.0.0.0", "--editor")
    serve("--no-editor")
    assert [settings.editor for settings in served] == [True, False]


@pytest.mark.parametrize(
    "words",
    [
        ["--body-seconds", "0"],
        ["--work-seconds", "-1"],
        ["--workers", "0"],
        ["--token", TOKEN],
        ["--allow-origin", "*"],
        ["--allow-origin", "https://a.example/"],
        ["--token-file", "no-such-file"],
    ],
)
def test_what_is_refused(served: list[Settings], words: list[str]) -> None:
    result = serve(*words)
    assert result.exit_code != 0
    assert "Error" in result.output
    assert not served


def test_the_token_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text("f" * 20)
    assert read_token(file) == "f" * 20
    for bad in ("short", "", "has a space in it, and more", "ümlaut" * 5):
        monkeypatch.setenv(TOKEN_VARIABLE, bad)
        with pytest.raises(ArgumentError, match="16 or more"):
            read_token(None)
