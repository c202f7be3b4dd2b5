"""The service under load: many clients at once, with good, huge, truncated and hostile requests mixed.

Starts `trimatte serve` on a free port of this machine, lets the clients at it, and ends it by SIGTERM while they are
still asking. Says what was answered to what, how long it took, how memory went, and whether anything was answered that
should not have been; the exit code is 0 only if nothing was.

    python benchmarks/service.py                          # 64 clients for two minutes
    python benchmarks/service.py --seconds 20             # to try it; nothing is written
    python benchmarks/service.py --mutations 20000        # so many damaged pictures, one after the other
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import json
import os
import random
import signal
import statistics
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from common import RESULTS, heading
from PIL import Image
from skimage import data

MAX_BYTES = 5_000_000
MAX_PIXELS = 2_000_000
BOUNDARY = "a-boundary-that-no-picture-has"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
BUSY = {429}
GONE = 0
"""The client went away itself, and there is no status."""


@dataclass(frozen=True)
class Request:
    """What a client sends, and the statuses that are right answers to it, besides that the service is busy."""

    kind: str
    path: str
    body: bytes
    right: frozenset[int]
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False
    leave: bool = False


@dataclass
class Tally:
    """What came of all requests."""

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    longest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: Request, status: int, seconds: float, answer: bytes, *, ending: bool = False) -> None:
        with self.lock:
            self.statuses[request.kind][status] += 1
            self.longest = max(self.longest, seconds)
            if status == 200 and request.kind == "good":
                self.seconds.append(seconds)
            if status not in request.right | BUSY and not (ending and status == 503):
                self.wrong.append(f"{request.kind} {request.path}: {status} {answer[:200]!r}")


def encoded(image: Image.Image, format: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, format)
    return stream.getvalue()


def multipart(files: dict[str, bytes], fields: dict[str, str] | None = None) -> bytes:
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in (fields or {}).items()]
    parts += [f'name="{name}"; filename="f"\r\n\r\n'.encode() + content for name, content in files.items()]
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; ".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def bomb() -> bytes:
    """A PNG of kilobytes that says to have 2.5 billion pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A file with a few bytes changed, a part cut out, or a part repeated."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 3, 10, 100))):
        at = rng.randrange(len(changed) if rng.random() < 0.5 else min(len(changed), 200))
        choice = rng.random()
        if choice < 0.7:
            changed[at] = rng.choice((0, 255, 127, 128, rng.randrange(256)))
        elif choice < 0.85:
            del changed[at : at + rng.randrange(1, 50)]
        else:
            changed[at:at] = changed[at : at + rng.randrange(1, 50)]
        if not changed:
            return b""
    return bytes(changed)


def photos() -> dict[str, bytes]:
    cat = Image.fromarray(data.chelsea())
    large = cat.resize((1230, 818))
    return {
        "small": encoded(cat),
        "large": encoded(large),
        "png": encoded(cat.resize((226, 150)), "PNG"),
        "webp": encoded(cat, "WEBP"),
        "over": encoded(cat.resize((2000, 1330))),
    }


