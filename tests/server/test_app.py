"""Addresses, parameters, formats, doors and errors of the service."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("starlette")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from trimatte.output.options import PARAMETERS
from trimatte.server.guard import SECURITY_HEADERS
from trimatte.server.problems import PROBLEMS


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of a response, which has to be that one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"/problems/{code}"
    assert document["status"] == status
    assert document["title"] == PROBLEMS[code][1]
    return document


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def test_cutout_of_a_multipart_body(client: TestClient) -> None:
    response = client.post(
        "/v1/cutout?band=0.1",
        files={"image": ("a.jpg", b"photo"), "trimap": ("b.png", b"map")},
        data={"crop": "true", "margin": "7", "background": "#1e90ff", "format": "webp"},
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/webp"
    seen = response.json()
    assert seen["task"] == "cutout"
    assert seen["files"] == {"image": 5, "trimap": 3}
    assert seen["values"] == {
        "way": None,
        "segmenter": None,
        "points": None,
        "not_points": None,
        "box": None,
        "backdrop": "off",
        "shadow": "drop",
        "method": None,
        "band": 0.1,
        "band_pixels": None,
        "adaptive_band": False,
        "foreground": "multilevel",
        "format": "webp",
        "quality": None,
        "background": [30, 144, 255],
        "output": "cutout",
        "preset": None,
        **{parameter.name: None for parameter in PARAMETERS},
        "crop": True,
        "margin": "7",
        "strict": False,
        "max_pixels": 25_000_000,
        "work_seconds": 60.0,
    }


def test_cutout_of_a_raw_body(client: TestClient) -> None:
    for content_type in ("image/jpeg", "application/octet-stream", None):
        headers = {"content-type": content_type} if content_type else {}
        response = client.post("/v1/cutout?quality=80", content=b"photo!", headers=headers)
        assert response.status_code == 200
        assert response.json()["files"] == {"image": 6}
        assert response.json()["values"]["quality"] == 80


def test_what_is_told_beside_the_picture(client: TestClient) -> None:
    response = client.post("/v1/cutout", content=b"photo")
    report = json.loads(response.headers["trimatte-report"])
    assert report == {"subject": True, "warnings": ["it is a toy"], "residual": None}
    assert response.headers["server-timing"] == "toy;dur=500.0"
    assert len(response.headers["x-request-id"]) == 16


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "image/png"),
        ("*/*", "image/png"),
        ("text/html, image/*;q=0.5", "image/png"),
        ("image/webp", "image/webp"),
        ("image/png;q=0.4, image/webp;q=0.8", "image/webp"),
        ("image/webp;q=nonsense, image/png", "image/png"),
    ],
)
def test_the_format_follows_accept(client: TestClient, accept: str | None, expected: str) -> None:
    request = client.build_request("POST", "/v1/cutout", content=b"photo", headers={"accept": accept or ""})
    if accept is None:
        del request.headers["accept"]
    response = client.send(request)
    assert response.headers["content-type"] == expected
    assert response.headers["vary"] == "Accept"


def test_formats_that_cannot_be(client: TestClient) -> None:
    problem(client.post("/v1/cutout", content=b"x", headers={"accept": "text/html"}), 406, "not-acceptable")
    problem(client.post("/v1/cutout", content=b"x", headers={"accept": "image/png;q=0"}), 406, "not-acceptable")
    told = problem(client.post("/v1/cutout", content=b"x", headers={"accept": "image/jpeg"}), 400, "bad-parameter")
    assert told["parameter"] == "background"
    covered = client.post("/v1/cutout?background=white", content=b"x", headers={"accept": "image/jpeg"})
    assert covered.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("bnad=0.1", "bnad"),
        ("band=0.1&band=0.2", "band"),
        ("band=nan", "band"),
        ("band=-1", "band"),
        ("band=1e400", "band"),
        ("band=0.1&band_pixels=4", "band_pixels"),
        ("quality=101", "quality"),
        ("quality=8.5", "quality"),
        ("crop=yes", "crop"),
        ("margin=4", "margin"),
        ("margin=" + "9" * 5000, "margin"),
        ("method=modnet", "method"),
        ("method=pymatting:cf", "method"),
        ("segmenter=../../etc/passwd", "segmenter"),
        ("points=5", "points"),
        ("points=5,5 -1", "points"),
        ("points=101%25,5", "points"),
        ("points=nan,5", "points"),
        ("not_points=" + "5,5%20" * 1001, "not_points"),
        ("box=1,2,3", "box"),
        ("box=5,5,5,9", "box"),
        ("background=/etc/passwd.png", "background"),
        ("background=%2300000080", "background"),
        ("format=tiff", "format"),
        ("max_pixels=1", "max_pixels"),
        ("weights=/tmp/x.pth", "weights"),
    ],
)
def test_parameters_that_are_refused(client: TestClient, query: str, parameter: str) -> None:
    document = problem(client.post(f"/v1/cutout?{query}", content=b"photo"), 400, "bad-parameter")
    assert document["parameter"] == parameter
    assert parameter in document["detail"]
    assert len(document["detail"]) < 400


def test_files_that_are_refused(client: TestClient) -> None:
    image = ("a.jpg", b"photo")
    missing = problem(client.post("/v1/cutout", files={"trimap": image}), 400, "bad-body")
    assert missing["parameter"] == "image"
    unknown = problem(client.post("/v1/trimap", files={"image": image, "trimap": image}), 400, "bad-body")
    assert unknown["parameter"] == "trimap"
    problem(client.post("/v1/cutout", files=[("image", image), ("image", image)]), 400, "bad-body")
    problem(client.post("/v1/alpha", content=b"photo"), 400, "bad-body")
    problem(client.post("/v1/cutout", files=[(f"f{n}", image) for n in range(9)]), 400, "bad-body")
    problem(
        client.post("/v1/cutout", files={"image": image}, data={"a" * n: "1" for n in range(1, 99)}), 400, "bad-body"
    )
    problem(client.post("/v1/cutout", files={"image": image}, data={"band": "1" * 70_000}), 400, "bad-body")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("multipart/form-data", b"x", 400, "bad-body"),
        ("multipart/form-data; boundary=b", b"no boundary at all", 400, "bad-body"),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--",
            400,
            "bad-body",
        ),
        ("multipart/form-data; boundary=b; charset=punycode", b"--b--", 415, "unsupported-type"),
        ("application/x-www-form-urlencoded", b"image=x", 415, "unsupported-type"),
        ("application/json", b"{}", 415, "unsupported-type"),
        ("text/plain", b"x", 415, "unsupported-type"),
    ],
)
def test_bodies_that_are_refused(client: TestClient, content_type: str, body: bytes, status: int, code: str) -> None:
    problem(client.post("/v1/cutout", content=body, headers={"content-type": content_type}), status, code)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(at=st.integers(0, 300), cut=st.integers(0, 40), put=st.binary(max_size=20))
def test_damaged_forms_are_answered(client: TestClient, at: int, cut: int, put: bytes) -> None:
    files = {"image": ("a.jpg", b"photo"), "trimap": ("b.png", b"map")}
    request = client.build_request("POST", "/v1/cutout", files=files, data={"band": "0.1"})
    body = request.read()
    response = client.post(
        "/v1/cutout",
        content=body[:at] + put + body[at + cut :],
        headers={"content-type": request.headers["content-type"]},
    )
    assert response.status_code in (200, 400)


def test_compressed_bodies_are_refused(client: TestClient) -> None:
    response = client.post("/v1/cutout", content=b"x", headers={"content-encoding": "gzip"})
    problem(response, 415, "unsupported-type")


def test_bodies_over_the_limit_are_refused(make_client: Any) -> None:
    client = make_client(max_bytes=1000)
    problem(client.post("/v1/cutout", content=b"x" * 1001), 413, "body-too-large")
    problem(client.post("/v1/cutout", content=iter([b"x" * 600] * 2)), 413, "body-too-large")  # of unknown length
    problem(client.post("/v1/cutout", files={"image": ("a", b"x" * 1000)}), 413, "body-too-large")
    assert client.post("/v1/cutout", content=b"x" * 1000).status_code == 200


def test_bodies_over_what_is_held_at_once_are_told_to_wait(make_client: Any) -> None:
    client = make_client(held_bytes=1000, max_bytes=1000)
    with ThreadPoolExecutor(1) as beside:
        first = beside.submit(client.post, "/v1/cutout", content=b"sleep 0.5".ljust(600))
        until(lambda: "trimatte_held_bytes 600.0" in client.get("/metrics").text)
        refused = client.post("/v1/cutout", content=b"x" * 600)
        problem(refused, 429, "busy")
        assert int(refused.headers["retry-after"]) > 0
        assert first.result().status_code == 200
    for _ in range(3):  # what a request held is given back
        assert client.post("/v1/cutout", content=b"x" * 1000).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("ImageReadError", 422, "unreadable-picture"),
        ("ImageFormatError", 415, "unsupported-type"),
        ("ImageTooLargeError", 413, "picture-too-large"),
        ("ImageWriteError", 422, "unfit-picture"),
        ("ArgumentError", 422, "unfit-picture"),
        ("SubjectNotFoundError", 422, "no-subject"),
        ("SolverError", 422, "not-solved"),
        ("MemoryError", 503, "out-of-memory"),
    ],
)
def test_errors_of_the_work(client: TestClient, error: str, status: int, code: str) -> None:
    response = client.post("/v1/cutout", content=f"raise {error}".encode())
    told = problem(response, status, code)
    assert told["detail"] == "what went wrong"
    assert "damaged" not in told["title"]  # a raw photo, or floats beyond 1, are whole


@pytest.mark.parametrize("what", [b"report object", b"leave", b"panic"])
def test_a_defect_of_any_kind_is_one_and_the_worker_lives(
    client: TestClient, caplog: pytest.LogCaptureFixture, what: bytes
) -> None:
    process = client.post("/v1/cutout", content=b"x").json()["process"]
    with caplog.at_level(logging.INFO, "trimatte.server"):
        response = client.post("/v1/cutout", content=what)
    problem(response, 500, "defect")
    assert "retry-after" not in response.headers
    assert sum("error" in getattr(record, "fields", {}) for record in caplog.records) == 1
    assert client.post("/v1/cutout", content=b"x").json()["process"] == process


def test_a_defect_is_told_to_the_log_alone(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "trimatte.server"):
        response = client.post("/v1/cutout", content=b"raise ZeroDivisionError")
    assert "went wrong" not in problem(response, 500, "defect")["detail"]
    (fields,) = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert fields["error"] == "ZeroDivisionError"
    assert any("toy_work.py" in frame for frame in fields["trace"])


def test_trimap_and_alpha(client: TestClient) -> None:
    trimap = client.post("/v1/trimap?band_pixels=9", content=b"photo").json()
    assert (trimap["task"], trimap["values"]["band_pixels"]) == ("trimap", 9)
    alpha = client.post("/v1/alpha?bits=16", files={"image": ("a", b"photo"), "trimap": ("b", b"map")}).json()
    assert (alpha["task"], alpha["values"]["bits"], alpha["files"]) == ("alpha", "16", {"image": 5, "trimap": 3})


def test_addresses_that_give_something(client: TestClient) -> None:
    models = client.get("/v1/models").json()
    (lite,) = [each for each in models["segmenters"] if each["name"] == "lite"]
    assert lite["purpose"]
    assert lite["licence"]["weights"] == "Apache-2.0"
    assert {"closed-form", "knn"} <= {each["name"] for each in models["methods"]}
    assert "modnet" not in {each["name"] for each in models["methods"]}
    needs = {each["name"]: each["needs_trimap"] for each in models["methods"]}
    assert (needs["knn"], needs["glance"]) == (True, False)
    assert client.get("/healthz").json() == {"status": "alive"}
    for code, (status, title) in PROBLEMS.items():
        assert client.get(f"/problems/{code}").text == f"{code} ({status}): {title}.\n"


def test_addresses_and_methods_that_there_are_not(client: TestClient) -> None:
    problem(client.get("/v1/none"), 404, "not-found")
    problem(client.get("/problems/none"), 404, "not-found")
    refused = client.get("/v1/cutout")
    problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "POST"


def test_ready_once_a_worker_is(client: TestClient) -> None:
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/readyz").json() == {"status": "ready"}


def test_not_ready_without_workers(make_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_FAILS", "1")
    client = make_client(wait_seconds=0.2)
    response = client.get("/readyz")
    problem(response, 503, "not-ready")
    assert int(response.headers["retry-after"]) > 0
    problem(client.post("/v1/cutout", content=b"x"), 503, "waited-too-long")


class TestToken:
    TOKEN = "a token of some length".replace(" ", "-")

    @pytest.fixture
    def guarded(self, make_client: Any) -> TestClient:
        client: TestClient = make_client(token=self.TOKEN)
        return client

    @pytest.mark.parametrize("path", ["/v1/models", "/v1/openapi.json", "/metrics"])
    def test_is_needed(self, guarded: TestClient, path: str) -> None:
        refused = guarded.get(path)
        problem(refused, 401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
        for wrong in ("", "Bearer", f"Bearer {self.TOKEN}x", f"Bearer {self.TOKEN[:-1]}", f"Basic {self.TOKEN}"):
            problem(guarded.get(path, headers={"authorization": wrong}), 401, "unauthorized")
        for header in ("authorization", "x-api-key"):
            problem(guarded.get(path, headers={header: "Bearer \xff".encode("latin-1")}), 401, "unauthorized")
        assert guarded.get(path, headers={"authorization": f"Bearer {self.TOKEN}"}).status_code == 200
        assert guarded.get(path, headers={"authorization": f"bearer {self.TOKEN}"}).status_code == 200
        assert guarded.get(path, headers={"x-api-key": self.TOKEN}).status_code == 200

    def test_is_needed_before_the_body_is_read(self, guarded: TestClient) -> None:
        problem(guarded.post("/v1/cutout", content=b"x" * 100_000_000), 401, "unauthorized")
        problem(guarded.post("/", content=b"x"), 401, "unauthorized")

    def test_is_not_needed_to_see_whether_the_service_lives(self, guarded: TestClient) -> None:
        assert guarded.get("/healthz").status_code == 200
        assert guarded.get("/readyz").status_code in (200, 503)

    def test_is_in_the_openapi_document(self, guarded: TestClient, client: TestClient) -> None:
        document = guarded.get("/v1/openapi.json", headers={"x-api-key": self.TOKEN}).json()
        assert document["security"] == [{"token": []}]
        assert document["paths"]["/healthz"]["get"]["security"] == []
        assert "security" not in client.get("/v1/openapi.json").json()


class TestOrigins:
    def test_pages_of_other_origins_may_not_send(self, client: TestClient) -> None:
        for origin in ("https://evil.example", "null", "http://testserver.evil.example", "http://[", ""):
            response = client.post("/v1/cutout", content=b"x", headers={"origin": origin})
            problem(response, 403, "foreign-origin")
            assert "access-control-allow-origin" not in response.headers

    def test_the_own_page_and_programs_may_send(self, client: TestClient) -> None:
        assert client.post("/v1/cutout", content=b"x", headers={"origin": "http://testserver"}).status_code == 200
        assert client.post("/v1/cutout", content=b"x").status_code == 200

    def test_cors_is_off(self, client: TestClient) -> None:
        asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
        assert "access-control-allow-origin" not in client.options("/v1/cutout", headers=asked).headers
        assert "access-control-allow-origin" not in client.get("/v1/models", headers=asked).headers

    def test_listed_origins_may_send(self, make_client: Any) -> None:
        client = make_client(origins=("https://shop.example",), token="t" * 20)
        asked = {
            "origin": "https://shop.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization",
        }
        preflight = client.options("/v1/cutout", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://shop.example"
        assert "access-control-allow-credentials" not in preflight.headers
        headers = {"origin": "https://shop.example", "authorization": f"Bearer {'t' * 20}"}
        response = client.post("/v1/cutout", content=b"x", headers=headers)
        assert response.status_code == 200
        assert response.headers["access-control-allow-origin"] == "https://shop.example"
        other = client.options("/v1/cutout", headers={**asked, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [("testserver", 200), ("testserver:81", 200), ("TestServer", 200), ("evil.example", 421), ("[::", 421), ("", 421)],
)
def test_hosts(client: TestClient, host: str, status: int) -> None:
    response = client.get("/healthz", headers={"host": host})
    assert response.status_code == status
    if status == 421:
        problem(response, 421, "wrong-host")


def test_default_hosts() -> None:
    from trimatte.server.settings import Settings

    assert "127.0.0.1" in Settings().allowed_hosts
    assert Settings(host="0.0.0.0").allowed_hosts == ()
    behind_a_name = Settings(host="0.0.0.0", hosts=("cut.example",)).allowed_hosts
    assert {"cut.example", "127.0.0.1"} <= set(behind_a_name)


def test_security_headers_are_on_every_answer(client: TestClient) -> None:
    answers = [
        client.get("/healthz"),
        client.get("/v1/none"),
        client.post("/v1/cutout", content=b"x"),
        client.post("/v1/cutout", content=b"die"),
        client.get("/healthz", headers={"host": "evil.example"}),
    ]
    for response in answers:
        for name, value in SECURITY_HEADERS.items():
            assert response.headers[name] == value
    assert "unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]


def test_an_exception_that_nobody_foresaw(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("trimatte.server.operations.parse_parameters", fail)
    response = client.post("/v1/cutout", content=b"x")
    problem(response, 500, "defect")
    assert "secret" not in response.text


def test_the_log_holds_neither_names_nor_values(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    from trimatte.server.logs import JsonFormatter

    with caplog.at_level(logging.INFO, "trimatte.server"):
        client.post("/v1/cutout?background=teal", files={"image": ("holiday.jpg", b"photo of me")})
        client.post("/v1/cutout?crop=holiday", files={"image": ("holiday.jpg", b"photo of me")})
        client.get("/holiday/photo")
        client.get("/healthz")
        try:
            raise RuntimeError("holiday")
        except RuntimeError:
            logging.getLogger("trimatte.server").exception("defect")
    lines = [JsonFormatter().format(record) for record in caplog.records]
    text = "\n".join(lines)
    assert not any(word in text for word in ("holiday", "photo", "teal"))
    requests = [entry for entry in map(json.loads, lines) if entry.get("event") == "request"]
    assert [entry["status"] for entry in requests] == [200, 400, 404]
    assert requests[0]["route"] == "/v1/cutout"
    assert requests[0]["stages"] == {"toy": 0.5}
    assert requests[1]["problem"] == "bad-parameter"
    assert requests[2]["route"] == "other"
    assert json.loads(lines[-1])["error"] == "RuntimeError"


def test_metrics(make_client: Any) -> None:
    client = make_client()
    client.post("/v1/cutout", content=b"x")
    for n in range(3):
        client.get(f"/v1/none{n}")
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert 'trimatte_requests_total{method="POST",route="/v1/cutout",status="200"} 1.0' in page.text
    assert 'trimatte_requests_total{method="GET",route="other",status="404"} 3.0' in page.text
    assert 'trimatte_stage_seconds_total{stage="toy"} 0.5' in page.text
    assert "trimatte_workers_ready 1.0" in page.text
    assert "trimatte_held_bytes 0.0" in page.text
