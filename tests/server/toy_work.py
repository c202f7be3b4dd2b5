"""Work for worker processes in tests: what is sent says what happens, and the answer tells what was received."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

_hoard: list[bytes] = []


def warm_up() -> None:
    if os.environ.get("TOY_FAILS"):
        raise RuntimeError("this worker never starts")


def run(task: str, files: Mapping[str, bytes], values: Mapping[str, Any]) -> SimpleNamespace:
    word, _, argument = files["image"][:100].decode("latin-1").partition(" ")
    if word == "sleep":
        time.sleep(float(argument))
    elif word == "die":
        os._exit(1)
    elif word == "leave":
        raise SystemExit(3)
    elif word == "panic":
        raise BaseException("no Exception, as of libraries in Rust")
    elif word == "kill":
        os.kill(os.getpid(), 9)
    elif word == "hoard":
        _hoard.append(b"x" * int(argument))
    elif word == "raise":
        import builtins

        from trimatte import errors

        raise {**vars(builtins), **vars(errors)}[argument]("what went wrong")
    seen = {"task": task, "files": {name: len(content) for name, content in files.items()}, "values": values}
    body = json.dumps({**seen, "process": os.getpid()}).encode()
    if word == "large":
        body = bytes(int(argument))
    report = SimpleNamespace(subject=True, warnings=["it is a toy"], residual=float("nan"), seconds={"toy": 0.5})
    if word == "report":
        report.unknown = {"numpy": np.int64(7), "object": object(), "long": "x" * 2_000_000}[argument]
    place = {f"X-Foreground-{side}": "1" for side in ("Top", "Left", "Width", "Height")}
    return SimpleNamespace(
        body=body, media_type="image/" + (values.get("format") or "png"), report=report, headers=place
    )
