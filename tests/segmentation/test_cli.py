"""`trimatte models` as a user calls it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from trimatte.cli import main

Make = Callable[..., Path]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def card(tmp_path: Path, grey_card: str) -> Path:
    path = tmp_path / "card.toml"
    path.write_text(grey_card)
    return path


def test_list_tells_states_and_terms() -> None:
    result = call("models", "list")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert "embedded" in lines["lite"]
    assert "not added" in lines["u2netp"]
    assert "4.6 MB" in lines["u2netp"]
    assert "non-commercial" in lines["bria-rmbg"]
    assert list(lines)[:2] == ["lite", "lite-plus"]
    assert call("models").stdout == result.stdout


def test_list_by_licence(make: Make, card: Path) -> None:
    nothing = call("models", "list", "--licence", "permissive")
    assert nothing.exit_code == 0
    assert nothing.stdout == ""
    assert "No network's licence is read as permissive; there are: permissive-weights " in nothing.stderr
    call("models", "add", make(), "--card", card)
    assert call("models", "list", "--licence", "permissive").stdout.startswith("grey  segmentation  added  permissive")
    both = call("models", "list", "--licence", "permissive", "--licence", "non-commercial").stdout
    assert [line.split()[0] for line in both.splitlines()] == ["bria-rmbg", "fba", "grey"]
    assert call("models", "list", "--licence", "free").exit_code == 2
    matting = call("models", "list", "--task", "matting", "--licence", "non-commercial").stdout
    assert [line.split()[0] for line in matting.splitlines()] == ["fba"]


def test_list_and_show_as_json() -> None:
    records = json.loads(call("models", "list", "--json").stdout)
    lite = next(record for record in records if record["name"] == "lite")
    assert (lite["state"], lite["use"]) == ("embedded", "permissive-weights")
    assert lite["bytes"] > 1_000_000
    shown = json.loads(call("models", "show", "u2netp", "--json").stdout)
    assert (shown["state"], shown["input"]["size"]) == ("not added", 320)


def test_show_prints_a_card_to_start_from(make: Make, tmp_path: Path) -> None:
    shown = call("models", "show", "isnet-anime").stdout
    assert shown.startswith("# not added\n")
    mine = tmp_path / "mine.toml"
    lines = [line for line in shown.splitlines() if not line.startswith("sha256")]
    mine.write_text(
        "\n".join(lines).replace('"isnet-anime"', '"mine"').replace("size = 1024", "size = 32"), "utf-8-sig"
    )
    result = call("models", "add", make(), "--card", mine)
    assert result.exit_code == 0, result.stderr
    assert "mine: fits its card; unverified" in result.stdout


def test_add_use_verify_remove(make: Make, card: Path, photo_file: Path, tmp_path: Path) -> None:
    added = call("models", "add", make(), "--card", card)
    assert added.exit_code == 0, added.stderr
    assert added.stdout.startswith("grey: fits its card; unverified, for the card has no SHA-256. The file's is ")
    segmented = call("segment", photo_file, "--segmenter", "grey", "-o", tmp_path / "p.png")
    assert segmented.exit_code == 0, segmented.stderr
    grey = np.asarray(Image.open(photo_file)).mean(axis=2)
    assert np.abs(np.asarray(Image.open(tmp_path / "p.png")) - grey).mean() < 10
    assert call("models", "verify").exit_code == 0
    (tmp_path / "data" / "models" / "grey.onnx").write_bytes(b"")
    damaged = call("models", "verify", "lite", "grey")
    assert damaged.exit_code == 1
    assert "lite: verified" in damaged.stdout
    assert "the file has changed" in damaged.stderr
    assert call("models", "remove", "grey").stdout == "grey: removed\n"
    gone = call("models", "remove", "grey")
    assert (gone.exit_code, gone.stderr) == (1, "Error: no model 'grey' was added; there are none\n")


def test_a_remark_is_a_warning(make: Make, card: Path) -> None:
    card.write_text(card.read_text().replace("probability", "logits"))
    assert "warning: grey: the card says kind" in call("models", "add", make(), "--card", card).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "u2netp"], 2, "Give NAME and FILE"),
        (["add", "a", "b", "--card", "c.toml"], 2, "Give NAME and FILE"),
        (["add", "nobody", "x.onnx"], 1, "there is no model 'nobody'"),
        (["add", "u2netpp", "x.onnx"], 1, "did you mean 'u2netp'?"),
        (["add", "x.onnx", "--card", "missing.toml"], 1, "cannot read the card 'missing.toml': No such file"),
        (["show", "nobody"], 1, "there is no model 'nobody'"),
        (["fetch"], 2, "Give a NAME or --card"),
        (["fetch", "lite"], 1, "needs no file"),
        (["verify", "u2netp"], 1, "not added"),
    ],
)
def test_bad_calls(arguments: list[str], code: int, words: str) -> None:
    result = call("models", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_the_photo_is_not_touched_when_the_model_is_not_added(photo_file: Path) -> None:
    result = call("cutout", photo_file, "--segmenter", "u2netp")
    assert result.exit_code == 1
    assert "trimatte models add u2netp FILE" in result.stderr
    assert [file.name for file in photo_file.parent.iterdir()] == ["photo.jpg"]


def test_fetch_from_a_server(make: Make, card: Path, tmp_path: Path) -> None:
    folder = tmp_path / "www"
    folder.mkdir()
    make().rename(folder / "network.onnx")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        text = card.read_text()
        card.write_text(text.replace("[licence]", f'address = "{address}/network.onnx"\n[licence]', 1))
        fetched = call("models", "fetch", "--card", card)
        card.write_text(text.replace("[licence]", f'address = "{address}/nothing.onnx"\n[licence]', 1))
        missing = call("models", "fetch", "--card", card)
        server.shutdown()
        thread.join()
    assert fetched.exit_code == 0, fetched.stderr
    assert "grey: fits its card" in fetched.stdout
    assert "weights: MIT\n" in fetched.stderr
    assert f"{address}/network.onnx" in fetched.stderr
    assert missing.exit_code == 1
    assert "HTTP 404" in missing.stderr
    assert "added" in call("models", "list").stdout.split("grey")[1]
