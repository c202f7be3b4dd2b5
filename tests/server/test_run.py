"""The service as a process of its own, with clients that misbehave."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")

SCRIPT = """
import json, sys
from trimatte.server import run
from trimatte.server.pool import Pool
from trimatte.server.settings import Settings
options = json.loads(sys.argv[1])
run.HEAD_SECONDS = options.pop("head_seconds", run.HEAD_SECONDS)
run.MOST_CONNECTIONS = options.pop("connections", run.MOST_CONNECTIONS)
settings = Settings(port=0, **{"workers": 1, **options})
run.serve(settings, Pool(settings, "toy_work"))
"""


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes


class Service:
    """A running `serve`, and what it logs."""

    def __init__(self, **options: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", SCRIPT, json.dumps(options)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.log: list[dict[str, Any]] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        (address,) = self.logged("listening")
        self.port = int(address["address"].rpartition(":")[2])
        until(lambda: self.get("/readyz").status == 200)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(json.loads(line))

    def logged(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The first `count` entries of an event, once they are there."""

        def found() -> list[dict[str, Any]]:
            return [entry for entry in self.log if entry.get("event") == event][:count]

        until(lambda: len(found()) == count)
        return found()

    def request(self, method: str, path: str, body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def cutout(self, what: str) -> Answer:
        return self.request("POST", "/v1/cutout", what.encode())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def metric(self, name: str) -> float:
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError(f"no metric {name}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, and give its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.reader.join(30)
        return code


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


@contextlib.contextmanager
def served(**options: Any) -> Iterator[Service]:
    service = Service(**options)
    try:
        yield service
    finally:
        service.process.kill()
        service.process.wait()
        service.reader.join(30)
        assert service.process.stderr is not None
        service.process.stderr.close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service for tests that leave it as it was; slow clients get half a second."""
    with served(body_seconds=0.5, head_seconds=0.5) as service:
        yield service


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Begin a call in a thread; what is returned waits for its result."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()

    def result() -> Any:
        thread.join(60)
        return results[0]

    return result


def status_of(received: bytes) -> int:
    return int(received.split()[1])


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_an_answer(service: Service) -> None:
    response = service.cutout("photo")
    assert response.status == 200
    assert "server" not in response.headers
    assert json.loads(response.body)["task"] == "cutout"


def test_a_slow_body(service: Service) -> None:
    with service.connect() as client:
        client.sendall(b"POST /v1/cutout HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        answer = read_all(client)
    assert status_of(answer) == 408
    assert b"/problems/slow-body" in answer


def test_a_slow_head(service: Service) -> None:
    with service.connect() as client:
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):  # it may be told by a reset
            while time.monotonic() - start < 20:
                client.sendall(b"G")
                time.sleep(0.1)
                client.settimeout(0.01)
                with contextlib.suppress(TimeoutError):
                    if not client.recv(100):
                        break
        assert time.monotonic() - start < 10


def test_a_slow_head_on_a_used_connection(service: Service) -> None:
    with service.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET")
        with contextlib.suppress(ConnectionError):
            assert read_all(client).count(b"HTTP/1.1 200") == 1


def test_requests_that_come_at_once_take_their_time(service: Service) -> None:
    body = b"sleep 0.8"
    request = f"POST /v1/cutout HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    with service.connect() as client:
        client.sendall(request + request)
        assert read_all(client).count(b"HTTP/1.1 200") == 2


def test_a_slow_reader_is_not_waited_for(service: Service) -> None:
    with service.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        body = b"large 50000000"
        head = f"POST /v1/cutout HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        until(lambda: service.metric("trimatte_held_bytes") > 49_000_000)
        until(lambda: service.metric("trimatte_held_bytes") == 0)


def test_a_client_that_goes_away_in_its_body(service: Service) -> None:
    with service.connect() as client:
        client.sendall(b"POST /v1/cutout HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
    until(lambda: any(entry.get("status") == 499 for entry in service.log))
    assert service.metric("trimatte_held_bytes") == 0
    assert service.cutout("photo").status == 200


def test_a_client_that_goes_away_before_its_answer(service: Service) -> None:
    before = sum(entry.get("status") == 499 for entry in service.log)
    body = b"sleep 0.3"
    with service.connect() as client:
        head = f"POST /v1/cutout HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        until(lambda: service.metric("trimatte_workers_busy") == 1)
    until(lambda: sum(entry.get("status") == 499 for entry in service.log) == before + 1)
    assert service.cutout("photo").status == 200
    assert service.metric('trimatte_workers_replaced_total{reason="lost"}') == 0


def parts_of(received: bytes) -> tuple[dict[str, str], Any]:
    """The headers of an answer and its JSON."""
    head, _, body = received.partition(b"\r\n\r\n")
    lines = (line.decode().partition(": ") for line in head.split(b"\r\n")[1:])
    return {name.lower(): value for name, _, value in lines}, json.loads(body)


POST = b"POST /v1/cutout HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400, "bad-request"),
        (b"GET / HTTP/one\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-request"),
        (POST + b"Content-Length: -1\r\n\r\n", 400, "bad-request"),
        (POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n", 400, "bad-request"),
        (POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n", 400, "bad-request"),
        (POST + CHUNKED + b"\r\nzz\r\n", 400, "bad-request"),
        (POST + CHUNKED + b"\r\n2\r\nab\r\nzz\r\n", 400, "bad-request"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501, "unknown-coding"),
        (b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 100_000, 431, "long-head"),
    ],
    ids=["TLS", "version", "host", "length", "two lengths", "old", "chunk", "late chunk", "coding", "head"],
)
def test_what_is_no_http_is_a_problem_and_ends_the_connection(
    service: Service, sent: bytes, status: int, code: str
) -> None:
    with service.connect() as client:
        client.sendall(sent)
        answer = read_all(client)
    headers, problem = parts_of(answer)
    assert status_of(answer) == problem["status"] == status
    assert problem["type"] == f"/problems/{code}"
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    assert service.get(f"/problems/{code}").status == 200


def test_clients_of_remove_bg_get_their_form_of_errors_in_a_bad_body_too(service: Service) -> None:
    with service.connect() as client:
        client.sendall(POST.replace(b"v1/cutout", b"v1.0/removebg") + CHUNKED + b"\r\nzz\r\n")
        answer = read_all(client)
    assert status_of(answer) == 400
    assert parts_of(answer)[1]["errors"][0]["code"] == "bad_request"


def test_a_bad_chunk_on_a_used_connection_and_after_a_head(service: Service) -> None:
    with service.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + POST + CHUNKED + b"\r\nzz\r\n")
        answers = read_all(client)
    assert answers.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" in answers
    with service.connect() as client:
        client.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n" + CHUNKED + b"\r\nzz\r\n")
        assert status_of(read_all(client)) in (200, 400)
    assert not [entry for entry in service.log if entry.get("event") == "defect" or "trace" in entry]


def test_http_1_0_needs_no_host_on_loopback(service: Service) -> None:
    with service.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert status_of(read_all(client)) == 200
    with service.connect() as client:
        client.sendall(b"GET /healthz HTTP/1.0\r\nHost: rebound.example\r\n\r\n")
        assert status_of(read_all(client)) == 421


def test_a_connection_too_many_is_refused() -> None:
    with served(connections=2) as service, service.connect(), service.connect(), service.connect() as third:
        third.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = read_all(third)
    assert status_of(answer) == 429
    assert parts_of(answer)[1]["type"] == "/problems/busy"


def test_a_refused_body_may_still_be_sent(service: Service) -> None:
    refused = service.request("POST", "/v1/nothing", bytes(3_000_000))
    assert refused.status == 404


def test_a_full_queue_and_a_clean_end() -> None:
    with served(queue=1) as service:
        running = in_thread(lambda: service.cutout("sleep 1.5"))
        until(lambda: service.metric("trimatte_workers_busy") == 1)
        waiting = in_thread(lambda: service.cutout("x"))
        until(lambda: service.metric("trimatte_requests_waiting") == 1)
        refused = service.cutout("x")
        assert refused.status == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert service.stop() == 0
        assert running().status == 200
        assert waiting().status == 503
        assert [entry["event"] for entry in service.log][-1] == "stopped"


def test_an_interrupt_ends_it_too() -> None:
    with served() as service:
        worker = json.loads(service.cutout("x").body)["process"]
        assert service.stop(signal.SIGINT) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_killed_workers_and_a_killed_service() -> None:
    with served() as service:
        worker = json.loads(service.cutout("x").body)["process"]
        running = in_thread(lambda: service.cutout("sleep 30"))
        until(lambda: service.metric("trimatte_workers_busy") == 1)
        os.kill(worker, signal.SIGKILL)
        assert running().status == 503
        response = service.cutout("x")
        assert response.status == 200
        worker = json.loads(response.body)["process"]
        service.process.kill()
        until(lambda: not alive(worker))  # a worker does not outlive its parent


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended but is not reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
