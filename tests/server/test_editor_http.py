"""The editor's addresses: what they take, what they refuse, and with which headers."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, features
from starlette.testclient import TestClient

from trimatte.errors import ArgumentError
from trimatte.server.editor import Sessions, editor_app
from trimatte.server.editor.endpoints import STATIC

SESSIONS = "/v1/edit/sessions"


@pytest.fixture(scope="module")
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture(scope="module")
def http(sessions: Sessions) -> Iterator[TestClient]:
    app = editor_app(sessions, max_bytes=100_000, max_pixels=50_000)
    with TestClient(app, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def body(photo: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def path(sessions: Sessions, body: bytes, trimap: np.ndarray) -> str:
    """The address of a new session."""
    for id in list(sessions._kept):
        sessions.close(id)
    return f"{SESSIONS}/{sessions.open(body, 'a disc.png', trimap=trimap)}"


def painted(http: TestClient, path: str, marks: np.ndarray, x: int = 0, y: int = 0, since: int = -1):
    height, width = marks.shape
    where = {"x": x, "y": y, "width": width, "height": height, "since": since}
    return http.patch(f"{path}/marks", params=where, content=zlib.compress(marks.tobytes()))


def test_a_photo_becomes_a_session_and_ends(http: TestClient, body: bytes) -> None:
    answer = http.post(SESSIONS, params={"name": "cat.png", "band": "0.1"}, content=body)
    assert answer.status_code == 201
    state = answer.json()
    assert (state["name"], state["width"], state["height"], state["band"]) == ("cat.png", 96, 72, 0.1)
    path = f"{SESSIONS}/{state['id']}"
    assert http.get(path).json() == state
    changed = http.put(f"{path}/settings", content=json.dumps({"band": 0.08, "method": "large-kernel"})).json()
    assert (changed["band"], changed["method"]) == (0.08, "large-kernel")
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == 410


def test_strokes_are_answered_by_patches(http: TestClient, path: str) -> None:
    first = http.get(f"{path}/alpha", params={"since": -1})
    head = json.loads(first.headers["Trimatte-Patch"])
    assert {"x": 0, "y": 0, "width": 96, "height": 72, "exact": True}.items() <= head.items()
    assert len(first.content) == 96 * 72
    answer = painted(http, path, np.full((5, 6), 255, np.uint8), x=1, y=2, since=head["version"])
    head = json.loads(answer.headers["Trimatte-Patch"])
    assert not head["exact"]
    assert len(answer.content) == head["width"] * head["height"] < 96 * 72
    marks = np.frombuffer(http.get(f"{path}/marks").content, np.uint8).reshape(72, 96)
    assert (marks[2:7, 1:7] == 255).all()
    assert (marks == 255).sum() == 30
    assert len(http.get(f"{path}/trimap").content) == 96 * 72


@pytest.mark.parametrize(
    ("what", "kind"), [("photo", "JPEG"), ("foreground", "JPEG"), ("cutout.png", "PNG"), ("cutout.webp", "WEBP")]
)
def test_pictures(http: TestClient, path: str, what: str, kind: str) -> None:
    answer = http.get(f"{path}/{what}")
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == (kind, (96, 72))
    assert answer.headers["cache-control"] == "no-store"
    if "." in what:
        assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''a%20disc-{what}"


@pytest.mark.parametrize(
    ("query", "content", "status", "said"),
    [
        ({"x": "1e3"}, b"", 400, "x: got '1e3', wanted a whole number"),
        ({"since": ""}, b"", 400, "since"),
        ({"width": "97"}, b"", 400, "width, height"),
        ({"width": "0"}, b"", 400, "width, height"),
        ({"height": "999999999"}, b"", 400, "width, height"),
        ({"x": "95"}, zlib.compress(bytes([1] * 4)), 400, "x, width"),
        ({}, b"not deflated", 400, "not deflated"),
        ({}, zlib.compress(bytes([1] * 3)), 400, "less than the 4 pixels"),
        ({}, zlib.compress(bytes(10_000_000)), 413, "bytes"),
        ({}, zlib.compress(bytes([1] * 5)), 400, "more than the 4 pixels"),
        ({}, zlib.compress(bytes(900_000)), 400, "more than the 4 pixels"),
        ({}, zlib.compress(bytes([1] * 4))[:-3], 400, "less than the 4 pixels"),
        ({}, zlib.compress(bytes([9] * 4)), 400, "marks: got 9"),
        ({}, bytes(5000), 413, "more than"),
    ],
)
def test_bad_strokes(
    http: TestClient, path: str, query: dict[str, str], content: bytes, status: int, said: str
) -> None:
    where = {"x": "0", "y": "0", "width": "2", "height": "2", "since": "0", **query}
    answer = http.patch(f"{path}/marks", params=where, content=content)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert set(http.get(f"{path}/marks").content) == {1}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.binary(max_size=200), query=st.dictionaries(st.sampled_from("xy"), st.text(max_size=5)))
def test_no_stroke_is_a_defect(http: TestClient, path: str, content: bytes, query: dict[str, str]) -> None:
    where = {"x": "0", "y": "0", "width": "4", "height": "4", "since": "0", **query}
    assert http.patch(f"{path}/marks", params=where, content=content).status_code in (200, 400, 413)


@pytest.mark.parametrize(
    ("query", "content", "status", "said"),
    [
        ({}, b"", 422, "empty"),
        ({}, b"no picture at all", 415, "cannot read"),
        ({}, bytes(100_001), 413, "100000 bytes"),
        ({"method": "modnet"}, None, 400, "method: got 'modnet'"),
        ({"band": "wide"}, None, 400, "band: got 'wide', wanted a number"),
        ({"band": "inf"}, None, 400, "band"),
        ({"band": "0"}, None, 400, "band: got 0.0"),
        ({"backdrop": "mauvish"}, None, 400, "backdrop: got 'mauvish'"),
        ({"shadow": "long"}, None, 400, "shadow: got 'long', wanted drop or keep"),
    ],
)
def test_bad_photos(
    http: TestClient, body: bytes, query: dict[str, str], content: bytes | None, status: int, said: str
) -> None:
    answer = http.post(SESSIONS, params=query, content=body if content is None else content)
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_photos_of_too_many_pixels(http: TestClient) -> None:
    buffer = io.BytesIO()
    Image.new("L", (500, 101)).save(buffer, "PNG")
    answer = http.post(SESSIONS, content=buffer.getvalue())
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/picture-too-large"


def test_a_cut_out_is_laid_out_as_asked(http: TestClient, path: str, body: bytes) -> None:
    answer = http.get(f"{path}/cutout.jpg?crop=true&margin=10%25&size=60x40&background=%2300ff00")
    assert answer.status_code == 200, answer.text
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == ("JPEG", (60, 40))
    assert np.abs(np.asarray(picture)[0, 0].astype(int) - (0, 255, 0)).max() < 12
    behind = io.BytesIO()
    Image.new("RGB", (30, 30), "#0000ff").save(behind, "PNG")
    over = Image.open(
        io.BytesIO(http.post(f"{path}/cutout.png?preset=sticker&size=60x40", content=behind.getvalue()).content)
    )
    assert (over.mode, over.getpixel((0, 0))) == ("RGB", (0, 0, 255))
    for wrong in ("cutout.jpg", "cutout.png?size=huge", "cutout.png?banana=1", "cutout.png?size=60000x60000"):
        assert http.get(f"{path}/{wrong}").status_code == 400
    assert http.post(f"{path}/cutout.png", content=b"no picture").status_code == 415


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"{",
        b'{"radius": 3}',
        b'{"band": "x"}',
        b'{"band": true}',
        b'{"method": 3}',
        b"[" * 900,
        b'{"backdrop": 3}',
        b'{"backdrop": "mauvish"}',
        b'{"shadow": "long"}',
        b'{"backdrop": "auto"}',
    ],
)
def test_bad_settings(http: TestClient, path: str, content: bytes) -> None:
    answer = http.put(f"{path}/settings", content=content)
    assert answer.status_code == 400
    assert answer.json()["type"] in ("/problems/bad-body", "/problems/bad-parameter")


def test_a_download_says_what_of_it_could_not_be_made(http: TestClient, sessions: Sessions) -> None:
    photo = np.zeros((60, 80, 3), np.uint8)
    photo[20:, 30:50] = 240
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    known = np.where(photo[..., 0] > 0, 255, 0).astype(np.uint8)
    path = f"{SESSIONS}/{sessions.open(buffer.getvalue(), 'cut.png', trimap=known)}"
    answer = http.get(f"{path}/cutout.png", params={"cast_shadow": "contact"})
    (note,) = json.loads(answer.headers["Trimatte-Notes"])
    assert "no shadow on the ground" in note
    assert "Trimatte-Notes" not in http.get(f"{path}/cutout.png", params={"cast_shadow": "drop"}).headers


def test_a_plain_backdrop_is_a_setting(http: TestClient) -> None:
    y, x = np.mgrid[:60, :80]
    pixels = np.where(np.hypot(y - 30, x - 40)[..., None] < 18, (30, 60, 190), (240, 240, 238)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    answer = http.post(SESSIONS, params={"backdrop": "auto", "shadow": "keep"}, content=buffer.getvalue())
    assert answer.status_code == 201, answer.text
    state = answer.json()
    assert {"backdrop": "auto", "shadow": "keep", "found": "#f0f0ee"}.items() <= state.items()
    assert state["foundNote"] == "100% of the border is of one colour"
    path = f"{SESSIONS}/{state['id']}"
    cut = np.asarray(Image.open(io.BytesIO(http.get(f"{path}/cutout.png").content)))
    assert (cut[30, 40, 3], cut[5, 5, 3]) == (255, 0)
    changed = http.put(f"{path}/settings", content=json.dumps({"backdrop": "#00ff00"})).json()
    assert (changed["backdrop"], changed["found"]) == ("#00ff00", "")
    assert "wanted a colour of at least 5% of it" in changed["foundNote"]


def test_what_there_is_not(http: TestClient, path: str) -> None:
    assert http.get(f"{path}/secret").status_code == 404
    for method, what in (("GET", ""), ("GET", "/alpha?since=1"), ("GET", "/cutout.png"), ("PUT", "/settings")):
        assert http.request(method, f"{SESSIONS}/{'0' * 24}{what}").status_code == 410


def test_a_full_server_says_when_to_come_back(body: bytes) -> None:
    with TestClient(editor_app(Sessions(most=1)), base_url="http://localhost") as client:
        assert client.post(SESSIONS, content=body).status_code == 201
        answer = client.post(SESSIONS, content=body)
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "60"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_pages_of_other_sites_get_no_answer(http: TestClient, path: str, body: bytes, site: str) -> None:
    headers = {"Sec-Fetch-Site": site}
    assert http.post(SESSIONS, content=body, headers=headers).status_code == 403
    assert http.get(path, headers=headers).status_code == 403
    assert http.get(path, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_the_page_is_closed_to_scripts_of_others_and_light(http: TestClient) -> None:
    page = http.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|\sstyle=", page.text)
    assert sum(file.stat().st_size for file in STATIC.iterdir()) <= 300_000
    for file in STATIC.iterdir():
        answer = http.get("/" if file.name == "index.html" else f"/editor/{file.name}")
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        foreign = re.findall(r"https?://[^\s\"']+", file.read_text("utf-8"))
        assert set(foreign) <= {"http://www.w3.org/2000/svg"}
    assert http.get("/editor/../sessions.py").status_code == 404


def test_a_session_that_nobody_waits_for_takes_no_place(body: bytes) -> None:
    sessions = Sessions()
    messages = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])
    sent = []

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": SESSIONS,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    asyncio.run(editor_app(sessions)(scope, receive, send))
    assert sent[0]["status"] == 499
    assert len(sessions) == 0


def test_presets_of_ones_own_are_offered(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "sticker"\nsize = "64x48"\nbackground = "#204060"\nformat = "webp"')
    app = editor_app(Sessions(), own_presets=[str(tmp_path / "mine.toml")])
    with TestClient(app, base_url="http://localhost") as http:
        offered = http.get("/v1/edit/options").json()
        assert offered["presets"]["mine"] == {"format": "webp", "background": True}
        assert ("avif" in offered["formats"]) == features.check("avif")
        id = http.post(SESSIONS, content=body).json()["id"]
        for suffix in offered["formats"]:
            made = Image.open(io.BytesIO(http.get(f"{SESSIONS}/{id}/cutout.{suffix}?preset=mine").content))
            assert (made.size, made.mode) == ((64, 48), "RGB")
        assert http.get(f"{SESSIONS}/{id}/cutout.png?preset=theirs").status_code == 400
    (tmp_path / "bad.toml").write_text("size = 800")
    with pytest.raises(ArgumentError, match=r"bad.toml' has size: got 800"):
        editor_app(Sessions(), own_presets=[str(tmp_path / "bad.toml")])


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["deep.toml"], "deep.toml' has format tiff; wanted, for the editor, png, webp, jpg"),
        (["behind.toml"], "background: cannot read '.*none.png': No such file"),
        (["marketplace.toml"], "got '.*marketplace.toml', but there is another 'marketplace'"),
        (["mine.toml", "more/mine.toml"], "got '.*more/mine.toml', but there is another 'mine'"),
    ],
)
def test_presets_that_could_not_be_chosen_are_refused(tmp_path: Path, names: list[str], match: str) -> None:
    (tmp_path / "more").mkdir()
    for name in names:
        wrong = {"deep.toml": 'format = "tiff"', "behind.toml": 'background = "none.png"'}
        (tmp_path / name).write_text(wrong.get(name, "crop = true"))
    with pytest.raises(ArgumentError, match=match):
        editor_app(Sessions(), own_presets=[str(tmp_path / name) for name in names])


def test_options_are_those_that_a_session_takes(http: TestClient, body: bytes) -> None:
    offered = http.get("/v1/edit/options").json()
    for band in offered["bands"]:
        query = {"method": offered["methods"][0]["name"], "band": band}
        assert http.post(SESSIONS, params=query, content=body).status_code == 201