def requests(rng: random.Random) -> Iterator[Request]:
    """Requests without end: half of them good."""
    pictures = photos()
    small, large = pictures["small"], pictures["large"]
    ok, unread = frozenset({200}), frozenset({415, 422})
    too_large, refused = frozenset({413}), frozenset({400})
    trimap = Image.new("L", (451, 300), 128)
    trimap.paste(255, (150, 100, 300, 250))
    trimap.paste(0, (0, 0, 451, 40))
    known = encoded(trimap, "PNG")
    remove = frozenset({200, 400})
    good = [
        Request("good", "/v1/cutout", small, ok),
        Request("good", "/v1/cutout?crop=true&format=webp", pictures["webp"], ok),
        Request(
            "good", "/v1/cutout", multipart({"image": large}, {"background": "teal", "format": "jpeg"}), ok, MULTIPART
        ),
        Request("good", "/v1/trimap", pictures["png"], ok),
        Request("good", "/v1/alpha", multipart({"image": small, "trimap": known}), ok, MULTIPART),
        Request("good", "/v1.0/removebg", multipart({"image_file": small}, {"size": "auto"}), ok, MULTIPART),
    ]
    bad = [
        Request("huge", "/v1/cutout", bytes(MAX_BYTES + 1), too_large),
        Request("huge", "/v1/cutout", bytes(3 * MAX_BYTES), too_large, chunked=True),
        Request("huge", "/v1/cutout", pictures["over"], too_large),
        Request("huge", "/v1/trimap", bomb(), too_large),
        Request("truncated", "/v1/cutout", small[: len(small) // 2], unread),
        Request("truncated", "/v1/cutout", multipart({"image": small})[:5000], refused, MULTIPART),
        Request("truncated", "/v1/cutout", b"", unread),
        Request("truncated", "/v1/cutout", small, frozenset({GONE}), leave=True),
        Request("hostile", "/v1/cutout?method=%00&x=/etc/passwd", small, refused),
        Request("hostile", "/v1/cutout?background=/etc/passwd.png", small, refused),
        Request("hostile", "/v1/cutout", multipart({f"f{n}": b"x" for n in range(50)}), refused, MULTIPART),
        Request("hostile", "/v1/cutout", b"--" + b"-\r\n" * 100_000, refused, MULTIPART),
        Request("hostile", "/v1.0/removebg", multipart({}, {"image_url": "http://127.0.0.1/"}), refused, MULTIPART),
        Request("hostile", "/v1.0/removebg", b"[" * 100_000, refused, {"Content-Type": "application/json"}),
        Request("hostile", "/v1/cutout", small, frozenset({403}), {"Origin": "https://elsewhere.example"}),
        Request("hostile", "/v1/nothing/../../etc", b"x", frozenset({404})),
    ]
    while True:
        choice = rng.random()
        if choice < 0.5:
            yield rng.choice(good)
        elif choice < 0.85:
            yield rng.choice(bad)
        else:
            path, answers = rng.choice((("/v1/trimap", ok | unread | too_large), ("/v1.0/removebg", remove)))
            broken = mutated(rng.choice((small, pictures["png"], pictures["webp"])), rng)
            body = broken if path == "/v1/trimap" else multipart({"image_file": broken})
            yield Request("mutated", path, body, answers, {} if path == "/v1/trimap" else MULTIPART)


def ask(port: int, request: Request) -> tuple[int, bytes, float]:
    """Status, body and the seconds that a busy service asks to wait."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        if request.leave:
            connection.putrequest("POST", request.path)
            connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body[: len(request.body) // 2])
            return GONE, b"", 0.0
        pieces = (request.body[n : n + 65536] for n in range(0, len(request.body), 65536))
        body = pieces if request.chunked else request.body
        with contextlib.suppress(ConnectionError):  # a refusal may come before the body has been sent
            connection.request("POST", request.path, body, request.headers, encode_chunked=request.chunked)
        response = connection.getresponse()
        answer = response.read()
        return response.status, answer, float(response.headers.get("Retry-After", 0))


def client(port: int, seed: int, end: threading.Event, tally: Tally, lost: Counter[str]) -> None:
    """Ask until told to end."""
    for request in requests(random.Random(seed)):
        if end.is_set():
            return
        start = time.monotonic()
        try:
            status, answer, wait = ask(port, request)
        except (OSError, http.client.HTTPException) as error:
            if not end.is_set():
                with tally.lock:
                    lost[f"{request.kind}: {type(error).__name__}"] += 1
            continue
        tally.add(request, status, time.monotonic() - start, answer, ending=end.is_set())
        end.wait(min(wait, 1.0))


def resident(root: int) -> tuple[float, float]:
    """Megabytes that a process holds, and that its children hold."""
    page, own, others = os.sysconf("SC_PAGE_SIZE") / 1e6, 0.0, 0.0
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            held = int((entry / "statm").read_text().split()[1]) * page
            own += held if int(entry.name) == root else 0
            others += held if parent == root else 0
    return own, others


@contextlib.contextmanager
def served() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The service as a process, ready, and its port."""
    limits = ["--max-bytes", str(MAX_BYTES), "--max-pixels", str(MAX_PIXELS), "--port", "0", "--no-editor"]
    command = [sys.executable, "-m", "trimatte", "serve", *limits]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        entry = json.loads(process.stderr.readline())
        port = int(entry["address"].rpartition(":")[2])
        threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it can go on logging
        while not ready(port):
            time.sleep(0.5)
        yield process, port
    finally:
        process.kill()
        process.wait()


def ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200


def load(clients: int, seconds: float) -> tuple[str, bool]:
    """Let the clients at it, and write down what came of it."""
    tally, lost, end, memory = Tally(), Counter[str](), threading.Event(), []
    with served() as (process, port):
        asking = [
            threading.Thread(target=client, args=(port, seed, end, tally, lost), daemon=True) for seed in range(clients)
        ]
        for thread in asking:
            thread.start()
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            memory.append(resident(process.pid))
            time.sleep(0.25)
        end.set()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
        shutdown = time.monotonic() - began
        for thread in asking:
            thread.join(30)
    return report(clients, seconds, tally, lost, memory, code, shutdown)


def report(
    clients: int,
    seconds: float,
    tally: Tally,
    lost: Counter[str],
    memory: list[tuple[float, float]],
    code: int,
    shutdown: float,
) -> tuple[str, bool]:
    quarter = len(memory) // 4
    quarters = [memory[n * quarter : (n + 1) * quarter] for n in range(4)]
    peaks = [max(map(sum, each)) for each in quarters]
    flat = max(peaks[2:]) <= 1.1 * max(peaks[:2])
    good = sorted(tally.seconds)
    lines = [
        f"{clients} clients for {seconds:g} s, each with one request at a time, waiting at most 1 s after a 429. "
        f"Limits: {MAX_BYTES / 1e6:g} MB, {MAX_PIXELS / 1e6:g} megapixels; the rest as by default.",
        "",
        "| requests | answers |",
        "| --- | --- |",
    ]
    for kind, counts in sorted(tally.statuses.items()):
        answers = ", ".join(f"{count} × {status or 'client left'}" for status, count in sorted(counts.items()))
        lines.append(f"| {kind} | {answers} |")
    rate, median, most = len(good) / seconds, statistics.median(good), good[int(0.95 * len(good))]
    in_all = ", ".join(f"{peak:.0f}" for peak in peaks)
    alone = ", ".join(f"{max(own for own, _ in each):.0f}" for each in quarters)
    lines += [
        "",
        f"- Good answers: {rate:.1f} a second, {median:.2f} s in the median, {most:.2f} s at the 95th percentile.",
        f"- The slowest answer of all: {tally.longest:.2f} s.",
        f"- Answers that should not have been: {len(tally.wrong)}.",
        f"- Connections lost: {', '.join(f'{count} x {what}' for what, count in lost.items()) or 'none'}.",
        f"- Resident memory of all processes, the most in each quarter: {in_all} MB, "
        f"{'flat' if flat else 'NOT flat'} within 10 % in the second half.",
        f"- Of that, the process that talks HTTP: {alone} MB.",
        f"- Shutdown under load: exit code {code} after {shutdown:.1f} s.",
    ]
    show(tally.wrong)
    return "\n".join(lines), not tally.wrong and not lost and flat and code == 0


def show(wrong: list[str]) -> None:
    for line in wrong[:20]:
        print("wrong:", line, file=sys.stderr)


def mutations(count: int) -> tuple[str, bool]:
    """Damaged pictures, one after the other: each has to be answered, within 5 s, by 200 or a stated 4xx."""
    tally, rng = Tally(), random.Random(0)
    stream = (each for each in requests(rng) if each.kind == "mutated" and each.path == "/v1/trimap")
    with served() as (process, port):
        lost = 0
        for _ in range(count):
            request = next(stream)
            start = time.monotonic()
            status, answer, _wait = ask(port, request)
            tally.add(request, status, time.monotonic() - start, answer)
            lost += status == 503
        alive = process.poll() is None
    counts = ", ".join(f"{n} × {status}" for status, n in sorted(tally.statuses["mutated"].items()))
    text = (
        f"{count} damaged pictures: {counts}; the slowest answer took {tally.longest:.2f} s, {lost} workers were lost."
    )
    show(tally.wrong)
    return text, alive and not tally.wrong and tally.longest < 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--mutations", type=int, metavar="N", help="instead of load, so many damaged pictures")
    given = parser.parse_args()
    text, fine = mutations(given.mutations) if given.mutations else load(given.clients, given.seconds)
    print(text)
    full = given.mutations == 20_000 if given.mutations else (given.clients, given.seconds) == (64, 120)
    if full:
        name, title = ("service-mutations", "with damaged pictures") if given.mutations else ("service", "under load")
        (RESULTS / f"{name}.md").write_text("\n".join([*heading(f"The service {title}"), "", text, ""]))
    sys.exit(not fine)


if __name__ == "__main__":
    main()
