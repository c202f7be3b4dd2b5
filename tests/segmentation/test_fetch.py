"""Downloads from a server on this machine: broken lines, wrong checksums, servers that know no ranges."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from trimatte.errors import ModelError, TrimatteError
from trimatte.segmentation import registry, segment
from trimatte.segmentation.cards import read_card
from trimatte.segmentation.fetch import download

Make = Callable[..., Path]
BODY = bytes(range(256)) * 4096  # 1 MiB


class Server(ThreadingHTTPServer):
    """Gives `body` in full or in parts, and breaks the line as often as `breaks` says."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.ranges = True
        self.sized = True
        self.status = 200
        self.tag = '"one"'
        self.breaks: list[int] = []
        self.asked: list[str | None] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/network.onnx"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, body = self.server, self.server.body
        asked = self.headers.get("Range")
        server.asked.append(asked)
        start, status = 0, server.status
        same = self.headers.get("If-Range", server.tag) == server.tag
        if asked and server.ranges and same:
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.end_headers()
                return
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if server.sized:
            self.send_header("Content-Length", str(len(body) - start))
        if server.tag:
            self.send_header("ETag", server.tag)
        self.end_headers()
        end = start + server.breaks.pop(0) if server.breaks else len(body)
        self.wfile.write(body[start:end])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "network.part"


def test_a_file_comes_whole_and_progress_is_told(server: Server, part: Path) -> None:
    told: list[tuple[int, int | None]] = []
    download(server.address, part, checked=False, progress=lambda done, total: told.append((done, total)))
    assert part.read_bytes() == BODY
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert server.asked == [None]
    assert list(part.parent.iterdir()) == [part]


def test_a_broken_line_is_taken_up_at_once(server: Server, part: Path) -> None:
    server.breaks = [300_000, 200_000]
    download(server.address, part, checked=False)
    assert part.read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_line_that_keeps_breaking_is_taken_up_by_the_next_call(server: Server, part: Path) -> None:
    server.breaks = [100_000, 100_000, 100_000]
    with pytest.raises(ModelError, match="the line broke; 300000 bytes are there, and the next fetch goes on"):
        download(server.address, part, checked=False)
    assert part.read_bytes() == BODY[:300_000]
    server.asked.clear()
    download(server.address, part, checked=False)
    assert part.read_bytes() == BODY
    assert server.asked == ["bytes=300000-"]


def test_a_server_that_knows_no_ranges_sends_it_all_again(server: Server, part: Path) -> None:
    server.ranges = False
    server.breaks = [300_000]
    download(server.address, part, checked=True)
    assert part.read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-"]


def test_a_file_that_changed_meanwhile_is_not_pieced_together(server: Server, part: Path) -> None:
    server.breaks = [300_000, 0, 0]
    with pytest.raises(ModelError):
        download(server.address, part, checked=False)
    server.tag, server.body = '"two"', BODY[::-1]
    download(server.address, part, checked=False)
    assert part.read_bytes() == BODY[::-1]


def test_without_checksum_and_version_nothing_is_built_upon(server: Server, part: Path) -> None:
    server.tag = ""
    part.write_bytes(b"of another file")
    download(server.address, part, checked=False)
    assert part.read_bytes() == BODY
    assert server.asked == [None]


def test_with_a_checksum_ranges_need_no_version(server: Server, part: Path) -> None:
    server.tag = ""
    part.write_bytes(BODY[:1000])
    download(server.address, part, checked=True)
    assert part.read_bytes() == BODY
    assert server.asked == ["bytes=1000-"]


def test_what_is_whole_already_is_not_loaded_again(server: Server, part: Path) -> None:
    part.write_bytes(BODY)
    download(server.address, part, checked=True)
    assert part.read_bytes() == BODY
    part.write_bytes(BODY + b"more")
    download(server.address, part, checked=True)
    assert part.read_bytes() == BODY


def test_a_server_that_tells_no_size(server: Server, part: Path) -> None:
    server.sized = False
    told: list[int | None] = []
    download(server.address, part, checked=False, progress=lambda done, total: told.append(total))
    assert part.read_bytes() == BODY
    assert set(told) == {None}


@pytest.mark.parametrize("status", [404, 403, 500])
def test_an_error_of_the_server(server: Server, part: Path, status: int) -> None:
    server.status = status
    with pytest.raises(ModelError, match=f"cannot fetch {server.address}: HTTP {status}"):
        download(server.address, part, checked=False)
    assert len(server.asked) == 1


def test_nobody_there(part: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot fetch http://127\.0\.0\.1:9/x: Connection refused; 0 bytes"):
        download("http://127.0.0.1:9/x", part, checked=False)


def card_of(server: Server, grey_card: str, network: Path, sha256: str = "") -> str:
    digest = sha256 or hashlib.sha256(network.read_bytes()).hexdigest()
    return grey_card.replace("[licence]", f'address = "{server.address}"\nsha256 = "{digest}"\n[licence]', 1)


def test_fetch_adds_the_network(server: Server, make: Make, grey_card: str, data: Path) -> None:
    network = make()
    server.body = network.read_bytes()
    server.breaks = [50, 10]
    verdict = registry.fetch(read_card(card_of(server, grey_card, network)))
    assert verdict.published
    assert registry.verify("grey") == verdict
    assert sorted(file.name for file in (data / "models").iterdir()) == ["grey.onnx", "grey.sha256", "grey.toml"]
    assert (data / "models" / "grey.onnx").read_bytes() == network.read_bytes()


def test_fetch_without_a_published_hash_says_so(server: Server, make: Make, grey_card: str) -> None:
    server.body = make().read_bytes()
    text = grey_card.replace("[licence]", f'address = "{server.address}"\n[licence]', 1)
    verdict = registry.fetch(read_card(text))
    assert not verdict.published
    assert verdict.sha256 == hashlib.sha256(server.body).hexdigest()


def test_fetch_discards_what_has_another_checksum(server: Server, make: Make, grey_card: str, data: Path) -> None:
    server.body = make().read_bytes()
    with pytest.raises(ModelError, match="its SHA-256 is"):
        registry.fetch(read_card(card_of(server, grey_card, make(), sha256="0" * 64)))
    assert list((data / "models").iterdir()) == []
    assert registry.added() == []


def test_remove_deletes_what_a_fetch_has_left(server: Server, make: Make, grey_card: str, data: Path) -> None:
    server.body = make().read_bytes()
    server.breaks = [50, 0, 0]
    with pytest.raises(ModelError, match="50 bytes are there"):
        registry.fetch(read_card(card_of(server, grey_card, make())))
    assert sorted(file.name for file in (data / "models").iterdir()) == [".grey.part", ".grey.tag"]
    registry.remove("grey")
    assert list((data / "models").iterdir()) == []


def test_fetch_needs_an_address(grey_card: str) -> None:
    with pytest.raises(ModelError, match="its card knows no address"):
        registry.fetch(read_card(grey_card))


def test_segmenting_never_asks_a_server(server: Server, make: Make, grey_card: str, data: Path) -> None:
    folder = data / "models"
    folder.mkdir(parents=True)
    (folder / "grey.toml").write_text(card_of(server, grey_card, make()))
    with pytest.raises(TrimatteError):
        segment(np.zeros((8, 8, 3), np.uint8), segmenter="grey")
    assert server.asked == []
