"""The examples for other programs, as far as they go without those."""

from __future__ import annotations

import importlib.util
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem.replace("-", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.torch
def test_the_node_of_comfyui(photo: np.ndarray, trimap: np.ndarray, truth: np.ndarray, bright: str) -> None:
    torch = pytest.importorskip("torch")
    node: Any = loaded(EXAMPLES / "comfyui/__init__.py").NODE_CLASS_MAPPINGS["TrimatteCutout"]
    inputs = node.INPUT_TYPES()
    assert "lite" in inputs["required"]["segmenter"][0]
    batch = torch.from_numpy(np.stack([photo, photo]) / np.float32(255))
    masks = torch.from_numpy(np.stack([trimap, trimap]) / np.float32(255))
    for given in (
        {"segmenter": bright},
        {"segmenter": bright, "method": "balanced"},
        {"segmenter": bright, "trimap": torch.zeros(1, 64, 64)},
        {"segmenter": "lite", "trimap": masks},
        {"segmenter": "lite", "trimap": masks[:1]},
        {"segmenter": "lite", "trimap": masks[0].bfloat16()},
        {"segmenter": bright, "trimap": torch.stack([torch.zeros_like(masks[0]), masks[1]])},
        {"segmenter": "lite", "trimap": torch.cat([masks, masks[:1]])},
    ):
        colours, alpha = getattr(node(), node.FUNCTION)(batch, **{"method": "closed-form", **given})
        assert (tuple(colours.shape), tuple(alpha.shape)) == ((2, 72, 96, 3), (2, 72, 96))
        assert float(np.abs(alpha[1].numpy() - truth).mean()) < 0.03


def test_the_plug_in_of_gimp_asks_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as the library calls it
            seen["path"], seen["token"] = self.path, self.headers["Authorization"]
            seen["body"] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a cut-out")

        def log_message(self, *arguments: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    monkeypatch.setenv("TRIMATTE_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("TRIMATTE_TOKEN", "secret")
    plug_in: Any = loaded(EXAMPLES / "gimp/trimatte-cutout.py")
    assert plug_in.cut_out(b"photo", crop="true") == b"a cut-out"
    thread.join()
    server.server_close()
    assert seen == {"path": "/v1/cutout?format=png&crop=true", "token": "Bearer secret", "body": b"photo"}


def test_the_plug_in_of_gimp_tells_what_the_service_says(monkeypatch: pytest.MonkeyPatch) -> None:
    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # as the library calls it
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(422)
            self.send_header("Content-Type", "application/problem+json")
            self.end_headers()
            self.wfile.write(b'{"status": 422, "detail": "cannot read the picture: it is empty"}')

        def log_message(self, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("TRIMATTE_URL", f"http://127.0.0.1:{server.server_port}")
        plug_in: Any = loaded(EXAMPLES / "gimp/trimatte-cutout.py")
        with pytest.raises(OSError, match="it is empty"):
            plug_in.cut_out(b"photo")
        thread.join()


def test_the_plug_in_of_gimp_says_that_no_service_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        monkeypatch.setenv("TRIMATTE_URL", f"http://127.0.0.1:{server.server_port}")
    plug_in: Any = loaded(EXAMPLES / "gimp/trimatte-cutout.py")
    with pytest.raises(OSError, match=r"nothing answers at .*start `trimatte serve`.* TRIMATTE_URL"):
        plug_in.cut_out(b"photo")
    for address in ("localhost:8000", "my service", "http://127.0.0.1:port"):
        monkeypatch.setenv("TRIMATTE_URL", address)
        with pytest.raises(OSError, match=r"is no address of a service.* TRIMATTE_URL|nothing answers.* TRIMATTE_URL"):
            plug_in.cut_out(b"photo")


def test_the_plug_in_of_gimp_knows_another_program_by_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setenv("TRIMATTE_URL", f"http://127.0.0.1:{server.server_port}")
        plug_in: Any = loaded(EXAMPLES / "gimp/trimatte-cutout.py")
        with pytest.raises(OSError, match=r"is not trimatte \(HTTP Error 501.* TRIMATTE_URL"):
            plug_in.cut_out(b"photo")
        thread.join()
