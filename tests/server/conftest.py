"""The service with workers that only pretend to work, so that a test takes no longer than what it tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from trimatte.server.app import create_app
from trimatte.server.pool import Pool
from trimatte.server.settings import Settings

MakeClient = Callable[..., TestClient]


@pytest.fixture(scope="module")
def toy() -> Iterator[str]:
    """The name of the module `toy_work`, which worker processes can import, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent)
        yield "toy_work"


@pytest.fixture
def make_client(toy: str) -> Iterator[MakeClient]:
    """`make_client(token=..., queue=...)`: a client of a service of these settings, with one toy worker."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(toy_client(toy, **options))


@pytest.fixture(scope="module")
def client(toy: str) -> Iterator[TestClient]:
    """A client of a service with default settings, for all tests of a file."""
    with toy_client(toy) as client:
        yield client


def toy_client(module: str, **options: Any) -> TestClient:
    settings = Settings(**{"workers": 1, "hosts": ("testserver",), **options})
    return TestClient(create_app(settings, Pool(settings, module)), raise_server_exceptions=False)
